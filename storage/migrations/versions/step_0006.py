"""What machines asked for under a key, and were answered."""

from alembic import op

revision = "0006"
down_revision = "0005"

STATEMENTS = (
    """
    CREATE TABLE requests (
        "key" TEXT NOT NULL,
        asked TEXT NOT NULL,
        answer TEXT NOT NULL,
        at INTEGER NOT NULL,
        PRIMARY KEY ("key")
    ) STRICT
    """,
    "CREATE INDEX requests_at ON requests (at)",
)


def upgrade() -> None:
    """Make the table, empty."""
    for statement in STATEMENTS:
        op.execute(statement)
