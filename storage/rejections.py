"""Which instances were rejected by a note of IHE IOCM, whichever of the two came first.

Nothing is deleted for that: rejected instances, and the notes themselves, are not read any more.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa

from storage.schema import instances, rejections


@dataclass(frozen=True)
class Rejects:
    """What a rejection note says: its title, and by Study Instance UID the instances that are not to be used."""

    title: str = ""
    instances: Mapping[str, Collection[str]] = field(default_factory=dict)


NOTHING = Rejects()


def note(connection: sa.Connection, note_instance_uid: str, rejects: Rejects) -> list[str]:
    """Keep what the note says; the studies of which it rejects instances that are here."""
    rows = [
        {
            "study_instance_uid": study,
            "sop_instance_uid": uid,
            "note_instance_uid": note_instance_uid,
            "title": rejects.title,
        }
        for study, uids in rejects.instances.items()
        for uid in set(uids)
    ]
    if rows:
        connection.execute(rejections.insert(), rows)
    return _studies(connection, note_instance_uid)


def forget(connection: sa.Connection, note_instance_uid: str) -> list[str]:
    """The note has become another; the studies of which it had rejected instances that are here."""
    freed = _studies(connection, note_instance_uid)
    connection.execute(rejections.delete().where(rejections.c.note_instance_uid == note_instance_uid))
    return freed


def is_rejected() -> sa.ColumnElement[bool]:
    """Of a row of `instances`."""
    return sa.exists().where(
        rejections.c.study_instance_uid == instances.c.study_instance_uid,
        rejections.c.sop_instance_uid == instances.c.sop_instance_uid,
    )


def is_note() -> sa.ColumnElement[bool]:
    """Of a row of `instances`."""
    return sa.exists().where(rejections.c.note_instance_uid == instances.c.sop_instance_uid)


def _studies(connection: sa.Connection, note_instance_uid: str) -> list[str]:
    query = (
        sa.select(instances.c.study_instance_uid)
        .join(
            rejections,
            sa.and_(
                rejections.c.study_instance_uid == instances.c.study_instance_uid,
                rejections.c.sop_instance_uid == instances.c.sop_instance_uid,
            ),
        )
        .where(rejections.c.note_instance_uid == note_instance_uid)
        .distinct()
    )
    return sorted(connection.execute(query).scalars())
