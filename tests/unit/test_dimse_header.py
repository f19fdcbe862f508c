"""What an instance says it is, from its first bytes."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import UID

from node.dicom.header import LONGEST_HEADER_BYTES, MOST_ELEMENTS, Header, read_header
from node.dicom.part10 import data_set, read_meta
from node.errors import Unparsable
from tests import factories, wire
from tests.unit.test_dimse_elements import nested

SYNTAXES = [wire.IMPLICIT, wire.EXPLICIT, wire.BIG_ENDIAN]


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("size", [1, 700, 1 << 20])
def test_the_header_is_read_from_pieces_of_any_size(syntax: str, size: int) -> None:
    dataset = factories.mr_series(slices=1, rows=16, columns=16, NumberOfStudyRelatedInstances=170)[0]
    data = wire.encode(factories.encoded(dataset, UID(syntax)), syntax)
    header, taken = read_header(pieces(data, size), syntax)
    assert header == Header(
        dataset.SOPClassUID,
        dataset.SOPInstanceUID,
        "MR",
        dataset.StudyInstanceUID,
        dataset.SeriesInstanceUID,
        170,
        "A2025-0314",
    )
    assert data.startswith(taken)


def test_what_was_taken_and_what_is_left_are_the_data_set() -> None:
    data = wire.encode(factories.mr_series(slices=1, rows=512, columns=512)[0])
    left = pieces(data, 16_000)
    _, taken = read_header(left, wire.EXPLICIT)
    assert len(taken) < len(data)
    assert taken + b"".join(left) == data


@pytest.mark.parametrize("count", ["", "0", "-5", "1e3", "99999999999", "many", "1\\2"])
def test_a_count_that_is_none_is_not_believed(count: str) -> None:
    dataset = factories.mr_series(slices=1, rows=4, columns=4)[0]
    dataset.NumberOfStudyRelatedInstances = 77
    data = wire.encode(dataset)
    where = data.index(b"\x20\x00\x08\x12IS")
    value = count.encode() + b" " * (len(count) % 2)
    data = data[: where + 6] + len(value).to_bytes(2, "little") + value + data[where + 10 :]
    assert read_header(iter([data]), wire.EXPLICIT)[0].study_related_instances is None


def test_a_modality_is_a_code_string_or_nothing() -> None:
    dataset = factories.mr_series(slices=1, rows=4, columns=4)[0]
    data = wire.encode(dataset).replace(b"CS\x02\x00MR", b"CS\x02\x00\n\x1b", 1)
    assert read_header(iter([data]), wire.EXPLICIT)[0].modality == ""


def test_an_element_that_is_there_twice_is_refused() -> None:
    """Two readers would believe different ones."""
    data = wire.encode(factories.mr_series(slices=1, rows=4, columns=4)[0])
    where = data.index(b"\x08\x00\x18\x00UI")
    end = where + 8 + int.from_bytes(data[where + 6 : where + 8], "little")
    with pytest.raises(Unparsable, match="twice"):
        read_header(iter([data[:end] + data[where:]]), wire.EXPLICIT)


@pytest.mark.slow
def test_a_header_without_end_is_refused() -> None:
    endless = (b"\x09\x00\x10\x10LO\x02\x00XX" for _ in range(10**9))
    with pytest.raises(Unparsable, match=f"no study and series within {MOST_ELEMENTS} elements"):
        read_header(endless, wire.EXPLICIT)


def test_a_header_of_medium_values_without_end_is_refused() -> None:
    endless = (b"\x09\x00\x10\x10LO\x00\x20" + bytes(0x2000) for _ in range(10**9))
    with pytest.raises(Unparsable, match=f"no study and series within {LONGEST_HEADER_BYTES} bytes"):
        read_header(endless, wire.EXPLICIT)


def test_references_to_thousands_of_instances_before_the_study_are_borne() -> None:
    dataset = factories.mr_series(slices=1, rows=4, columns=4)[0]
    uid = b"1.2.840.113619.2.176.2025.1499492.7391.1171285944.393"
    one = b"\x08\x00\x50\x11UI\x1a\x001.2.840.10008.5.1.4.1.1.4\0\x08\x00\x55\x11UI\x36\x00" + uid + b"\0"
    item = b"\xfe\xff\x00\xe0" + len(one).to_bytes(4, "little") + one
    references = b"\x08\x00\x40\x11SQ\0\0" + (len(item) * 20_000).to_bytes(4, "little") + item * 20_000
    encoded = wire.encode(dataset)
    where = encoded.index(b"\x10\x00\x10\x00PN")
    header, _ = read_header(pieces(encoded[:where] + references + encoded[where:], 16_000), wire.EXPLICIT)
    assert header.study_instance_uid == dataset.StudyInstanceUID


def test_a_long_private_element_before_the_study_is_borne() -> None:
    dataset = factories.mr_series(slices=1, rows=4, columns=4)[0]
    dataset.add_new(0x00090010, "LO", "SOMEBODY")
    dataset.add_new(0x00091001, "OB", bytes(300_000))
    header, _ = read_header(pieces(wire.encode(dataset), 16_000), wire.EXPLICIT)
    assert header.study_instance_uid == dataset.StudyInstanceUID


@pytest.mark.parametrize("length", [0xFFFFFFFF, None])
def test_a_nest_of_sequences_is_refused_wherever_it_stands_near_the_beginning(length: int | None) -> None:
    front = factories.mr_series(slices=1, rows=4, columns=4)[0]
    del front.PixelData
    behind = nested(5000, length).replace(b"\x08\x00\x40\x11", b"\x40\x00\x30\xa7")
    for data in (nested(5000, length) + wire.encode(front), wire.encode(front[:0x00280002]) + behind):
        with pytest.raises(Unparsable, match="nested deeper"):
            read_header(pieces(data, 16_000), wire.EXPLICIT)


@pytest.mark.parametrize("data", [b"", b"\0", b"DICM" + bytes(500), bytes(128) + b"DICM\x02\0\0\0UL\x04\0\xc0\0\0\0"])
def test_what_is_no_data_set_is_refused_or_says_nothing(data: bytes) -> None:
    try:
        header, _ = read_header(iter([data]), wire.EXPLICIT)
    except Unparsable:
        return
    assert header == Header()


@pytest.mark.realdata
def test_real_files_say_the_same_to_us_and_to_pydicom(real_data: Path) -> None:
    paths = [*real_data.glob("series/*/*"), *real_data.glob("odd/compressed/*"), *real_data.glob("odd/image/*")]
    read = 0
    for path in paths:
        try:
            meta = read_meta(path)
        except Unparsable:
            continue
        if meta.transfer_syntax_uid.endswith(".1.99"):  # deflated: not offered
            continue
        header, _ = read_header(data_set(path, meta.data_set_offset), meta.transfer_syntax_uid)
        dataset = dcmread(path, stop_before_pixels=True, specific_tags=list(KEYWORDS))
        assert [getattr(header, name) for name in KEYWORDS.values()] == [
            str(dataset.get(keyword) or "") for keyword in KEYWORDS
        ]
        read += 1
    assert read > 300


KEYWORDS = {
    "SOPClassUID": "sop_class_uid",
    "SOPInstanceUID": "sop_instance_uid",
    "Modality": "modality",
    "StudyInstanceUID": "study_instance_uid",
    "SeriesInstanceUID": "series_instance_uid",
}
