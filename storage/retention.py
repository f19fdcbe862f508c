"""What is deleted, and what must not be: nothing that is received, worked on or undelivered.

The row goes first and its file is noted as doomed, in one transaction; then the file goes, then the note. A crash
between leaves a note, which `files.sweep` carries out.

Instances go first (they are large), then results. A study's row stays until its last job went, and its events go with
it.
"""

from collections.abc import Callable
from datetime import datetime

import sqlalchemy as sa

from storage import events, files
from storage.engine import Database
from storage.folder import DataFolder
from storage.records import Proof
from storage.schema import (
    accessions,
    answers,
    deliveries,
    doomed_files,
    instances,
    jobs,
    priorities,
    readings,
    rejections,
    results,
    series,
    studies,
)
from storage.schema import events as events_table
from storage.states import DeliveryState, JobState, StudyState

_ENDED = (JobState.DONE, JobState.SKIPPED, JobState.FAILED, JobState.CANCELLED)


def purge_studies(
    db: Database,
    folder: DataFolder,
    before: datetime,
    now: datetime,
    *,
    on_gone: Callable[[str], None] = lambda _: None,
) -> int:
    """Delete the instances of every study that ended, and was last touched, before this time; how many studies.

    `on_gone` hears the Study Instance UID of each. A job that failed counts as ended; what a destination refused is
    still on hand in the results.
    """
    unfinished = sa.exists().where(
        jobs.c.study_instance_uid == studies.c.study_instance_uid,
        sa.or_(jobs.c.state.not_in(_ENDED), _is_recent(before, now), undelivered()),
    )
    found = sa.select(studies.c.study_instance_uid).where(
        studies.c.state == StudyState.STABLE,
        studies.c.last_received_at < before,
        sa.exists().where(instances.c.study_instance_uid == studies.c.study_instance_uid),
        ~unfinished,
    )
    with db.reading() as connection:
        candidates = list(connection.execute(found).scalars())
    purged = 0
    for uid in candidates:
        if purge_study(db, found, uid, "by retention", now):
            on_gone(uid)
            purged += 1
    files.delete_doomed(folder, db)
    return purged


def purge_results(db: Database, folder: DataFolder, before: datetime, now: datetime) -> int:
    """Delete every job that ended before this time with its results and deliveries; how many jobs.

    The last job of a study whose instances are gone takes the study and its events with it. What a destination refused
    stays until an operator sends it again or cancels it.
    """
    found = sa.select(jobs.c.job_id).where(
        jobs.c.state.in_(_ENDED),
        ~_is_recent(before, now),
        ~undelivered(),
        ~sa.and_(
            jobs.c.state == JobState.FAILED,
            sa.exists().where(deliveries.c.job_id == jobs.c.job_id, deliveries.c.state == DeliveryState.REFUSED),
        ),
    )
    with db.reading() as connection:
        candidates = list(connection.execute(found).scalars())
    purged = sum(_purge_job(db, found, job_id) for job_id in candidates)
    files.delete_doomed(folder, db)
    return purged


def _is_recent(before: datetime, now: datetime) -> sa.ColumnElement[bool]:
    """The job ended since then, or is younger than one that began since: numbers grow, though a clock be set back."""
    later = jobs.alias()
    first = sa.select(sa.func.min(later.c.job_id)).where(later.c.created_at.between(before, now)).scalar_subquery()
    return sa.or_(jobs.c.updated_at >= before, jobs.c.job_id >= sa.func.coalesce(first, sa.literal(2**62)))


def undelivered() -> sa.ColumnElement[bool]:
    """The job has a result that is not with its destination, or not proved to be there."""
    waits = deliveries.c.state.in_([DeliveryState.PENDING, DeliveryState.SENDING])
    unproved = sa.and_(deliveries.c.state == DeliveryState.SENT, deliveries.c.proof != Proof.NONE)
    return sa.exists().where(deliveries.c.job_id == jobs.c.job_id, sa.or_(waits, unproved))


def purge_study(db: Database, found: sa.Select[tuple[str]], uid: str, why: str, now: datetime) -> bool:
    """Delete its instances, if `found` still has it within the transaction: an instance may have come meanwhile."""
    with db.transaction() as connection:
        if connection.execute(found.where(studies.c.study_instance_uid == uid)).first() is None:
            return False
        of_study = instances.c.study_instance_uid == uid
        _doom(connection, sa.select(instances.c.path).where(of_study))
        deleted = connection.execute(instances.delete().where(of_study)).rowcount
        connection.execute(series.delete().where(series.c.study_instance_uid == uid))
        connection.execute(studies.update().where(studies.c.study_instance_uid == uid).values(instances=0))
        events.append(connection, at=now, name="instances deleted", study=uid, reason=f"{deleted}, {why}")
        _forget_if_empty(connection, uid)
    return True


def _purge_job(db: Database, found: sa.Select[tuple[int]], job_id: int) -> bool:
    with db.transaction() as connection:
        if connection.execute(found.where(jobs.c.job_id == job_id)).first() is None:
            return False
        _doom(connection, sa.select(results.c.path).where(results.c.job_id == job_id))
        connection.execute(deliveries.delete().where(deliveries.c.job_id == job_id))
        connection.execute(results.delete().where(results.c.job_id == job_id))
        of_job = sa.select(answers.c.answer_id).where(answers.c.job_id == job_id)
        connection.execute(readings.delete().where(readings.c.answer_id.in_(of_job)))
        connection.execute(answers.delete().where(answers.c.job_id == job_id))
        gone = jobs.delete().where(jobs.c.job_id == job_id).returning(jobs.c.study_instance_uid)
        _forget_if_empty(connection, connection.execute(gone).scalar_one())
    return True


def _doom(connection: sa.Connection, paths: sa.Select[tuple[str]]) -> None:
    connection.execute(doomed_files.insert().from_select(["path"], paths))


def _forget_if_empty(connection: sa.Connection, uid: str) -> None:
    """A study without instances and jobs goes, and its events after it."""
    for table in (accessions, priorities, rejections):
        connection.execute(table.delete().where(table.c.study_instance_uid.in_(_empty(uid))))
    if connection.execute(studies.delete().where(studies.c.study_instance_uid.in_(_empty(uid)))).rowcount:
        connection.execute(events_table.delete().where(events_table.c.study_instance_uid == uid))


def _empty(uid: str) -> sa.Select[tuple[str]]:
    return sa.select(studies.c.study_instance_uid).where(
        studies.c.study_instance_uid == uid,
        ~sa.exists().where(instances.c.study_instance_uid == uid),
        ~sa.exists().where(jobs.c.study_instance_uid == uid),
    )
