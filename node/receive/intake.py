"""Received bytes -> header -> stored file and row; the receipt says what became of them.

The order makes success mean that the instance survives a power cut: limits and UIDs are checked on the first bytes, the
rest goes to the disk as it comes, and the file is durable before its row and before the answer. The row comes before
the answer too, or soon after it (`registrar`). Nothing is decoded, and no text of the sender becomes part of a path.
"""

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from itertools import chain

import structlog

from node.dicom import part10
from node.dicom.header import Header, read_header
from node.dicom.received import Receipt, Received
from node.dicom.sameness import is_same_instance
from node.dicom.uids import is_uid
from node.errors import Unparsable
from storage import Database, DataFolder, files, instances
from storage.errors import StorageError
from storage.files import StoredFile
from storage.instances import Arrival
from storage.records import Instance, Registration

log = structlog.get_logger(__name__)

Note = Callable[[Arrival, Callable[[Instance], bool]], Registration]


def receive(
    folder: DataFolder,
    db: Database,
    received: Received,
    now: datetime,
    *,
    maximum_disk_use_percent: float = 90,
    understood: Callable[[Header], None] = lambda _: None,
    note: Note | None = None,
) -> Receipt:
    """Store an instance that is coming in, and say what its sender is to be told; `understood` gets its header.

    `note` sees to its row; without it the row is written at once.
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
        arrival = Arrival(instance(received, header, stored, now), header.study_related_instances)
        return _register(folder, db, arrival, note or _at_once(folder, db))
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


def _at_once(folder: DataFolder, db: Database) -> Note:
    def note(arrival: Arrival, is_same: Callable[[Instance], bool]) -> Registration:
        new, expected = arrival.instance, arrival.expected_instances
        return instances.register(db, folder, new, expected_instances=expected, now=new.received_at, is_same=is_same)

    return note


def _register(folder: DataFolder, db: Database, arrival: Arrival, note: Note) -> Receipt:
    """The row; a file that gets none is taken away again, or left as an orphan where even that fails."""
    new = arrival.instance
    try:
        registration = note(arrival, lambda known: is_same_instance(folder.path(known.path), folder.path(new.path)))
    except StorageError:
        with suppress(StorageError):
            files.discard(folder, db, new.path)
        raise
    if registration is Registration.NEW:
        return Receipt.STORED
    files.discard(folder, db, new.path)
    return Receipt.HERE_ALREADY if registration is Registration.DUPLICATE else Receipt.OTHER_CONTENT
