"""What another bundle says of studies that have an answer: which of them it may be asked about, and what it said.

Nothing here changes an answer, a job or a delivery. What was said goes with the answer that it is about.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from storage.due import is_due, moment
from storage.engine import Database
from storage.records import Answer, Job, Said
from storage.schema import answers, columns, jobs, one_of, studies, trials
from storage.states import AnswerState, JobState


def standing(
    db: Database,
    *,
    since: datetime | None = None,
    studies_of: Collection[str] | None = None,
    limit: int | None = None,
) -> list[tuple[Answer, Job]]:
    """The answers that stand, of studies whose instances are here, newest first, each with the job that it is of."""
    query = _standing().limit(limit)
    if since is not None:
        query = query.where(answers.c.created_at >= since)
    if studies_of is not None:
        query = query.where(answers.c.study_instance_uid.in_(studies_of))
    with db.reading() as connection:
        return [_pair(row) for row in connection.execute(query)]


def newest_jobs(db: Database) -> list[Job]:
    """The newest job of each study whose instances are here, oldest first, however it ended."""
    newest = sa.select(sa.func.max(jobs.c.job_id)).group_by(jobs.c.study_instance_uid)
    query = (
        sa.select(*columns(jobs, Job))
        .join(studies, studies.c.study_instance_uid == jobs.c.study_instance_uid)
        .where(jobs.c.job_id.in_(newest), studies.c.instances > 0)
        .order_by(jobs.c.job_id)
    )
    with db.reading() as connection:
        return [Job(**row._asdict()) for row in connection.execute(query)]


def unheard(db: Database, bundle: str, since: datetime | None = None) -> tuple[Answer, Job] | None:
    """The newest answer that stands and that this bundle has said nothing of; None when there is none."""
    this = sa.exists().where(trials.c.answer_id == answers.c.answer_id, trials.c.bundle == bundle)
    query = _standing().where(~this).limit(1)
    if since is not None:
        query = query.where(answers.c.created_at >= since)
    with db.reading() as connection:
        row = connection.execute(query).one_or_none()
    return None if row is None else _pair(row)


def keep(db: Database, bundle: str, answer_id: int, said: Mapping[str, Any], now: datetime) -> bool:
    """Keep what a bundle said, in place of what it said before; False when the answer has gone meanwhile."""
    with db.transaction() as connection:
        if connection.execute(sa.select(answers.c.answer_id).where(answers.c.answer_id == answer_id)).first() is None:
            return False
        values = {"said": dict(said), "at": now}
        connection.execute(
            db.backend.insert(trials)
            .values(bundle=bundle, answer_id=answer_id, **values)
            .on_conflict_do_update(index_elements=["bundle", "answer_id"], set_=values)
        )
    return True


def said(db: Database, bundle: str) -> list[tuple[Answer, Job, Said]]:
    """All that a bundle said, newest answer first."""
    wanted = [*_named(answers, Answer), *_named(jobs, Job), *_named(trials, Said)]
    query = (
        sa.select(*wanted)
        .join(answers, answers.c.answer_id == trials.c.answer_id)
        .join(jobs, jobs.c.job_id == answers.c.job_id)
        .where(trials.c.bundle == bundle)
        .order_by(answers.c.answer_id.desc())
    )
    with db.reading() as connection:
        return [(*_pair(row), Said(**_part(row, trials))) for row in connection.execute(query)]


def is_idle(db: Database, now: datetime) -> bool:
    """No job is worked on, and none is due."""
    due = sa.and_(one_of(jobs.c.state, [JobState.QUEUED]), is_due(jobs))
    busy = sa.exists().where(sa.or_(one_of(jobs.c.state, [JobState.RUNNING]), due))
    with db.reading() as connection:
        return not connection.execute(sa.select(busy), moment(now)).scalar_one()


def _standing() -> sa.Select[Any]:
    return (
        sa.select(*_named(answers, Answer), *_named(jobs, Job))
        .join(jobs, jobs.c.job_id == answers.c.job_id)
        .join(studies, studies.c.study_instance_uid == answers.c.study_instance_uid)
        .where(one_of(answers.c.state, [AnswerState.STANDING]), studies.c.instances > 0)
        .order_by(answers.c.answer_id.desc())
    )


def _named(table: sa.Table, record: type[Any]) -> list[sa.Label[Any]]:
    """Its columns, told from those of other tables."""
    return [each.label(f"{table.name}.{each.name}") for each in columns(table, record)]


def _part(row: sa.Row[Any], table: sa.Table) -> dict[str, Any]:
    start = f"{table.name}."
    return {name.removeprefix(start): value for name, value in row._mapping.items() if name.startswith(start)}


def _pair(row: sa.Row[Any]) -> tuple[Answer, Job]:
    return Answer(**_part(row, answers)), Job(**_part(row, jobs))
