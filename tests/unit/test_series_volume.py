"""Files -> volume: the values that the scanner meant, at the places that it meant, from any file it may send."""

from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from model.types import SourceFrame, Volume
from node.config import SelectionSettings
from node.series.geometry import GeometryError
from node.series.reasons import Reason
from node.series.selection import SeriesHeaders, judge
from node.series.volume import read_series, read_volume
from tests import factories

SHAPE = (6, 36, 48)
LIMIT = 2**24


def numbers(low: int = 0, high: int = 4096, dtype: str = "u2", shape: tuple[int, int, int] = SHAPE) -> NDArray[Any]:
    return np.random.default_rng(3).integers(low, high, shape).astype(dtype)


def written(folder: Path, datasets: list[Dataset], syntax: str = ExplicitVRLittleEndian) -> SeriesHeaders:
    paths = factories.write(datasets, folder, transfer_syntax=syntax)
    series, unreadable = read_series(paths)
    assert not unreadable
    assert len(series) == 1
    return series[0]


def volume(folder: Path, datasets: list[Dataset], syntax: str = ExplicitVRLittleEndian) -> Volume:
    return read_volume(written(folder, datasets, syntax), LIMIT)


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless, JPEG2000Lossless]
)
@pytest.mark.parametrize("dtype", ["u2", "i2"])
def test_stored_values_come_back_from_every_transfer_syntax(tmp_path: Path, syntax: str, dtype: str) -> None:
    stored = numbers(-2000 if dtype == "i2" else 0, 4000, dtype)
    read = volume(tmp_path, factories.mr_series(voxels=stored), syntax)
    np.testing.assert_array_equal(read.voxels, stored.astype(np.float32))
    assert read.voxels.dtype == np.float32


def test_order_comes_from_positions_not_from_instance_numbers_or_file_names(tmp_path: Path) -> None:
    stored = numbers()
    datasets = factories.mr_series(voxels=stored, InstanceNumber=lambda index: 100 - index)
    order = Random(2).sample(datasets, len(datasets))
    read = volume(tmp_path, order)
    np.testing.assert_array_equal(read.voxels, stored)
    assert [each.sop_instance_uid for each in read.sources] == [each.SOPInstanceUID for each in datasets]


def test_every_voxel_lies_where_its_header_says(tmp_path: Path) -> None:
    datasets = factories.mr_series(voxels=numbers(), spacing_mm=(2.2, 0.7, 1.3), plane="coronal")
    read = volume(tmp_path, datasets)
    for place, dataset in enumerate(datasets):
        np.testing.assert_allclose((read.affine_mm @ [place, 0, 0, 1])[:3], dataset.ImagePositionPatient, atol=1e-6)
    assert read.spacing_mm == pytest.approx((2.2, 0.7, 1.3))


def test_each_instance_has_its_own_rescale(tmp_path: Path) -> None:
    stored = numbers()
    slopes = [1, 2.36166056166056, 0.5, 1, 3, 1.25]
    datasets = factories.mr_series(
        voxels=stored, RescaleSlope=lambda i: str(slopes[i])[:16], RescaleIntercept=lambda i: str(-7 * i)
    )
    expected = stored * np.float32(slopes)[:, None, None] - 7 * np.arange(6, dtype=np.float32)[:, None, None]
    np.testing.assert_allclose(volume(tmp_path, datasets).voxels, expected, rtol=1e-6)


def test_monochrome1_is_turned_round(tmp_path: Path) -> None:
    stored = numbers()
    read = volume(tmp_path, factories.mr_series(voxels=stored, PhotometricInterpretation="MONOCHROME1"))
    np.testing.assert_array_equal(read.voxels, 4095 - stored.astype(np.float32))


def test_monochrome1_with_a_sign_is_turned_round(tmp_path: Path) -> None:
    stored = numbers(-500, 500, "i2")
    read = volume(tmp_path, factories.mr_series(voxels=stored, PhotometricInterpretation="MONOCHROME1"))
    np.testing.assert_array_equal(read.voxels, -1 - stored.astype(np.float32))


def test_bits_outside_of_the_stored_ones_are_ignored(tmp_path: Path) -> None:
    stored = numbers()
    overlaid = stored | np.uint16(0xA000)
    read = volume(tmp_path, factories.mr_series(voxels=overlaid, BitsStored=12, HighBit=11))
    np.testing.assert_array_equal(read.voxels, stored)


def test_values_in_the_upper_bits_are_moved_down(tmp_path: Path) -> None:
    stored = numbers()
    read = volume(tmp_path, factories.mr_series(voxels=stored << 4, BitsStored=12, HighBit=15))
    np.testing.assert_array_equal(read.voxels, stored)


def test_twelve_bits_with_a_sign_are_extended(tmp_path: Path) -> None:
    stored = numbers(-2048, 2048, "i2")
    as_bits = stored & np.int16(0x0FFF)
    read = volume(tmp_path, factories.mr_series(voxels=as_bits, BitsStored=12, HighBit=11))
    np.testing.assert_array_equal(read.voxels, stored)


@pytest.mark.parametrize("bits", [8, 32])
def test_pixels_of_one_and_of_four_bytes_are_read(tmp_path: Path, bits: int) -> None:
    stored = numbers(0, 200)
    datasets = factories.mr_series(voxels=stored, BitsAllocated=bits, BitsStored=bits, HighBit=bits - 1)
    for plane, dataset in zip(stored, datasets, strict=True):
        dataset.PixelData = plane.astype(f"<u{bits // 8}").tobytes()
    np.testing.assert_array_equal(volume(tmp_path, datasets).voxels, stored)


def test_an_enhanced_object_is_the_same_volume_as_its_classic_slices(tmp_path: Path) -> None:
    shape = {"slices": 24, "rows": 40, "columns": 48, "spacing_mm": (3.0, 2.0, 2.5)}
    classic = volume(tmp_path / "classic", factories.mr_series(**shape))
    enhanced = volume(tmp_path / "enhanced", [factories.enhanced_mr(**shape)])
    np.testing.assert_array_equal(enhanced.voxels, classic.voxels)
    np.testing.assert_allclose(enhanced.affine_mm, classic.affine_mm, atol=1e-6)
    assert enhanced.sources[0].frame_number is not None
    assert {each.sop_instance_uid for each in enhanced.sources} == {factories.enhanced_mr(**shape).SOPInstanceUID}


def test_a_legacy_converted_object_is_the_same_volume_too(tmp_path: Path) -> None:
    legacy = pytest.importorskip("highdicom.legacy")
    shape: dict[str, Any] = {"slices": 24, "rows": 40, "columns": 48, "spacing_mm": (7.0, 4.0, 4.0)}
    slices = [factories.encoded(each) for each in factories.mr_series(**shape)]
    converted = legacy.LegacyConvertedEnhancedMRImage(
        Random(1).sample(slices, 24), factories.uid("legacy"), 7, factories.uid("legacy", 1), 1
    )
    path = tmp_path / "converted.dcm"
    converted.save_as(path)
    series = read_series([path]).series[0]
    verdict = judge(series, SelectionSettings())
    assert verdict.eligible, verdict
    read, classic = read_volume(series, LIMIT), volume(tmp_path / "classic", factories.mr_series(**shape))
    np.testing.assert_array_equal(read.voxels, classic.voxels)
    np.testing.assert_allclose(read.affine_mm, classic.affine_mm, atol=1e-6)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, ExplicitVRBigEndian])
def test_enhanced_frames_are_ordered_by_position_and_rescaled_one_by_one(tmp_path: Path, syntax: str) -> None:
    dataset = factories.enhanced_mr(slices=10, rows=32, columns=32)
    pixels = np.frombuffer(dataset.PixelData, "<u2").reshape(10, 32, 32)
    order = Random(5).sample(range(10), 10)
    groups = list(dataset.PerFrameFunctionalGroupsSequence)
    dataset.PerFrameFunctionalGroupsSequence = [groups[place] for place in order]
    dataset.PixelData = pixels[order].tobytes()
    for frame, group in enumerate(dataset.PerFrameFunctionalGroupsSequence):
        item = Dataset()
        item.RescaleSlope, item.RescaleIntercept, item.RescaleType = str(frame + 1), "0", "US"
        group.PixelValueTransformationSequence = [item]
    if "PixelValueTransformationSequence" in dataset.SharedFunctionalGroupsSequence[0]:
        del dataset.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence
    read = volume(tmp_path, [dataset], syntax)
    by_place = [order.index(place) for place in range(10)]
    expected = pixels * (np.array(by_place, np.float32) + 1)[:, None, None]
    np.testing.assert_array_equal(read.voxels, expected)
    assert read.sources == tuple(SourceFrame(dataset.SOPInstanceUID, place + 1) for place in by_place)


def test_a_volume_above_the_limit_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    series = written(tmp_path, factories.mr_series(voxels=numbers(), Rows=60000, Columns=60000))
    with pytest.raises(GeometryError) as caught:
        read_volume(series, LIMIT)
    assert caught.value.reason is Reason.TOO_LARGE


def test_missing_slices_are_refused_unless_the_settings_allow_a_bridge(tmp_path: Path) -> None:
    stored = numbers(shape=(40, 8, 8))
    series = written(tmp_path, [each for i, each in enumerate(factories.mr_series(voxels=stored)) if i != 12])
    with pytest.raises(GeometryError) as caught:
        read_volume(series, LIMIT)
    assert caught.value.reason is Reason.GAPS
    read = read_volume(series, LIMIT, SelectionSettings(maximum_gap_fraction=0.03))
    assert read.voxels.shape == (40, 8, 8)
    np.testing.assert_allclose(read.voxels[12], (stored[11].astype(float) + stored[13]) / 2)
    np.testing.assert_array_equal(np.delete(read.voxels, 12, 0), np.delete(stored, 12, 0))
    assert read.sources[12] == read.sources[11]


def test_series_without_known_pixel_places_are_looked_up_again(tmp_path: Path) -> None:
    series = written(tmp_path, factories.mr_series(voxels=numbers()))
    bare = SeriesHeaders(series.series_instance_uid, series.headers, series.paths)
    np.testing.assert_array_equal(read_volume(bare, LIMIT).voxels, read_volume(series, LIMIT).voxels)
