"""The made-up DICOM is valid and reproducible, or every other test rests on sand."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import uid

from tests import factories
from tests.checkers import iod_errors


@pytest.mark.peers
@pytest.mark.parametrize("plane", ["sagittal", "axial", "coronal"])
def test_a_series_is_a_valid_mr_object_in_every_plane(tmp_path: Path, plane: factories.Plane) -> None:
    factories.mr_series(tmp_path, plane=plane, slices=3, rows=64, columns=48)
    assert [iod_errors(path) for path in sorted(tmp_path.iterdir())] == [[], [], []]


@pytest.mark.peers
def test_an_enhanced_object_is_valid(tmp_path: Path) -> None:
    factories.enhanced_mr(tmp_path, slices=5, rows=64, columns=64)
    assert iod_errors(tmp_path / "00001.dcm") == []


def test_the_same_call_gives_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        factories.mr_series(tmp_path / folder, slices=4, rows=32, columns=32)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_slices_lie_along_their_normal_at_the_stated_distance() -> None:
    series = factories.mr_series(plane="coronal", slices=5, rows=32, columns=32, spacing_mm=(3.5, 1, 1))
    positions = np.array([dataset.ImagePositionPatient for dataset in series], float)
    assert np.allclose(np.diff(positions, axis=0), [0, 3.5, 0])


@pytest.mark.parametrize("plane", ["sagittal", "axial", "coronal"])
def test_the_capsule_marks_the_right_side_in_every_plane(plane: factories.Plane) -> None:
    voxels, affine = factories.head_phantom((96, 96, 96), (2.6, 2.6, 2.6), plane=plane)

    def brightness_at(*lps_mm: float) -> int:
        d, h, w, _ = np.linalg.solve(affine, [*lps_mm, 1]).round().astype(int)
        return int(voxels[d, h, w])

    assert brightness_at(-84, 0, 0) > 600  # the capsule lies on the right temple, where x is negative
    assert brightness_at(84, 0, 0) < 60  # and air on the left
    assert brightness_at(0, 100, 0) > 400 > brightness_at(0, -80, -46)  # scalp behind, nose in front


def test_any_header_can_be_set_or_left_out() -> None:
    series = factories.mr_series(
        slices=2, rows=16, columns=16, AccessionNumber=factories.ABSENT, StudyID="7", SeriesNumber=lambda i: i + 40
    )
    assert ["AccessionNumber" in dataset for dataset in series] == [False, False]
    assert [(dataset.StudyID, dataset.SeriesNumber) for dataset in series] == [("7", 40), ("7", 41)]


def test_a_misspelt_header_is_an_error() -> None:
    with pytest.raises(TypeError, match="AccesionNumber"):
        factories.mr_series(slices=1, rows=16, columns=16, AccesionNumber="1")


@pytest.mark.parametrize(
    "syntax",
    [
        uid.ImplicitVRLittleEndian,
        uid.ExplicitVRLittleEndian,
        uid.ExplicitVRBigEndian,
        uid.RLELossless,
        uid.JPEG2000Lossless,
    ],
)
def test_every_transfer_syntax_holds_the_same_pixels(tmp_path: Path, syntax: uid.UID) -> None:
    series = factories.mr_series(slices=1, rows=32, columns=32)
    (path,) = factories.write(series, tmp_path, transfer_syntax=syntax)
    read = pydicom.dcmread(path)
    assert read.file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(read.pixel_array, np.frombuffer(series[0].PixelData, "<u2").reshape(32, 32))


def test_signed_voxels_become_signed_pixels() -> None:
    voxels = np.full((2, 8, 8), -5, np.int16)
    series = factories.mr_series(voxels=voxels)
    assert (series[0].PixelRepresentation, series[0].BitsStored) == (1, 16)
