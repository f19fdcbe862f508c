"""The beginning of an instance as it comes from the network: what the node must know before it stores it.

Only the bytes up to (0020,1208) are read, as they come, and forgotten again: the stored file holds what was received.
Elements of file and command groups that a sender left in front of the data set are taken out.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from node.dicom.implementation import PRODUCT
from node.dicom.syntaxes import BIG_ENDIAN
from node.dicom.walker import CUT_SHORT, NeedMore, Walker, data_set_begins, walk
from node.errors import Unparsable

LOOK_BYTES = 64 * 1024  # looked at in one go
LONGEST_HEADER_BYTES = 8 * 1024 * 1024  # long values not counted: references to thousands of instances
MOST_ELEMENTS = 120_000  # walking them is what a header costs
LONGEST_VALUES_BYTES = 64 * 1024 * 1024  # some vendors put megabytes before the study's UID
LONG_VALUE_BYTES = 16 * 1024
ITEM_MARK, ITEM_MARK_BIG_ENDIAN = b"\xfe\xff\x00\xe0", b"\xff\xfe\xe0\x00"
HARMLESS_ITEMS = 64  # so few items cannot nest deeper than a reader bears
MOST_INSTANCES = 1_000_000


class Header(NamedTuple):
    """What an instance says it is; "" or None where it does not."""

    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    modality: str = ""
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    study_related_instances: int | None = None
    accession_number: str = ""  # never stored as it is
    is_own_result: bool = False  # made by a node of ours, whatever a PACS has changed in it since


WANTED = {
    0x00080016: "sop_class_uid",
    0x00080018: "sop_instance_uid",
    0x00080050: "accession_number",
    0x00080060: "modality",
    0x00081090: "model_name",
    0x0020000D: "study_instance_uid",
    0x0020000E: "series_instance_uid",
    0x00201208: "study_related_instances",
}
FIRST_COUNTS = {"accession_number"}  # nothing hangs on it
LAST_WANTED = max(WANTED)


def read_header(data: Iterator[bytes | memoryview], transfer_syntax: str) -> tuple[Header, bytes]:
    """The header, and the beginning of the data set, which was taken from `data` to read it.

    Raises Unparsable.
    """
    taken, goal = b"", LOOK_BYTES
    while True:
        more, complete = _take(data, goal - len(taken))
        taken = taken + more if taken else more
        walked = _Walked()
        try:
            taken = _without_strangers(taken, transfer_syntax, complete)
            header = _parse(taken, transfer_syntax, complete, walked)
        except NeedMore:
            goal = _next_goal(len(taken), walked)
        else:
            _check_depth(taken, transfer_syntax)
            return header, taken


def _without_strangers(taken: bytes, transfer_syntax: str, complete: bool) -> bytes:
    """Without the elements in front that belong to files and commands."""
    try:
        begin = data_set_begins(taken, transfer_syntax)
    except NeedMore:
        if complete:
            raise Unparsable(CUT_SHORT) from None
        raise
    return taken[begin:] if begin else taken


@dataclass
class _Walked:
    """How far a walk came, and how many bytes of that were long values."""

    end: int = 0
    long_values: int = 0


def _next_goal(taken: int, walked: _Walked) -> int:
    """How many bytes to look at next. Raises Unparsable when that would be more than any header has."""
    if taken - walked.long_values >= LONGEST_HEADER_BYTES or walked.end > LONGEST_VALUES_BYTES:
        raise Unparsable(f"no study and series within {LONGEST_HEADER_BYTES} bytes")
    return max(2 * taken, walked.end + LOOK_BYTES)


def _take(data: Iterator[bytes | memoryview], count: int) -> tuple[bytes, bool]:
    """At least so many bytes, and whether that was all there is."""
    parts: list[bytes] = []
    while count > 0:
        fragment = next(data, None)
        if fragment is None:
            return b"".join(parts), True
        parts.append(bytes(fragment))
        count -= len(fragment)
    return b"".join(parts), False


def _parse(data: bytes, transfer_syntax: str, complete: bool, walked: _Walked) -> Header:
    found: dict[str, bytes] = {}
    walker, passed = Walker(data, transfer_syntax, complete), 0
    while True:
        passed += 1 + walker.skim(WANTED, LAST_WANTED, LONG_VALUE_BYTES)
        if passed > MOST_ELEMENTS:
            raise Unparsable(f"no study and series within {MOST_ELEMENTS} elements")
        walked.end = walker.position
        element = walker.step()
        if element is None:
            break
        walked.end = element.end
        if element.end - element.start >= LONG_VALUE_BYTES:
            walked.long_values += min(element.end, len(data)) - element.start
        if element.depth:
            continue
        if element.tag > LAST_WANTED:
            break
        name = WANTED.get(element.tag)
        if name is None or (name in found and name in FIRST_COUNTS):
            continue
        if name in found:
            raise Unparsable("an element that is there twice")
        if element.end > len(data):
            raise Unparsable(CUT_SHORT) if complete else NeedMore
        found[name] = data[element.start : element.end]
    return _decode({name: value.decode("ascii", errors="replace").strip(" \0") for name, value in found.items()})


def _decode(found: dict[str, str]) -> Header:
    count = found.pop("study_related_instances", "")
    modality, accession = found.pop("modality", ""), found.pop("accession_number", "")
    is_own_result = found.pop("model_name", "") == PRODUCT
    return Header(
        **found,
        modality=modality if re.fullmatch("[A-Z0-9_ ]{1,16}", modality) else "",
        accession_number=accession if accession.isprintable() and "\ufffd" not in accession else "",
        study_related_instances=int(count)
        if re.fullmatch("[0-9]{1,12}", count) and 0 < int(count) <= MOST_INSTANCES
        else None,
        is_own_result=is_own_result,
    )


def _check_depth(data: bytes, transfer_syntax: str) -> None:
    """Walk what was looked at, if its sequences could nest too deep; further into the file it is the worker's risk."""
    mark = ITEM_MARK_BIG_ENDIAN if transfer_syntax == BIG_ENDIAN else ITEM_MARK
    if data.count(mark, 0, LOOK_BYTES) <= HARMLESS_ITEMS:
        return
    try:
        for _ in walk(data, transfer_syntax, complete=False):
            pass
    except NeedMore:
        pass
