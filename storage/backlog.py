"""What waits at each destination: results that are still to be sent, or still to be proved."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from storage.engine import Database
from storage.records import Proof
from storage.schema import deliveries, jobs, one_of
from storage.states import DeliveryState

UNSENT = (DeliveryState.PENDING, DeliveryState.SENDING)


@dataclass(frozen=True)
class Wait:
    """How many results, and since when the oldest: since it was made, or since it was sent."""

    count: int
    since: datetime


def of_destinations(db: Database) -> dict[tuple[str, DeliveryState], Wait]:
    """By destination and state; what was sent is among them while its proof is awaited."""
    state, changed_at = deliveries.c.state, deliveries.c.updated_at
    since = sa.case((state == DeliveryState.SENT, changed_at), else_=jobs.c.updated_at)
    unproved = sa.and_(one_of(state, [DeliveryState.SENT]), deliveries.c.proof != Proof.NONE)
    oldest = sa.func.min(since, type_=changed_at.type)
    found: dict[tuple[str, DeliveryState], Wait] = {}
    with db.reading() as connection:
        for condition in (one_of(state, UNSENT), unproved):
            query = (
                sa.select(deliveries.c.destination, state, sa.func.count(), oldest)
                .join(jobs, jobs.c.job_id == deliveries.c.job_id)
                .where(condition)
                .group_by(deliveries.c.destination, state)
            )
            found |= {(row[0], row[1]): Wait(row[2], row[3]) for row in connection.execute(query)}
    return found
