"""What each study looked like that was worked on, and what was said of it: about 150 bytes each, kept for ever.

They are for comparing weeks, so they outlive the jobs, and nothing in them leads to a patient.
"""

from collections.abc import Iterable
from datetime import datetime

import sqlalchemy as sa

from storage.engine import Database
from storage.records import Sighting
from storage.schema import columns, sightings


def keep(db: Database, found: Iterable[Sighting]) -> None:
    """Keep these, each in place of an earlier one of its job."""
    rows = [vars(each) for each in found]
    if not rows:
        return
    new = db.backend.insert(sightings)
    values = {name: new.excluded[name] for name in rows[0] if name != "job_id"}
    with db.transaction() as connection:
        connection.execute(new.on_conflict_do_update(index_elements=["job_id"], set_=values), rows)


def newest_bundle(db: Database) -> str:
    """SHA-256 of the bundle that spoke last; "" where none has."""
    query = sa.select(sightings.c.bundle).where(sightings.c.bundle != "").order_by(sightings.c.at.desc()).limit(1)
    with db.reading() as connection:
        return connection.execute(query).scalar_one_or_none() or ""


def first_at(db: Database, bundle: str) -> datetime | None:
    """When this bundle first spoke of a study."""
    query = sa.select(sightings.c.at).where(sightings.c.bundle == bundle).order_by(sightings.c.at).limit(1)
    with db.reading() as connection:
        return connection.execute(query).scalar_one_or_none()


def between(db: Database, bundle: str, since: datetime, until: datetime) -> list[Sighting]:
    """Of this bundle, and of studies that none was asked about; oldest first."""
    query = (
        sa.select(*columns(sightings, Sighting))
        .where(sightings.c.at >= since, sightings.c.at < until, sightings.c.bundle.in_((bundle, "")))
        .order_by(sightings.c.at)
    )
    with db.reading() as connection:
        return [_sighting(row) for row in connection.execute(query)]


def _sighting(row: sa.Row[tuple[object, ...]]) -> Sighting:
    found = row._asdict()
    return Sighting(**{**found, "in_scope": None if found["in_scope"] is None else bool(found["in_scope"])})
