"""What archives store is stored, and read: odd VRs, foreign groups in front, megabytes before the study's UID."""

import struct
from collections.abc import Iterator
from io import BytesIO

import pytest
from pydicom import Dataset

from node.dicom import part10
from node.dicom.header import read_header
from node.dicom.odd_vr import read_header as read_with_pydicom
from node.dicom.walker import walk
from node.errors import Unparsable
from tests import factories, wire

IMPLICIT_META = struct.pack("<HHI", 2, 0x10, 18) + b"1.2.840.10008.1.2\0"
EXPLICIT_META = struct.pack("<HH2sHI", 2, 0, b"UL", 4, 26) + struct.pack("<HH2sH", 2, 0x10, b"UI", 18)
EXPLICIT_META += b"1.2.840.10008.1.2\0"


def mr() -> Dataset:
    return factories.mr_series(slices=1, rows=16, columns=16)[0]


def pieces(data: bytes, size: int = 16_000) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def with_private(head: bytes, value: bytes, tag: tuple[int, int] = (0x0011, 0x1001)) -> bytes:
    dataset = mr()
    before = wire.encode(dataset[: tag[0] << 16])
    creator = struct.pack("<HH2sH", tag[0], 0x10, b"LO", 4) + b"LAB "
    after = dataset[(tag[0] + 1) << 16 :]
    return before + creator + struct.pack("<HH", *tag) + head + value + wire.encode(after)


HEADS = {
    "question marks": b"??" + struct.pack("<H", 4),
    "two NULs": b"\0\0" + struct.pack("<H", 4),
    "blanks": b"  " + struct.pack("<H", 4),
    "small letters": b"lo" + struct.pack("<H", 4),
    "unknown, short": b"ZZ" + struct.pack("<H", 4),
    "unknown, long": b"ZZ\0\0" + struct.pack("<I", 4),
    "none": struct.pack("<I", 4),
}


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("tag", [(0x0011, 0x1001), (0x0029, 0x1010)])
def test_a_private_element_without_a_known_vr_is_walked_over(name: str, tag: tuple[int, int]) -> None:
    data = with_private(HEADS[name], b"abcd", tag)
    header, _ = read_header(pieces(data), wire.EXPLICIT)
    assert header.study_instance_uid == mr().StudyInstanceUID
    (element,) = [each for each in walk(data, wire.EXPLICIT) if each.tag == tag[0] << 16 | tag[1]]
    assert data[element.start : element.end] == b"abcd"


@pytest.mark.parametrize("name", ["question marks", "two NULs", "blanks", "small letters", "none"])
def test_and_the_header_is_read_as_if_it_were_not_there(name: str) -> None:
    dataset = mr()
    meta = part10.FileMeta(str(dataset.SOPClassUID), str(dataset.SOPInstanceUID), wire.EXPLICIT)
    read = read_with_pydicom(BytesIO(part10.header(meta) + with_private(HEADS[name], b"abcd")))
    assert (read.StudyInstanceUID, read.Rows, read.PatientID) == (dataset.StudyInstanceUID, 16, dataset.PatientID)


@pytest.mark.parametrize("front", [EXPLICIT_META, IMPLICIT_META, struct.pack("<HHI", 0, 2, 2) + b"1\0"])
@pytest.mark.parametrize("syntax", [wire.EXPLICIT, wire.IMPLICIT])
@pytest.mark.parametrize("size", [1, 7, 16_000])
def test_elements_of_files_and_commands_in_front_are_taken_out(front: bytes, syntax: str, size: int) -> None:
    data = wire.encode(factories.encoded(mr(), syntax), syntax)
    left = pieces(front + data, size)
    header, taken = read_header(left, syntax)
    assert header.study_instance_uid == mr().StudyInstanceUID
    assert taken + b"".join(left) == data


def test_file_meta_in_front_of_a_big_endian_data_set_is_taken_out() -> None:
    data = wire.encode(factories.encoded(mr(), wire.BIG_ENDIAN), wire.BIG_ENDIAN)
    _, taken = read_header(iter([EXPLICIT_META + data]), wire.BIG_ENDIAN)
    assert taken == data


@pytest.mark.parametrize("preamble", [bytes(128), b"II*\0" + bytes(124)])
@pytest.mark.parametrize("syntax", [wire.EXPLICIT, wire.IMPLICIT])
def test_of_a_whole_file_only_the_data_set_is_taken(preamble: bytes, syntax: str) -> None:
    data = wire.encode(factories.encoded(mr(), syntax), syntax)
    left = pieces(preamble + b"DICM" + EXPLICIT_META + data)
    header, taken = read_header(left, syntax)
    assert header.study_instance_uid == mr().StudyInstanceUID
    assert taken + b"".join(left) == data


@pytest.mark.parametrize("before", [0x00090000, 0x00110000, 0x00210000])
def test_elements_of_files_strewn_over_a_data_set_are_walked_over(before: int) -> None:
    dataset = mr()
    data = wire.encode(dataset[:before]) + EXPLICIT_META + wire.encode(dataset[before:])
    header, _ = read_header(pieces(data), wire.EXPLICIT)
    assert header.study_instance_uid == dataset.StudyInstanceUID
    meta = part10.FileMeta(str(dataset.SOPClassUID), str(dataset.SOPInstanceUID), wire.EXPLICIT)
    read = read_with_pydicom(BytesIO(part10.header(meta) + data))
    assert (read.StudyInstanceUID, read.Rows, read.PatientID) == (dataset.StudyInstanceUID, 16, dataset.PatientID)


def test_what_comes_behind_the_header_is_not_looked_at() -> None:
    dataset = mr()
    plain = struct.pack("<HH2sH", 0x0028, 0x0002, b"US", 2) + b"\1\0"
    data = wire.encode(dataset[:0x00280000]) + plain + b"\x28\0\4\0\1\2\3\4"
    header, _ = read_header(pieces(data), wire.EXPLICIT)
    assert header.study_instance_uid == dataset.StudyInstanceUID


def test_an_element_of_the_standard_whose_vr_is_not_known_is_walked_over() -> None:
    dataset = mr()
    odd = struct.pack("<HH2sH", 0x0018, 0x9445, b"??", 4) + b"abcd"
    data = wire.encode(dataset[:0x00189445]) + odd + wire.encode(dataset[0x00189445:])
    header, _ = read_header(pieces(data), wire.EXPLICIT)
    assert header.study_instance_uid == dataset.StudyInstanceUID
    meta = part10.FileMeta(str(dataset.SOPClassUID), str(dataset.SOPInstanceUID), wire.EXPLICIT)
    read = read_with_pydicom(BytesIO(part10.header(meta) + data))
    assert (read.StudyInstanceUID, read.Rows, read.PatientID) == (dataset.StudyInstanceUID, 16, dataset.PatientID)


@pytest.mark.parametrize("front", [EXPLICIT_META[:-3], struct.pack("<HH2sxxI", 2, 1, b"OB", 0xFFFFFFFF)])
def test_foreign_elements_that_do_not_end_are_refused(front: bytes) -> None:
    with pytest.raises(Unparsable):
        read_header(iter([front]), wire.EXPLICIT)


@pytest.mark.parametrize("mib", [2, 9])
def test_megabytes_before_the_study_are_borne(mib: int) -> None:
    dataset = mr()
    dataset.add_new(0x00090010, "LO", "SOMEBODY")
    for number in range(mib):
        dataset.add_new(0x00091001 + number, "OB", bytes(1 << 20))
    header, _ = read_header(pieces(wire.encode(dataset)), wire.EXPLICIT)
    assert header.study_instance_uid == dataset.StudyInstanceUID


def test_more_megabytes_than_any_header_has_are_refused() -> None:
    endless = (struct.pack("<HH2sxxI", 9, 0x1001, b"OB", 1 << 24) + bytes(1 << 24) for _ in range(100))
    with pytest.raises(Unparsable):
        read_header(endless, wire.EXPLICIT)
