"""Answers that are taken back: by an operator, by whoever rejects their report in the PACS, or because what they were
read from is not what it was.

Nothing more of such an answer is sent; what was sent is called back by a rejection note (`notes`).
"""

from datetime import datetime

import sqlalchemy as sa

from storage import moves
from storage.records import Answer, Delivery, Job
from storage.schema import answers, columns, deliveries, instances, one_of, read_instances, rejections, results
from storage.settlement import find as find_job
from storage.states import AnswerState, DeliveryState, JobState

TAKEN_BACK = (AnswerState.WITHDRAWN, AnswerState.REVOKED)


def take_back(connection: sa.Connection, answer: Answer, after: AnswerState, reason: str, now: datetime) -> Job:
    """WITHDRAWN or REVOKED: what was not sent of it stays here. The job, as it is then.

    Raises InvalidTransition when it does not stand.
    """
    moves.answer(connection, answer, after, reason, now)
    query = (
        sa.select(*columns(deliveries, Delivery))
        .join(results, results.c.sop_instance_uid == deliveries.c.sop_instance_uid)
        .where(results.c.answer_id == answer.answer_id, one_of(deliveries.c.state, [DeliveryState.PENDING]))
    )
    said = f"{after}: {reason}"
    for row in connection.execute(query).all():
        moves.delivery(connection, Delivery(**row._asdict()), DeliveryState.REFUSED, said, now)
    job = find_job(connection, answer.job_id)
    return moves.job(connection, job, JobState.CANCELLED, said, now) if job.state is JobState.REPORTED else job


def revoke_changed(connection: sa.Connection, study_instance_uid: str, now: datetime, *, replaced: bool) -> None:
    """Revoke the answer that stands if an instance that it was read from was rejected or moved to another study.

    With `replaced` also if one has another content now; else the next answer of the study supersedes it.
    """
    query = sa.select(*columns(answers, Answer)).where(
        answers.c.study_instance_uid == study_instance_uid,
        one_of(answers.c.state, [AnswerState.STANDING]),
        _has_changed(replaced=replaced),
    )
    row = connection.execute(query).one_or_none()
    if row is not None:
        reason = "an instance that it was read from was rejected, moved or replaced"
        take_back(connection, Answer(**row._asdict()), AnswerState.REVOKED, reason, now)


def withdraw_rejected(connection: sa.Connection, note_instance_uid: str, reason: str, now: datetime) -> None:
    """Withdraw the answers that stand and whose report this rejection note lists: somebody found them wrong."""
    query = (
        sa.select(*columns(answers, Answer))
        .join(results, results.c.answer_id == answers.c.answer_id)
        .join(
            rejections,
            sa.and_(
                rejections.c.sop_instance_uid == results.c.sop_instance_uid,
                rejections.c.study_instance_uid == answers.c.study_instance_uid,
            ),
        )
        .where(
            rejections.c.note_instance_uid == note_instance_uid,
            one_of(answers.c.state, [AnswerState.STANDING]),
            results.c.kind.startswith("sr_", autoescape=True),
        )
        .distinct()
    )
    for row in connection.execute(query).all():
        take_back(connection, Answer(**row._asdict()), AnswerState.WITHDRAWN, reason, now)


def has_changed(connection: sa.Connection, answer: Answer) -> bool:
    """An instance that this answer was read from was rejected, moved or replaced."""
    query = sa.select(_has_changed(replaced=True)).where(answers.c.answer_id == answer.answer_id)
    return bool(connection.execute(query).scalar_one())


def _has_changed(*, replaced: bool) -> sa.ColumnElement[bool]:
    """Of a row of `answers`. What retention deleted has not changed."""
    rejected = sa.exists().where(
        rejections.c.study_instance_uid == answers.c.study_instance_uid,
        rejections.c.sop_instance_uid == read_instances.c.sop_instance_uid,
    )
    other = instances.c.study_instance_uid != answers.c.study_instance_uid
    if replaced:
        other = sa.or_(other, instances.c.sha256 != read_instances.c.sha256)
    became = sa.exists().where(instances.c.sop_instance_uid == read_instances.c.sop_instance_uid, other)
    return sa.exists().where(read_instances.c.answer_id == answers.c.answer_id, sa.or_(rejected, became))
