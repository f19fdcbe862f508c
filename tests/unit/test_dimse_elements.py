"""Walking a data set finds what pydicom finds, and a hostile one does no more than be refused."""

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.uid import UID

from node.dicom.walker import DEEPEST_SEQUENCE, ITEM, NeedMore, walk
from node.errors import Unparsable
from tests import factories, wire

SYNTAXES = [wire.IMPLICIT, wire.EXPLICIT, wire.BIG_ENDIAN]
UNDEFINED = 0xFFFFFFFF


def nested(depth: int, length: int | None = UNDEFINED) -> bytes:
    """Sequences within sequences, of undefined length, or each with its own."""
    inner = b""
    for _ in range(depth):
        if length == UNDEFINED:
            item = struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED) + inner + struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
            end = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
            inner = struct.pack("<HH2sxxI", 0x0008, 0x1140, b"SQ", UNDEFINED) + item + end
        else:
            item = struct.pack("<HHI", 0xFFFE, 0xE000, len(inner)) + inner
            inner = struct.pack("<HH2sxxI", 0x0008, 0x1140, b"SQ", len(item)) + item
    return inner


def leaves(dataset: Dataset, depth: int = 0) -> list[tuple[int, int]]:
    """Depth and tag of every element in order, items as ITEM, as pydicom sees them."""
    found: list[tuple[int, int]] = []
    for element in dataset:
        if element.tag.group >= 0x7FE0:
            break
        found.append((depth, int(element.tag)))
        if element.VR == "SQ":
            for item in element.value:
                found += [(depth + 1, ITEM), *leaves(item, depth + 1)]
    return found


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("undefined_length", [False, True])
def test_the_walk_meets_what_pydicom_meets(syntax: str, undefined_length: bool) -> None:
    dataset = factories.encoded(factories.enhanced_mr(slices=3, rows=16, columns=16), UID(syntax))
    for element in dataset.iterall():
        if element.VR == "SQ":
            element.is_undefined_length = undefined_length
            for item in element.value:
                item.is_undefined_length_sequence_item = undefined_length
    met = [(element.depth, element.tag) for element in walk(wire.encode(dataset, syntax), syntax)]
    assert met == leaves(dataset)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_value_lies_where_the_walk_says(syntax: str) -> None:
    data = wire.encode(factories.encoded(factories.mr_series(slices=1)[0], UID(syntax)), syntax)
    found = {element.tag: data[element.start : element.end] for element in walk(data, syntax)}
    assert found[0x00080060].strip() == b"MR"
    assert found[0x00100020].strip() == b"TEST-0001"


@pytest.mark.parametrize("length", [UNDEFINED, None])
def test_nesting_is_borne_to_a_depth_and_no_deeper(length: int | None) -> None:
    assert list(walk(nested(DEEPEST_SEQUENCE, length), wire.EXPLICIT))
    with pytest.raises(Unparsable, match="nested deeper"):
        list(walk(nested(DEEPEST_SEQUENCE + 1, length), wire.EXPLICIT))
    with pytest.raises(Unparsable, match="nested deeper"):
        list(walk(nested(3000, length), wire.EXPLICIT))


def test_implicit_vr_within_unknown_is_walked() -> None:
    """PS3.5 6.2.2: UN of undefined length holds implicit VR, whatever surrounds it."""
    inner = struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED)
    inner += struct.pack("<HHI", 0x0010, 0x0020, 2) + b"X " + struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
    data = struct.pack("<HH2sxxI", 0x0009, 0x1001, b"UN", UNDEFINED) + inner + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    assert [(each.depth, each.tag) for each in walk(data, wire.EXPLICIT)] == [
        (0, 0x00091001),
        (1, ITEM),
        (1, 0x00100020),
    ]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (struct.pack("<HH2sH", 8, 0x60, b"CS", 100), "beyond"),
        (struct.pack("<HH2sH", 8, 0x60, b"CS", 2) + b"MR" + b"\x08", "cut short"),
        (struct.pack("<HH2sH", 4, 0x1130, b"CS", 0), "does not belong"),
        (struct.pack("<HH2sH", 8, 0x60, b"\x01\x02", 0), "value representation"),
        (struct.pack("<HHI", 0xFFFE, 0xE00D, 0), "delimiter"),
        (struct.pack("<HH2sxxI", 8, 0x1140, b"SQ", 8) + struct.pack("<HH2sH", 16, 32, b"LO", 0), "other than items"),
        (struct.pack("<HH2sxxI", 8, 0x1140, b"SQ", 4) + struct.pack("<HHI", 0xFFFE, 0xE000, 0), "beyond"),
    ],
)
def test_what_is_no_data_set_is_refused_with_the_reason(data: bytes, why: str) -> None:
    with pytest.raises(Unparsable, match=why):
        list(walk(data, wire.EXPLICIT))


@given(st.binary(max_size=400), st.sampled_from(SYNTAXES), st.booleans())
def test_no_bytes_do_more_than_be_refused(data: bytes, syntax: str, complete: bool) -> None:
    with contextlib.suppress(Unparsable, NeedMore):
        list(walk(data, syntax, complete=complete))


@given(st.integers(0, 4000), st.binary(min_size=1, max_size=8))
def test_no_damage_to_a_real_one_does_more_than_be_refused(place: int, damage: bytes) -> None:
    data = bytearray(nested(6) + nested(6, None))
    place %= len(data)
    data[place : place + len(damage)] = damage
    with contextlib.suppress(Unparsable):
        list(walk(bytes(data), wire.EXPLICIT))
