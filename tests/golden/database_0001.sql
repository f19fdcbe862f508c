BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE deliveries (
        delivery_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        job_id INTEGER NOT NULL,
        sop_instance_uid TEXT NOT NULL,
        study_instance_uid TEXT NOT NULL,
        destination TEXT NOT NULL,
        ordinal INTEGER NOT NULL,
        state TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        reason TEXT NOT NULL,
        proof TEXT NOT NULL,
        transaction_uid TEXT,
        available_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL,
        CONSTRAINT deliveries_state CHECK (state IN ('pending', 'sending', 'sent', 'committed', 'refused')),
        CONSTRAINT deliveries_proof CHECK (proof IN ('none', 'commitment', 'find')),
        FOREIGN KEY(job_id) REFERENCES jobs (job_id),
        FOREIGN KEY(sop_instance_uid) REFERENCES results (sop_instance_uid)
    ) STRICT
    ;
INSERT INTO "deliveries" VALUES(1,1,'2.25.1.1','1.2.1','pacs',1,'sent',1,'0x0000','none',NULL,1774745970123456,1774745970123456);
INSERT INTO "deliveries" VALUES(2,1,'2.25.1.2','1.2.1','pacs',2,'sent',1,'0x0000','none',NULL,1774745970123456,1774745970123456);
INSERT INTO "deliveries" VALUES(3,2,'2.25.2.1','1.2.2','pacs',1,'sent',1,'0x0000','none',NULL,1774745970123456,1774745970123456);
INSERT INTO "deliveries" VALUES(4,2,'2.25.2.2','1.2.2','pacs',2,'sent',1,'0x0000','none',NULL,1774745970123456,1774745970123456);
INSERT INTO "deliveries" VALUES(5,3,'2.25.3.1','1.2.2','pacs',1,'pending',0,'to be sent','none',NULL,1774745970123456,1774745970123456);
INSERT INTO "deliveries" VALUES(6,3,'2.25.3.2','1.2.2','pacs',2,'pending',0,'to be sent','none',NULL,1774745970123456,1774745970123456);
INSERT INTO "deliveries" VALUES(7,4,'2.25.4.1','1.2.3','pacs',1,'pending',0,'to be sent','none',NULL,1774745970123456,1774745970123456);
CREATE TABLE doomed_files (
        path TEXT NOT NULL,
        PRIMARY KEY (path)
    ) STRICT
    ;
CREATE TABLE events (
        event_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        at INTEGER NOT NULL,
        study_instance_uid TEXT,
        job_id INTEGER,
        delivery_id INTEGER,
        name TEXT NOT NULL,
        "before" TEXT,
        "after" TEXT,
        reason TEXT NOT NULL
    ) STRICT
    ;
INSERT INTO "events" VALUES(1,1774745970123456,'1.2.1',NULL,NULL,'study receiving',NULL,'receiving','first instance stored, from MODALITY');
INSERT INTO "events" VALUES(2,1774745970123456,'1.2.1',NULL,NULL,'study stable','receiving','stable','nothing came for 60 s');
INSERT INTO "events" VALUES(3,1774745970123456,'1.2.1',1,NULL,'job queued',NULL,'queued','revision 1: nothing came for 60 s');
INSERT INTO "events" VALUES(4,1774745970123456,'1.2.1',1,NULL,'job running','queued','running','attempt 1 of 3, by worker:1');
INSERT INTO "events" VALUES(5,1774745970123456,'1.2.1',1,NULL,'job reported','running','reported','2 results encoded');
INSERT INTO "events" VALUES(6,1774745970123456,'1.2.1',1,1,'delivery sending','pending','sending','pacs: attempt 1');
INSERT INTO "events" VALUES(7,1774745970123456,'1.2.1',1,1,'delivery sent','sending','sent','pacs: 0x0000');
INSERT INTO "events" VALUES(8,1774745970123456,'1.2.1',1,2,'delivery sending','pending','sending','pacs: attempt 1');
INSERT INTO "events" VALUES(9,1774745970123456,'1.2.1',1,2,'delivery sent','sending','sent','pacs: 0x0000');
INSERT INTO "events" VALUES(10,1774745970123456,'1.2.1',1,NULL,'job done','reported','done','every delivery acknowledged');
INSERT INTO "events" VALUES(11,1774745970123456,'1.2.2',NULL,NULL,'study receiving',NULL,'receiving','first instance stored, from MODALITY');
INSERT INTO "events" VALUES(12,1774745970123456,'1.2.2',NULL,NULL,'study stable','receiving','stable','nothing came for 60 s');
INSERT INTO "events" VALUES(13,1774745970123456,'1.2.2',2,NULL,'job queued',NULL,'queued','revision 1: nothing came for 60 s');
INSERT INTO "events" VALUES(14,1774745970123456,'1.2.2',2,NULL,'job running','queued','running','attempt 1 of 3, by worker:1');
INSERT INTO "events" VALUES(15,1774745970123456,'1.2.2',2,NULL,'job reported','running','reported','2 results encoded');
INSERT INTO "events" VALUES(16,1774745970123456,'1.2.2',2,3,'delivery sending','pending','sending','pacs: attempt 1');
INSERT INTO "events" VALUES(17,1774745970123456,'1.2.2',2,3,'delivery sent','sending','sent','pacs: 0x0000');
INSERT INTO "events" VALUES(18,1774745970123456,'1.2.2',2,4,'delivery sending','pending','sending','pacs: attempt 1');
INSERT INTO "events" VALUES(19,1774745970123456,'1.2.2',2,4,'delivery sent','sending','sent','pacs: 0x0000');
INSERT INTO "events" VALUES(20,1774745970123456,'1.2.2',2,NULL,'job done','reported','done','every delivery acknowledged');
INSERT INTO "events" VALUES(21,1774745970123456,'1.2.2',NULL,NULL,'study receiving','stable','receiving','a late instance came from MODALITY: revision 2 begins');
INSERT INTO "events" VALUES(22,1774745970123456,'1.2.2',NULL,NULL,'study stable','receiving','stable','nothing came for 60 s');
INSERT INTO "events" VALUES(23,1774745970123456,'1.2.2',3,NULL,'job queued',NULL,'queued','revision 2: nothing came for 60 s');
INSERT INTO "events" VALUES(24,1774745970123456,'1.2.2',3,NULL,'job running','queued','running','attempt 1 of 3, by worker:1');
INSERT INTO "events" VALUES(25,1774745970123456,'1.2.2',3,NULL,'job reported','running','reported','2 results encoded');
INSERT INTO "events" VALUES(26,1774745970123456,'1.2.3',NULL,NULL,'study receiving',NULL,'receiving','first instance stored, from MODALITY');
INSERT INTO "events" VALUES(27,1774745970123456,'1.2.3',NULL,NULL,'study stable','receiving','stable','nothing came for 60 s');
INSERT INTO "events" VALUES(28,1774745970123456,'1.2.3',4,NULL,'job queued',NULL,'queued','revision 1: nothing came for 60 s');
INSERT INTO "events" VALUES(29,1774745970123456,'1.2.3',4,NULL,'job running','queued','running','attempt 1 of 3, by worker:1');
INSERT INTO "events" VALUES(30,1774745970123456,'1.2.3',4,NULL,'job skipped','running','skipped','2 results encoded');
INSERT INTO "events" VALUES(31,1774745970123456,'1.2.4',NULL,NULL,'study receiving',NULL,'receiving','first instance stored, from MODALITY');
INSERT INTO "events" VALUES(32,1774745970123456,'1.2.4',NULL,NULL,'study stable','receiving','stable','nothing came for 60 s');
INSERT INTO "events" VALUES(33,1774745970123456,'1.2.4',5,NULL,'job queued',NULL,'queued','revision 1: nothing came for 60 s');
INSERT INTO "events" VALUES(34,1774745970123456,'1.2.4',5,NULL,'job running','queued','running','attempt 1 of 3, by worker:1');
INSERT INTO "events" VALUES(35,1774745970123456,'1.2.4',5,NULL,'job failed','running','failed','broken');
INSERT INTO "events" VALUES(36,1774745970123456,'1.2.5',NULL,NULL,'study receiving',NULL,'receiving','first instance stored, from MODALITY');
INSERT INTO "events" VALUES(37,1774745970123456,'1.2.5',NULL,NULL,'study stable','receiving','stable','nothing came for 60 s');
INSERT INTO "events" VALUES(38,1774745970123456,'1.2.5',6,NULL,'job queued',NULL,'queued','revision 1: nothing came for 60 s');
INSERT INTO "events" VALUES(39,1774745970123456,'1.2.5',6,NULL,'job running','queued','running','attempt 1 of 3, by worker:1');
INSERT INTO "events" VALUES(40,1774745970123456,'1.2.8',NULL,NULL,'study receiving',NULL,'receiving','first instance stored, from MODALITY');
INSERT INTO "events" VALUES(41,1774745970123456,'1.2.8',NULL,NULL,'study stable','receiving','stable','nothing came for 60 s');
INSERT INTO "events" VALUES(42,1774745970123456,'1.2.8',7,NULL,'job queued',NULL,'queued','revision 1: nothing came for 60 s');
INSERT INTO "events" VALUES(43,1774745970123456,'1.2.8',7,NULL,'job running','queued','running','attempt 1 of 3, by worker:1');
INSERT INTO "events" VALUES(44,1774745970123456,'1.2.8',7,NULL,'job reported','running','reported','2 results encoded');
INSERT INTO "events" VALUES(45,1774745970123456,'1.2.8',7,NULL,'job done','reported','done','every delivery acknowledged');
INSERT INTO "events" VALUES(46,1774745970123456,'1.2.6',NULL,NULL,'study receiving',NULL,'receiving','first instance stored, from MODALITY');
INSERT INTO "events" VALUES(47,1774745970123456,'1.2.6',NULL,NULL,'study stable','receiving','stable','nothing came for 60 s');
INSERT INTO "events" VALUES(48,1774745970123456,'1.2.6',8,NULL,'job queued',NULL,'queued','revision 1: nothing came for 60 s');
INSERT INTO "events" VALUES(49,1774745970123456,'1.2.7',NULL,NULL,'study receiving',NULL,'receiving','first instance stored, from MODALITY');
CREATE TABLE instances (
        sop_instance_uid TEXT NOT NULL,
        sop_class_uid TEXT NOT NULL,
        series_instance_uid TEXT NOT NULL,
        study_instance_uid TEXT NOT NULL,
        transfer_syntax_uid TEXT NOT NULL,
        modality TEXT NOT NULL,
        path TEXT NOT NULL,
        sha256 TEXT NOT NULL,
        size_bytes INTEGER NOT NULL,
        calling_ae_title TEXT NOT NULL,
        received_at INTEGER NOT NULL,
        revision INTEGER NOT NULL,
        PRIMARY KEY (sop_instance_uid),
        FOREIGN KEY(study_instance_uid, series_instance_uid) REFERENCES series (study_instance_uid, series_instance_uid)
    ) STRICT
    ;
INSERT INTO "instances" VALUES('1.2.1.1.1','1.2.840.10008.5.1.4.1.1.4','1.2.1.1','1.2.1','1.2.840.10008.1.2.1','MR','instances/1b/1b863159b6b0a4269ba9b9b8d3d63cd8198e441f14f794d91da16522c062324f.2406ad08aef1f76d9135823a01a702b2.c150aded','2406ad08aef1f76d9135823a01a702b24a25bee36a69be254284339ad9d58039',19,'MODALITY',1774745970123456,1);
INSERT INTO "instances" VALUES('1.2.2.1.1','1.2.840.10008.5.1.4.1.1.4','1.2.2.1','1.2.2','1.2.840.10008.1.2.1','MR','instances/dc/dc8a5d8233991b9f5702bfdf6fe482246b2793d1bcf3d7a9b31bc8de4bc936eb.0f2a04f4347638f363a95f0abd4e600f.3f7a9731','0f2a04f4347638f363a95f0abd4e600f6f65cd6f04cac0ff525836d65e4847ce',19,'MODALITY',1774745970123456,1);
INSERT INTO "instances" VALUES('1.2.2.1.2','1.2.840.10008.5.1.4.1.1.4','1.2.2.1','1.2.2','1.2.840.10008.1.2.1','MR','instances/fa/fa12bc504282007493bea5bdee2446bec4ddbf335ff03aa1e2c2d4ebf010fa6a.6e08c888d4eaf601446ae97ba884838a.648695fe','6e08c888d4eaf601446ae97ba884838a22bcd252323fab5a3ea53edbe294fe20',19,'MODALITY',1774745970123456,2);
INSERT INTO "instances" VALUES('1.2.3.1.1','1.2.840.10008.5.1.4.1.1.4','1.2.3.1','1.2.3','1.2.840.10008.1.2.1','MR','instances/91/9128aa0b6465022dac51a4735127ef7d6e57f4aa7260213f29710aac836d038d.d9f384e03d957f118868428eab08b2e9.34cdb909','d9f384e03d957f118868428eab08b2e99e3848e2ea01b20b8d1472fa0b3eaa22',19,'MODALITY',1774745970123456,1);
INSERT INTO "instances" VALUES('1.2.4.1.1','1.2.840.10008.5.1.4.1.1.4','1.2.4.1','1.2.4','1.2.840.10008.1.2.1','MR','instances/cd/cd8cbde68c58c2f3aa8f5236aecb808f1f5da64b479e5e14c777a05f34b766b9.de27041aafc8519ce82c6a9550ab9a17.023c8998','de27041aafc8519ce82c6a9550ab9a179fa01d22e5980a18c89043567a942add',19,'MODALITY',1774745970123456,1);
INSERT INTO "instances" VALUES('1.2.5.1.1','1.2.840.10008.5.1.4.1.1.4','1.2.5.1','1.2.5','1.2.840.10008.1.2.1','MR','instances/01/01dcb1730a5b4acf99f96b6e26e813b5dde5da706617f3052731a0f4c0e05765.de1214b4b25b370e8cc352a213d127d8.94b17915','de1214b4b25b370e8cc352a213d127d8c3506a8361cb2d36af5cede731c28609',19,'MODALITY',1774745970123456,1);
INSERT INTO "instances" VALUES('1.2.8.1.1','1.2.840.10008.5.1.4.1.1.4','1.2.8.1','1.2.8','1.2.840.10008.1.2.1','MR','instances/38/38ee8189ee7fc46c04dde9892a30b68fb9227886c05137e2776f443e1ee1e5af.6e02f9077f5c566c2e53331c2bc94e47.28ee353e','6e02f9077f5c566c2e53331c2bc94e4792f190d54817b4a008618c2fdd46ef2f',19,'MODALITY',1774745970123456,1);
INSERT INTO "instances" VALUES('1.2.6.1.1','1.2.840.10008.5.1.4.1.1.4','1.2.6.1','1.2.6','1.2.840.10008.1.2.1','MR','instances/3f/3f4b56e232673fb513eb2ec1fb3071e02f5587f9186a8f83cda7beef5b01275e.4005dcddf2793209df4cd401d54f239a.d3bce8bf','4005dcddf2793209df4cd401d54f239a0bf71777c6c3bf5e8d7cbf2ae1f1c11b',19,'MODALITY',1774745970123456,1);
INSERT INTO "instances" VALUES('1.2.7.1.1','1.2.840.10008.5.1.4.1.1.4','1.2.7.1','1.2.7','1.2.840.10008.1.2.1','MR','instances/9a/9a960faed67bb39fb0a22466ff2c38498aebf714fe8a25771a8f5960417df30c.5747dd2df6822c7a812892d72e3ca5fb.d078d649','5747dd2df6822c7a812892d72e3ca5fb0a43ec0fe7af50be18a0e098ba0c69ce',19,'MODALITY',1774745970123456,1);
CREATE TABLE jobs (
        job_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        study_instance_uid TEXT NOT NULL,
        revision INTEGER NOT NULL,
        state TEXT NOT NULL,
        attempt INTEGER NOT NULL,
        maximum_attempts INTEGER NOT NULL,
        reason TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        available_at INTEGER NOT NULL,
        lease_owner TEXT,
        lease_boot TEXT,
        lease_expires_at INTEGER,
        updated_at INTEGER NOT NULL,
        outcome TEXT,
        CONSTRAINT jobs_state CHECK (
            state IN ('queued', 'running', 'reported', 'done', 'skipped', 'failed', 'cancelled')
        ),
        CONSTRAINT jobs_lease CHECK (
            (state = 'running') = (lease_owner IS NOT NULL) AND (lease_owner IS NULL) = (lease_expires_at IS NULL)
        ),
        FOREIGN KEY(study_instance_uid) REFERENCES studies (study_instance_uid)
    ) STRICT
    ;
INSERT INTO "jobs" VALUES(1,'1.2.1',1,'done',1,3,'every delivery acknowledged',1774745970123456,1774745970123456,NULL,NULL,NULL,1774745970123456,'{"probability": 0.25}');
INSERT INTO "jobs" VALUES(2,'1.2.2',1,'done',1,3,'every delivery acknowledged',1774745970123456,1774745970123456,NULL,NULL,NULL,1774745970123456,'{"probability": 0.25}');
INSERT INTO "jobs" VALUES(3,'1.2.2',2,'reported',1,3,'2 results encoded',1774745970123456,1774745970123456,NULL,NULL,NULL,1774745970123456,'{"probability": 0.25}');
INSERT INTO "jobs" VALUES(4,'1.2.3',1,'skipped',1,3,'2 results encoded',1774745970123456,1774745970123456,NULL,NULL,NULL,1774745970123456,'{"probability": 0.25}');
INSERT INTO "jobs" VALUES(5,'1.2.4',1,'failed',1,3,'broken',1774745970123456,1774745970123456,NULL,NULL,NULL,1774745970123456,'{"error": "broken"}');
INSERT INTO "jobs" VALUES(6,'1.2.5',1,'running',1,3,'attempt 1 of 3, by worker:1',1774745970123456,1774745970123456,'worker:1','91403b0d-a129-43d8-b2fa-e992f1844cc9',1774746030123456,1774745970123456,NULL);
INSERT INTO "jobs" VALUES(7,'1.2.8',1,'done',1,3,'every delivery acknowledged',1774745970123456,1774745970123456,NULL,NULL,NULL,1774745970123456,'{"probability": 0.25}');
INSERT INTO "jobs" VALUES(8,'1.2.6',1,'queued',0,3,'nothing came for 60 s',1774745970123456,1774745970123456,NULL,NULL,NULL,1774745970123456,NULL);
CREATE TABLE results (
        sop_instance_uid TEXT NOT NULL,
        sop_class_uid TEXT NOT NULL,
        series_instance_uid TEXT NOT NULL,
        job_id INTEGER NOT NULL,
        kind TEXT NOT NULL,
        ordinal INTEGER NOT NULL,
        path TEXT NOT NULL,
        sha256 TEXT NOT NULL,
        size_bytes INTEGER NOT NULL,
        PRIMARY KEY (sop_instance_uid),
        FOREIGN KEY(job_id) REFERENCES jobs (job_id)
    ) STRICT
    ;
INSERT INTO "results" VALUES('2.25.1.1','1.2.840.10008.5.1.4.1.1.7','2.25.1',1,'overlay',1,'results/12/12524dc508ee4c8e6d8de43e4879b5f552f682198528f05d97755b241690a937.e80c3131e87823fc0106ec076504a8a9.2df602ca','e80c3131e87823fc0106ec076504a8a9811859d91f1c64968404d18a0badac38',15);
INSERT INTO "results" VALUES('2.25.1.2','1.2.840.10008.5.1.4.1.1.7','2.25.1',1,'sr_comprehensive',2,'results/1e/1e8c773c7be4811ef9b6d364164601a267209629136158904cc8e9ddde239f7d.345c8179bc9f1ea9e0106e5bf6c6dcd4.27c40fe2','345c8179bc9f1ea9e0106e5bf6c6dcd45a737b29c64e0e76c2836f6928899cb9',15);
INSERT INTO "results" VALUES('2.25.2.1','1.2.840.10008.5.1.4.1.1.7','2.25.2',2,'overlay',1,'results/f0/f0ab93db872452208369afc626ac83dc90374d3f1905de887bc5ecfa0d890245.15783e9e1c91b6cb310863476ef3e33a.13ad5e79','15783e9e1c91b6cb310863476ef3e33a3944d3f27eaac5324b1b3689842f8e28',15);
INSERT INTO "results" VALUES('2.25.2.2','1.2.840.10008.5.1.4.1.1.7','2.25.2',2,'sr_comprehensive',2,'results/79/79724b95a33a0153f61e3f1364fd94c99e309552ba10940974ba207f157aebdc.37ea19f5181257cb29b08846b1925b77.e4ad8a76','37ea19f5181257cb29b08846b1925b77f653851cf5e1abf6f92d71638a9face0',15);
INSERT INTO "results" VALUES('2.25.3.1','1.2.840.10008.5.1.4.1.1.7','2.25.3',3,'overlay',1,'results/16/167aea61c13cc3de38f9576df03fedf73e3f8dea92e5f8cd439c2ada28dcb06a.0f09542c3e451674025e90cf4a688da4.2008b714','0f09542c3e451674025e90cf4a688da4ba3f4f5af7807a0cab902e0d8cf4cac6',15);
INSERT INTO "results" VALUES('2.25.3.2','1.2.840.10008.5.1.4.1.1.7','2.25.3',3,'sr_comprehensive',2,'results/51/51a02d4d2499c5c003787490b6136c0523a4a8cd5fa50b42f62ce4f40be5b624.23ee0d345e8b36ffcb93af41ecdfb8df.0cb244e6','23ee0d345e8b36ffcb93af41ecdfb8df9f6fc1c3071627d461f66fd0a32d75cb',15);
INSERT INTO "results" VALUES('2.25.4.1','1.2.840.10008.5.1.4.1.1.7','2.25.4',4,'sr_comprehensive',1,'results/3d/3d14cace9a1c845b82ce3fd22212bab3193f76e5d2efe823402c53b6b7ea93d8.36fc317800b8101dac78a190f5490a24.a9b6c121','36fc317800b8101dac78a190f5490a24cc7e59bd0bdb9b29635b15207d901715',15);
INSERT INTO "results" VALUES('2.25.7.1','1.2.840.10008.5.1.4.1.1.7','2.25.7',7,'overlay',1,'results/c5/c598905098e8a22588d160d3f82098c8a3a832cf66403cb8af2360c9bad16b32.d49da68e60947ea4ab4caf7d836a0116.8bd83ddd','d49da68e60947ea4ab4caf7d836a01161bf1775f6b6598f4a22077c543e95861',15);
INSERT INTO "results" VALUES('2.25.7.2','1.2.840.10008.5.1.4.1.1.7','2.25.7',7,'sr_comprehensive',2,'results/6c/6cfade4a3d109a732cd54057a8e05aeb87ef6c1dc246b3df024c10bbf2f6acdf.04d08cd48d760bff873d41cd4f46083d.4b4675ca','04d08cd48d760bff873d41cd4f46083d22802a94c758ce59cb6117ab3359eb91',15);
CREATE TABLE series (
        study_instance_uid TEXT NOT NULL,
        series_instance_uid TEXT NOT NULL,
        modality TEXT NOT NULL,
        instances INTEGER NOT NULL,
        PRIMARY KEY (study_instance_uid, series_instance_uid),
        FOREIGN KEY(study_instance_uid) REFERENCES studies (study_instance_uid)
    ) STRICT
    ;
INSERT INTO "series" VALUES('1.2.1','1.2.1.1','MR',1);
INSERT INTO "series" VALUES('1.2.2','1.2.2.1','MR',2);
INSERT INTO "series" VALUES('1.2.3','1.2.3.1','MR',1);
INSERT INTO "series" VALUES('1.2.4','1.2.4.1','MR',1);
INSERT INTO "series" VALUES('1.2.5','1.2.5.1','MR',1);
INSERT INTO "series" VALUES('1.2.8','1.2.8.1','MR',1);
INSERT INTO "series" VALUES('1.2.6','1.2.6.1','MR',1);
INSERT INTO "series" VALUES('1.2.7','1.2.7.1','MR',1);
CREATE TABLE studies (
        study_instance_uid TEXT NOT NULL,
        state TEXT NOT NULL,
        revision INTEGER NOT NULL,
        instances INTEGER NOT NULL,
        expected_instances INTEGER,
        first_received_at INTEGER NOT NULL,
        last_received_at INTEGER NOT NULL,
        calling_ae_titles TEXT NOT NULL,
        PRIMARY KEY (study_instance_uid),
        CONSTRAINT studies_state CHECK (state IN ('receiving', 'stable'))
    ) STRICT
    ;
INSERT INTO "studies" VALUES('1.2.1','stable',1,1,NULL,1774745970123456,1774745970123456,'["MODALITY"]');
INSERT INTO "studies" VALUES('1.2.2','stable',2,2,NULL,1774745970123456,1774745970123456,'["MODALITY"]');
INSERT INTO "studies" VALUES('1.2.3','stable',1,1,NULL,1774745970123456,1774745970123456,'["MODALITY"]');
INSERT INTO "studies" VALUES('1.2.4','stable',1,1,NULL,1774745970123456,1774745970123456,'["MODALITY"]');
INSERT INTO "studies" VALUES('1.2.5','stable',1,1,NULL,1774745970123456,1774745970123456,'["MODALITY"]');
INSERT INTO "studies" VALUES('1.2.8','stable',1,1,NULL,1774745970123456,1774745970123456,'["MODALITY"]');
INSERT INTO "studies" VALUES('1.2.6','stable',1,1,NULL,1774745970123456,1774745970123456,'["MODALITY"]');
INSERT INTO "studies" VALUES('1.2.7','receiving',1,1,NULL,1774745970123456,1774745970123456,'["MODALITY"]');
CREATE INDEX studies_age ON studies (last_received_at);
CREATE INDEX studies_receiving ON studies (last_received_at) WHERE state IN ('receiving');
CREATE UNIQUE INDEX instances_path ON instances (path);
CREATE INDEX instances_series ON instances (study_instance_uid, series_instance_uid);
CREATE UNIQUE INDEX jobs_revision ON jobs (study_instance_uid, revision);
CREATE INDEX jobs_state ON jobs (state);
CREATE UNIQUE INDEX jobs_waiting ON jobs (study_instance_uid) WHERE state IN ('queued');
CREATE INDEX results_job ON results (job_id, ordinal);
CREATE UNIQUE INDEX results_path ON results (path);
CREATE INDEX deliveries_in_order ON deliveries (destination, study_instance_uid, job_id, ordinal) WHERE state IN ('pending', 'sending');
CREATE INDEX deliveries_job ON deliveries (job_id);
CREATE UNIQUE INDEX deliveries_once ON deliveries (sop_instance_uid, destination, job_id);
CREATE INDEX deliveries_sent ON deliveries (destination) WHERE state IN ('sent');
CREATE INDEX deliveries_transaction ON deliveries (transaction_uid) WHERE transaction_uid IS NOT NULL;
CREATE INDEX deliveries_undelivered ON deliveries (destination, job_id, ordinal) WHERE state IN ('pending', 'sending');
CREATE INDEX events_job ON events (job_id) WHERE job_id IS NOT NULL;
CREATE INDEX events_study ON events (study_instance_uid);
CREATE TRIGGER events_stay_as_they_are BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'an event is never changed'); END;
CREATE TRIGGER events_outlive_their_study BEFORE DELETE ON events WHEN EXISTS (SELECT 1 FROM studies WHERE study_instance_uid = OLD.study_instance_uid) BEGIN SELECT RAISE(ABORT, 'events go only after their study'); END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('events',49);
INSERT INTO "sqlite_sequence" VALUES('jobs',9);
INSERT INTO "sqlite_sequence" VALUES('deliveries',7);
COMMIT;
