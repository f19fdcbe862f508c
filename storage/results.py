"""Encoded results: one UID, one content, one file that is sent as it is. `outbox` is the door to them."""

import sqlalchemy as sa

from storage.engine import Database
from storage.errors import ResultConflict
from storage.folder import DataFolder
from storage.records import Job, Result
from storage.schema import columns, deliveries, jobs, results
from storage.states import DeliveryState

_RESULT = columns(results, Result)


def find(db: Database, sop_instance_uid: str) -> Result | None:
    """The result of this UID, if it is one of ours."""
    with db.reading() as connection:
        return _find(connection, sop_instance_uid)


def of_job(db: Database, job_id: int) -> list[Result]:
    """The results of a job, in the order of sending."""
    query = sa.select(*_RESULT).where(results.c.job_id == job_id)
    with db.reading() as connection:
        rows = connection.execute(query.order_by(results.c.ordinal, results.c.sop_instance_uid))
        return [Result(**row._asdict()) for row in rows]


def previous_report(db: Database, study_instance_uid: str, before_revision: int) -> list[Result]:
    """The structured reports of the latest earlier revision: what a new report names as its predecessor.

    One that every destination refused is left out: a reference to it would lead nowhere.
    """
    planned, accepted = deliveries.alias("planned"), deliveries.alias("accepted")
    uid = results.c.sop_instance_uid
    query = (
        sa.select(*_RESULT, jobs.c.revision)
        .join(jobs, jobs.c.job_id == results.c.job_id)
        .where(
            jobs.c.study_instance_uid == study_instance_uid,
            jobs.c.revision < before_revision,
            results.c.kind.startswith("sr_", autoescape=True),
            sa.or_(
                ~sa.exists().where(planned.c.sop_instance_uid == uid),
                sa.exists().where(accepted.c.sop_instance_uid == uid, accepted.c.state != DeliveryState.REFUSED),
            ),
        )
        .order_by(jobs.c.revision.desc(), results.c.ordinal, uid)
    )
    with db.reading() as connection:
        rows = [row._asdict() for row in connection.execute(query)]
    latest = rows[0]["revision"] if rows else None
    return [Result(**row) for row in rows if row.pop("revision") == latest]


def keep(connection: sa.Connection, folder: DataFolder, job: Job, new: Result) -> int:
    """The ordinal of the result, which is written unless an earlier run of this job already did.

    Raises ResultConflict.
    """
    uid = new.sop_instance_uid
    known = _find(connection, uid)
    if known is None:
        connection.execute(results.insert(), vars(new) | {"job_id": job.job_id})
        return new.ordinal
    if known.job_id != job.job_id:
        raise ResultConflict(f"result {uid} belongs to job {known.job_id}, not to job {job.job_id}")
    if not folder.path(known.path).is_file():
        if known.sha256 != new.sha256:
            raise ResultConflict(f"result {uid}: its file has gone, and encoded again it has another content")
        connection.execute(results.update().where(results.c.sop_instance_uid == uid).values(path=new.path))
    return known.ordinal


def _find(connection: sa.Connection, sop_instance_uid: str) -> Result | None:
    row = connection.execute(sa.select(*_RESULT).where(results.c.sop_instance_uid == sop_instance_uid)).one_or_none()
    return None if row is None else Result(**row._asdict())
