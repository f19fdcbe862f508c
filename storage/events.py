"""What happened, in the order in which it happened. Rows are only added."""

from datetime import datetime

import sqlalchemy as sa

from storage.engine import Database
from storage.records import Event
from storage.schema import columns, events


def append(
    connection: sa.Connection,
    *,
    at: datetime,
    name: str,
    study: str | sa.ScalarSelect[str] | None = None,
    job: int | None = None,
    delivery: int | None = None,
    before: str | None = None,
    after: str | None = None,
    reason: str = "",
) -> None:
    """Note one thing, in the transaction that makes it true."""
    connection.execute(
        events.insert().values(
            at=at,
            study_instance_uid=study,
            job_id=job,
            delivery_id=delivery,
            name=name,
            before=before,
            after=after,
            reason=reason,
        )
    )


def note(db: Database, name: str, reason: str, now: datetime) -> None:
    """Note one thing that is of no study."""
    with db.transaction() as connection:
        append(connection, at=now, name=name, reason=reason)


def of_study(db: Database, study_instance_uid: str) -> list[Event]:
    """All of a study, oldest first, those of its jobs and deliveries among them."""
    return _where(db, events.c.study_instance_uid == study_instance_uid)


def of_job(db: Database, job_id: int) -> list[Event]:
    """All of a job, oldest first, those of its deliveries among them."""
    return _where(db, events.c.job_id == job_id)


def newest(db: Database, limit: int) -> list[Event]:
    """The last ones of all studies, oldest first."""
    query = sa.select(*columns(events, Event)).order_by(events.c.event_id.desc()).limit(limit)
    with db.reading() as connection:
        return [Event(**row._asdict()) for row in connection.execute(query)][::-1]


def newest_id(db: Database) -> int:
    """Of the last event; 0 where there is none."""
    with db.reading() as connection:
        return int(connection.execute(sa.select(sa.func.max(events.c.event_id))).scalar_one() or 0)


def named_since(db: Database, name: str, event_id: int) -> list[Event]:
    """Those of this name that came after that event, oldest first."""
    return _where(db, sa.and_(events.c.event_id > event_id, events.c.name == name))


def _where(db: Database, condition: sa.ColumnElement[bool]) -> list[Event]:
    query = sa.select(*columns(events, Event)).where(condition).order_by(events.c.event_id)
    with db.reading() as connection:
        return [Event(**row._asdict()) for row in connection.execute(query)]
