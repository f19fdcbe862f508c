"""Receivers that can be told that a result no longer holds: HL7, where the same report is spoken of again.

A delivery to such a receiver speaks of the answer that its report belongs to. While that stands, or another one that
goes there has taken its place, the values are told; once it was withdrawn, or gave way to an answer that has nothing
for this receiver, it is told that they were wrong. What was told is read from the events, not from any clock.
"""

from collections.abc import Collection
from datetime import datetime

import sqlalchemy as sa

from storage import moves
from storage.engine import Database
from storage.records import Delivery
from storage.schema import answers, columns, deliveries, events, one_of, results
from storage.settlement import find
from storage.states import AnswerState, DeliveryState, JobState

RETRACTED = "its result no longer holds: to be told"
_KNOWN = (DeliveryState.SENT, DeliveryState.REFUSED)


def holds(db: Database, delivery: Delivery) -> bool:
    """Whether the values of this report may be told to its destination."""
    query = sa.select(results.c.sop_instance_uid).where(
        results.c.sop_instance_uid == delivery.sop_instance_uid,
        results.c.answer_id == answers.c.answer_id,
        _ended_for(sa.literal(delivery.destination)),
    )
    with db.reading() as connection:
        return connection.execute(query).first() is None


def follows(db: Database, delivery: Delivery) -> bool:
    """Whether the destination may know of another result of the study, which this one then replaces."""
    own = sa.select(deliveries.c.study_instance_uid).where(deliveries.c.delivery_id == delivery.delivery_id)
    query = sa.select(deliveries.c.delivery_id).where(
        deliveries.c.study_instance_uid == own.scalar_subquery(),
        deliveries.c.destination == delivery.destination,
        deliveries.c.sop_instance_uid != delivery.sop_instance_uid,
        deliveries.c.attempt > 0,
    )
    with db.reading() as connection:
        return connection.execute(query.limit(1)).first() is not None


def untold(db: Database, destinations: Collection[str]) -> list[Delivery]:
    """Deliveries of answers that no longer hold, that were sent or may have been, and whose receiver was not told."""
    query = (
        sa.select(*columns(deliveries, Delivery))
        .join(results, results.c.sop_instance_uid == deliveries.c.sop_instance_uid)
        .join(answers, answers.c.answer_id == results.c.answer_id)
        .where(
            _ended_for(deliveries.c.destination),
            deliveries.c.destination.in_(list(destinations)),
            one_of(deliveries.c.state, _KNOWN),
            deliveries.c.attempt > 0,
            ~was_retracted(deliveries),
        )
        .order_by(deliveries.c.delivery_id)
    )
    with db.reading() as connection:
        return [Delivery(**row._asdict()) for row in connection.execute(query)]


def was_retracted(table: sa.FromClause) -> sa.ColumnElement[bool]:
    """Of a row of `deliveries`: its receiver was, or is to be, told that the result no longer holds."""
    return sa.exists().where(
        events.c.job_id == table.c.job_id,
        events.c.delivery_id == table.c.delivery_id,
        events.c.name == f"delivery {DeliveryState.PENDING}",
        events.c.reason.endswith(RETRACTED, autoescape=True),
    )


def is_told(connection: sa.Connection, delivery: Delivery) -> bool:
    """Its receiver was, or is to be, told that the result no longer holds."""
    this = deliveries.c.delivery_id == delivery.delivery_id
    return bool(connection.execute(sa.select(was_retracted(deliveries)).where(this)).scalar())


def tell(db: Database, delivery: Delivery, now: datetime) -> Delivery:
    """Have one of `untold` sent again; its job is REPORTED until it is. Raises LeaseLost."""
    with db.transaction() as connection:
        moved = moves.delivery(connection, delivery, DeliveryState.PENDING, RETRACTED, now, available_at=now)
        job = find(connection, delivery.job_id)
        if job.state in (JobState.DONE, JobState.FAILED, JobState.CANCELLED):
            moves.job(connection, job, JobState.REPORTED, RETRACTED, now)
        return moved


def _ended_for(destination: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """The answer was withdrawn or revoked, or superseded by one that has nothing for this destination."""
    successor, planned, result = answers.alias("successor"), deliveries.alias("planned"), results.alias("result")
    has_successor = sa.exists().where(
        successor.c.study_instance_uid == answers.c.study_instance_uid,
        one_of(successor.c.state, [AnswerState.STANDING]),
        result.c.answer_id == successor.c.answer_id,
        planned.c.sop_instance_uid == result.c.sop_instance_uid,
        planned.c.destination == destination,
    )
    superseded = sa.and_(answers.c.state == AnswerState.SUPERSEDED, ~has_successor)
    return sa.or_(answers.c.state.in_([AnswerState.WITHDRAWN, AnswerState.REVOKED]), superseded)
