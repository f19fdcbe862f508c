"""What an instance means whose file is durable: it is new, known, another version, or says something of others.

Apart from how its bytes came to the disk: `intake` asks here for what comes in, `recovery` for what lies here.
"""

from collections.abc import Iterator

from node.dicom import reading
from node.dicom.rejection import NOTE, read_note
from node.dicom.sameness import is_same_instance
from storage import Database, DataFolder, instances, outbox
from storage.instances import Arrival
from storage.readings import Heard
from storage.records import Instance, Registration, Word
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
        heard=tuple(_heard(folder, db, instance)),
    )


def may_say_more(new: Instance) -> bool:
    """Whether it may say something of others, that they are wrong or right: more than its own row is to be written."""
    return new.sop_class_uid == NOTE or new.sop_class_uid in reading.REPORTS


def _rejects(folder: DataFolder, new: Instance) -> Rejects:
    note = read_note(folder.path(new.path), new.sop_class_uid)
    return NOTHING if note is None else Rejects(note.title, note.instances)


def _heard(folder: DataFolder, db: Database, new: Instance) -> Iterator[Heard]:
    """A reader's words on reports of ours."""
    said = reading.read_report(folder.path(new.path), new.sop_class_uid)
    if said is None:
        return
    for uid in dict.fromkeys((*said.predecessors, *said.named)):
        ours = outbox.result(db, uid)
        if ours is None or ours.sop_class_uid not in reading.REPORTS:
            continue
        word = said.word_on(uid, reading.decision_band(folder.path(ours.path)))
        if word:
            yield Heard(uid, Word(word), f"by the report {new.sop_instance_uid}", f"reader at {new.calling_ae_title}")
