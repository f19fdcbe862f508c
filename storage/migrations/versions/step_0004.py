"""An answer knows what it was read from, and instances can be rejected: then it is revoked."""

from alembic import op

from storage.migrations.tables import made_anew

revision = "0004"
down_revision = "0003"

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
        CONSTRAINT answers_state CHECK (
            state IN ('kept', 'standing', 'superseded', 'withdrawn', 'revoked', 'discarded')
        ),
        FOREIGN KEY(job_id) REFERENCES jobs (job_id)
    ) STRICT
    """,
    "CREATE INDEX answers_job ON answers (job_id)",
    "CREATE UNIQUE INDEX answers_kept ON answers (study_instance_uid) WHERE state IN ('kept')",
    "CREATE UNIQUE INDEX answers_standing ON answers (study_instance_uid) WHERE state IN ('standing')",
    "CREATE INDEX answers_study ON answers (study_instance_uid)",
)
STATEMENTS = (
    """
    CREATE TABLE read_instances (
        answer_id INTEGER NOT NULL,
        sop_instance_uid TEXT NOT NULL,
        sha256 TEXT NOT NULL,
        PRIMARY KEY (answer_id, sop_instance_uid),
        FOREIGN KEY(answer_id) REFERENCES answers (answer_id) ON DELETE CASCADE
    ) STRICT
    """,
    """
    CREATE TABLE rejections (
        study_instance_uid TEXT NOT NULL,
        sop_instance_uid TEXT NOT NULL,
        note_instance_uid TEXT NOT NULL,
        title TEXT NOT NULL,
        PRIMARY KEY (study_instance_uid, sop_instance_uid, note_instance_uid)
    ) STRICT
    """,
    "CREATE INDEX rejections_note ON rejections (note_instance_uid)",
)
MAY_HAVE_READ = """
    INSERT INTO read_instances (answer_id, sop_instance_uid, sha256)
    SELECT answers.answer_id, instances.sop_instance_uid, instances.sha256
    FROM answers
    JOIN jobs ON jobs.job_id = answers.job_id
    JOIN instances ON instances.study_instance_uid = answers.study_instance_uid
        AND instances.revision <= jobs.revision
    WHERE answers.state IN ('kept', 'standing') AND answers.kind IN ('result', 'out_of_scope')
"""


def upgrade() -> None:
    """What stands was read from any instance that its job saw: nobody knows more of it."""
    op.execute("PRAGMA defer_foreign_keys = ON")
    made_anew("answers", ANSWERS, "*")
    for statement in (*STATEMENTS, MAY_HAVE_READ):
        op.execute(statement)
