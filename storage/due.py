"""When a waiting row may be taken, also after the clock was set back.

A row waits until `available_at`. If the clock ran ahead when the row was written and was put right since, that moment
may be years away; such a row shows itself by an `updated_at` in the future, or by a wait longer than any that we ask
for.
"""

from datetime import datetime, timedelta

import sqlalchemy as sa

LONGEST_WAIT = timedelta(days=1)
SKEW = timedelta(minutes=1)  # a `now` may be older than a row that was written while its caller waited for the lock


def is_due(table: sa.Table) -> sa.ColumnElement[bool]:
    """A row of `table` (with `available_at` and `updated_at`) need not wait any longer at the `moment` of the query."""
    return sa.or_(
        table.c.available_at <= sa.bindparam("now"),
        table.c.updated_at > sa.bindparam("soon"),
        table.c.available_at > sa.bindparam("far"),
    )


def moment(now: datetime) -> dict[str, datetime]:
    """The parameters of a query with `is_due`."""
    return {"now": now, "soon": now + SKEW, "far": now + LONGEST_WAIT}
