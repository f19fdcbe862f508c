"""What an operator says of studies, answers and the node, and what is counted for ever."""

from alembic import op

revision = "0005"
down_revision = "0004"

STATEMENTS = (
    """
    CREATE TABLE accessions (
        study_instance_uid TEXT NOT NULL,
        keyed_hash TEXT NOT NULL,
        PRIMARY KEY (study_instance_uid),
        FOREIGN KEY(study_instance_uid) REFERENCES studies (study_instance_uid)
    ) STRICT
    """,
    "CREATE INDEX accessions_hash ON accessions (keyed_hash)",
    """
    CREATE TABLE priorities (
        study_instance_uid TEXT NOT NULL,
        priority INTEGER NOT NULL,
        PRIMARY KEY (study_instance_uid),
        FOREIGN KEY(study_instance_uid) REFERENCES studies (study_instance_uid)
    ) STRICT
    """,
    """
    CREATE TABLE readings (
        reading_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        answer_id INTEGER NOT NULL,
        word TEXT NOT NULL,
        reason TEXT NOT NULL,
        who TEXT NOT NULL,
        at INTEGER NOT NULL,
        CONSTRAINT readings_word CHECK (word IN ('agree', 'disagree', 'not usable')),
        FOREIGN KEY(answer_id) REFERENCES answers (answer_id)
    ) STRICT
    """,
    "CREATE INDEX readings_answer ON readings (answer_id)",
    """
    CREATE TABLE switches (
        name TEXT NOT NULL,
        since INTEGER NOT NULL,
        who TEXT NOT NULL,
        reason TEXT NOT NULL,
        PRIMARY KEY (name),
        CONSTRAINT switches_name CHECK (name IN ('intake', 'sending', 'drain'))
    ) STRICT
    """,
    """
    CREATE TABLE tallies (
        name TEXT NOT NULL,
        labels TEXT NOT NULL,
        slot INTEGER NOT NULL,
        value REAL NOT NULL,
        at INTEGER NOT NULL,
        PRIMARY KEY (name, labels, slot)
    ) STRICT
    """,
    "CREATE INDEX tallies_slot ON tallies (name, slot)",
    """
    CREATE TABLE cursors (
        name TEXT NOT NULL,
        event_id INTEGER NOT NULL,
        PRIMARY KEY (name)
    ) STRICT
    """,
    "CREATE INDEX jobs_updated ON jobs (updated_at)",
    "CREATE INDEX jobs_state_updated ON jobs (state, updated_at)",
    "CREATE INDEX series_by_uid ON series (series_instance_uid)",
)


def upgrade() -> None:
    """Make the tables and indexes, all of them empty."""
    for statement in STATEMENTS:
        op.execute(statement)
