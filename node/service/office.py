"""`neurossl office`: decides when studies are complete, delivers results, and keeps house.

Scheduler and couriers are threads of one process. A courier that hangs in spite of its deadlines, or dies, cannot be
ended by itself: the office ends, and the service, or the container's restart policy, starts it again; what was being
sent then goes again, the same bytes.
"""

import threading
import time
from datetime import UTC, datetime
from functools import partial

import structlog

from node.config import Settings
from node.deliver.courier import ByDicom, Courier
from node.deliver.verification import Verification
from node.dicomweb.store import ByWeb
from node.errors import Transient
from node.hl7.receiver import ByHl7
from node.notify.office import Notifying
from node.observe import drift
from node.observe.audit import Trail, trail_of
from node.process.role import take_role
from node.receive.recovery import adopt_orphans
from node.service.housekeeping import acts, asking, telling
from node.service.scheduler import Scheduler
from node.service.witness import Dispatch, Telling
from storage import Database, DataFolder, outbox, queue

log = structlog.get_logger()

TICK_S = 0.5


class CourierLost(Transient):
    """A courier hangs, or died."""


def run_office(settings: Settings, stop: threading.Event) -> None:
    """Work until `stop`.

    Raises CourierLost, and FolderInUse when another office has this data folder.
    """
    with take_role(settings, "office") as (_, folder, db, heart), trail_of(settings, "office") as trail:
        _put_right(settings, folder, db)
        couriers = _couriers(settings, folder, db, trail, stop)
        threads = [_start(courier) for courier in couriers]
        echoes = [Verification(each, settings, db) for each in settings.destinations if each.url is None]
        notifying = Notifying(settings, folder, db, lambda: _down(couriers, echoes), partial(drift.words, folder))
        periodic = (*acts(settings, folder, db, trail), *telling(notifying), *asking(settings, echoes))
        with Scheduler(periodic) as scheduler:
            while not stop.is_set():
                _look_after(list(zip(couriers, threads, strict=True)))
                late = [*scheduler.late(), *(f"delivery to {each}" for each in _late(couriers))]
                heart.beat(
                    "ready",
                    late=late,
                    destinations=_state(couriers),
                    echoes={each.name: each.trouble for each in echoes},
                    channels=notifying.troubles,
                    acts=scheduler.facts(),
                )
                stop.wait(TICK_S)
        heart.beat("stopping")
        _let_end(threads, settings.stop_timeout_s * 0.6)


def _couriers(
    settings: Settings, folder: DataFolder, db: Database, trail: Trail, stop: threading.Event
) -> list[Courier]:
    """One for each destination; the audit trail hears of what goes."""
    found = []
    for each in settings.destinations:
        way = ByDicom(each, settings, db) if each.url is None else ByWeb(each, settings.delivery.timeout_s)
        courier = Courier(each, way, settings, folder, db, stop)
        courier.witness = Dispatch(trail, each)
        found.append(courier)
    for receiver in settings.hl7:
        by_hl7 = ByHl7(receiver, settings.delivery.timeout_s, db)
        courier = Courier(receiver, by_hl7, settings, folder, db, stop)
        courier.witness = Telling(trail, receiver)
        found.append(courier)
    return found


def _put_right(settings: Settings, folder: DataFolder, db: Database) -> None:
    """What the last office, or a crash, left half done."""
    now = datetime.now(UTC)
    adopted = adopt_orphans(folder, db, now, settings.listener.archives)
    deliveries, leases = outbox.release(db, now), queue.release_expired(db, now)
    log.info("office open", adopted=adopted, deliveries=deliveries, leases=leases)


def _start(courier: Courier) -> threading.Thread:
    thread = threading.Thread(target=courier.run, name=f"courier-{courier.destination.name}", daemon=True)
    thread.start()
    return thread


def _look_after(couriers: list[tuple[Courier, threading.Thread]]) -> None:
    for courier, thread in couriers:
        if not thread.is_alive():
            raise CourierLost(f"the courier to {courier.destination.name} died")
        if courier.silent_s > courier.patience_s:
            raise CourierLost(f"the courier to {courier.destination.name} hangs for {courier.silent_s:.0f} s")


def _late(couriers: list[Courier]) -> list[str]:
    """The destinations whose courier has been silent for half as long as none that works can be."""
    return [each.destination.name for each in couriers if each.silent_s > each.patience_s / 2]


def _state(couriers: list[Courier]) -> dict[str, str]:
    return {courier.destination.name: courier.trouble for courier in couriers}


def _down(couriers: list[Courier], echoes: list[Verification]) -> dict[str, bool | None]:
    """Whether a destination takes nothing: what was sent says so, or C-ECHO; None where nobody has tried."""
    found = {courier.destination.name: courier.is_down for courier in couriers}
    for echo in echoes:
        if echo.is_down is not None:
            found[echo.name] = found[echo.name] or echo.is_down
    return found


def _let_end(threads: list[threading.Thread], timeout_s: float) -> None:
    deadline_s = time.monotonic() + timeout_s
    for thread in threads:
        thread.join(max(0.0, deadline_s - time.monotonic()))
