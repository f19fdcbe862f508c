"""Studies: what was received, and the moment when one becomes a job."""

from datetime import datetime

import sqlalchemy as sa

from storage import events, moves
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
    """The study is complete: queue the one job of this revision, in the same transaction.

    A job of an older revision that still waits is cancelled: it would work on less. None when the study changed since
    `study` was read.
    """
    with db.transaction() as connection:
        current = find(connection, study.study_instance_uid)
        if current is None or current.state is not StudyState.RECEIVING or _grown(study, current):
            return None
        moves.study(connection, current, StudyState.STABLE, reason, now)
        _cancel_overtaken(connection, current, now)
        return _queue(connection, current, reason, maximum_attempts, now)


_ONE = sa.select(*columns(studies, Study)).where(studies.c.study_instance_uid == sa.bindparam("uid"))


def _grown(before: Study, current: Study) -> bool:
    return (before.revision, before.instances, before.last_received_at) != (
        current.revision,
        current.instances,
        current.last_received_at,
    )


def _cancel_overtaken(connection: sa.Connection, study: Study, now: datetime) -> None:
    query = sa.select(*columns(jobs, Job)).where(
        jobs.c.study_instance_uid == study.study_instance_uid, one_of(jobs.c.state, [JobState.QUEUED])
    )
    for row in connection.execute(query).all():
        reason = f"overtaken by revision {study.revision}"
        moves.job(connection, Job(**row._asdict()), JobState.CANCELLED, reason, now)


def _queue(connection: sa.Connection, study: Study, reason: str, maximum_attempts: int, now: datetime) -> Job:
    row = connection.execute(
        jobs.insert()
        .values(
            study_instance_uid=study.study_instance_uid,
            revision=study.revision,
            state=JobState.QUEUED,
            attempt=0,
            maximum_attempts=maximum_attempts,
            reason=reason,
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
        reason=f"revision {study.revision}: {reason}",
    )
    return job
