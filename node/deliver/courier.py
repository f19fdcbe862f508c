"""Results to their destinations: claimed, verified, sent, and each answer written down before the next is sent.

One courier thread a destination, so that one which hangs delays no other. Over one association go all results of a
study that wait, the captures first and the report last. What becomes of each is decided in node/retry.py: an
unreachable destination is tried for ever, with growing pauses (faults F62, F63); one that refuses a result gets a few
tries (F64); one that refuses the association is asked again at the longest pause, until somebody has repaired it.
"""

import time
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Protocol, cast

import structlog

from node.config import Destination, Hl7Receiver, Settings
from node.deliver.breaker import Breaker
from node.deliver.cargo import Witness, witnessed
from node.deliver.proof import ArchiveCheck
from node.dimse import scu
from node.dimse.requestor import peer_of
from node.dimse.scu import SendOutcome
from node.errors import NodeError, Refused, Unreachable
from node.logs import safe_text
from node.patience import StoppedWaiting, patiently
from node.retry import GiveUp, decide
from storage import Database, DataFolder, files, outbox, switches
from storage.errors import FileAltered, LeaseLost
from storage.records import Delivery, SwitchName
from storage.states import DeliveryState

log = structlog.get_logger()

TICK_S = 0.05
STEPS_WITHIN_TIMEOUT = 8  # connecting, associating, sending, releasing: each may take a timeout


class Way(Protocol):
    """How one destination is reached."""

    @property
    def trouble(self) -> str:
        """Why what was sent is not proved at the moment; "" when nothing stands in the way."""

    def send(self, plan: Sequence[tuple[Delivery, Path]]) -> Iterator[SendOutcome]:
        """One outcome for each delivery and its verified file, in this order, as it comes."""

    def prove(self, now: datetime, now_s: float) -> None:
        """Ask for proof of what was sent."""


class ByDicom:
    """C-STORE over one association, then storage commitment or C-FIND."""

    def __init__(self, destination: Destination, settings: Settings, db: Database) -> None:
        """Nothing is sent yet."""
        self._peer = peer_of(destination, settings)
        self._timeout_s = settings.delivery.timeout_s
        self._archive = ArchiveCheck(destination, self._peer, settings.delivery, db)

    @property
    def trouble(self) -> str:
        """As `Way`."""
        return self._archive.trouble

    def send(self, plan: Sequence[tuple[Delivery, Path]]) -> Iterator[SendOutcome]:
        """As `Way`."""
        return scu.send(self._peer, [path for _, path in plan], self._timeout_s)

    def prove(self, now: datetime, now_s: float) -> None:
        """As `Way`."""
        self._archive.round(now, now_s)


class Courier:
    """Carries results to one destination, in a thread of its own."""

    def __init__(
        self,
        destination: Destination | Hl7Receiver,
        way: Way,
        settings: Settings,
        folder: DataFolder,
        db: Database,
        stop: Event,
    ) -> None:
        """Nothing is sent before `run`."""
        self.destination = destination
        self.alive_at_s = time.monotonic()
        self.witness: Witness | None = None
        self._settings = settings
        self._way = way
        self._folder = folder
        self._db = db
        self._stop = stop
        self._breaker = Breaker(settings.delivery)
        self._refusals: Counter[int] = Counter()  # of each job, since it was last accepted
        self._claimed: Delivery | None = None  # and not yet written down what became of it

    @property
    def silent_s(self) -> float:
        """How long this thread has shown no sign of life."""
        return time.monotonic() - self.alive_at_s

    @property
    def patience_s(self) -> float:
        """The silence that no working courier reaches."""
        return STEPS_WITHIN_TIMEOUT * self._settings.delivery.timeout_s + 60

    @property
    def trouble(self) -> str:
        """Why nothing is sent at the moment; "" when nothing stands in the way."""
        return self._breaker.reason or self._way.trouble

    @property
    def is_down(self) -> bool | None:
        """Whether the destination takes nothing; None while nothing was tried."""
        return True if self._breaker.reason else False if self._breaker.proved else None

    def run(self) -> None:
        """Carry until the stop."""
        while not self._stop.is_set():
            try:
                patiently(self.round, self._stop, "the database does not take a delivery", destination=self._name)
            except StoppedWaiting:
                return
            except Exception as error:  # one result that cannot be sent must not stop the others
                log.exception("a delivery failed in a way that nobody foresaw", destination=self._name)
                if self._claimed is not None:
                    self._put_off(self._claimed, Refused(safe_text(error)))
            self._stop.wait(TICK_S)

    def round(self) -> None:
        """Send what is due, then ask for proof of what was sent."""
        self.alive_at_s = time.monotonic()
        self._put_back()
        while self._may_send and (first := self._claim()) is not None:
            self._send_study(first)
        if self._may_send and not is_held_up(self._db):
            self._way.prove(datetime.now(UTC), time.monotonic())

    @property
    def _name(self) -> str:
        return self.destination.name

    @property
    def _may_send(self) -> bool:
        return not self._stop.is_set() and not self._breaker.is_open(time.monotonic())

    def _claim(self) -> Delivery | None:
        self.alive_at_s = time.monotonic()
        self._claimed = outbox.claim(self._db, self._name, datetime.now(UTC))
        return self._claimed

    def _send_study(self, first: Delivery) -> None:
        """What waits of one study, over one association; each is claimed when the one before has been answered."""
        plan = self._plan(first)
        if not plan:
            return
        outcomes = self._way.send(plan)
        witnessing = witnessed(self.witness, self._db, first.job_id, [path for _, path in plan])
        with witnessing as cargo, closing(cast("Generator[SendOutcome]", outcomes)):
            for planned, _ in plan:
                claimed = first if planned == first else self._claim_planned(planned.delivery_id)
                if claimed is None:
                    return
                outcome = next(outcomes)
                self._note(claimed, outcome)
                cargo.taken(outcome.path, accepted=outcome.accepted)

    def _claim_planned(self, planned: int) -> Delivery | None:
        """The next of the plan; None when it was cancelled meanwhile, or waits for one before it."""
        claimed = self._claim() if self._may_send else None
        if claimed is None or claimed.delivery_id == planned:
            return claimed
        self._put_back()
        return None

    def _plan(self, first: Delivery) -> list[tuple[Delivery, Path]]:
        """This delivery and those of its job that wait behind it, each with its verified file; ends at an altered
        one."""
        waiting = [
            each
            for each in outbox.of_job(self._db, first.job_id)
            if each.destination == self._name and each.state is DeliveryState.PENDING
        ]
        plan: list[tuple[Delivery, Path]] = []
        for each in (first, *waiting):
            try:
                plan.append((each, self._file(each)))
            except FileAltered as error:
                if not plan:
                    self._refuse(first, f"kept back: {error}")
                break
        return plan

    def _file(self, delivery: Delivery) -> Path:
        result = outbox.result(self._db, delivery.sop_instance_uid)
        if result is None:
            raise FileAltered(f"{delivery.sop_instance_uid}: has gone from the database")
        return files.verify(self._folder, result.path, result.sha256)

    def _note(self, delivery: Delivery, outcome: SendOutcome) -> None:
        """Write down one answer."""
        self.alive_at_s = time.monotonic()
        if outcome.rejected:
            self._turned_away(delivery, outcome.text)
            return
        if not outcome.accepted:
            for_now = outcome.transient and not outcome.wrong_answer
            self._put_off(delivery, Unreachable(outcome.text) if for_now else Refused(outcome.text))
            return
        self._breaker.succeeded()
        self._refusals.pop(delivery.job_id, None)
        outbox.sent(self._db, delivery, outcome.text, datetime.now(UTC))
        self._claimed = None
        log.info("result sent", **_ids(delivery), status=outcome.status)

    def _turned_away(self, delivery: Delivery, reason: str) -> None:
        """The association is refused for good: once that is repaired, the result goes without an operator."""
        wait_s = self._breaker.rejected(reason, time.monotonic())
        now = datetime.now(UTC)
        outbox.postpone(self._db, delivery, reason, now + timedelta(seconds=wait_s), now)
        self._claimed = None
        log.error("destination refuses us", **_ids(delivery), reason=reason, wait_s=round(wait_s, 1))

    def _put_off(self, delivery: Delivery, error: NodeError) -> None:
        attempt = delivery.attempt
        if isinstance(error, Refused):
            self._refusals[delivery.job_id] += 1
            attempt = self._refusals[delivery.job_id]
        decision = decide(error, attempt, self._settings.delivery)
        if isinstance(decision, GiveUp):
            self._refuse(delivery, decision.reason)
            return
        wait_s = decision.delay_s
        if isinstance(error, Unreachable):
            wait_s = self._breaker.failed(decision.reason, time.monotonic())
        now = datetime.now(UTC)
        outbox.postpone(self._db, delivery, decision.reason, now + timedelta(seconds=wait_s), now)
        self._claimed = None
        log.warning("result not sent", **_ids(delivery), reason=decision.reason, wait_s=round(wait_s, 1))

    def _refuse(self, delivery: Delivery, reason: str) -> None:
        outbox.refuse(self._db, delivery, reason, datetime.now(UTC))
        self._claimed = None
        log.error("result refused", **_ids(delivery), reason=reason)

    def _put_back(self) -> None:
        """What was claimed and not sent, or not written down for want of a database, waits again: the same bytes go."""
        if self._claimed is None:
            return
        now = datetime.now(UTC)
        try:
            outbox.postpone(self._db, self._claimed, "waits for its turn", now, now)
        except LeaseLost as lost:
            log.warning("delivery dropped", **_ids(self._claimed), reason=str(lost))
        self._claimed = None


def is_held_up(db: Database) -> bool:
    """Whether an operator wants nobody to be asked; what is to be sent, the claim itself holds back."""
    return not switches.on(db).keys().isdisjoint((SwitchName.SENDING, SwitchName.DRAIN))


def _ids(delivery: Delivery) -> dict[str, object]:
    return {
        "destination": delivery.destination,
        "job_id": delivery.job_id,
        "sop_instance_uid": delivery.sop_instance_uid,
        "attempt": delivery.attempt,
    }


def refuse_unconfigured(db: Database, settings: Settings, now: datetime) -> None:
    """Deliveries to a destination that is no longer in the settings will never go: say so, and end them."""
    for name in {destination for destination, _ in outbox.counts(db)}:
        if settings.destination(name) is not None:
            continue
        reason = f"destination {name} is no longer in the settings"
        for sent in outbox.awaiting_commitment(db, name):
            outbox.uncommitted(db, sent, f"{reason}: its proof cannot be asked for", now, now)
        while (delivery := outbox.claim(db, name, now)) is not None:
            outbox.refuse(db, delivery, reason, now)
            log.error("result refused", **_ids(delivery), reason=reason)
