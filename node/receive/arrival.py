"""What an instance means whose file is durable: it is new, known, another version, or says that others are wrong.

Apart from how its bytes came to the disk: `intake` asks here for what comes in, `recovery` for what lies here.
"""

from node.dicom.rejection import NOTE, read_note
from node.dicom.sameness import is_same_instance
from storage import Database, DataFolder, instances
from storage.instances import Arrival
from storage.records import Instance, Registration
from storage.rejections import NOTHING, Rejects


def register(
    folder: DataFolder,
    db: Database,
    new: Arrival,
    *,
    newest_counts: bool = False,
) -> Registration:
    """Note it at once. With `newest_counts` its sender is an archive, and right about its own objects.

    Raises DatabaseBusy, StorageFull, DatabaseUnusable: then nothing is noted.
    """
    instance = new.instance
    return instances.register(
        db,
        folder,
        instance,
        expected_instances=new.expected_instances,
        now=instance.received_at,
        is_same=lambda known: is_same_instance(folder.path(known.path), folder.path(instance.path)),
        newest_counts=newest_counts,
        rejects=_rejects(folder, instance),
    )


def may_reject(new: Instance) -> bool:
    """Whether it may say that others are wrong: then more than its own row is to be written."""
    return new.sop_class_uid == NOTE


def _rejects(folder: DataFolder, new: Instance) -> Rejects:
    note = read_note(folder.path(new.path), new.sop_class_uid)
    return NOTHING if note is None else Rejects(note.title, note.instances)
