"""Pixel data of one file -> its frames, with every size checked before anything is allocated or decoded."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from node.elements import number, text
from node.errors import UnreadableInstance
from node.frames import count

PIXEL_TAGS = {0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData", 0x7FE00010: "PixelData"}
UNDEFINED = 0xFFFFFFFF
LONG_VR = (b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"UN")


@dataclass(frozen=True)
class Location:
    """Where the pixel data of a file lie: offset of the value, and its length, None when it is encapsulated."""

    offset: int
    length: int | None


@dataclass(frozen=True)
class Layout:
    """How pixels are stored (PS3.3 C.7.6.3)."""

    rows: int
    columns: int
    frames: int
    allocated: int
    stored: int
    high: int
    signed: bool
    inverted: bool
    transfer_syntax: UID

    @property
    def frame_bytes(self) -> int:
        """Bytes of one decoded frame."""
        return self.rows * self.columns * self.allocated // 8

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Of the stored values as they lie in an uncompressed file."""
        order = ">" if self.transfer_syntax.is_little_endian is False else "<"
        return np.dtype(f"{order}{'i' if self.signed else 'u'}{self.allocated // 8}")


def open_header(file: BinaryIO) -> tuple[Dataset, Location | None]:
    """The header of a file and where its pixel data begin. Raises what pydicom raises for what is no DICOM file."""
    header = dcmread(file, stop_before_pixels=True)
    return header, _location(file, transfer_syntax(header))


def transfer_syntax(header: Dataset) -> UID:
    """From the file meta information, else as the header was in fact encoded."""
    meta = getattr(header, "file_meta", None)
    stated = text(meta, "TransferSyntaxUID") if meta is not None else ""
    if stated:
        return UID(stated)
    implicit = header.original_encoding[0]
    return ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian


def layout(header: Dataset) -> Layout:
    """How this header says that its pixels are stored. Raises UnreadableInstance for what cannot be true."""
    found = {name: int(number(header, name) or 0) for name in ("Rows", "Columns", "BitsAllocated", "BitsStored")}
    rows, columns, allocated, stored = found.values()
    if rows < 1 or columns < 1:
        raise UnreadableInstance("the header has no rows or columns")
    if allocated not in (8, 16, 32) or not 1 <= stored <= allocated:
        raise UnreadableInstance(f"bits allocated {allocated} and stored {stored} are no pixel format of MR images")
    high = number(header, "HighBit")
    return Layout(
        rows,
        columns,
        count(header),
        allocated,
        stored,
        stored - 1 if high is None or not stored - 1 <= high < allocated else int(high),
        number(header, "PixelRepresentation") == 1,
        text(header, "PhotometricInterpretation").upper() == "MONOCHROME1",
        transfer_syntax(header),
    )


def read_frames(path: Path, where: Location | None, shape: Layout) -> Iterator[NDArray[np.generic]]:
    """The stored values of each frame (rows, columns), in order. Raises UnreadableInstance."""
    if where is None:
        raise UnreadableInstance("the file has no pixel data")
    with path.open("rb") as file:
        file.seek(where.offset)
        if where.length is None:
            yield from _decoded(file.read(), shape)
        else:
            yield from _native(file, where.length, shape)


def _native(file: BinaryIO, length: int, shape: Layout) -> Iterator[NDArray[np.generic]]:
    if shape.transfer_syntax.is_encapsulated:
        raise UnreadableInstance("the pixel data are not encapsulated, against the transfer syntax")
    if length < shape.frame_bytes * shape.frames:
        raise UnreadableInstance(f"{length} bytes of pixel data where {shape.frame_bytes * shape.frames} are needed")
    for _ in range(shape.frames):
        data = file.read(shape.frame_bytes)
        if len(data) < shape.frame_bytes:
            raise UnreadableInstance("the file ends within its pixel data")
        yield _valued(np.frombuffer(data, shape.dtype).reshape(shape.rows, shape.columns), shape)


def _decoded(data: bytes, shape: Layout) -> Iterator[NDArray[np.generic]]:
    decoder = get_decoder(shape.transfer_syntax)
    options: dict[str, Any] = {
        "rows": shape.rows,
        "columns": shape.columns,
        "number_of_frames": 1,
        "samples_per_pixel": 1,
        "photometric_interpretation": "MONOCHROME2",
        "bits_allocated": shape.allocated,
        "bits_stored": shape.stored,
        "pixel_representation": int(shape.signed),
        "pixel_keyword": "PixelData",
    }
    found = 0
    try:
        for frame in generate_frames(data, number_of_frames=shape.frames):
            array, _ = decoder.as_array(encapsulate([frame]), index=0, raw=True, **options)
            yield _valued(array, shape)
            found += 1
    except (ValueError, RuntimeError, NotImplementedError, struct.error, EOFError) as error:
        raise UnreadableInstance(f"frame {found + 1} cannot be decoded: {error}") from error
    if found < shape.frames:
        raise UnreadableInstance(f"{found} of {shape.frames} frames are there")


def _valued(stored: NDArray[np.generic], shape: Layout) -> NDArray[np.generic]:
    """Stored bits -> numbers: unused bits dropped, sign extended, MONOCHROME1 turned round."""
    values = stored
    if shape.stored < shape.allocated:
        above = np.array(shape.allocated - 1 - shape.high, values.dtype)
        below = np.array(shape.allocated - shape.stored, values.dtype)
        values = np.right_shift(np.left_shift(values, above), below)
    if shape.inverted:
        values = np.invert(values) if shape.signed else np.subtract((1 << shape.stored) - 1, values, dtype=values.dtype)
    return values


def _location(file: BinaryIO, syntax: UID) -> Location | None:
    start = file.tell()
    order = "<" if syntax.is_little_endian is not False else ">"
    head = file.read(12)
    if len(head) < 8:
        return None
    group, element = struct.unpack(order + "HH", head[:4])
    if (group << 16) + element not in PIXEL_TAGS:
        return None
    if syntax.is_implicit_VR:
        length, used = struct.unpack(order + "L", head[4:8])[0], 8
    elif head[4:6] in LONG_VR:
        length, used = struct.unpack(order + "L", head[8:12])[0], 12
    else:
        return None
    return Location(start + used, None if length == UNDEFINED else length)
