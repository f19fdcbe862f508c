"""The same instance again in another lossless encoding is the same instance; anything else is another."""

from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.pixels import compress
from pydicom.uid import UID, JPEGBaseline8Bit, RLELossless

from node.dicom import part10
from node.dicom.sameness import is_same_instance
from tests import factories, wire

UNCOMPRESSED = [wire.IMPLICIT, wire.EXPLICIT, wire.BIG_ENDIAN]


def mr(**changes: object) -> Dataset:
    dataset = factories.mr_series(slices=1, rows=16, columns=16)[0]
    dataset.add_new(0x00090010, "LO", "SOMEBODY")
    dataset.add_new(0x00091001, "US", 513)
    for name, value in changes.items():
        setattr(dataset, name, value)
    return dataset


def stored(path: Path, dataset: Dataset, syntax: str) -> Path:
    meta = part10.FileMeta(str(dataset.SOPClassUID), str(dataset.SOPInstanceUID), syntax)
    encoded = dataset if UID(syntax).is_compressed else factories.encoded(dataset, UID(syntax))
    path.write_bytes(part10.header(meta) + wire.encode(encoded, syntax))
    return path


@pytest.mark.parametrize("one", UNCOMPRESSED)
@pytest.mark.parametrize("other", UNCOMPRESSED)
def test_an_uncompressed_encoding_is_as_good_as_another(tmp_path: Path, one: str, other: str) -> None:
    a, b = stored(tmp_path / "a", mr(), one), stored(tmp_path / "b", mr(), other)
    assert is_same_instance(a, b)


@pytest.mark.parametrize("changes", [{"PatientID": "OTHER"}, {"Rows": 17}, {"PixelData": bytes(512)}])
@pytest.mark.parametrize("syntax", UNCOMPRESSED)
def test_another_value_or_other_pixels_make_another_instance(
    tmp_path: Path, changes: dict[str, object], syntax: str
) -> None:
    a, b = stored(tmp_path / "a", mr(), wire.EXPLICIT), stored(tmp_path / "b", mr(**changes), syntax)
    assert not is_same_instance(a, b)


def test_an_element_more_makes_another_instance_whichever_has_it(tmp_path: Path) -> None:
    a = stored(tmp_path / "a", mr(), wire.EXPLICIT)
    b = stored(tmp_path / "b", mr(ImageComments="more"), wire.IMPLICIT)
    assert not is_same_instance(a, b)
    assert not is_same_instance(b, a)


def test_a_losslessly_compressed_one_is_the_same_and_one_of_another_patient_is_not(tmp_path: Path) -> None:
    plain = mr()
    packed = factories.encoded(mr(), wire.EXPLICIT)
    compress(packed, RLELossless, generate_instance_uid=False)
    other = factories.encoded(mr(PatientID="OTHER"), wire.EXPLICIT)
    compress(other, RLELossless, generate_instance_uid=False)
    a = stored(tmp_path / "a", plain, wire.EXPLICIT)
    assert is_same_instance(a, stored(tmp_path / "b", packed, RLELossless))
    assert not is_same_instance(a, stored(tmp_path / "c", other, RLELossless))


def test_a_lossy_one_is_another_instance_and_so_is_what_cannot_be_read(tmp_path: Path) -> None:
    a = stored(tmp_path / "a", mr(), wire.EXPLICIT)
    meta = part10.FileMeta(str(mr().SOPClassUID), str(mr().SOPInstanceUID), JPEGBaseline8Bit)
    (tmp_path / "b").write_bytes(part10.header(meta) + wire.encode(mr()))
    (tmp_path / "c").write_bytes(b"nothing")
    assert not is_same_instance(a, tmp_path / "b")
    assert not is_same_instance(a, tmp_path / "c")
    assert not is_same_instance(a, tmp_path / "gone")


@pytest.mark.parametrize("vr", [b"??", b"\0\0"])
def test_how_an_unknown_vr_is_spelt_makes_no_other_instance(tmp_path: Path, vr: bytes) -> None:
    data = wire.encode(mr()).replace(b"\x09\0\x01\x10US", b"\x09\0\x01\x10" + vr)
    meta = part10.FileMeta(str(mr().SOPClassUID), str(mr().SOPInstanceUID), wire.EXPLICIT)
    (tmp_path / "b").write_bytes(part10.header(meta) + data)
    assert is_same_instance(stored(tmp_path / "a", mr(), wire.EXPLICIT), tmp_path / "b")
