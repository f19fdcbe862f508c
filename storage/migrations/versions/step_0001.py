"""The first schema."""

from alembic import op

revision = "0001"
down_revision = None

STATEMENTS = (
    """
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
    """,
    "CREATE INDEX studies_age ON studies (last_received_at)",
    "CREATE INDEX studies_receiving ON studies (last_received_at) WHERE state IN ('receiving')",
    """
    CREATE TABLE series (
        study_instance_uid TEXT NOT NULL,
        series_instance_uid TEXT NOT NULL,
        modality TEXT NOT NULL,
        instances INTEGER NOT NULL,
        PRIMARY KEY (study_instance_uid, series_instance_uid),
        FOREIGN KEY(study_instance_uid) REFERENCES studies (study_instance_uid)
    ) STRICT
    """,
    """
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
    """,
    "CREATE UNIQUE INDEX instances_path ON instances (path)",
    "CREATE INDEX instances_series ON instances (study_instance_uid, series_instance_uid)",
    """
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
    """,
    "CREATE UNIQUE INDEX jobs_revision ON jobs (study_instance_uid, revision)",
    "CREATE INDEX jobs_state ON jobs (state)",
    "CREATE UNIQUE INDEX jobs_waiting ON jobs (study_instance_uid) WHERE state IN ('queued')",
    """
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
    """,
    "CREATE INDEX results_job ON results (job_id, ordinal)",
    "CREATE UNIQUE INDEX results_path ON results (path)",
    """
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
    """,
    "CREATE INDEX deliveries_in_order ON deliveries (destination, study_instance_uid, job_id, ordinal) "
    "WHERE state IN ('pending', 'sending')",
    "CREATE INDEX deliveries_job ON deliveries (job_id)",
    "CREATE UNIQUE INDEX deliveries_once ON deliveries (sop_instance_uid, destination, job_id)",
    "CREATE INDEX deliveries_sent ON deliveries (destination) WHERE state IN ('sent')",
    "CREATE INDEX deliveries_transaction ON deliveries (transaction_uid) WHERE transaction_uid IS NOT NULL",
    "CREATE INDEX deliveries_undelivered ON deliveries (destination, job_id, ordinal) "
    "WHERE state IN ('pending', 'sending')",
    """
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
    """,
    "CREATE INDEX events_job ON events (job_id) WHERE job_id IS NOT NULL",
    "CREATE INDEX events_study ON events (study_instance_uid)",
    """
    CREATE TABLE doomed_files (
        path TEXT NOT NULL,
        PRIMARY KEY (path)
    ) STRICT
    """,
    "CREATE TRIGGER events_stay_as_they_are BEFORE UPDATE ON events "
    "BEGIN SELECT RAISE(ABORT, 'an event is never changed'); END",
    "CREATE TRIGGER events_outlive_their_study BEFORE DELETE ON events "
    "WHEN EXISTS (SELECT 1 FROM studies WHERE study_instance_uid = OLD.study_instance_uid) "
    "BEGIN SELECT RAISE(ABORT, 'events go only after their study'); END",
)


def upgrade() -> None:
    """Make every table, index and trigger."""
    for statement in STATEMENTS:
        op.execute(statement)
