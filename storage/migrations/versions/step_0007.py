"""What another bundle said of studies, beside the one in charge."""

from alembic import op

revision = "0007"
down_revision = "0006"

STATEMENTS = (
    """
    CREATE TABLE trials (
        bundle TEXT NOT NULL,
        answer_id INTEGER NOT NULL,
        said TEXT NOT NULL,
        at INTEGER NOT NULL,
        PRIMARY KEY (bundle, answer_id),
        FOREIGN KEY(answer_id) REFERENCES answers (answer_id) ON DELETE CASCADE
    ) STRICT
    """,
    "CREATE INDEX trials_answer ON trials (answer_id)",
)


def upgrade() -> None:
    """Make the table, empty."""
    for statement in STATEMENTS:
        op.execute(statement)
