"""DICOM files around encoded data sets (PS3.10 section 7.1): the header is ours, the data set stays as it is.

What a peer might put before a data set is never kept: the preamble is 128 zero bytes, so that no stored file is a
program or a picture as well.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from struct import Struct

from node.dicom.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from node.dicom.uids import is_uid
from node.dicom.walker import walk_meta
from node.errors import Unparsable

PREAMBLE = bytes(128) + b"DICM"
LONGEST_META_BYTES = 64 * 1024
READ_BYTES = 128 * 1024

_SHORT = Struct("<HH2sH")
_LONG = Struct("<HH2sxxI")


@dataclass(frozen=True)
class FileMeta:
    """The file meta information that matters, and where the data set begins."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    source_ae_title: str = ""
    data_set_offset: int = 0


def header(meta: FileMeta) -> bytes:
    """Preamble, prefix and file meta information for a data set in this transfer syntax."""
    elements = b"".join(
        (
            _LONG.pack(2, 0x0001, b"OB", 2) + b"\0\1",
            _string(0x0002, b"UI", meta.sop_class_uid),
            _string(0x0003, b"UI", meta.sop_instance_uid),
            _string(0x0010, b"UI", meta.transfer_syntax_uid),
            _string(0x0012, b"UI", IMPLEMENTATION_CLASS_UID),
            _string(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME),
            _string(0x0016, b"AE", meta.source_ae_title) if meta.source_ae_title else b"",
        )
    )
    return PREAMBLE + _SHORT.pack(2, 0, b"UL", 4) + len(elements).to_bytes(4, "little") + elements


def _string(element: int, vr: bytes, value: str) -> bytes:
    encoded = value.encode("ascii")
    encoded += (b"\0" if vr == b"UI" else b" ") * (len(encoded) % 2)
    return _SHORT.pack(2, element, vr, len(encoded)) + encoded


def read_meta(path: Path) -> FileMeta:
    """The file meta information of a DICOM file. Raises Unparsable, OSError."""
    with path.open("rb") as file:
        return _meta(file.read(LONGEST_META_BYTES))


def split(file: Iterator[bytes]) -> tuple[FileMeta, Iterator[bytes]]:
    """The file meta information of a file that comes piece by piece, and the pieces of its data set.

    Raises Unparsable.
    """
    beginning = bytearray()
    while len(beginning) < LONGEST_META_BYTES and (piece := next(file, None)) is not None:
        beginning += piece
    meta = _meta(bytes(beginning))
    return meta, chain((bytes(beginning[meta.data_set_offset :]),), file)


def _meta(beginning: bytes) -> FileMeta:
    if beginning[: len(PREAMBLE)][128:] != b"DICM":
        raise Unparsable("this is not a DICOM file")
    values: dict[int, str] = {}
    offset = len(PREAMBLE)
    for tag, start, end in walk_meta(beginning, offset):
        values[tag] = beginning[start:end].decode("ascii", errors="replace").strip("\0 ")
        offset = end
    meta = FileMeta(
        values.get(0x00020002, ""),
        values.get(0x00020003, ""),
        values.get(0x00020010, ""),
        values.get(0x00020016, ""),
        offset,
    )
    if not (is_uid(meta.sop_class_uid) and is_uid(meta.sop_instance_uid) and is_uid(meta.transfer_syntax_uid)):
        raise Unparsable("this DICOM file does not say what it holds")
    return meta


def data_set(path: Path, offset: int) -> Iterator[bytes]:
    """The encoded data set, piece by piece. Raises OSError."""
    with path.open("rb") as file:
        file.seek(offset)
        while piece := file.read(READ_BYTES):
            yield piece
