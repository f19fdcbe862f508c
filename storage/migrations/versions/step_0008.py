"""What is kept of each study that was worked on, to tell whether the answers drift."""

from alembic import op

revision = "0008"
down_revision = "0007"

STATEMENTS = (
    """
    CREATE TABLE sightings (
        job_id INTEGER NOT NULL,
        at INTEGER NOT NULL,
        bundle TEXT NOT NULL,
        scanner TEXT NOT NULL,
        in_scope INTEGER,
        band TEXT,
        probability REAL,
        spread REAL,
        brightness REAL,
        contrast REAL,
        texture REAL,
        PRIMARY KEY (job_id)
    ) STRICT
    """,
    "CREATE INDEX sightings_at ON sightings (at)",
)


def upgrade() -> None:
    """Make the table, empty."""
    for statement in STATEMENTS:
        op.execute(statement)
