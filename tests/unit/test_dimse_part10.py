"""The header that we put before a data set, and the one that we read before sending."""

from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from node.dicom.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from node.dicom.part10 import FileMeta, data_set, header, read_meta
from node.errors import Unparsable
from tests import factories, wire

META = FileMeta("1.2.840.10008.5.1.4.1.1.4", "1.2.3.4", wire.IMPLICIT, "PACS ONE")


def test_pydicom_reads_our_header(tmp_path: Path) -> None:
    dataset = factories.mr_series(slices=1, rows=16, columns=16)[0]
    path = tmp_path / "x.dcm"
    path.write_bytes(header(META) + wire.encode(dataset, wire.IMPLICIT))
    read = dcmread(path)
    assert read.preamble == bytes(128)
    assert read.file_meta.MediaStorageSOPInstanceUID == "1.2.3.4"
    assert read.file_meta.TransferSyntaxUID == wire.IMPLICIT
    assert read.file_meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert read.file_meta.ImplementationVersionName == IMPLEMENTATION_VERSION_NAME
    assert read.file_meta.SourceApplicationEntityTitle == "PACS ONE"
    assert Dataset(read) == dataset


def test_the_group_length_is_right() -> None:
    encoded = header(META)
    assert int.from_bytes(encoded[140:144], "little") == len(encoded) - 144


def test_what_we_write_we_read(tmp_path: Path) -> None:
    path = tmp_path / "x.dcm"
    path.write_bytes(header(META) + b"the data set")
    meta = read_meta(path)
    assert meta == FileMeta(
        META.sop_class_uid, META.sop_instance_uid, META.transfer_syntax_uid, "PACS ONE", len(header(META))
    )
    assert b"".join(data_set(path, meta.data_set_offset)) == b"the data set"


def test_what_pydicom_writes_we_read(tmp_path: Path) -> None:
    dataset = factories.mr_series(slices=1, rows=16, columns=16)[0]
    (path,) = factories.write([dataset], tmp_path, transfer_syntax=wire.EXPLICIT)
    meta = read_meta(path)
    assert (meta.sop_class_uid, meta.sop_instance_uid) == (dataset.SOPClassUID, dataset.SOPInstanceUID)
    assert b"".join(data_set(path, meta.data_set_offset)) == wire.encode(dataset)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        bytes(200),
        bytes(128) + b"DICM",
        header(META)[:170],
        header(META).replace(b"1.2.3.4\0", b"../../xx"),
        header(META)[:144] + b"\x02\0\x02\0UI\xff\xff",
    ],
    ids=["empty", "text", "zeros", "bare", "cut", "bad uid", "long"],
)
def test_what_does_not_say_what_it_holds_is_no_file_of_ours(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(Unparsable):
        read_meta(path)


def test_a_uid_with_leading_zeros_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "x.dcm"
    path.write_bytes(header(replace(META, sop_instance_uid="1.02.003")))
    assert read_meta(path).sop_instance_uid == "1.02.003"


def test_our_implementation_names_fit_the_standard() -> None:
    assert len(IMPLEMENTATION_CLASS_UID) <= 64
    assert 1 <= len(IMPLEMENTATION_VERSION_NAME) <= 16
