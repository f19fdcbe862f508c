"""What readers say of an answer: agree, disagree, not usable. Rows are only added; the newest of a reader counts."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from storage import answers, events
from storage.engine import Database
from storage.errors import InvalidTransition, NotFound
from storage.records import Reading, Word
from storage.schema import answers as answers_table
from storage.schema import columns, jobs, readings, results
from storage.states import AnswerState

_UNPUBLISHED = (AnswerState.KEPT, AnswerState.DISCARDED)
_READING = columns(readings, Reading)


@dataclass(frozen=True)
class Heard:
    """A reader's word that came back in a document: on the report of ours that has this SOP Instance UID."""

    report_instance_uid: str
    word: Word
    reason: str
    who: str


def of_study(db: Database, study_instance_uid: str) -> list[Reading]:
    """All that was said of this study's answers, oldest first."""
    query = (
        sa.select(*_READING)
        .join(answers_table, answers_table.c.answer_id == readings.c.answer_id)
        .where(answers_table.c.study_instance_uid == study_instance_uid)
        .order_by(readings.c.reading_id)
    )
    with db.reading() as connection:
        return [Reading(**row._asdict()) for row in connection.execute(query)]


def counted(db: Database) -> list[tuple[Reading, Mapping[str, Any]]]:
    """The newest word of each reader on each answer, and the outcome of the job that the answer is of."""
    newest = sa.select(sa.func.max(readings.c.reading_id)).group_by(readings.c.answer_id, readings.c.who)
    query = (
        sa.select(*_READING, jobs.c.outcome)
        .join(answers_table, answers_table.c.answer_id == readings.c.answer_id)
        .join(jobs, jobs.c.job_id == answers_table.c.job_id)
        .where(readings.c.reading_id.in_(newest))
        .order_by(readings.c.reading_id)
    )
    with db.reading() as connection:
        rows = [row._asdict() for row in connection.execute(query)]
    return [(Reading(**{name: row[name] for name in row if name != "outcome"}), row["outcome"] or {}) for row in rows]


def study_of(db: Database, answer_id: int) -> str:
    """The study that an answer is about. Raises NotFound."""
    with db.reading() as connection:
        answer = answers.find(connection, answer_id)
    if answer is None:
        raise NotFound(f"no answer {answer_id}")
    return answer.study_instance_uid


def say(db: Database, answer_id: int, word: Word, reason: str, who: str, now: datetime) -> Reading:
    """Note a reader's word; the same word again is the one that is there.

    Raises NotFound, and InvalidTransition when nobody has seen this answer.
    """
    with db.transaction() as connection:
        return _say(connection, answer_id, Heard("", word, reason, who), now)


def hear(connection: sa.Connection, heard: Heard, now: datetime) -> None:
    """Note a word that came back, with the document that says it; nothing where its report stands for no answer."""
    query = sa.select(results.c.answer_id).where(results.c.sop_instance_uid == heard.report_instance_uid)
    answer_id = connection.execute(query).scalar_one_or_none()
    answer = answers.find(connection, answer_id)
    if answer is not None and answer.state not in _UNPUBLISHED:
        _say(connection, answer.answer_id, heard, now)


def _say(connection: sa.Connection, answer_id: int, said: Heard, now: datetime) -> Reading:
    answer = answers.find(connection, answer_id)
    if answer is None:
        raise NotFound(f"no answer {answer_id}")
    if answer.state in _UNPUBLISHED:
        raise InvalidTransition(f"answer {answer_id} was not published: nobody has read it")
    query = sa.select(*_READING).where(readings.c.answer_id == answer_id, readings.c.who == said.who)
    row = connection.execute(query.order_by(readings.c.reading_id.desc()).limit(1)).one_or_none()
    if row is not None and (row.word, row.reason) == (said.word, said.reason):
        return Reading(**row._asdict())
    values = {"answer_id": answer_id, "word": said.word, "reason": said.reason, "who": said.who, "at": now}
    new = connection.execute(readings.insert().values(values).returning(*_READING)).one()
    events.append(
        connection,
        at=now,
        name="reader's word",
        study=answer.study_instance_uid,
        job=answer.job_id,
        after=said.word,
        reason=f"{said.who}: {said.reason}" if said.reason else said.who,
    )
    return Reading(**new._asdict())
