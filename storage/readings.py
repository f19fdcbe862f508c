"""What readers say of an answer: agree, disagree, not usable. Rows are only added; the newest of a reader counts."""

from datetime import datetime

import sqlalchemy as sa

from storage import answers, events
from storage.engine import Database
from storage.errors import InvalidTransition, NotFound
from storage.records import Reading, Word
from storage.schema import answers as answers_table
from storage.schema import columns, readings
from storage.states import AnswerState

_UNPUBLISHED = (AnswerState.KEPT, AnswerState.DISCARDED)
_READING = columns(readings, Reading)


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
        answer = answers.find(connection, answer_id)
        if answer is None:
            raise NotFound(f"no answer {answer_id}")
        if answer.state in _UNPUBLISHED:
            raise InvalidTransition(f"answer {answer_id} was not published: nobody has read it")
        query = sa.select(*_READING).where(readings.c.answer_id == answer_id, readings.c.who == who)
        row = connection.execute(query.order_by(readings.c.reading_id.desc()).limit(1)).one_or_none()
        if row is not None and (row.word, row.reason) == (word, reason):
            return Reading(**row._asdict())
        said = {"answer_id": answer_id, "word": word, "reason": reason, "who": who, "at": now}
        new = connection.execute(readings.insert().values(said).returning(*_READING)).one()
        events.append(
            connection,
            at=now,
            name="reader's word",
            study=answer.study_instance_uid,
            job=answer.job_id,
            after=word,
            reason=f"{who}: {reason}" if reason else who,
        )
        return Reading(**new._asdict())
