"""Encoded results -> durable files. An answer that lies here already is taken as it is, with its UIDs and its times.

So a study that is worked on again after its database was lost goes out as the bytes that its destinations have, and
nobody gets a second set. Where a part of that answer is gone or damaged all of it is new, under UIDs of its own.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from node.report import Encoded
from node.report.identity import Made, made
from node.work.messages import Outgoing
from storage import DataFolder, files
from storage.errors import FileAltered
from storage.files import StoredFile
from storage.records import Result


class Kept(NamedTuple):
    """A whole file of a result, and what it says of itself."""

    file: StoredFile
    made: Made


def put(folder: DataFolder, encoded: Sequence[Encoded], job_id: int) -> tuple[Outgoing, ...]:
    """Make the results of one answer durable, all of them new or all as they lie here. Raises StorageFull.

    What is sent to nobody, and has no SOP class, stands for itself: its loss makes nothing new of the rest.
    """
    objects = [each for each in encoded if each.sop_class_uid]
    kept = iter(_kept(folder, objects) or [_written(folder, each) for each in objects])
    return tuple(
        _outgoing(each, next(kept) if each.sop_class_uid else _alone(folder, each), job_id) for each in encoded
    )


def _written(folder: DataFolder, encoded: Encoded) -> Kept:
    file = files.write(folder, encoded.name, [encoded.content], area="results")
    return Kept(file, Made("", encoded.sop_instance_uid, encoded.series_instance_uid))


def _alone(folder: DataFolder, encoded: Encoded) -> Kept:
    """What is no DICOM object: as it lies here, or written."""
    for path in files.named(folder, encoded.name, area="results"):
        with suppress(FileAltered):
            return Kept(files.read_back(folder, path), Made("", encoded.sop_instance_uid, encoded.series_instance_uid))
    return _written(folder, encoded)


def _kept(folder: DataFolder, encoded: Sequence[Encoded]) -> list[Kept]:
    """The results of the newest making of this answer of which nothing is missing; none where there is no such."""
    makings = [_makings(folder, each) for each in encoded]
    whole = set[str]().union(*makings).intersection(*makings)
    return [found[max(whole)] for found in makings] if whole else []


def _makings(folder: DataFolder, encoded: Encoded) -> dict[str, Kept]:
    """The whole files of the same result, by the time of their making."""
    found = {}
    for path in files.named(folder, encoded.name, area="results"):
        with suppress(FileAltered):
            kept = Kept(files.read_back(folder, path), made(folder.path(path)))
            found[kept.made.at] = kept
    return found


def _outgoing(encoded: Encoded, kept: Kept, job_id: int) -> Outgoing:
    result = Result(
        sop_instance_uid=kept.made.sop_instance_uid,
        sop_class_uid=encoded.sop_class_uid,
        series_instance_uid=kept.made.series_instance_uid,
        job_id=job_id,
        kind=encoded.kind,
        ordinal=encoded.ordinal,
        path=kept.file.path,
        sha256=kept.file.sha256,
        size_bytes=kept.file.size_bytes,
    )
    return Outgoing(result=result, destinations=encoded.destinations)
