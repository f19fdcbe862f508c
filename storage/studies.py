"""Studies: what was received, and the moment when one becomes a job."""

from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa

from storage import answers, events, moves
from storage.engine import Database
from storage.errors import NotFound
from storage.records import Job, Study
from storage.schema import columns, jobs, one_of, studies
from storage.states import JobState, StudyState


def get(db: Database, study_instance_uid: str) -> Study:
    """Raises NotFound."""
    with db.reading() as connection:
        study = find(connection, study_instance_uid)
    if study is None:
        raise NotFound(f"no study {study_instance_uid}")
    return study


def find(connection: sa.Connection, study_instance_uid: str) -> Study | None:
    """The study as this transaction sees it."""
    row = connection.execute(_ONE, {"uid": study_instance_uid}).one_or_none()
    return None if row is None else Study(**row._asdict())


def receiving(db: Database) -> list[Study]:
    """Every study that may still grow, longest silent first."""
    query = (
        sa.select(*columns(studies, Study))
        .where(one_of(studies.c.state, [StudyState.RECEIVING]))
        .order_by(studies.c.last_received_at)
    )
    with db.reading() as connection:
        return [Study(**row._asdict()) for row in connection.execute(query)]


def counts(db: Database) -> dict[StudyState, int]:
    """How many studies are in each state, zeros too."""
    with db.reading() as connection:
        every = connection.execute(sa.select(sa.func.count()).select_from(studies)).scalar_one()
        growing = one_of(studies.c.state, [StudyState.RECEIVING])
        open_now = connection.execute(sa.select(sa.func.count()).select_from(studies).where(growing)).scalar_one()
    return {StudyState.RECEIVING: open_now, StudyState.STABLE: every - open_now}


def set_expected(db: Database, study_instance_uid: str, expected_instances: int) -> None:
    """Note how many instances its source says the study has. Raises NotFound."""
    with db.transaction() as connection:
        changed = connection.execute(
            studies.update()
            .where(studies.c.study_instance_uid == study_instance_uid)
            .values(expected_instances=expected_instances)
        )
        if not changed.rowcount:
            raise NotFound(f"no study {study_instance_uid}")


def mark_stable(db: Database, study: Study, reason: str, maximum_attempts: int, now: datetime) -> Job | None:
    """The study is complete: its answer is published if it is worked out, and else its job queued; in one transaction.

    A job of an older revision that still waits is cancelled: it would work on less. None when the study changed since
    `study` was read, or an operator cancelled the work on all that it holds.
    """
    with db.transaction() as connection:
        current = find(connection, study.study_instance_uid)
        if current is None or current.state is not StudyState.RECEIVING or current.version != study.version:
            return None
        current = moves.study(connection, current, StudyState.STABLE, reason, now)
        _cancel_overtaken(connection, current, now)
        job = _job(connection, current)
        if job is None:
            return _queue(connection, current, reason, maximum_attempts, now, early=False)
        return _complete(connection, current, job, reason, now)


def work_early(db: Database, study: Study, reason: str, maximum_attempts: int, now: datetime) -> Job | None:
    """Queue the work on a study that may still grow; None when what it holds was worked on, or is going to be."""
    with db.reading() as connection:  # it is asked again and again, and takes no lock for that
        if not _has_more_to_see(study, _job(connection, study)):
            return None
    with db.transaction() as connection:
        current, job = find(connection, study.study_instance_uid), _job(connection, study)
        if current is None or current != study or not _has_more_to_see(current, job):
            return None
        if job is not None:
            return answers.work_again(connection, job, reason, now, early=True)
        _cancel_overtaken(connection, current, now)
        return _queue(connection, current, reason, maximum_attempts, now, early=True)


_ONE = sa.select(*columns(studies, Study)).where(studies.c.study_instance_uid == sa.bindparam("uid"))


def _has_more_to_see(study: Study, job: Job | None) -> bool:
    """The study is being received, and holds what no job of its revision has seen or is about to see."""
    seen = job is not None and (job.state is not JobState.KEPT or job.covers == study.version)
    return study.state is StudyState.RECEIVING and not seen


def _job(connection: sa.Connection, study: Study) -> Job | None:
    """The job of this revision."""
    query = sa.select(*columns(jobs, Job)).where(
        jobs.c.study_instance_uid == study.study_instance_uid, jobs.c.revision == study.revision
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else Job(**row._asdict())


def _complete(connection: sa.Connection, study: Study, job: Job, reason: str, now: datetime) -> Job | None:
    """What becomes of the job that was worked on before its study was complete."""
    if job.state is JobState.KEPT and answers.covers(job, study):
        return answers.resolve(connection, job, answers.find(connection, job.answer_id), job.reason, now)
    if job.state is JobState.KEPT or (job.state is JobState.CANCELLED and job.covers != study.version):
        return answers.work_again(connection, job, reason, now)
    if job.state not in (JobState.QUEUED, JobState.RUNNING):
        return None
    due = replace(job, early=False)
    if job.state is JobState.QUEUED:  # what early work used up is given back
        due = replace(due, reason=reason, attempt=0)
    values = {"early": due.early, "reason": due.reason, "attempt": due.attempt}
    connection.execute(jobs.update().where(jobs.c.job_id == job.job_id).values(values))
    events.append(
        connection,
        at=now,
        name="job due",
        study=study.study_instance_uid,
        job=job.job_id,
        reason=f"revision {study.revision} is complete: {reason}",
    )
    return due


def _cancel_overtaken(connection: sa.Connection, study: Study, now: datetime) -> None:
    query = sa.select(*columns(jobs, Job)).where(
        jobs.c.study_instance_uid == study.study_instance_uid,
        jobs.c.revision < study.revision,
        one_of(jobs.c.state, [JobState.QUEUED, JobState.KEPT]),
    )
    for row in connection.execute(query).all():
        reason = f"overtaken by revision {study.revision}"
        moves.job(connection, Job(**row._asdict()), JobState.CANCELLED, reason, now)


def _queue(
    connection: sa.Connection, study: Study, reason: str, maximum_attempts: int, now: datetime, *, early: bool
) -> Job:
    row = connection.execute(
        jobs.insert()
        .values(
            study_instance_uid=study.study_instance_uid,
            revision=study.revision,
            state=JobState.QUEUED,
            attempt=0,
            maximum_attempts=maximum_attempts,
            reason=reason,
            early=early,
            covers=0,
            created_at=now,
            available_at=now,
            updated_at=now,
        )
        .returning(*columns(jobs, Job))
    ).one()
    job = Job(**row._asdict())
    events.append(
        connection,
        at=now,
        name="job queued",
        study=study.study_instance_uid,
        job=job.job_id,
        after=JobState.QUEUED,
        reason=f"revision {study.revision}{', early' if early else ''}: {reason}",
    )
    return job
