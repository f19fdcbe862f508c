"""What the node says of each study: worked out, kept until it is sure, published, replaced by another.

An answer has a key: all that it follows from (node/report/key.py). The key tells a job that its study has that answer
already, however the instances came. A study has one answer that stands, at most, and one that is kept.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from storage import events, moves, results, withdrawals
from storage.engine import Database
from storage.records import Answer, Job, Study
from storage.schema import answers, columns, jobs, one_of, read_instances, studies
from storage.settlement import find as find_job
from storage.settlement import settle
from storage.states import AnswerKind, AnswerState, JobState, StudyState

ENDS = {
    AnswerKind.RESULT: JobState.REPORTED,
    AnswerKind.OUT_OF_SCOPE: JobState.SKIPPED,
    AnswerKind.NO_RESULT: JobState.SKIPPED,
}
_ANSWER = columns(answers, Answer)


@dataclass(frozen=True)
class NewAnswer:
    """What a job came to."""

    kind: AnswerKind
    key: str
    reason: str  # for people: the job's, once it is published
    generation: int = 0
    is_known: bool = False  # the study has it already: nothing was encoded
    read: Mapping[str, str] = field(default_factory=dict)  # SOP Instance UID -> digest of each instance of the series


def of_study(db: Database, study_instance_uid: str) -> list[Answer]:
    """Every answer that the study had, oldest first."""
    query = sa.select(*_ANSWER).where(answers.c.study_instance_uid == study_instance_uid)
    with db.reading() as connection:
        return [Answer(**row._asdict()) for row in connection.execute(query.order_by(answers.c.answer_id))]


def recalled(had: Iterable[Answer], job_id: int, key: str) -> Answer | None:
    """Of the answers that a study had, the one of this key that this job need not work out again.

    That "there is no result" was kept is worked out again: it is quick, and the words then speak of all that came.
    """
    for answer in had:
        others = answer.state is AnswerState.STANDING and answer.job_id != job_id
        kept = answer.state is AnswerState.KEPT and answer.kind is not AnswerKind.NO_RESULT
        if key and answer.key == key and (others or kept or answer.state is AnswerState.WITHDRAWN):
            return answer
    return None


def generation(had: Iterable[Answer], job_id: int, key: str) -> int:
    """How often an answer of this key was published before: a UID that went out never comes with another content."""
    published = (AnswerState.STANDING, AnswerState.SUPERSEDED, AnswerState.WITHDRAWN, AnswerState.REVOKED)
    same = [each for each in had if each.key == key and each.state in published]
    own = [each.generation for each in same if each.state is AnswerState.STANDING and each.job_id == job_id]
    return max(own, default=max((each.generation + 1 for each in same), default=0))


def waiting(db: Database) -> list[tuple[Study, Answer]]:
    """The answers of complete studies that say that there is no result, and are not published yet."""
    query = (
        sa.select(answers.c.answer_id, answers.c.study_instance_uid)
        .join(studies, studies.c.study_instance_uid == answers.c.study_instance_uid)
        .where(
            one_of(answers.c.state, [AnswerState.KEPT]),
            answers.c.kind != AnswerKind.RESULT,
            studies.c.state == StudyState.STABLE,
        )
    )
    with db.reading() as connection:
        found = [
            (_study(connection, row.study_instance_uid), find(connection, row.answer_id))
            for row in connection.execute(query)
        ]
    return [(study, answer) for study, answer in found if answer is not None]


def publish_waiting(db: Database, waiting_answer: Answer, reason: str, now: datetime) -> bool:
    """Publish an answer of `waiting`; False when it changed, or its study did, since it was read."""
    with db.transaction() as connection:
        answer = find(connection, waiting_answer.answer_id)
        if answer != waiting_answer or _study(connection, answer.study_instance_uid).state is not StudyState.STABLE:
            return False
        job = find_job(connection, answer.job_id)
        if job.state is not JobState.SKIPPED:
            return False
        publish(connection, answer, job, reason, now)
        return True


def find(connection: sa.Connection, answer_id: int | None) -> Answer | None:
    """The answer as this transaction sees it."""
    row = connection.execute(sa.select(*_ANSWER).where(answers.c.answer_id == answer_id)).one_or_none()
    return None if row is None else Answer(**row._asdict())


def with_key(connection: sa.Connection, study_instance_uid: str, key: str) -> Answer | None:
    """The answer of this key that stands, is kept or was withdrawn; the first of them where there are several."""
    found = _in_state(connection, study_instance_uid, AnswerState.STANDING, AnswerState.KEPT, AnswerState.WITHDRAWN)
    return next((each for each in found if key and each.key == key), None)


def keep(connection: sa.Connection, job: Job, new: NewAnswer, now: datetime) -> Answer:
    """A new answer of the study, kept; the one that was kept before goes."""
    discard_kept(connection, job.study_instance_uid, f"job {job.job_id} came to another", now)
    row = connection.execute(
        answers.insert()
        .values(
            study_instance_uid=job.study_instance_uid,
            job_id=job.job_id,
            kind=new.kind,
            key=new.key,
            generation=new.generation,
            state=AnswerState.KEPT,
            reason=new.reason,
            created_at=now,
            updated_at=now,
        )
        .returning(*_ANSWER)
    ).one()
    answer = Answer(**row._asdict())
    read = [
        {"answer_id": answer.answer_id, "sop_instance_uid": uid, "sha256": sha256} for uid, sha256 in new.read.items()
    ]
    if read:
        connection.execute(read_instances.insert(), read)
    events.append(
        connection,
        at=now,
        name="answer kept",
        study=job.study_instance_uid,
        job=job.job_id,
        reason=f"{new.kind.replace('_', ' ')}: {new.reason}",
    )
    return answer


def discard_kept(
    connection: sa.Connection, study_instance_uid: str, reason: str, now: datetime, *, but: Answer | None = None
) -> None:
    """What was worked out and never published goes, its results with it."""
    for answer in _in_state(connection, study_instance_uid, AnswerState.KEPT):
        if but is None or answer.answer_id != but.answer_id:
            results.drop(connection, answer)
            connection.execute(read_instances.delete().where(read_instances.c.answer_id == answer.answer_id))
            moves.answer(connection, answer, AnswerState.DISCARDED, reason, now)


def conclude(
    connection: sa.Connection, job: Job, answer: Answer, reason: str, now: datetime, *, at_once: bool, **values: Any
) -> Job:
    """The end of a run that came to this answer: published if its study is complete, else kept for when it is."""
    study = _study(connection, job.study_instance_uid)
    values["answer_id"] = answer.answer_id
    if covers(job, study):
        return resolve(connection, job, answer, reason, now, **values)
    is_result = answer.kind is AnswerKind.RESULT and answer.state is AnswerState.KEPT
    if at_once and is_result and not withdrawals.has_changed(connection, answer):
        ended = publish(connection, answer, job, reason, now, **values)
        _close_revision(connection, study, job, now)
        return ended
    newest = newest_revision(connection, job)
    if newest > job.revision:
        overtaken = f"overtaken by revision {newest}, which takes over what was worked out"
        return moves.job(connection, job, JobState.CANCELLED, overtaken, now, **values)
    if study.state is StudyState.STABLE and study.revision == job.revision:
        return work_again(connection, job, "the study grew while it was worked on", now, **values)
    return moves.job(connection, job, JobState.KEPT, reason, now, **values)


def resolve(
    connection: sa.Connection, job: Job, answer: Answer | None, reason: str, now: datetime, **values: Any
) -> Job:
    """End a job that saw the whole of its study, which is complete; without an answer it is worked on again."""
    match answer and answer.state:
        case AnswerState.STANDING if answer and answer.job_id != job.job_id:
            return moves.job(connection, job, JobState.DONE, stands(answer), now, **values)
        case AnswerState.STANDING if answer:
            moves.job(connection, job, ENDS[answer.kind], reason, now, **values)
            return settle(connection, job.job_id, now)
        case AnswerState.KEPT if answer and answer.kind is AnswerKind.RESULT:
            return publish(connection, answer, job, reason, now, **values)
        case AnswerState.KEPT if answer:
            withdrawals.revoke_changed(connection, job.study_instance_uid, now, replaced=True)
            _hand_over(connection, answer, job)
            return moves.job(connection, job, ENDS[answer.kind], reason, now, **values)
        case AnswerState.WITHDRAWN if answer:
            withdrawn = f"the answer of job {answer.job_id} was withdrawn: {answer.reason}"
            return moves.job(connection, job, JobState.SKIPPED, withdrawn, now, **values)
    return work_again(connection, job, "worked on again", now, **values)


def publish(connection: sa.Connection, answer: Answer, job: Job, reason: str, now: datetime, **values: Any) -> Job:
    """The answer stands from now on, in place of the one before, and its job ends with it."""
    _hand_over(connection, answer, job)
    for before in _in_state(connection, answer.study_instance_uid, AnswerState.STANDING):
        superseded = f"the answer of job {job.job_id} takes its place"
        moves.answer(connection, before, AnswerState.SUPERSEDED, superseded, now)
    published = find(connection, answer.answer_id) or answer
    moves.answer(connection, published, AnswerState.STANDING, reason, now)
    if job.state is ENDS[answer.kind]:
        return job
    moves.job(connection, job, ENDS[answer.kind], reason, now, **values)
    return settle(connection, job.job_id, now)


def work_again(connection: sa.Connection, job: Job, reason: str, now: datetime, **values: Any) -> Job:
    """Back to the queue with all attempts; no longer early unless `values` say so. Its results are of this time."""
    again = {"early": False, "attempt": 0, "created_at": now, "available_at": now}
    return moves.job(connection, job, JobState.QUEUED, reason, now, **(again | values))


def covers(job: Job, study: Study) -> bool:
    """The job's last attempt saw all that its study holds, and the study is complete."""
    return study.state is StudyState.STABLE and (job.revision, job.covers) == (study.revision, study.version)


def stands(answer: Answer) -> str:
    """For people: why nothing was done."""
    return f"nothing new: the answer of job {answer.job_id} stands"


def newest_revision(connection: sa.Connection, job: Job) -> int:
    """Of the jobs of this study: only the newest may wait."""
    query = sa.select(sa.func.max(jobs.c.revision)).where(jobs.c.study_instance_uid == job.study_instance_uid)
    return int(connection.execute(query).scalar_one())


def _in_state(connection: sa.Connection, study_instance_uid: str, *states: AnswerState) -> Sequence[Answer]:
    order = {state: place for place, state in enumerate(states)}
    query = sa.select(*_ANSWER).where(
        answers.c.study_instance_uid == study_instance_uid, one_of(answers.c.state, states)
    )
    found = [Answer(**row._asdict()) for row in connection.execute(query.order_by(answers.c.answer_id))]
    return sorted(found, key=lambda each: order[each.state])


def _hand_over(connection: sa.Connection, answer: Answer, job: Job) -> None:
    """What an overtaken job worked out is published by the one that came to the same."""
    if answer.job_id != job.job_id:
        results.hand_over(connection, answer, job)
        connection.execute(answers.update().where(answers.c.answer_id == answer.answer_id).values(job_id=job.job_id))


def _close_revision(connection: sa.Connection, study: Study, job: Job, now: datetime) -> None:
    """What was published before its study was complete: whatever comes now is of the next revision."""
    if (study.state, study.revision) != (StudyState.RECEIVING, job.revision):
        return
    revision = study.revision + 1
    uid = study.study_instance_uid
    connection.execute(studies.update().where(studies.c.study_instance_uid == uid).values(revision=revision))
    reason = f"the answer of job {job.job_id} was published before the study was complete"
    events.append(connection, at=now, name=f"revision {revision} begins", study=uid, reason=reason)


def _study(connection: sa.Connection, study_instance_uid: str) -> Study:
    query = sa.select(*columns(studies, Study)).where(studies.c.study_instance_uid == study_instance_uid)
    return Study(**connection.execute(query).one()._asdict())
