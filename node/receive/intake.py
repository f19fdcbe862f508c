"""Received bytes -> header -> stored file and row; the receipt says what became of them.

The order makes success mean that the instance survives a power cut: limits and UIDs are checked on the first bytes, the
rest goes to the disk as it comes, and the file is durable before its row and before the answer. The row comes before
the answer too, or soon after it (`registrar`). Nothing is decoded, and no text of the sender becomes part of a path.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from itertools import chain

import structlog

from node.dicom import part10
from node.dicom.header import Header, read_header
from node.dicom.received import Receipt, Received
from node.dicom.uids import is_uid
from node.errors import Unparsable
from node.receive import arrival
from storage import Database, DataFolder, files
from storage.errors import StorageError
from storage.files import StoredFile
from storage.instances import Arrival
from storage.records import Instance, Registration

log = structlog.get_logger(__name__)

Note = Callable[[Arrival, Callable[[], Registration]], Registration]

RECEIPTS = {
    Registration.NEW: Receipt.STORED,
    Registration.DUPLICATE: Receipt.HERE_ALREADY,
    Registration.CONFLICT: Receipt.OTHER_CONTENT,
    Registration.REPLACED: Receipt.REPLACED,
}


def receive(
    folder: DataFolder,
    db: Database,
    received: Received,
    now: datetime,
    *,
    maximum_disk_use_percent: float = 90,
    newest_counts: bool = False,
    understood: Callable[[Header], None] = lambda _: None,
    note: Note | None = None,
) -> Receipt:
    """Store an instance that is coming in, and say what its sender is to be told; `understood` gets its header.

    `newest_counts`: its sender is an archive, whose newest version of an instance takes the place of the one here.
    `note` sees to the row of an instance that may be new; without it the row is written at once.

    Raises what reading from the network raises (ConnectionLost, DeadlinePassed, Aborted, ProtocolViolation); then
    nothing of the instance is left.
    """
    if files.disk_use_percent(folder) >= maximum_disk_use_percent:
        log.warning("disk too full for another instance", limit_percent=maximum_disk_use_percent)
        return Receipt.NO_ROOM
    try:
        header, beginning = read_header(received.data, received.transfer_syntax_uid)
    except Unparsable as error:
        log.warning("data set not understood", reason=str(error), calling=received.calling_ae_title)
        return Receipt.UNPARSABLE
    objection = check(received, header)
    if objection is not None:
        return objection
    if header.is_own_result:  # under other UIDs, or from another node of ours: it must begin nothing (fault F39)
        log.info("result of a node of ours left out", sop_instance_uid=header.sop_instance_uid)
        return Receipt.OWN_RESULT
    understood(header)
    meta = part10.header(_meta(received))
    try:
        stored = files.write(folder, header.sop_instance_uid, chain((meta, beginning), received.data))
        new = Arrival(instance(received, header, stored, now), header.study_related_instances)
        return _register(folder, db, new, note or _at_once, newest_counts=newest_counts)
    except StorageError as error:
        log.warning("instance not stored", reason=str(error), sop_instance_uid=header.sop_instance_uid)
        return Receipt.NO_ROOM


def check(received: Received, header: Header) -> Receipt | None:
    """What is wrong with an instance that calls itself this, or None (PS3.4 B.2.3)."""
    named = (header.sop_instance_uid, header.sop_class_uid, header.study_instance_uid, header.series_instance_uid)
    if not all(is_uid(uid) for uid in (*named, received.sop_instance_uid)):
        return Receipt.UNPARSABLE
    if (header.sop_class_uid, header.sop_instance_uid) != (received.sop_class_uid, received.sop_instance_uid):
        return Receipt.MISMATCH
    return None


def _meta(received: Received) -> part10.FileMeta:
    return part10.FileMeta(
        received.sop_class_uid,
        received.sop_instance_uid,
        received.transfer_syntax_uid,
        received.calling_ae_title,
    )


def instance(received: Received, header: Header, stored: StoredFile, now: datetime) -> Instance:
    """The row of a stored instance."""
    return Instance(
        sop_instance_uid=header.sop_instance_uid,
        sop_class_uid=header.sop_class_uid,
        series_instance_uid=header.series_instance_uid,
        study_instance_uid=header.study_instance_uid,
        transfer_syntax_uid=received.transfer_syntax_uid,
        modality=header.modality,
        path=stored.path,
        sha256=stored.sha256,
        size_bytes=stored.size_bytes,
        calling_ae_title=received.calling_ae_title,
        received_at=now,
    )


def _at_once(_: Arrival, register: Callable[[], Registration]) -> Registration:
    return register()


def _register(folder: DataFolder, db: Database, new: Arrival, note: Note, *, newest_counts: bool) -> Receipt:
    """The row; a file that gets none is taken away again, or left as an orphan where even that fails."""
    path = new.instance.path
    register = partial(arrival.register, folder, db, new, newest_counts=newest_counts)
    try:
        registration = register() if arrival.may_say_more(new.instance) else note(new, register)
    except StorageError:
        with suppress(StorageError):
            files.discard(folder, db, path)
        raise
    if registration in (Registration.DUPLICATE, Registration.CONFLICT):
        files.discard(folder, db, path)
    return RECEIPTS[registration]
