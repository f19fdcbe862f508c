"""Whether two files hold the same instance, encoded in two ways: another transfer syntax, other VRs, other paddings.

An archive may send an instance again in another lossless transfer syntax than it came in. It is the same instance when
every element of its header has the same value; where both are uncompressed, their pixels are compared as well. Pixels
are not decoded here: what was compressed in another way is believed by its header.
"""

import mmap
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from node.dicom.part10 import FileMeta, read_meta
from node.dicom.syntaxes import BIG_ENDIAN, LOSSLESS, UNCOMPRESSED
from node.dicom.walker import Walker
from node.errors import Unparsable

GROUP_LENGTH = 0x0000FFFF  # an element whose number is 0000 counts bytes
WRITTEN_WITH_COMPRESSION = {
    0x00082111,  # DerivationDescription
    0x00089215,  # DerivationCodeSequence
    0x00280004,  # PhotometricInterpretation
    0x00280006,  # PlanarConfiguration
}
Equal = Callable[[bytes, bytes], bool]


class _Value(NamedTuple):
    depth: int
    tag: int
    value: bytes


def is_same_instance(one: Path, other: Path) -> bool:
    """Whether these DICOM files hold the same instance; false for what cannot be read, and for lossy ones.

    Lossy files of the same transfer syntax may be the same all the same: then their bytes are.
    """
    try:
        metas = read_meta(one), read_meta(other)
        syntaxes = {each.transfer_syntax_uid for each in metas}
        if len(syntaxes) > 1 and not syntaxes <= LOSSLESS:
            return False
        with ExitStack() as open_files:
            data = [_DataSet(path, meta, open_files) for path, meta in zip((one, other), metas, strict=True)]
            return _are_equal(*data)
    except (Unparsable, OSError, ValueError):
        return False


class _DataSet:
    """The data set of a file, mapped into memory."""

    def __init__(self, path: Path, meta: FileMeta, open_files: ExitStack) -> None:
        file = open_files.enter_context(path.open("rb"))
        mapped = open_files.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        self.syntax = meta.transfer_syntax_uid
        self._data = mapped
        self._walker = Walker(mapped, self.syntax, True, meta.data_set_offset)

    def values(self) -> Iterator[_Value]:
        """Every element in front of the pixels, sequences and their items with an empty value."""
        while (element := self._walker.step()) is not None:
            if element.tag & GROUP_LENGTH:
                yield _Value(element.depth, element.tag, self._data[element.start : element.end])

    def pixels(self) -> memoryview:
        """What follows the header: of uncompressed pixel data their value. To be asked after the values."""
        start = self._walker.position
        order = "big" if self.syntax == BIG_ENDIAN else "little"
        length = int.from_bytes(self._data[start - 4 : start], order)  # type: ignore[arg-type]
        return memoryview(self._data)[start : start + length]


def _are_equal(one: _DataSet, other: _DataSet) -> bool:
    swapped = (one.syntax == BIG_ENDIAN) != (other.syntax == BIG_ENDIAN)
    recompressed = one.syntax != other.syntax and not {one.syntax, other.syntax} <= set(UNCOMPRESSED)
    equal: Equal = _same_bytes_in_any_order if swapped else _same_but_for_padding
    ignored = WRITTEN_WITH_COMPRESSION if recompressed else set()
    ours, theirs = _without(one.values(), ignored), _without(other.values(), ignored)
    for mine in ours:
        yours = next(theirs, None)
        if yours is None or mine[:2] != yours[:2] or not equal(mine.value, yours.value):
            return False
    if next(theirs, None) is not None:
        return False
    return recompressed or _same_pixels(one, other, swapped=swapped)


def _without(values: Iterator[_Value], ignored: set[int]) -> Iterator[_Value]:
    """The values without these elements of the top level, and without what stands in them."""
    inside = False
    for each in values:
        inside = each.tag in ignored if each.depth == 0 else inside
        if not inside:
            yield each


def _same_but_for_padding(one: bytes, other: bytes) -> bool:
    if one == other:
        return True
    return abs(len(one) - len(other)) <= 1 and one.rstrip(b" \0") == other.rstrip(b" \0")


def _same_bytes_in_any_order(one: bytes, other: bytes) -> bool:
    return _same_but_for_padding(one, other) or sorted(one) == sorted(other)


def _same_pixels(one: _DataSet, other: _DataSet, *, swapped: bool) -> bool:
    with one.pixels() as ours, other.pixels() as theirs:
        if ours == theirs:
            return True
        if not swapped or len(ours) != len(theirs) or len(ours) % 2:
            return False
        return bytes(ours[::2]) == bytes(theirs[1::2]) and bytes(ours[1::2]) == bytes(theirs[::2])
