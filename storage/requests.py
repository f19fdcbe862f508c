"""What machines asked for under a key of theirs, and what they were answered: asked again, it is not done again.

Kept for a day, over restarts. Keys are kept as hashes: who asks chooses them, and may put anything into one.
"""

import hashlib
import json
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from storage.engine import Database
from storage.schema import requests

KEPT = timedelta(days=1)


class Answered(NamedTuple):
    """An earlier request."""

    asked: str  # a hash of what was asked for
    answer: Any  # JSON


def answered(db: Database, who: str, key: str, now: datetime) -> Answered | None:
    """What this user was answered under this key within `KEPT`."""
    wanted = sa.and_(requests.c.key == _hash(who, key), requests.c.at > now - KEPT)
    with db.reading() as connection:
        row = connection.execute(sa.select(requests.c.asked, requests.c.answer).where(wanted)).one_or_none()
    return None if row is None else Answered(row.asked, json.loads(row.answer))


def note(db: Database, who: str, key: str, answer: Answered, now: datetime) -> None:
    """Keep it, and forget what is older than `KEPT`."""
    values = {"asked": answer.asked, "answer": json.dumps(answer.answer), "at": now}
    with db.transaction() as connection:
        connection.execute(requests.delete().where(requests.c.at <= now - KEPT))
        connection.execute(
            db.backend.insert(requests)
            .values(key=_hash(who, key), **values)
            .on_conflict_do_update(index_elements=["key"], set_=values)
        )


def _hash(who: str, key: str) -> str:
    return hashlib.sha256(f"{who}\n{key}".encode()).hexdigest()
