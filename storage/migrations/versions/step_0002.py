"""Answers: what the node says of a study has a row of its own, with the key that it follows from.

SQLite adds a column behind the constraints of a table, and changes no constraint: tables that grow are made anew. Their
rows wait in a copy meanwhile, and what refers to them is checked when the whole step is done.
"""

from alembic import op

from storage.migrations.tables import made_anew

revision = "0002"
down_revision = "0001"

STUDIES = (
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
        version INTEGER NOT NULL,
        PRIMARY KEY (study_instance_uid),
        CONSTRAINT studies_state CHECK (state IN ('receiving', 'stable'))
    ) STRICT
    """,
    "CREATE INDEX studies_age ON studies (last_received_at)",
    "CREATE INDEX studies_receiving ON studies (last_received_at) WHERE state IN ('receiving')",
)

JOBS = (
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
        early INTEGER NOT NULL,
        covers INTEGER NOT NULL,
        answer_id INTEGER,
        CONSTRAINT jobs_state CHECK (
            state IN ('queued', 'running', 'kept', 'reported', 'done', 'skipped', 'failed', 'cancelled')
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
)

ANSWERS = (
    """
    CREATE TABLE answers (
        answer_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        study_instance_uid TEXT NOT NULL,
        job_id INTEGER NOT NULL,
        kind TEXT NOT NULL,
        "key" TEXT NOT NULL,
        generation INTEGER NOT NULL,
        state TEXT NOT NULL,
        reason TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL,
        CONSTRAINT answers_kind CHECK (kind IN ('result', 'out_of_scope', 'no_result')),
        CONSTRAINT answers_state CHECK (state IN ('kept', 'standing', 'superseded', 'withdrawn', 'discarded')),
        FOREIGN KEY(job_id) REFERENCES jobs (job_id)
    ) STRICT
    """,
    "CREATE INDEX answers_job ON answers (job_id)",
    "CREATE UNIQUE INDEX answers_kept ON answers (study_instance_uid) WHERE state IN ('kept')",
    "CREATE UNIQUE INDEX answers_standing ON answers (study_instance_uid) WHERE state IN ('standing')",
    "CREATE INDEX answers_study ON answers (study_instance_uid)",
)

RESULTS = (
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
        answer_id INTEGER,
        PRIMARY KEY (sop_instance_uid),
        FOREIGN KEY(job_id) REFERENCES jobs (job_id),
        FOREIGN KEY(answer_id) REFERENCES answers (answer_id)
    ) STRICT
    """,
    "CREATE INDEX results_answer ON results (answer_id)",
    "CREATE INDEX results_job ON results (job_id, ordinal)",
    "CREATE UNIQUE INDEX results_path ON results (path)",
)

STAND_ALREADY = """
    INSERT INTO answers
        (study_instance_uid, job_id, kind, "key", generation, state, reason, created_at, updated_at)
    SELECT
        study_instance_uid,
        job_id,
        CASE
            WHEN outcome ->> '$.prediction.scope.inside' THEN 'result'
            WHEN outcome ->> '$.prediction' IS NOT NULL THEN 'out_of_scope'
            WHEN state = 'skipped' THEN 'no_result'
            ELSE 'result'
        END,
        '',
        0,
        'standing',
        'worked out by an older version',
        created_at,
        updated_at
    FROM jobs
    WHERE state IN ('reported', 'done', 'skipped', 'failed')
        AND EXISTS (SELECT 1 FROM results WHERE results.job_id = jobs.job_id)
        AND NOT EXISTS (
            SELECT 1 FROM jobs AS later
            WHERE later.study_instance_uid = jobs.study_instance_uid
                AND later.revision > jobs.revision
                AND later.state IN ('reported', 'done', 'skipped', 'failed')
                AND EXISTS (SELECT 1 FROM results WHERE results.job_id = later.job_id)
        )
"""


def upgrade() -> None:
    """The newest job of each study that has results keeps standing; nobody knows its key any more."""
    op.execute("PRAGMA defer_foreign_keys = ON")
    made_anew("studies", STUDIES, "*, max(instances, 1)")
    made_anew("jobs", JOBS, "*, 0, 0, NULL")
    for statement in ANSWERS:
        op.execute(statement)
    op.execute(STAND_ALREADY)
    op.execute("UPDATE jobs SET answer_id = (SELECT answer_id FROM answers WHERE answers.job_id = jobs.job_id)")
    made_anew("results", RESULTS, "*, (SELECT answer_id FROM answers WHERE answers.job_id = results_before.job_id)")
