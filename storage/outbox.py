"""Results on their way to their destinations: committed with their job, claimed, acknowledged, proved.

A delivery counts its attempt at the claim. What the office says of a delivery is only heard while the delivery is still
in the state, and at the attempt, at which the office took it. Each change looks again at the job: it is DONE when every
delivery is acknowledged and proved, FAILED when all came to an end and a destination refused one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa

from storage import answers, events, moves, proof_requests, queue, retraction
from storage import results as stored_results
from storage.answers import NewAnswer
from storage.due import is_due, moment
from storage.engine import Database
from storage.errors import InvalidTransition
from storage.folder import DataFolder
from storage.records import REJECTION_NOTE, Delivery, Job, Proof, Result, SwitchName
from storage.schema import answers as answers_table
from storage.schema import columns, jobs, one_of
from storage.schema import deliveries as table
from storage.schema import results as results_table
from storage.settlement import find, settle
from storage.states import AnswerState, DeliveryState, JobState
from storage.switches import none_of
from storage.withdrawals import TAKEN_BACK

_DELIVERY = columns(table, Delivery)
_UNSENT = (DeliveryState.PENDING, DeliveryState.SENDING)

result = stored_results.find
is_result = stored_results.is_known
results_of_job = stored_results.of_job
standing_report = stored_results.standing_report


@dataclass(frozen=True)
class NewDelivery:
    """One result that one destination shall get."""

    sop_instance_uid: str
    destination: str
    proof: Proof = Proof.NONE


def complete(
    db: Database,
    folder: DataFolder,
    job: Job,
    new: NewAnswer,
    results: Sequence[Result],
    deliveries: Sequence[NewDelivery],
    outcome: Mapping[str, Any],
    now: datetime,
    *,
    at_once: bool = False,
) -> Job:
    """The work came to an answer: it is noted with its results and their deliveries, all in one transaction.

    It is published when the study is complete and the job saw all of it, or `at_once` where it is a result; else it is
    kept. One that the study has already (it stands, is kept or was withdrawn) is not noted again. The files of
    `results` are durable by now. A result that an earlier run of the job left is kept as it is (the new file stays
    without a row, for `files.sweep`), and what was sent of it is not sent again. With nothing to deliver, REPORTED
    goes on to DONE.

    Raises LeaseLost, and ResultConflict when the UID of a result is taken by another job.
    """
    with db.transaction() as connection:
        current = queue.held(connection, job)
        answer = answers.with_key(connection, current.study_instance_uid, new.key)
        if answer is None and new.is_known:
            return answers.work_again(connection, current, "the answer that it came to has gone", now)
        if answer is None or (answer.state is AnswerState.KEPT and not new.is_known):
            answer = answers.keep(connection, current, new, now)
        else:
            if answer.state is AnswerState.KEPT:  # the numbers are those of the run that worked it out
                outcome = find(connection, answer.job_id).outcome or outcome
            answers.discard_kept(connection, current.study_instance_uid, new.reason, now, but=answer)
        if answer.job_id == current.job_id and not new.is_known:
            ordinals = {
                each.sop_instance_uid: stored_results.keep(connection, folder, current, answer, each)
                for each in results
            }
            for delivery in deliveries:
                plan(db, connection, current, delivery, ordinals[delivery.sop_instance_uid], now)
        return answers.conclude(connection, current, answer, new.reason, now, at_once=at_once, outcome=outcome)


def claim(db: Database, destination: str, now: datetime) -> Delivery | None:
    """The next due delivery to this destination, now SENDING and its attempt counted; None when there is nothing to do.

    Within a study the order is kept: nothing overtakes an earlier result that still waits for the same destination. An
    answer that is kept, or was taken back, is not sent, and nothing is while an operator holds up the sending.
    """
    with db.reading() as connection:  # an idle office takes no lock
        if _next(connection, destination, now) is None:
            return None
    with db.transaction() as connection:
        delivery = _next(connection, destination, now)
        if delivery is None:
            return None
        attempt = delivery.attempt + 1
        return moves.delivery(connection, delivery, DeliveryState.SENDING, f"attempt {attempt}", now, attempt=attempt)


def sent(db: Database, delivery: Delivery, reason: str, now: datetime) -> Delivery:
    """The destination acknowledged it. Raises LeaseLost."""
    return _move(db, delivery, DeliveryState.SENT, reason, now)


def postpone(db: Database, delivery: Delivery, reason: str, available_at: datetime, now: datetime) -> Delivery:
    """A transient failure: PENDING again, not before `available_at`. Raises LeaseLost."""
    return _move(db, delivery, DeliveryState.PENDING, reason, now, available_at=available_at)


def refuse(db: Database, delivery: Delivery, reason: str, now: datetime) -> Delivery:
    """The destination will not take it; only an operator's retry moves it on. Raises LeaseLost."""
    return _move(db, delivery, DeliveryState.REFUSED, reason, now)


def awaiting_commitment(db: Database, destination: str) -> list[Delivery]:
    """What this destination acknowledged and has still to prove, oldest first.

    `transaction_uid` says whether a request is under way, `updated_at` since when.
    """
    condition = sa.and_(
        table.c.destination == destination,
        one_of(table.c.state, [DeliveryState.SENT]),
        table.c.proof != Proof.NONE,
    )
    return _deliveries(db, condition)


def requested(db: Database, deliveries: Iterable[Delivery], transaction_uid: str, now: datetime) -> list[Delivery]:
    """Note the transaction under which proof is asked for; to be called before the request is sent.

    What is no longer SENT is left out of the answer.
    """
    with db.transaction() as connection:
        found = connection.execute(
            table.update()
            .where(
                table.c.delivery_id.in_([delivery.delivery_id for delivery in deliveries]),
                table.c.state == DeliveryState.SENT,
            )
            .values(transaction_uid=transaction_uid, updated_at=now)
            .returning(*_DELIVERY)
        ).all()
        asked = [Delivery(**row._asdict()) for row in found]
        proof_requests.note(connection, [each.delivery_id for each in asked], transaction_uid, now)
        for job_id in sorted({delivery.job_id for delivery in asked}):
            count = sum(delivery.job_id == job_id for delivery in asked)
            reason = f"{count} results, transaction {transaction_uid}"
            study = find(connection, job_id).study_instance_uid
            events.append(connection, at=now, name="commitment requested", study=study, job=job_id, reason=reason)
        return asked


def committed(db: Database, delivery: Delivery, now: datetime) -> Delivery:
    """The destination proved that it keeps what it acknowledged; to be told twice changes nothing.

    What waits to be sent again, or was given up, is proved by `proofs`. Raises LeaseLost, InvalidTransition.
    """
    if delivery.state is DeliveryState.COMMITTED:
        return delivery
    if delivery.state is not DeliveryState.SENT:
        raise InvalidTransition(f"a delivery that is {delivery.state} was not acknowledged")
    return _move(db, delivery, DeliveryState.COMMITTED, f"proved by {delivery.proof}", now)


def uncommitted(db: Database, delivery: Delivery, reason: str, available_at: datetime, now: datetime) -> Delivery:
    """The destination says that it does not have it: the same bytes are sent again. Raises LeaseLost."""
    again = {"available_at": available_at, "transaction_uid": None}
    return _move(db, delivery, DeliveryState.PENDING, reason, now, **again)


def release(db: Database, now: datetime) -> int:
    """What an office that died was sending waits again; for the start of the one office."""
    with db.transaction() as connection:
        query = sa.select(*_DELIVERY).where(one_of(table.c.state, [DeliveryState.SENDING]))
        found = [Delivery(**row._asdict()) for row in connection.execute(query)]
        for delivery in found:
            reason = "the office stopped while sending: the same bytes go again"
            move_within(connection, delivery, DeliveryState.PENDING, reason, now, available_at=now)
    return len(found)


def of_job(db: Database, job_id: int) -> list[Delivery]:
    """All deliveries of a job, in the order of sending."""
    return _deliveries(db, table.c.job_id == job_id)


def counts(db: Database) -> dict[tuple[str, DeliveryState], int]:
    """How many deliveries of each destination are in each state; what is not there counts zero."""
    group = (table.c.destination, table.c.state)
    with db.reading() as connection:
        rows = connection.execute(sa.select(*group, sa.func.count()).group_by(*group))
        return {(row[0], row[1]): row[2] for row in rows}


def _next(connection: sa.Connection, destination: str, now: datetime) -> Delivery | None:
    row = connection.execute(_next_to(), {"destination": destination, **moment(now)}).one_or_none()
    return None if row is None else Delivery(**row._asdict())


@cache
def _next_to() -> sa.Select[Any]:
    """The query for it, made once: it is asked many times a second, and to make it takes longer than to run it."""
    earlier = table.alias("earlier")
    destination: sa.BindParameter[str] = sa.bindparam("destination")
    overtakes = sa.exists().where(
        earlier.c.destination == destination,
        earlier.c.study_instance_uid == table.c.study_instance_uid,
        one_of(earlier.c.state, _UNSENT),
        sa.tuple_(earlier.c.job_id, earlier.c.ordinal) < sa.tuple_(table.c.job_id, table.c.ordinal),
    )
    held_back, calls_back = _is_of_answer(AnswerState.KEPT, *TAKEN_BACK), retraction.was_retracted(table)
    return (
        sa.select(*_DELIVERY)
        .join(jobs, jobs.c.job_id == table.c.job_id)
        .where(
            table.c.destination == destination,
            one_of(table.c.state, _UNSENT),
            table.c.state == DeliveryState.PENDING,
            is_due(table),
            none_of(SwitchName.SENDING, SwitchName.DRAIN),
            sa.or_(
                sa.and_(jobs.c.state.in_([JobState.REPORTED, JobState.SKIPPED]), sa.or_(~held_back, calls_back)),
                _is_note(),
            ),
            ~overtakes,
        )
        .order_by(table.c.job_id, table.c.ordinal, table.c.delivery_id)
        .limit(1)
    )


def plan(db: Database, connection: sa.Connection, job: Job, new: NewDelivery, ordinal: int, now: datetime) -> None:
    """A delivery that is not planned yet."""
    connection.execute(
        db.backend.insert(table)
        .values(
            job_id=job.job_id,
            study_instance_uid=job.study_instance_uid,
            sop_instance_uid=new.sop_instance_uid,
            destination=new.destination,
            ordinal=ordinal,
            state=DeliveryState.PENDING,
            attempt=0,
            reason="to be sent",
            proof=new.proof,
            available_at=now,
            updated_at=now,
        )
        .on_conflict_do_nothing(index_elements=["sop_instance_uid", "destination", "job_id"])
    )


def _move(
    db: Database, delivery: Delivery, after: DeliveryState, reason: str, now: datetime, **values: Any
) -> Delivery:
    with db.transaction() as connection:
        return move_within(connection, delivery, after, reason, now, **values)


def move_within(
    connection: sa.Connection, delivery: Delivery, after: DeliveryState, reason: str, now: datetime, **values: Any
) -> Delivery:
    """Change its state in a transaction, and look whether its job has ended with that."""
    moved = moves.delivery(connection, delivery, after, reason, now, **values)
    job = settle(connection, delivery.job_id, now)
    if after is DeliveryState.PENDING and (why := _called_off(connection, moved, job)):
        moved = moves.delivery(connection, moved, DeliveryState.REFUSED, why, now)
    return moved


def _called_off(connection: sa.Connection, delivery: Delivery, job: Job) -> str:
    """Why it is not sent again; "" when it is."""
    this = table.c.delivery_id == delivery.delivery_id
    calls_back = sa.or_(_is_note(), retraction.was_retracted(table))
    query = sa.select(calls_back, _is_of_answer(*TAKEN_BACK)).where(this)
    is_needed, is_taken_back = connection.execute(query).one()
    if is_needed:
        return ""
    if job.state is JobState.CANCELLED:
        return "its job was cancelled"
    return "withdrawn: while it was sent" if is_taken_back else ""


def _is_note() -> sa.ColumnElement[bool]:
    """Of a delivery: what it sends calls others back, and has nothing to do with how its job ended."""
    return sa.exists().where(
        results_table.c.sop_instance_uid == table.c.sop_instance_uid, results_table.c.kind == REJECTION_NOTE
    )


def _is_of_answer(*states: AnswerState) -> sa.ColumnElement[bool]:
    """Of a delivery: its result is one of an answer in one of these states."""
    return sa.exists().where(
        results_table.c.sop_instance_uid == table.c.sop_instance_uid,
        answers_table.c.answer_id == results_table.c.answer_id,
        one_of(answers_table.c.state, states),
    )


def _deliveries(db: Database, condition: sa.ColumnElement[bool]) -> list[Delivery]:
    order = (table.c.job_id, table.c.ordinal, table.c.delivery_id)
    with db.reading() as connection:
        rows = connection.execute(sa.select(*_DELIVERY).where(condition).order_by(*order))
        return [Delivery(**row._asdict()) for row in rows]
