"""Proof that a destination keeps a result: what an answer, or none, makes of the delivery.

A proof of any request counts, also for a delivery that waits to be sent again or was given up since. A failure counts
once for each sending, and after some of them the delivery is REFUSED with the reason.
"""

from datetime import datetime

from storage import outbox, proof_requests
from storage.engine import Database
from storage.records import Delivery
from storage.states import DeliveryState


def proved(db: Database, delivery: Delivery, now: datetime) -> Delivery:
    """The destination keeps it, whichever request it answers. Raises LeaseLost, InvalidTransition while it is sent."""
    if delivery.state is DeliveryState.COMMITTED:
        return delivery
    with db.transaction() as connection:
        return outbox.move_within(connection, delivery, DeliveryState.COMMITTED, f"proved by {delivery.proof}", now)


def failed(
    db: Database,
    delivery: Delivery,
    transaction_uid: str | None,
    reason: str,
    most: int,
    available_at: datetime,
    now: datetime,
) -> Delivery | None:
    """The destination says that it does not have it: sent again, or REFUSED when that was said `most` times.

    None when it speaks of an earlier sending. `transaction_uid` is None where nothing was asked by transaction.
    Raises LeaseLost, InvalidTransition.
    """
    with db.transaction() as connection:
        if transaction_uid is None:
            proof_requests.note(connection, [delivery.delivery_id], None, now)
        if not proof_requests.fail(connection, delivery.delivery_id, transaction_uid):
            return None
        failures = proof_requests.asked(connection, delivery.delivery_id).failures
        if failures >= most:
            told = f"{reason} (after it was sent {failures} times)"
            return outbox.move_within(connection, delivery, DeliveryState.REFUSED, told, now)
        again = {"available_at": available_at, "transaction_uid": None}
        return outbox.move_within(connection, delivery, DeliveryState.PENDING, reason, now, **again)


def unanswered(db: Database, delivery: Delivery, reason: str, now: datetime) -> Delivery:
    """Asking has gone on for too long: REFUSED. Raises LeaseLost."""
    with db.transaction() as connection:
        return outbox.move_within(connection, delivery, DeliveryState.REFUSED, reason, now)
