"""After a crash, or the loss of the database: the stored files are the truth, and their rows are made again from them.

A file without a row is what a crash between file and row leaves (fault F2): its sender heard of no success, but what is
whole is kept all the same. When the database has gone (F19) that is every file. Their studies are then worked on again,
and results get the UIDs that they had, since those follow from the instances.
"""

from collections.abc import Collection
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import structlog

from node.dicom import part10
from node.dicom.header import read_header
from node.dicom.received import Received
from node.errors import Unparsable
from node.receive import arrival, intake
from storage import Database, DataFolder, files, instances, open_database
from storage.engine import set_aside
from storage.errors import FileAltered, FileTorn
from storage.instances import Arrival
from storage.records import Instance, Registration

log = structlog.get_logger()

UNKNOWN_SENDER = "UNKNOWN"


def open_or_rebuild(folder: DataFolder) -> Database:
    """The database; a new one, and a line in the log, when it has gone from beside stored instances.

    The rows come back with `adopt_orphans`. Raises what `open_database` raises: a damaged database is not passed over.
    """
    lost = is_lost(folder)
    db = open_database(folder, rebuild=lost)
    if lost:
        log.error("the database has gone: it is rebuilt from the stored instances", database=str(folder.database))
    return db


def is_lost(folder: DataFolder) -> bool:
    """Whether the database is missing or empty beside stored instances."""
    there = folder.database.is_file() and folder.database.stat().st_size > 0
    return not there and next((folder.root / "instances").glob("*/*"), None) is not None


def rebuild(folder: DataFolder, now: datetime, archives: Collection[str] = ()) -> tuple[Path | None, int]:
    """Put the database aside and make a new one from the stored files: where the old one is, and how many instances.

    `archives` as for `adopt_orphans`.

    Raises FolderInUse, which says who, when any part of the node runs or a command has the database open.
    """
    folder.create()
    with folder.alone():
        aside = set_aside(folder, now.strftime("%Y%m%dT%H%M%SZ")) if folder.database.exists() else None
        db = open_database(folder, rebuild=True, alone=True)
        try:
            return aside, adopt_orphans(folder, db, now, archives)
        finally:
            db.close()


def adopt_orphans(folder: DataFolder, db: Database, now: datetime, archives: Collection[str] = ()) -> int:
    """Register every stored instance that has no row; how many. `archives` are the AE titles whose newest file counts.

    Safe beside a listener: of two who register the same file, one finds it registered. What is no instance stays where
    it is, for a person to look at; what was torn by a power cut is put aside.
    """
    adopted = 0
    for path in files.orphans(folder, db):
        try:
            instance, expected = _instance(folder, path, now)
            files.make_durable(folder, path)
        except FileTorn:
            log.exception("a stored file is torn, and is put aside", path=path)
            with suppress(OSError):
                files.put_aside(folder, path)
            continue
        except (FileAltered, Unparsable, OSError):
            log.exception("a stored file is no instance, and stays without a row", path=path)
            continue
        newest = instance.calling_ae_title in archives and _is_newest(folder, db, instance)
        found = arrival.register(folder, db, Arrival(instance, expected), newest_counts=newest)
        if found in (Registration.NEW, Registration.REPLACED):
            adopted += found is Registration.NEW
        else:
            files.discard(folder, db, path)
    if adopted:
        log.warning("stored instances without a row were registered", instances=adopted)
    return adopted


def _is_newest(folder: DataFolder, db: Database, instance: Instance) -> bool:
    """Its file was written after the one that has the row of this UID."""
    known = instances.find(db, instance.sop_instance_uid)
    if known is None or not folder.path(known.path).is_file():
        return True
    return folder.path(instance.path).stat().st_mtime_ns > folder.path(known.path).stat().st_mtime_ns


def _instance(folder: DataFolder, path: str, now: datetime) -> tuple[Instance, int | None]:
    """The record of a stored file, from the file, and how many instances its study says to have."""
    stored = files.read_back(folder, path)
    file = folder.path(path)
    meta = part10.read_meta(file)
    data = part10.data_set(file, meta.data_set_offset)
    sender = meta.source_ae_title or UNKNOWN_SENDER
    received = Received(sender, "", meta.sop_class_uid, meta.sop_instance_uid, meta.transfer_syntax_uid, iter(data))
    header, _ = read_header(received.data, received.transfer_syntax_uid)
    if intake.check(received, header) is not None:
        raise Unparsable("its header and its data set do not say the same")
    return intake.instance(received, header, stored, now), header.study_related_instances
