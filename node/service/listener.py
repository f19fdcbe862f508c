"""`neurossl listen`: the Storage SCP as a process; instances go to the data folder, reports to their deliveries."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import structlog

from node.config import Settings
from node.deliver.proof import record_report
from node.dicom.header import Header
from node.dicom.received import Receipt, Received
from node.dimse.acceptor import Acceptor
from node.dimse.admission import Admission, is_archive
from node.dimse.commitment import CommitmentReport
from node.dimse.scp import Server
from node.observe.audit import trail_of
from node.process.footing import Footing
from node.process.heartbeat import Heartbeat
from node.process.role import take_role
from node.receive import intake
from node.receive.recovery import adopt_orphans
from node.receive.registrar import Registrar
from node.service.ledger import Ledger
from node.service.valve import Valve
from node.service.witness import Reception
from storage import Database, DataFolder, files, outbox
from storage.engine import probe
from storage.errors import StorageError

if TYPE_CHECKING:
    from node.dicomweb.server import Server as WebServer

log = structlog.get_logger()

TICK_S = 1.0
WRITE_EVERY_S = 2.0  # what peers did meanwhile is counted, and not yet kept
PROBE_EVERY_S = 3.0  # a file and a row are written, to know that instances could be


def listen(settings: Settings, stop: threading.Event) -> None:
    """Receive until `stop`, then let what is being received end.

    Raises ConfigurationError when the address or the TLS files cannot be used, FolderInUse when another listener has
    this data folder.
    """
    with ExitStack() as held:
        _, folder, db, heart = held.enter_context(take_role(settings, "listener"))
        trail = held.enter_context(trail_of(settings, "listener"))
        if not _put_right(settings, folder, db, heart, stop):
            return
        admission, footing = Admission(settings.listener), Footing(folder, "listener")
        ledger, valve = Ledger(folder, titles(settings)), Valve(db, admission)
        reception = Reception(trail, ledger)
        registrar = held.enter_context(Registrar(db, folder))
        store = partial(on_store, folder, db, settings, reception=reception, note=registrar.note)
        store = partial(valve.through, partial(on_firm_ground, footing, store))
        valve.look()
        acceptor = Acceptor(settings.listener, admission, store, partial(on_commitment, db, settings))
        acceptor.witness = reception
        server = Server(settings.listener, acceptor)
        web = _web_door(settings, store, reception, valve)
        began_s = time.monotonic()
        trouble, probe_at_s, write_at_s = "", 0.0, 0.0
        while not stop.is_set():
            if time.monotonic() >= probe_at_s:
                trouble, probe_at_s = footing.trouble() or _database_trouble(db), time.monotonic() + PROBE_EVERY_S
                trouble = trouble or registrar.trouble
                footing.say(trouble)
            if time.monotonic() >= write_at_s:
                ledger.write(db, datetime.now(UTC))
                write_at_s = time.monotonic() + WRITE_EVERY_S
            valve.look()
            began_s = time.monotonic() if valve.is_shut else began_s  # nobody is silent who is not heard
            facts = {"host": settings.listener.host, "port": server.port, "storing": trouble}
            facts |= {"held_up": dict(valve.held_up)}
            listening_s = time.monotonic() - began_s
            facts |= {} if web is None else {"dicomweb": web.address}
            senders = sorted({*admission.senders, *registrar.senders, *(web.senders if web else ())})
            heart.beat("ready", **facts, senders=senders, listening_s=listening_s)
            stop.wait(TICK_S)
        heart.beat("stopping")
        if web is not None:
            web.stop(settings.stop_timeout_s * 0.4)
        server.stop(settings.stop_timeout_s * (0.4 if web else 0.8))
        ledger.write(db, datetime.now(UTC))


def _web_door(
    settings: Settings, store: Callable[[Received], Receipt], reception: Reception, valve: Valve
) -> "WebServer | None":
    """STOW-RS beside C-STORE, where it is configured. Raises ConfigurationError."""
    if settings.dicomweb is None:
        return None
    from node.dicomweb import server  # few sites have it, and it brings Argon2

    return server.start(settings, settings.dicomweb, store, reception, lambda: valve.is_shut)


class Size:
    """How much of an instance has come."""

    def __init__(self) -> None:
        self.total_bytes = 0

    def of(self, data: Iterator[bytes | memoryview]) -> Iterator[bytes | memoryview]:
        """The same pieces, counted."""
        for piece in data:
            self.total_bytes += len(piece)
            yield piece


def titles(settings: Settings) -> frozenset[str]:
    """The AE titles of the peers that the settings name."""
    archive = () if settings.archive is None else (settings.archive.ae_title,)
    by_web = () if settings.dicomweb is None else (each.ae_title for each in settings.dicomweb.allow)
    senders = (each.ae_title for each in settings.listener.allow)
    return frozenset((*senders, *by_web, *(each.ae_title for each in settings.destinations), *archive))


def _put_right(settings: Settings, folder: DataFolder, db: Database, heart: Heartbeat, stop: threading.Event) -> bool:
    """Give rows to what an earlier listener acknowledged and had no time to register; False when asked to stop.

    Nothing new is taken before: it might have the UID of one of them.
    """
    failed: list[StorageError] = []

    def adopt() -> None:
        try:
            adopt_orphans(folder, db, datetime.now(UTC), settings.listener.archives)
        except StorageError as error:
            failed.append(error)

    adopting = threading.Thread(target=adopt, name="adopt", daemon=True)
    adopting.start()
    while adopting.is_alive() and not stop.is_set():
        heart.beat("starting")
        adopting.join(TICK_S)
    if failed:
        raise failed[0]
    files.make_room(folder)
    return not stop.is_set()


def on_firm_ground(footing: Footing, store: Callable[[Received], Receipt], received: Received) -> Receipt:
    """Nothing is acknowledged once the database or the lock has gone: its sender hears 0xA700, and sends it again."""
    lost = footing.lost()
    if lost:
        footing.say(lost)
        return Receipt.NO_ROOM
    receipt = store(received)
    return Receipt.NO_ROOM if footing.lost() else receipt


def _database_trouble(db: Database) -> str:
    """Why nothing can be written to the database at the moment; "" when it can."""
    try:
        probe(db)
    except StorageError as error:
        return str(error)
    return ""


def on_store(
    folder: DataFolder,
    db: Database,
    settings: Settings,
    received: Received,
    *,
    reception: Reception | None = None,
    note: intake.Note | None = None,
) -> Receipt:
    """The answer to one C-STORE.

    A result of ours that a PACS sends back is acknowledged and left out, so that it begins no new revision (fault F39).
    """
    try:
        if outbox.is_result(db, received.sop_instance_uid):
            log.info("result of ours came back", sop_instance_uid=received.sop_instance_uid)
            return Receipt.OWN_RESULT
    except StorageError as error:
        log.warning("instance not stored", reason=str(error), sop_instance_uid=received.sop_instance_uid)
        return Receipt.NO_ROOM
    headers, size = list[Header](), Size()
    receipt = intake.receive(
        folder,
        db,
        replace(received, data=size.of(received.data)),
        datetime.now(UTC),
        maximum_disk_use_percent=settings.listener.maximum_disk_use_percent,
        newest_counts=comes_from_archive(settings, received),
        understood=headers.append,
        note=note,
    )
    if reception is not None:
        header = next(iter(headers), None)
        reception.answered(received.calling_ae_title, received.host, header, receipt, size.total_bytes)
    return receipt


def comes_from_archive(settings: Settings, received: Received) -> bool:
    """Its sender has the role of an archive. What was fetched by C-GET comes from no address of its own."""
    allow, archive = settings.listener.allow, settings.archive
    sender = (received.calling_ae_title, received.host)
    if archive is not None and sender == (archive.ae_title, archive.host):
        return any(each.role == "archive" and each.ae_title == archive.ae_title for each in allow)
    return is_archive(allow, *sender)


def on_commitment(db: Database, settings: Settings, report: CommitmentReport) -> None:
    """Note what a destination says of its storage commitment. An error is logged; the office asks again."""
    try:
        record_report(db, report, settings.delivery, datetime.now(UTC))
    except StorageError:
        log.exception("commitment report not noted", transaction=report.transaction_uid)
