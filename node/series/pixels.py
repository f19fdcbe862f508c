"""Pixel data of one file -> its frames, with every size checked before anything is allocated or decoded."""

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.errors import InvalidDicomError
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    UID,
    AllTransferSyntaxes,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from node.dicom.frames import count
from node.dicom.odd_vr import read_header
from node.dicom.uids import is_uid
from node.dicom.values import BROKEN, items, number, text
from node.errors import UnreadableInstance

PIXEL_DATA = 0x7FE00010
UNDEFINED = 0xFFFFFFFF
LONG_VR = (b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"UN")
WHOLE_BYTES = 4 * 2**20
META_BYTES = 1024
MOST_PADDING_BYTES = 2**20
TOO_SHORT = "the file ends within its pixel data"

Stored = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Location:
    """Where the pixel data of a file lie: offset of the value, and its length, None when it is encapsulated."""

    offset: int
    length: int | None


@dataclass(frozen=True)
class Layout:
    """How pixels are stored (PS3.3 C.7.6.3).

    padding  lowest and highest stored value that is no pixel of the image (PS3.3 C.7.5.1.1.2); None for none
    """

    rows: int
    columns: int
    frames: int
    allocated: int
    stored: int
    high: int
    signed: bool
    inverted: bool
    transfer_syntax: UID
    padding: tuple[int, int] | None = None

    @property
    def frame_bytes(self) -> int:
        """Bytes of one decoded frame."""
        return self.rows * self.columns * self.allocated // 8

    @property
    def dtype(self) -> np.dtype[np.integer[Any]]:
        """Of the values as they lie in an uncompressed file."""
        order = ">" if self.transfer_syntax.is_little_endian is False else "<"
        return np.dtype(f"{order}{'i' if self.signed else 'u'}{self.allocated // 8}")


def open_header(path: Path) -> tuple[Dataset, Location | None]:
    """The header of a file, and where its pixel data begin. Raises UnreadableInstance for what is no DICOM file.

    Deflated files are not read: their size is known only after they are inflated, and no MR scanner sends them.
    """
    try:
        with path.open("rb") as file:
            if DeflatedExplicitVRLittleEndian.encode() in file.read(META_BYTES):
                raise UnreadableInstance("the deflated transfer syntax is not read")
            file.seek(0)
            whole = path.stat().st_size <= WHOLE_BYTES
            source: BinaryIO = io.BytesIO(file.read()) if whole else file
            header = read_header(source)
            return header, _location(source, transfer_syntax(header))
    except InvalidDicomError as error:
        raise UnreadableInstance("not a DICOM file") from error
    except OSError as error:
        raise UnreadableInstance(f"cannot be read: {error.strerror or 'the file ends too early'}") from error
    except (MemoryError, *BROKEN) as error:
        raise UnreadableInstance(f"cannot be read: {type(error).__name__}") from error


def transfer_syntax(header: Dataset) -> UID:
    """From the file meta information, else as the header was in fact encoded. Raises UnreadableInstance."""
    meta = getattr(header, "file_meta", None)
    stated = text(meta, "TransferSyntaxUID") if meta is not None else ""
    if stated and stated not in AllTransferSyntaxes:
        named = f" {stated}" if is_uid(stated) else ""
        raise UnreadableInstance(f"unknown transfer syntax{named}")
    if stated:
        return UID(stated)
    return ImplicitVRLittleEndian if header.original_encoding[0] else ExplicitVRLittleEndian


def layout(header: Dataset) -> Layout:
    """How this header says that its pixels are stored. Raises UnreadableInstance for what cannot be true."""
    named = ("Rows", "Columns", "BitsAllocated", "BitsStored")
    rows, columns, allocated, stored = (int(number(header, name) or 0) for name in named)
    if rows < 1 or columns < 1:
        raise UnreadableInstance("the header has no rows or columns")
    if allocated not in (8, 16, 32) or not 1 <= stored <= allocated:
        raise UnreadableInstance(f"{stored} bits stored in {allocated} are no pixel format of MR images")
    grey = text(header, "PhotometricInterpretation").upper() in {"MONOCHROME1", "MONOCHROME2"}
    if not grey or (number(header, "SamplesPerPixel") or 1) != 1:
        raise UnreadableInstance("it has not one grey value per pixel")
    if items(header, "ModalityLUTSequence"):
        raise UnreadableInstance("its values need a modality look-up table, which MR images do not have")
    high = int(number(header, "HighBit") or 0)
    return Layout(
        rows=rows,
        columns=columns,
        frames=count(header),
        allocated=allocated,
        stored=stored,
        high=high if stored - 1 <= high < allocated else stored - 1,
        signed=number(header, "PixelRepresentation") == 1,
        inverted=text(header, "PhotometricInterpretation").upper() == "MONOCHROME1",
        transfer_syntax=transfer_syntax(header),
        padding=_padding_range(header, allocated),
    )


def padded(values: Stored, shape: Layout) -> NDArray[np.bool_] | None:
    """Which of the values that `read_frames` gave are padding; None where none is declared."""
    if shape.padding is None:
        return None
    limits = _valued(np.array(shape.padding, shape.dtype.newbyteorder("=")), shape)
    return np.asarray((values >= limits.min()) & (values <= limits.max()), np.bool_)


def read_frames(path: Path, where: Location | None, shape: Layout, maximum_bytes: int) -> Iterator[Stored]:
    """The stored values of each frame (rows, columns), in order. Raises UnreadableInstance."""
    with _at_pixels(path, where, shape, maximum_bytes) as (file, length):
        if length is None:
            yield from _decoded(file.read(), shape)
        else:
            yield from _native(file, length, shape)


def check_frames(path: Path, where: Location | None, shape: Layout, maximum_bytes: int) -> None:
    """That all of them are there, as far as it shows without decoding. Raises UnreadableInstance."""
    with _at_pixels(path, where, shape, maximum_bytes) as (file, length):
        if length is None:
            for _ in _coded(file.read(), shape):
                pass
            return
        _check_length(file, length, shape)
        if path.stat().st_size < file.tell() + shape.frame_bytes * shape.frames:
            raise UnreadableInstance(TOO_SHORT)


@contextmanager
def _at_pixels(
    path: Path, where: Location | None, shape: Layout, maximum_bytes: int
) -> Iterator[tuple[BinaryIO, int | None]]:
    """The file where the value of its pixel data begins, and the length of that; within the limit."""
    if where is None:
        raise UnreadableInstance("the file has no pixel data")
    if max(shape.frame_bytes * shape.frames, path.stat().st_size) > maximum_bytes:
        raise UnreadableInstance("the pixel data are larger than the limit")
    with path.open("rb") as file:
        file.seek(where.offset)
        yield file, where.length


def _padding_range(header: Dataset, allocated: int) -> tuple[int, int] | None:
    """The two elements are US or SS, and implicit VR does not say which: the sign is that of the pixels."""
    ends = [number(header, name) for name in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    if ends[0] is None:
        return None
    signed, whole = number(header, "PixelRepresentation") == 1, 1 << allocated
    stored = sorted(int(each) % whole for each in ends if each is not None)
    values = sorted(each - whole if signed and each >= whole // 2 else each for each in stored)
    return values[0], values[-1]


def coded_size(frame: bytes) -> tuple[int, int] | None:
    """Rows and columns that a JPEG, JPEG-LS or JPEG 2000 code stream says it has; None for other code.

    A decoder allocates what the code stream says, not what the header says (ISO/IEC 10918-1 B.2.2, 15444-1 A.5.1).
    """
    if frame[:4] == b"\xff\x4f\xff\x51":
        width, height, left, top = struct.unpack(">4L", frame[8:24])
        return height - top, width - left
    place = 2 if frame[:2] == b"\xff\xd8" else len(frame)
    while place + 9 <= len(frame) and frame[place] == 0xFF:
        marker, length = frame[place + 1], int.from_bytes(frame[place + 2 : place + 4], "big")
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            rows, columns = struct.unpack(">2H", frame[place + 5 : place + 9])
            return rows, columns
        place += 2 + length
    return None


def _location(file: BinaryIO, syntax: UID) -> Location | None:
    """Where the value of the element at the file's position lies, if that is the pixel data."""
    order = ">" if syntax.is_little_endian is False else "<"
    start, head = file.tell(), file.read(12)
    if len(head) < 12:
        return None
    group, element = struct.unpack(order + "HH", head[:4])
    if (group << 16) + element != PIXEL_DATA:
        return None
    if syntax.is_implicit_VR:
        length, used = struct.unpack(order + "L", head[4:8])[0], 8
    elif head[4:6] in LONG_VR:
        length, used = struct.unpack(order + "L", head[8:12])[0], 12
    else:
        return None
    return Location(start + used, None if length == UNDEFINED else length)


def _native(file: BinaryIO, length: int, shape: Layout) -> Iterator[Stored]:
    _check_length(file, length, shape)
    for _ in range(shape.frames):
        data = file.read(shape.frame_bytes)
        if len(data) < shape.frame_bytes:
            raise UnreadableInstance(TOO_SHORT)
        yield _valued(np.frombuffer(data, shape.dtype).reshape(shape.rows, shape.columns), shape)


def _check_length(file: BinaryIO, length: int, shape: Layout) -> None:
    """Padding behind the pixels is dropped (PS3.5 8.1.1): less than a row of anything, or the same byte throughout."""
    if shape.transfer_syntax.is_encapsulated:
        raise UnreadableInstance("the pixel data are not encapsulated, against the transfer syntax")
    needed = shape.frame_bytes * shape.frames
    if length < needed or not _padding(file, needed, length - needed, shape):
        raise UnreadableInstance(f"{length} bytes of pixel data where the header describes {needed}")


def _padding(file: BinaryIO, offset: int, excess: int, shape: Layout) -> bool:
    """Whether so many bytes behind the pixels are no pixels; the file's position is kept."""
    if excess < shape.columns * shape.allocated // 8 or excess > MOST_PADDING_BYTES:
        return excess <= MOST_PADDING_BYTES
    start = file.tell()
    file.seek(start + offset)
    rest = file.read(excess)
    file.seek(start)
    return rest == rest[:1] * len(rest)


def _decoded(data: bytes, shape: Layout) -> Iterator[Stored]:
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
    for place, frame in enumerate(_coded(data, shape), 1):
        try:
            decoder = get_decoder(shape.transfer_syntax)
            array, _ = decoder.as_array(encapsulate([frame]), index=0, raw=True, **options)
        except (RuntimeError, IndexError, *BROKEN) as error:
            raise UnreadableInstance(f"frame {place} cannot be decoded: {type(error).__name__}") from error
        yield _valued(array, shape)


def _coded(data: bytes, shape: Layout) -> Iterator[bytes]:
    """The code of each frame, as many as there have to be."""
    found = 0
    try:
        get_decoder(shape.transfer_syntax)
        for frame in generate_frames(data, number_of_frames=shape.frames):
            _check_code(frame, shape)
            yield frame
            found += 1
    except UnreadableInstance as error:
        raise UnreadableInstance(f"frame {found + 1}: {error}") from error
    except (RuntimeError, IndexError, *BROKEN) as error:
        raise UnreadableInstance(f"frame {found + 1} cannot be decoded: {type(error).__name__}") from error
    if found < shape.frames:
        raise UnreadableInstance(f"{found} of {shape.frames} frames are there")


def _check_code(frame: bytes, shape: Layout) -> None:
    size = coded_size(frame)
    if size not in (None, (shape.rows, shape.columns)):
        raise UnreadableInstance("it is coded in another size than the header says")
    if size is not None and not frame.rstrip(b"\x00\xff").endswith(b"\xff\xd9"):
        raise UnreadableInstance("its code stream is cut short")


def _valued(stored: Stored, shape: Layout) -> Stored:
    """Stored bits -> numbers: unused bits dropped, sign extended, MONOCHROME1 turned round."""
    values = stored
    if shape.stored < shape.allocated:
        above, below = shape.allocated - 1 - shape.high, shape.allocated - shape.stored
        values = np.right_shift(np.left_shift(values, above), below)
    if shape.inverted:
        values = np.invert(values) if shape.signed else np.subtract((1 << shape.stored) - 1, values)
    return values
