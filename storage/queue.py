"""Jobs on their way through the workers: claimed under a lease, given back, given up.

A lease names its owner and the boot of the machine. It is renewed while the work goes on, and ends with its time, with
`release` when its owner is known to be dead, or with the boot. Owner and attempt together are the key to a running job:
whoever holds an older key writes nothing.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa

from storage import answers, events, moves, proof_requests, retraction, withdrawals
from storage.due import LONGEST_WAIT, is_due, moment
from storage.engine import Database
from storage.errors import InvalidTransition, LeaseLost
from storage.folder import DataFolder
from storage.priorities import of_row
from storage.records import REJECTION_NOTE, Delivery, Job, SwitchName
from storage.schema import columns, deliveries, jobs, one_of, results, studies
from storage.settlement import find
from storage.states import AnswerState, DeliveryState, JobState
from storage.switches import none_of

RETRIED_BY = "a retry by "
_RETRIED = (JobState.FAILED, JobState.CANCELLED, JobState.SKIPPED)


def claim(db: Database, owner: str, lease_s: float, now: datetime) -> Job | None:
    """The most urgent due job, now RUNNING and its attempt counted; None when there is nothing to do.

    Of equally urgent ones the oldest, early work last. While the node is drained there is nothing to do. A job that
    has no attempts left fails instead. While a job of a study runs, the next one of it waits: its report names the
    first one's as predecessor.
    """
    with db.reading() as connection:  # an idle worker takes no lock
        if _next(connection, now) is None:
            return None
    with db.transaction() as connection:
        while (job := _next(connection, now)) is not None:
            if job.attempt < job.maximum_attempts:
                return moves.job(
                    connection,
                    job,
                    JobState.RUNNING,
                    f"attempt {job.attempt + 1} of {job.maximum_attempts}, by {owner}",
                    now,
                    attempt=job.attempt + 1,
                    lease_owner=owner,
                    lease_boot=db.boot,
                    lease_expires_at=now + timedelta(seconds=lease_s),
                    covers=_version(job),
                )
            _fail(connection, job, _given_up(job, job.reason), now)
    return None


def renew(db: Database, job: Job, lease_s: float, now: datetime) -> Job:
    """The same job with its lease extended. Raises LeaseLost."""
    with db.transaction() as connection:
        held(connection, job)
        row = connection.execute(
            jobs.update()
            .where(jobs.c.job_id == job.job_id)
            .values(lease_expires_at=now + timedelta(seconds=lease_s), updated_at=now)
            .returning(*columns(jobs, Job))
        ).one()
        return Job(**row._asdict())


def give_back(db: Database, job: Job, reason: str, available_at: datetime, now: datetime) -> Job:
    """A transient failure: QUEUED, not before `available_at`; FAILED with no attempt left. Raises LeaseLost."""
    with db.transaction() as connection:
        return _back(connection, held(connection, job), reason, available_at, now)


def fail(db: Database, job: Job, reason: str, outcome: Mapping[str, Any] | None, now: datetime) -> Job:
    """A permanent failure. Raises LeaseLost."""
    with db.transaction() as connection:
        return _fail(connection, held(connection, job), reason, now, outcome=outcome)


def release(db: Database, owner_prefix: str, now: datetime) -> int:
    """Take back every job whose owner begins so, and is dead: at a worker's death, or at start ("" for all of them).

    Leases of another boot are taken back too.
    """
    prefix = sa.func.substr(jobs.c.lease_owner, 1, len(owner_prefix))
    dead = sa.or_(prefix == owner_prefix, jobs.c.lease_boot != db.boot)
    return _take_back(db, dead, "its worker died", now)


def release_expired(db: Database, now: datetime) -> int:
    """Take back every job whose lease ended, lies beyond reason (the clock was set back) or is of another boot."""
    ended = sa.or_(
        jobs.c.lease_expires_at <= now,
        jobs.c.lease_expires_at > now + LONGEST_WAIT,
        jobs.c.lease_boot != db.boot,
    )
    return _take_back(db, ended, "its lease ended", now)


def get(db: Database, job_id: int) -> Job:
    """Raises NotFound."""
    with db.reading() as connection:
        return find(connection, job_id)


def listing(db: Database, *, states: Collection[JobState] | None = None, limit: int | None = None) -> list[Job]:
    """Jobs, newest first; only those in `states` where given."""
    query = sa.select(*columns(jobs, Job)).order_by(jobs.c.job_id.desc()).limit(limit)
    if states is not None:
        query = query.where(one_of(jobs.c.state, states))
    with db.reading() as connection:
        return [Job(**row._asdict()) for row in connection.execute(query)]


def counts(db: Database) -> dict[JobState, int]:
    """How many jobs are in each state, zeros too."""
    query = sa.select(jobs.c.state, sa.func.count()).group_by(jobs.c.state)
    with db.reading() as connection:
        found = {row[0]: row[1] for row in connection.execute(query)}
    return {state: found.get(state, 0) for state in JobState}


def oldest(db: Database, states: Collection[JobState]) -> dict[JobState, datetime]:
    """When the first job of each of these states was created; of those that have any."""
    first = sa.select(sa.func.min(jobs.c.job_id)).where(one_of(jobs.c.state, states)).group_by(jobs.c.state)
    query = sa.select(jobs.c.state, jobs.c.created_at).where(jobs.c.job_id.in_(first))
    with db.reading() as connection:
        return {row[0]: row[1] for row in connection.execute(query)}


def retry(db: Database, folder: DataFolder, job_id: int, now: datetime, *, by: str = "an operator") -> Job:
    """A retry by this operator, with all attempts again.

    A job that failed or was cancelled with its results on hand goes back to REPORTED, and what was refused is sent
    again; any other goes back to QUEUED and is worked on from the start. Where a destination refused to have its
    results called back, that alone is tried again.

    Raises NotFound, InvalidTransition.
    """
    again_by = f"{RETRIED_BY}{by}"
    with db.transaction() as connection:
        job = find(connection, job_id)
        notes = _deliveries(connection, job_id, DeliveryState.REFUSED, notes=True)
        if notes:
            _send_again(connection, notes, again_by, now)
            return job
        if job.state not in _RETRIED:
            raise InvalidTransition(f"a job that is {job.state} cannot be tried again")
        unsent = _deliveries(connection, job_id, DeliveryState.REFUSED, DeliveryState.PENDING)
        answer = answers.find(connection, job.answer_id)
        called_back = _deliveries(connection, job_id, *DeliveryState, notes=True)
        if answer is not None and answer.job_id == job_id and (called_back or answer.state in withdrawals.TAKEN_BACK):
            retracting = [each for each in unsent if retraction.is_told(connection, each)]
            if not retracting:
                raise InvalidTransition(f"the answer of job {job_id} was {answer.state}: {answer.reason}")
            unsent = retracting
        if unsent and job.state is not JobState.SKIPPED and _on_hand(folder, connection, unsent):
            _send_again(connection, [each for each in unsent if each.state is DeliveryState.REFUSED], again_by, now)
            return moves.job(connection, job, JobState.REPORTED, f"{again_by}: to be sent again", now)
        newest = answers.newest_revision(connection, job)
        if newest > job.revision:
            raise InvalidTransition(f"job {job_id} was overtaken by revision {newest} of its study: retry that one")
        answers.discard_kept(connection, job.study_instance_uid, again_by, now)
        again = {"attempt": 0, "available_at": now, "outcome": None, "answer_id": None, "early": False}
        job = moves.job(connection, job, JobState.QUEUED, again_by, now, **again)
        connection.execute(
            deliveries.delete().where(deliveries.c.delivery_id.in_([delivery.delivery_id for delivery in unsent]))
        )
        return job


def cancel(db: Database, job_id: int, reason: str, now: datetime, *, by: str = "") -> Job:
    """An operator's cancel: a running worker loses its lease, and what was not sent stays here.

    Raises NotFound, InvalidTransition.
    """
    with db.transaction() as connection:
        job = find(connection, job_id)
        if job.state is JobState.KEPT:
            answers.discard_kept(connection, job.study_instance_uid, f"cancelled: {reason}", now)
        job = moves.job(connection, job, JobState.CANCELLED, reason, now)
        _note_operator(connection, job, "cancelled", by, now)
        for delivery in _deliveries(connection, job_id, DeliveryState.PENDING):
            moves.delivery(connection, delivery, DeliveryState.REFUSED, f"cancelled: {reason}", now)
        return job


def withdraw(db: Database, job_id: int, reason: str, now: datetime, *, by: str = "") -> Job:
    """An operator's withdrawal of the answer of a job that stands: it is wrong, and is never given again.

    What was not sent of it stays here; what was sent is called back where a destination is to hear of it (`notes`).

    Raises NotFound, and InvalidTransition when no answer of this job stands.
    """
    with db.transaction() as connection:
        job = find(connection, job_id)
        answer = answers.find(connection, job.answer_id)
        if answer is None or answer.job_id != job_id:
            raise InvalidTransition(f"job {job_id} has no answer of its own that could be withdrawn")
        job = withdrawals.take_back(connection, answer, AnswerState.WITHDRAWN, reason, now)
        _note_operator(connection, job, "withdrawn", by, now)
        return job


def _note_operator(connection: sa.Connection, job: Job, done: str, by: str, now: datetime) -> None:
    """Who did it, where somebody says so."""
    if by:
        study = job.study_instance_uid
        events.append(connection, at=now, name="operator", study=study, job=job.job_id, reason=f"{done} by {by}")


def held(connection: sa.Connection, job: Job) -> Job:
    """The job as it stands, still under the lease with which `job` was claimed. Raises LeaseLost."""
    query = sa.select(*columns(jobs, Job)).where(
        jobs.c.job_id == job.job_id,
        jobs.c.state == JobState.RUNNING,
        jobs.c.lease_owner == job.lease_owner,
        jobs.c.attempt == job.attempt,
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        raise LeaseLost(f"job {job.job_id}, attempt {job.attempt}, is no longer {job.lease_owner}'s")
    return Job(**row._asdict())


def _next(connection: sa.Connection, now: datetime) -> Job | None:
    row = connection.execute(_next_query(), moment(now)).one_or_none()
    return None if row is None else Job(**row._asdict())


@cache
def _next_query() -> sa.Select[Any]:
    """Made once, as that of `outbox`."""
    running = jobs.alias("running")
    return (
        sa.select(*columns(jobs, Job))
        .where(
            one_of(jobs.c.state, [JobState.QUEUED]),
            is_due(jobs),
            none_of(SwitchName.DRAIN),
            ~sa.exists().where(
                running.c.study_instance_uid == jobs.c.study_instance_uid,
                one_of(running.c.state, [JobState.RUNNING]),
            ),
        )
        .order_by(of_row(jobs).desc(), jobs.c.early, jobs.c.job_id)
        .limit(1)
    )


def _version(job: Job) -> sa.ScalarSelect[int]:
    """Of the job's study: what it holds now."""
    return sa.select(studies.c.version).where(studies.c.study_instance_uid == job.study_instance_uid).scalar_subquery()


def _take_back(db: Database, condition: sa.ColumnElement[bool], reason: str, now: datetime) -> int:
    query = sa.select(*columns(jobs, Job)).where(one_of(jobs.c.state, [JobState.RUNNING]), condition)
    with db.reading() as connection:
        if connection.execute(query.limit(1)).first() is None:
            return 0
    with db.transaction() as connection:
        found = [Job(**row._asdict()) for row in connection.execute(query)]
        for job in found:
            _back(connection, job, f"{reason} ({job.lease_owner})", now, now)
    return len(found)


def _back(connection: sa.Connection, job: Job, reason: str, available_at: datetime, now: datetime) -> Job:
    if job.attempt >= job.maximum_attempts:
        return _fail(connection, job, _given_up(job, reason), now)
    newest = answers.newest_revision(connection, job)
    if newest > job.revision:
        return moves.job(connection, job, JobState.CANCELLED, f"overtaken by revision {newest}; {reason}", now)
    return moves.job(connection, job, JobState.QUEUED, reason, now, available_at=available_at)


def _fail(connection: sa.Connection, job: Job, reason: str, now: datetime, **values: Any) -> Job:
    """Early work that fails is no failure of the study: it is worked on again, with all attempts, when complete."""
    if job.early:
        failed = f"early work failed: {reason}"
        return moves.job(connection, job, JobState.KEPT, failed, now, answer_id=None, **values)
    answers.discard_kept(connection, job.study_instance_uid, f"job {job.job_id} failed", now)
    withdrawals.revoke_changed(connection, job.study_instance_uid, now, replaced=True)
    return moves.job(connection, job, JobState.FAILED, reason, now, **values)


def _given_up(job: Job, reason: str) -> str:
    return f"given up after {job.attempt} of {job.maximum_attempts} attempts: {reason}"


def _on_hand(folder: DataFolder, connection: sa.Connection, unsent: Collection[Delivery]) -> bool:
    """The files of these deliveries are still there."""
    wanted = results.c.sop_instance_uid.in_([delivery.sop_instance_uid for delivery in unsent])
    paths = connection.execute(sa.select(results.c.path).where(wanted)).scalars()
    return all(folder.path(path).is_file() for path in paths)


def _send_again(connection: sa.Connection, refused: Collection[Delivery], why: str, now: datetime) -> None:
    for delivery in refused:
        again = {"attempt": 0, "available_at": now, "transaction_uid": None}
        moves.delivery(connection, delivery, DeliveryState.PENDING, why, now, **again)
        proof_requests.forget(connection, delivery.delivery_id)


def _deliveries(connection: sa.Connection, job_id: int, *states: DeliveryState, notes: bool = False) -> list[Delivery]:
    """Those of its results, or of the `notes` that call them back."""
    is_note = results.c.kind == REJECTION_NOTE
    query = (
        sa.select(*columns(deliveries, Delivery))
        .join(results, results.c.sop_instance_uid == deliveries.c.sop_instance_uid)
        .where(deliveries.c.job_id == job_id, deliveries.c.state.in_(states), is_note if notes else ~is_note)
    )
    return [Delivery(**row._asdict()) for row in connection.execute(query)]
