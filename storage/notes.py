"""Rejection notes of our own: results that call back what a destination has of an answer that stands no longer.

A note is a result of the same answer and job, and has its own delivery, which is no part of the job's fate. It is
planned when nothing else of its study waits for the destination: so it comes after the report that takes its place, and
lists all that may have arrived.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from storage import events, outbox
from storage.engine import Database
from storage.outbox import NewDelivery
from storage.records import REJECTION_NOTE, Answer, Result
from storage.schema import answers, columns, deliveries, one_of, results
from storage.settlement import find as find_job
from storage.states import AnswerState, DeliveryState

GONE = (AnswerState.SUPERSEDED, AnswerState.WITHDRAWN, AnswerState.REVOKED)


@dataclass(frozen=True)
class CalledBack:
    """An answer that stands no longer, and what of it a destination has, or may have."""

    answer: Answer
    results: tuple[Result, ...]


def due(db: Database, destination: str) -> list[CalledBack]:
    """What this destination was given and has to be told of, oldest first."""
    query = sa.select(*columns(answers, Answer)).where(_is_due(destination)).order_by(answers.c.answer_id)
    with db.reading() as connection:
        found = [Answer(**row._asdict()) for row in connection.execute(query)]
        return [CalledBack(each, _given(connection, each, destination)) for each in found]


def plan(db: Database, answer: Answer, note: Result, delivery: NewDelivery, now: datetime) -> bool:
    """Note it with its delivery; False when it is no longer due. Its file is durable by now.

    Two destinations that have the same objects get the same note.
    """
    with db.transaction() as connection:
        still = sa.select(answers.c.answer_id).where(
            answers.c.answer_id == answer.answer_id, _is_due(delivery.destination)
        )
        if connection.execute(still).first() is None:
            return False
        job = find_job(connection, answer.job_id)
        row = vars(note) | {"job_id": job.job_id, "answer_id": answer.answer_id}
        connection.execute(db.backend.insert(results).values(row).on_conflict_do_nothing())
        outbox.plan(db, connection, job, delivery, note.ordinal, now)
        events.append(
            connection,
            at=now,
            name="rejection note",
            study=job.study_instance_uid,
            job=job.job_id,
            reason=f"for {delivery.destination}: the answer was {answer.state}",
        )
        return True


def _is_due(destination: str) -> sa.ColumnElement[bool]:
    """Of a row of `answers`: given to the destination, nothing of the study on its way there, not called back yet."""
    own, waits = deliveries.alias("own"), deliveries.alias("waits")
    of_own, of_waiting, other = results.alias("of_own"), results.alias("of_waiting"), answers.alias("other")
    on_own = sa.and_(of_own.c.sop_instance_uid == own.c.sop_instance_uid, of_own.c.answer_id == answers.c.answer_id)
    given = sa.exists().where(on_own, own.c.destination == destination, own.c.attempt > 0)
    called = sa.exists().where(on_own, own.c.destination == destination, of_own.c.kind == REJECTION_NOTE)
    under_way = sa.exists().where(
        waits.c.destination == destination,
        waits.c.study_instance_uid == answers.c.study_instance_uid,
        one_of(waits.c.state, [DeliveryState.PENDING, DeliveryState.SENDING]),
        of_waiting.c.sop_instance_uid == waits.c.sop_instance_uid,
        other.c.answer_id == of_waiting.c.answer_id,
        other.c.state != AnswerState.KEPT,
    )
    return sa.and_(one_of(answers.c.state, GONE), given, ~called, ~under_way)


def _given(connection: sa.Connection, answer: Answer, destination: str) -> tuple[Result, ...]:
    query = (
        sa.select(*columns(results, Result))
        .join(deliveries, deliveries.c.sop_instance_uid == results.c.sop_instance_uid)
        .where(
            results.c.answer_id == answer.answer_id,
            deliveries.c.destination == destination,
            deliveries.c.attempt > 0,
        )
        .order_by(results.c.ordinal, results.c.sop_instance_uid)
        .distinct()
    )
    rows: Sequence[sa.Row[tuple[object, ...]]] = connection.execute(query).all()
    return tuple(Result(**row._asdict()) for row in rows)
