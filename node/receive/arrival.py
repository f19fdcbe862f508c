"""What an instance means whose file is durable: it is new, known, another version, or says that others are wrong.

Apart from how its bytes came to the disk: `intake` asks here for what comes in, `recovery` for what lies here.
"""

from datetime import datetime

from node.dicom.rejection import read_note
from node.dicom.sameness import is_same_instance
from storage import Database, DataFolder, instances
from storage.records import Instance, Registration
from storage.rejections import NOTHING, Rejects


def register(
    folder: DataFolder,
    db: Database,
    new: Instance,
    now: datetime,
    *,
    expected_instances: int | None,
    newest_counts: bool = False,
) -> Registration:
    """Note it. With `newest_counts` its sender is an archive, and right about its own objects: what differs is newer.

    Raises DatabaseBusy, StorageFull, DatabaseUnusable: then nothing is noted.
    """
    return instances.register(
        db,
        folder,
        new,
        expected_instances=expected_instances,
        now=now,
        is_same=lambda known: is_same_instance(folder.path(known.path), folder.path(new.path)),
        newest_counts=newest_counts,
        rejects=_rejects(folder, new),
    )


def _rejects(folder: DataFolder, new: Instance) -> Rejects:
    note = read_note(folder.path(new.path), new.sop_class_uid)
    return NOTHING if note is None else Rejects(note.title, note.instances)
