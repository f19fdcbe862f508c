"""Encoded results -> durable files. An answer that lies here already is taken as it is, with its UIDs and its times.

So a study that is worked on again after its database was lost goes out as the bytes that its destinations have: nothing
is sent under a UID that had another content, and nobody gets a second set.
"""

from collections.abc import Sequence
from contextlib import suppress

from node.report import Encoded
from node.work.messages import Outgoing
from storage import DataFolder, files
from storage.errors import FileAltered
from storage.files import StoredFile
from storage.records import Result


def put(folder: DataFolder, encoded: Sequence[Encoded], job_id: int) -> tuple[Outgoing, ...]:
    """Make the results of one answer durable, all of them new or all as they lie here. Raises StorageFull.

    What is sent to nobody, and has no SOP class, stands for itself: its loss makes nothing new of the rest.
    """
    kept = [_kept(folder, each) for each in encoded]
    whole = all(file for each, file in zip(encoded, kept, strict=True) if each.sop_class_uid)
    stored = [
        file if file and (whole or not each.sop_class_uid) else _write(folder, each)
        for each, file in zip(encoded, kept, strict=True)
    ]
    return tuple(_outgoing(each, file, job_id) for each, file in zip(encoded, stored, strict=True))


def _write(folder: DataFolder, encoded: Encoded) -> StoredFile:
    return files.write(folder, encoded.name, [encoded.content], area="results")


def _kept(folder: DataFolder, encoded: Encoded) -> StoredFile | None:
    """The whole file of the same result, encoded before: its UIDs are the same, as they follow from the answer."""
    for path in files.named(folder, encoded.name, area="results"):
        with suppress(FileAltered):
            return files.read_back(folder, path)
    return None


def _outgoing(encoded: Encoded, file: StoredFile, job_id: int) -> Outgoing:
    result = Result(
        sop_instance_uid=encoded.sop_instance_uid,
        sop_class_uid=encoded.sop_class_uid,
        series_instance_uid=encoded.series_instance_uid,
        job_id=job_id,
        kind=encoded.kind,
        ordinal=encoded.ordinal,
        path=file.path,
        sha256=file.sha256,
        size_bytes=file.size_bytes,
    )
    return Outgoing(result=result, destinations=encoded.destinations)
