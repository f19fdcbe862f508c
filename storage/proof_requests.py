"""Requests for proof that a destination keeps a result: each is kept, so that whichever is answered counts.

A request under a transaction stays open until it is answered, also when the same is asked for again meanwhile: an
archive on tape may take longer than any time-out.
"""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

import sqlalchemy as sa

from storage.engine import Database
from storage.records import Delivery
from storage.schema import columns, deliveries
from storage.schema import proof_requests as table


class Answer(StrEnum):
    """What became of a request."""

    OPEN = "open"
    NOT_ASKED = "not asked"  # the destination was not reached; it may have heard all the same
    FAILED = "failed"  # it says that it does not have it
    CLOSED = "closed"  # sent again since: a failure that comes now speaks of an earlier sending


class Asked(NamedTuple):
    """What is known of the proof of one delivery."""

    unanswered: int  # requests since it was last sent
    failures: int  # sendings of which the destination said that it does not have it


def note(connection: sa.Connection, delivery_ids: Iterable[int], transaction_uid: str | None, now: datetime) -> None:
    """A request that is about to be made."""
    rows = [
        {"delivery_id": each, "transaction_uid": transaction_uid, "requested_at": now, "answer": Answer.OPEN}
        for each in delivery_ids
    ]
    if rows:
        connection.execute(table.insert(), rows)


def note_looked(db: Database, looked_for: Iterable[Delivery], now: datetime) -> None:
    """A look into the archive that it did not allow."""
    with db.transaction() as connection:
        note(connection, [each.delivery_id for each in looked_for], None, now)


def not_asked(db: Database, transaction_uid: str) -> None:
    """The destination was not reached with this request."""
    with db.transaction() as connection:
        connection.execute(
            table.update()
            .where(table.c.transaction_uid == transaction_uid, table.c.answer == Answer.OPEN)
            .values(answer=Answer.NOT_ASKED)
        )


def of_delivery(db: Database, delivery: Delivery) -> Asked:
    """How often it was asked for, and failed."""
    with db.reading() as connection:
        return asked(connection, delivery.delivery_id)


def of_transaction(db: Database, transaction_uid: str) -> list[Delivery]:
    """What was asked for under this transaction, as it stands now."""
    query = (
        sa.select(*columns(deliveries, Delivery))
        .join(table, table.c.delivery_id == deliveries.c.delivery_id)
        .where(table.c.transaction_uid == transaction_uid)
        .order_by(deliveries.c.delivery_id)
    )
    with db.reading() as connection:
        return [Delivery(**row._asdict()) for row in connection.execute(query)]


def forget(connection: sa.Connection, delivery_id: int) -> None:
    """An operator's retry: what was open can still be answered, but is not counted any more."""
    connection.execute(table.update().where(table.c.delivery_id == delivery_id).values(answer=Answer.CLOSED))


def fail(connection: sa.Connection, delivery_id: int, transaction_uid: str | None) -> bool:
    """Note one failure, and close what else is open; false when nothing of this transaction was."""
    waiting = sa.and_(table.c.delivery_id == delivery_id, table.c.answer.in_([Answer.OPEN, Answer.NOT_ASKED]))
    changed = connection.execute(
        table.update()
        .where(waiting, table.c.transaction_uid.is_not_distinct_from(transaction_uid))
        .values(answer=Answer.FAILED)
    )
    if not changed.rowcount:
        return False
    connection.execute(table.update().where(waiting).values(answer=Answer.CLOSED))
    return True


def asked(connection: sa.Connection, delivery_id: int) -> Asked:
    """How often this delivery was asked for, and failed."""
    query = sa.select(table.c.answer, sa.func.count()).where(table.c.delivery_id == delivery_id)
    counted = {row[0]: row[1] for row in connection.execute(query.group_by(table.c.answer))}
    return Asked(counted.get(Answer.OPEN, 0), counted.get(Answer.FAILED, 0))
