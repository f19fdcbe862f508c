"""Encoded results: one UID, one content, one file that is sent as it is. `outbox` is the door to them."""

import sqlalchemy as sa

from storage.engine import Database
from storage.errors import ResultConflict
from storage.folder import DataFolder
from storage.records import Answer, Job, Result
from storage.schema import answers, columns, deliveries, doomed_files, one_of, results
from storage.states import AnswerState, DeliveryState

_RESULT = columns(results, Result)


def find(db: Database, sop_instance_uid: str) -> Result | None:
    """The result of this UID, if it is one of ours."""
    with db.reading() as connection:
        return _find(connection, sop_instance_uid)


def is_known(db: Database, sop_instance_uid: str) -> bool:
    """Whether it is one of ours; quicker than `find`."""
    return db.finds("SELECT 1 FROM results WHERE sop_instance_uid = ?", sop_instance_uid)


def of_job(db: Database, job_id: int) -> list[Result]:
    """The results of a job, in the order of sending."""
    query = sa.select(*_RESULT).where(results.c.job_id == job_id)
    with db.reading() as connection:
        rows = connection.execute(query.order_by(results.c.ordinal, results.c.sop_instance_uid))
        return [Result(**row._asdict()) for row in rows]


def standing_report(db: Database, job: Job) -> list[Result]:
    """The structured reports of the answer that stands: what a new report of this job names as its predecessor.

    None where that answer is the job's own, from before an operator's retry. One that every destination refused is left
    out: a reference to it would lead nowhere.
    """
    planned, accepted = deliveries.alias("planned"), deliveries.alias("accepted")
    uid = results.c.sop_instance_uid
    query = (
        sa.select(*_RESULT)
        .join(answers, answers.c.answer_id == results.c.answer_id)
        .where(
            answers.c.study_instance_uid == job.study_instance_uid,
            answers.c.job_id != job.job_id,
            one_of(answers.c.state, [AnswerState.STANDING]),
            results.c.kind.startswith("sr_", autoescape=True),
            sa.or_(
                ~sa.exists().where(planned.c.sop_instance_uid == uid),
                sa.exists().where(accepted.c.sop_instance_uid == uid, accepted.c.state != DeliveryState.REFUSED),
            ),
        )
        .order_by(results.c.ordinal, uid)
    )
    with db.reading() as connection:
        return [Result(**row._asdict()) for row in connection.execute(query)]


def keep(connection: sa.Connection, folder: DataFolder, job: Job, answer: Answer, new: Result) -> int:
    """The ordinal of the result, which is written unless an earlier run of this job already did.

    Raises ResultConflict.
    """
    uid = new.sop_instance_uid
    known = _find(connection, uid)
    if known is None:
        connection.execute(results.insert(), vars(new) | {"job_id": job.job_id, "answer_id": answer.answer_id})
        return new.ordinal
    if known.job_id != job.job_id:
        raise ResultConflict(f"result {uid} belongs to job {known.job_id}, not to job {job.job_id}")
    if not folder.path(known.path).is_file():
        if known.sha256 != new.sha256 and known.is_object:
            raise ResultConflict(f"result {uid}: its file has gone, and encoded again it has another content")
        as_written = {"path": new.path, "sha256": new.sha256, "size_bytes": new.size_bytes}
        connection.execute(results.update().where(results.c.sop_instance_uid == uid).values(as_written))
    connection.execute(results.update().where(results.c.sop_instance_uid == uid).values(answer_id=answer.answer_id))
    return known.ordinal


def drop(connection: sa.Connection, answer: Answer) -> None:
    """The results of an answer that was never published go, and their planned deliveries; the files are doomed."""
    of_answer = results.c.answer_id == answer.answer_id
    uids = sa.select(results.c.sop_instance_uid).where(of_answer)
    connection.execute(deliveries.delete().where(deliveries.c.sop_instance_uid.in_(uids)))
    connection.execute(doomed_files.insert().from_select(["path"], sa.select(results.c.path).where(of_answer)))
    connection.execute(results.delete().where(of_answer))


def hand_over(connection: sa.Connection, answer: Answer, job: Job) -> None:
    """The results of an answer, and their planned deliveries, become those of another job of the study."""
    of_answer = results.c.answer_id == answer.answer_id
    uids = sa.select(results.c.sop_instance_uid).where(of_answer)
    connection.execute(
        deliveries.update()
        .where(deliveries.c.job_id == answer.job_id, deliveries.c.sop_instance_uid.in_(uids))
        .values(job_id=job.job_id)
    )
    connection.execute(results.update().where(of_answer).values(job_id=job.job_id))


def _find(connection: sa.Connection, sop_instance_uid: str) -> Result | None:
    row = connection.execute(sa.select(*_RESULT).where(results.c.sop_instance_uid == sop_instance_uid)).one_or_none()
    return None if row is None else Result(**row._asdict())
