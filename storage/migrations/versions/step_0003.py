"""Every request for a proof of delivery is kept until it is answered, and how often a proof failed."""

from alembic import op

revision = "0003"
down_revision = "0002"

STATEMENTS = (
    """
    CREATE TABLE proof_requests (
        request_id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
        delivery_id INTEGER NOT NULL,
        transaction_uid TEXT,
        requested_at INTEGER NOT NULL,
        answer TEXT NOT NULL,
        CONSTRAINT proof_requests_answer CHECK (answer IN ('open', 'not asked', 'failed', 'closed')),
        FOREIGN KEY(delivery_id) REFERENCES deliveries (delivery_id) ON DELETE CASCADE
    ) STRICT
    """,
    "CREATE INDEX proof_requests_delivery ON proof_requests (delivery_id)",
    "CREATE INDEX proof_requests_transaction ON proof_requests (transaction_uid) WHERE transaction_uid IS NOT NULL",
    "INSERT INTO proof_requests (delivery_id, transaction_uid, requested_at, answer) "
    "SELECT delivery_id, transaction_uid, updated_at, 'open' FROM deliveries "
    "WHERE state = 'sent' AND transaction_uid IS NOT NULL",
)


def upgrade() -> None:
    """Make the table, and note what is under way."""
    for statement in STATEMENTS:
        op.execute(statement)
