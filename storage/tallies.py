"""What is counted for ever: sums by name, labels and hour, which outlive the rows that they were counted from.

What is older than `KEPT` is added up in one slot for each name and label, so that a sum never shrinks and the table
does not grow.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from storage.engine import Database
from storage.records import Event, Tally
from storage.schema import columns, cursors, events, tallies

KEPT = timedelta(days=400)
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
Counted = tuple[str, Mapping[str, str], float]  # name, labels, and how much is added


def add(db: Database, counted: Iterable[Counted], now: datetime) -> None:
    """Add to the sums of this hour."""
    with db.transaction() as connection:
        for each in counted:
            _add(db, connection, each, now)


def measure(db: Database, name: str, labels: Mapping[str, str], value: float, now: datetime) -> None:
    """A measure of this hour, in place of an earlier one."""
    with db.transaction() as connection:
        values = {"value": value, "at": now}
        key = {"name": name, "labels": _text(labels), "slot": _hour(now)}
        connection.execute(
            db.backend.insert(tallies)
            .values(key | values)
            .on_conflict_do_update(index_elements=["name", "labels", "slot"], set_=values)
        )


def since(db: Database, name: str, earliest: datetime, latest: datetime | None = None, **labels: str) -> list[Tally]:
    """The sums of each hour since then, and up to `latest`, that have these labels; oldest first."""
    conditions = [tallies.c.name == name, tallies.c.slot >= _hour(earliest)]
    if latest is not None:
        conditions.append(tallies.c.slot <= latest)
    conditions += [tallies.c.labels.contains(_text({key: text})[1:-1], autoescape=True) for key, text in labels.items()]
    query = sa.select(*columns(tallies, Tally)).where(*conditions).order_by(tallies.c.slot, tallies.c.labels)
    with db.reading() as connection:
        found = [_tally(row) for row in connection.execute(query)]
    return [each for each in found if labels.items() <= each.labels.items()]


def totals(db: Database, *names: str) -> list[Tally]:
    """The sums of all time by name and labels; their slot is the first, and `at` when something was added last."""
    query = (
        sa.select(
            tallies.c.name,
            tallies.c.labels,
            sa.func.min(tallies.c.slot, type_=tallies.c.slot.type).label("slot"),
            sa.func.sum(tallies.c.value).label("value"),
            sa.func.max(tallies.c.at, type_=tallies.c.at.type).label("at"),
        )
        .where(tallies.c.name.in_(names))
        .group_by(tallies.c.name, tallies.c.labels)
        .order_by(tallies.c.name, tallies.c.labels)
    )
    with db.reading() as connection:
        return [_tally(row) for row in connection.execute(query)]


def unseen_events(db: Database, reader: str, limit: int) -> list[Event]:
    """The next events that this reader has not added to the sums, oldest first."""
    with db.reading() as connection:
        seen = _seen(connection, reader)
        query = sa.select(*columns(events, Event)).where(events.c.event_id > seen)
        rows = connection.execute(query.order_by(events.c.event_id).limit(limit))
        return [Event(**row._asdict()) for row in rows]


def behind(db: Database, reader: str) -> int:
    """How many events this reader has still to add to the sums, at most."""
    first = sa.select(sa.func.min(events.c.event_id)).scalar_subquery()
    newest = sa.select(sa.func.max(events.c.event_id)).scalar_subquery()
    with db.reading() as connection:
        row = connection.execute(sa.select(first.label("first"), newest.label("newest"))).one()
        return 0 if row.first is None else max(0, row.newest - max(_seen(connection, reader), row.first - 1))


def add_events(db: Database, reader: str, seen: list[Event], counted: Iterable[tuple[datetime, Counted]]) -> bool:
    """Add what these events came to, each at its time, and that they were seen; False when somebody has meanwhile."""
    with db.transaction() as connection:
        if not seen or _seen(connection, reader) >= seen[0].event_id:
            return False
        for at, each in _together(counted):
            _add(db, connection, each, at)
        last = {"event_id": seen[-1].event_id}
        connection.execute(
            db.backend.insert(cursors)
            .values(name=reader, **last)
            .on_conflict_do_update(index_elements=["name"], set_=last)
        )
    return True


def _together(counted: Iterable[tuple[datetime, Counted]]) -> Iterator[tuple[datetime, Counted]]:
    """The same sums with one addition for each hour, name and labels, at the last of its times."""
    found: dict[tuple[datetime, str, str], tuple[datetime, Counted]] = {}
    for at, (name, labels, value) in counted:
        key = (_hour(at), name, _text(labels))
        last, (_, _, before) = found.get(key, (at, (name, labels, 0.0)))
        found[key] = (max(at, last), (name, labels, before + value))
    yield from found.values()


def fold(db: Database, now: datetime) -> int:
    """Add up what is older than `KEPT`; how many slots went."""
    old = sa.and_(tallies.c.slot < now - KEPT, tallies.c.slot > LONG_AGO)
    query = sa.select(*columns(tallies, Tally)).where(old)
    with db.reading() as connection:
        if connection.execute(query.limit(1)).first() is None:
            return 0
    with db.transaction() as connection:
        found = [_tally(row) for row in connection.execute(query)]
        for each in found:
            _add(db, connection, (each.name, each.labels, each.value), each.at, slot=LONG_AGO)
        connection.execute(tallies.delete().where(old))
    return len(found)


def _add(
    db: Database, connection: sa.Connection, counted: Counted, at: datetime, *, slot: datetime | None = None
) -> None:
    name, labels, value = counted
    new = db.backend.insert(tallies).values(
        name=name, labels=_text(labels), slot=_hour(at) if slot is None else slot, value=value, at=at
    )
    grown = {"value": tallies.c.value + new.excluded.value, "at": sa.func.max(tallies.c.at, new.excluded.at)}
    connection.execute(new.on_conflict_do_update(index_elements=["name", "labels", "slot"], set_=grown))


def _seen(connection: sa.Connection, reader: str) -> int:
    query = sa.select(cursors.c.event_id).where(cursors.c.name == reader)
    return connection.execute(query).scalar_one_or_none() or 0


def _hour(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _text(labels: Mapping[str, str]) -> str:
    return json.dumps(dict(labels), sort_keys=True, ensure_ascii=False)


def _tally(row: Any) -> Tally:
    found = row._asdict()
    return Tally(**{**found, "labels": json.loads(found["labels"])})
