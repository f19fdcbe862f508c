"""Encoded results -> durable files. An answer that lies here already is taken as it is, with its UIDs and its times.

So a study that is worked on again after its database was lost goes out as the bytes that its destinations have: nothing
is sent under a UID that had another content, and nobody gets a second set.
"""

from collections.abc import Sequence
from dataclasses import replace

from node.dicom import part10
from node.dicom.header import read_header
from node.errors import Unparsable
from node.report import Encoded
from node.work.messages import Outgoing
from storage import DataFolder, files
from storage.errors import FileAltered
from storage.files import StoredFile
from storage.records import Result


def put(folder: DataFolder, encoded: Sequence[Encoded], job_id: int) -> tuple[Outgoing, ...]:
    """Make the results of one answer durable, all of them new or all as they lie here. Raises StorageFull."""
    kept = [_kept(folder, each) for each in encoded]
    pairs = [pair for pair in kept if pair is not None]
    if len(pairs) < len(encoded):
        pairs = [(each, files.write(folder, each.name, [each.content], area="results")) for each in encoded]
    return tuple(_outgoing(each, file, job_id) for each, file in pairs)


def _kept(folder: DataFolder, encoded: Encoded) -> tuple[Encoded, StoredFile] | None:
    """The same object as it was encoded before, and its file."""
    for path in files.named(folder, encoded.name, area="results"):
        try:
            stored = files.read_back(folder, path)
            meta = part10.read_meta(folder.path(path))
            header, _ = read_header(part10.data_set(folder.path(path), meta.data_set_offset), meta.transfer_syntax_uid)
        except (FileAltered, Unparsable, OSError):
            continue
        if header.sop_class_uid == encoded.sop_class_uid:
            sop_instance_uid, series_instance_uid = header.sop_instance_uid, header.series_instance_uid
            kept = replace(encoded, sop_instance_uid=sop_instance_uid, series_instance_uid=series_instance_uid)
            return kept, stored
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
