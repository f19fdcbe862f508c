"""What an operator holds up: intake, sending, or all that is new. Kept here, so that it outlives every restart.

A claim looks at them in its own transaction (`queue`, `outbox`); the listener looks every second.
"""

from datetime import datetime

import sqlalchemy as sa

from storage import events
from storage.engine import Database
from storage.records import Switch, SwitchName
from storage.schema import columns, one_of, switches


def on(db: Database) -> dict[SwitchName, Switch]:
    """Those that are on."""
    with db.reading() as connection:
        rows = connection.execute(sa.select(*columns(switches, Switch)))
        return {row.name: Switch(**row._asdict()) for row in rows}


def turn_on(db: Database, name: SwitchName, who: str, reason: str, now: datetime) -> Switch:
    """Hold it up; one that is on stays as it is, with who did it first."""
    with db.transaction() as connection:
        row = connection.execute(sa.select(*columns(switches, Switch)).where(switches.c.name == name)).one_or_none()
        if row is not None:
            return Switch(**row._asdict())
        connection.execute(switches.insert().values(name=name, since=now, who=who, reason=reason))
        events.append(connection, at=now, name=f"{name} on", reason=f"by {who}: {reason}")
    return Switch(name, now, who, reason)


def turn_off(db: Database, name: SwitchName, who: str, now: datetime) -> bool:
    """Let it go on; False when it was not held up."""
    with db.transaction() as connection:
        if not connection.execute(switches.delete().where(switches.c.name == name)).rowcount:
            return False
        events.append(connection, at=now, name=f"{name} off", reason=f"by {who}")
    return True


def none_of(*names: SwitchName) -> sa.ColumnElement[bool]:
    """None of these is on, as part of a query."""
    return ~sa.exists().where(one_of(switches.c.name, names))
