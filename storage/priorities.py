"""How urgent a study is: the claim takes the highest first. 0 where nobody said; a study keeps it in every revision."""

from datetime import datetime

import sqlalchemy as sa

from storage import events, studies
from storage.engine import Database
from storage.errors import NotFound
from storage.schema import priorities

LOWEST, HIGHEST = -10, 10


def of_study(db: Database, study_instance_uid: str) -> int:
    """0 where nobody said."""
    with db.reading() as connection:
        return _find(connection, study_instance_uid)


def set_priority(db: Database, study_instance_uid: str, priority: int, who: str, now: datetime) -> bool:
    """Note it; False when it was so already. Raises NotFound, and ValueError outside of LOWEST to HIGHEST."""
    if not LOWEST <= priority <= HIGHEST:
        raise ValueError(f"a priority is {LOWEST} to {HIGHEST}, not {priority}")
    with db.transaction() as connection:
        if studies.find(connection, study_instance_uid) is None:
            raise NotFound(f"no study {study_instance_uid}")
        before = _find(connection, study_instance_uid)
        if before == priority:
            return False
        connection.execute(priorities.delete().where(priorities.c.study_instance_uid == study_instance_uid))
        if priority:
            connection.execute(priorities.insert().values(study_instance_uid=study_instance_uid, priority=priority))
        events.append(
            connection,
            at=now,
            name="priority set",
            study=study_instance_uid,
            before=str(before),
            after=str(priority),
            reason=f"by {who}",
        )
    return True


def of_row(table: sa.Table) -> sa.ColumnElement[int]:
    """The priority of the study that a row of `table` is about, as part of a query."""
    found = sa.select(priorities.c.priority).where(priorities.c.study_instance_uid == table.c.study_instance_uid)
    return sa.func.coalesce(found.scalar_subquery(), 0)


def _find(connection: sa.Connection, study_instance_uid: str) -> int:
    query = sa.select(priorities.c.priority).where(priorities.c.study_instance_uid == study_instance_uid)
    return connection.execute(query).scalar_one_or_none() or 0
