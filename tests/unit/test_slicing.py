"""Volume -> slices: the same pixels for the same head, however it was scanned, and each slice knows its place."""

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial.transform import Rotation

from model.errors import VolumeError
from model.slicing import Preprocessing, normalise, resample, slice_from_image, slices, stack
from model.types import SourceFrame, Volume
from tests import factories

pytestmark = pytest.mark.slow

STANDARD = Preprocessing()
LIGHT = Preprocessing(slices=13, spacing_mm=5.0, size=112)


def head(plane: str = "sagittal", shape: tuple[int, int, int] = (80, 128, 128), spacing: float = 2.0) -> Volume:
    voxels, affine = factories.head_phantom(shape, (spacing,) * 3, plane=plane)  # type: ignore[arg-type]
    sources = tuple(SourceFrame(f"1.2.{place}") for place in range(shape[0]))
    return Volume(voxels.astype(np.float32), affine, sources)


@pytest.fixture(scope="module")
def volume() -> Volume:
    return head()


def difference(one: Volume, other: Volume) -> float:
    """Mean absolute difference of the slices, in grey levels."""
    first, second = (stack(slices(each, LIGHT)).astype(float) for each in (one, other))
    return float(np.abs(first - second).mean())


def test_the_slab_has_the_size_spacing_and_axes_of_the_preprocessing(volume: Volume) -> None:
    found = slices(volume, Preprocessing(slices=31, spacing_mm=2.0, field_mm=(224.0, 112.0), size=112))
    assert len(found) == 31
    assert {item.pixels.shape for item in found} == {(112, 112)}
    assert {item.pixels.dtype for item in found} == {np.dtype(np.uint8)}
    heights = [item.position_mm for item in found]
    np.testing.assert_allclose(np.diff(np.array(heights, float)), 2.0)
    for item in found:
        assert item.affine_mm is not None
        np.testing.assert_allclose(item.affine_mm[:3, 0], (0, 2, 0), atol=1e-9)  # rows go to the back
        np.testing.assert_allclose(item.affine_mm[:3, 1], (1, 0, 0), atol=1e-9)  # columns go to the left


def test_the_middle_slice_lies_the_stated_depth_below_the_crown(volume: Volume) -> None:
    middle = slices(volume, STANDARD)[30].position_mm
    assert middle is not None
    # above z the made-up scalp, an ellipsoid of 80 x 102 x 95 mm, holds 0.1 litre where z is 75.5
    assert middle == pytest.approx(75.5 - STANDARD.below_crown_mm, abs=1)


def test_the_field_is_centred_on_the_head() -> None:
    here = head()
    moved = np.eye(4)
    moved[:3, 3] = (31, -17, 55)
    there = Volume(here.voxels, moved @ here.affine_mm, here.sources)
    first, second = slices(here, STANDARD), slices(there, STANDARD)
    assert first[0].affine_mm is not None
    assert second[0].affine_mm is not None
    np.testing.assert_allclose(second[0].affine_mm[:3, 3] - first[0].affine_mm[:3, 3], (31, -17, 55), atol=4)
    assert difference(here, there) < 3


@pytest.mark.parametrize("axes", list(permutations(range(3))))
@pytest.mark.parametrize("flipped", [(1, 1, 1), (-1, 1, -1)])
def test_storage_order_and_direction_of_the_voxels_do_not_matter(
    volume: Volume, axes: tuple[int, int, int], flipped: tuple[int, int, int]
) -> None:
    """As when the patient lies on the side, or the stack runs the other way: the affine says so, the slices agree."""
    voxels = np.ascontiguousarray(volume.voxels.transpose(axes)[:: flipped[0], :: flipped[1], :: flipped[2]])
    turn = np.zeros((4, 4))
    turn[3, 3] = 1
    for new, old in enumerate(axes):
        turn[old, new] = flipped[new]
        turn[old, 3] = volume.voxels.shape[old] - 1 if flipped[new] < 0 else 0
    assert difference(volume, Volume(voxels, volume.affine_mm @ turn)) < 1.5


@pytest.mark.parametrize("plane", ["axial", "coronal"])
def test_another_acquisition_plane_gives_the_same_slices(volume: Volume, plane: str) -> None:
    shape = (112, 128, 128) if plane == "axial" else (112, 128, 96)
    assert difference(volume, head(plane, shape)) < 12


def test_a_grid_turned_against_the_head_gives_the_same_slices() -> None:
    shape = (128, 128, 128)
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("xyz", (20, -15, 30), degrees=True).as_matrix()
    grid = turn @ factories.grid(factories.ORIENTATIONS["sagittal"], shape, (2, 2, 2))
    straight = head(shape=shape)
    assert difference(straight, Volume(resample(straight, grid, shape), grid)) < 6


def test_resampling_meets_the_voxels_themselves(volume: Volume) -> None:
    grid = volume.affine_mm.copy()
    grid[:3, 3] = (volume.affine_mm @ [10, 20, 30, 1])[:3]
    np.testing.assert_allclose(
        resample(volume, grid, (5, 6, 7)), volume.voxels[10:15, 20:26, 30:37], rtol=1e-5, atol=1e-3
    )


def test_resampling_is_exact_between_the_voxels_of_a_linear_image() -> None:
    d, h, w = np.meshgrid(np.arange(20), np.arange(30), np.arange(40), indexing="ij")
    linear = Volume((3 * d - 2 * h + 0.5 * w).astype(np.float32), np.diag([2.0, 1.5, 1.0, 1.0]))
    grid = np.eye(4)
    grid[:3, 3] = (5.3, 4.2, 6.7)
    x, y, z = np.meshgrid(np.arange(8), np.arange(9), np.arange(10), indexing="ij")
    expected = 3 * (x + 5.3) / 2 - 2 * (y + 4.2) / 1.5 + 0.5 * (z + 6.7)
    np.testing.assert_allclose(resample(linear, grid, (8, 9, 10)), expected, atol=1e-3)


def test_outside_of_the_volume_there_is_air(volume: Volume) -> None:
    far = Preprocessing(slices=5, spacing_mm=60)
    for air in (0, 1000):
        without_neck = Volume(volume.voxels[:, :70] + np.float32(air), volume.affine_mm)
        found = stack(slices(without_neck, far))
        assert found[0].max() <= 3
        assert found[2].max() == 255


def test_brightness_and_contrast_of_the_scanner_do_not_matter(volume: Volume) -> None:
    assert difference(volume, Volume(volume.voxels * 7.3 + 55, volume.affine_mm)) < 1


def test_one_very_bright_spot_changes_nothing(volume: Volume) -> None:
    spotted = volume.voxels.copy()
    spotted[40:42, 60:62, 60:62] = 60_000
    assert difference(volume, Volume(spotted, volume.affine_mm)) < 1


def test_the_window_spans_from_air_to_white_matter(volume: Volume) -> None:
    middle = stack(slices(volume, STANDARD))[30]
    assert np.median(middle[:5]) < 10
    assert 190 < np.percentile(middle[80:140, 80:140], 90) <= 255


def test_the_same_volume_gives_the_same_pixels(volume: Volume) -> None:
    first, second = (stack(slices(volume, STANDARD)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_the_source_is_the_frame_whose_plane_lies_nearest_to_the_centre(volume: Volume) -> None:
    for item in slices(volume, STANDARD):
        assert item.source is not None
        assert item.affine_mm is not None
        centre = item.affine_mm @ [111.5, 111.5, 0, 1]
        corner = np.array([volume.affine_mm @ [place, 0, 0, 1] for place in range(80)])
        normal = volume.affine_mm[:3, 0] / 2
        nearest = int(np.abs((corner - centre)[:, :3] @ normal).argmin())
        assert item.source == volume.sources[nearest]


@pytest.mark.parametrize(
    "voxels",
    [
        np.zeros((40, 50, 60), np.float32),
        np.full((40, 50, 60), 7, np.float32),
        np.random.default_rng(0).normal(size=(2, 50, 60)).astype(np.float32),
        np.eye(30, dtype=np.float32)[None],
        np.pad(np.ones((1, 1, 1), np.float32), 20),
    ],
    ids=["empty", "constant", "two planes", "one plane", "one voxel"],
)
def test_a_volume_without_a_head_still_gives_slices(voxels: NDArray[np.float32]) -> None:
    assert stack(slices(Volume(voxels, np.diag([2.0, 2, 2, 1])), STANDARD)).shape == (61, 224, 224)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(volume: Volume, value: float) -> None:
    bad = volume.voxels.copy()
    bad[30:50, 40:90, 40:90] = value
    with pytest.raises(VolumeError, match="not finite"):
        slices(Volume(bad, volume.affine_mm), STANDARD)


@pytest.mark.parametrize("mode", ["L", "RGB", "LA", "P"])
@pytest.mark.parametrize("size", [(496, 248), (176, 208), (224, 224)])
def test_a_picture_goes_the_way_of_the_model_card_exactly(mode: str, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    picture = Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).convert(mode)
    card = np.asarray(picture.convert("L").resize((224, 224), Image.Resampling.BILINEAR))
    scaled = torch.from_numpy(card.astype(np.float32) / 255.0)
    expected = (scaled - scaled.mean()) / (scaled.std() + 1e-8)
    item = slice_from_image(picture, Preprocessing.card())
    np.testing.assert_array_equal(item.pixels, card)
    np.testing.assert_allclose(normalise(stack([item]))[0, 0], expected.numpy(), atol=2e-6)
    assert item.affine_mm is None
    assert item.source is None


def test_an_array_is_a_picture_too() -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (208, 176), dtype=np.uint8)
    from_array = slice_from_image(pixels, Preprocessing.card())
    np.testing.assert_array_equal(
        from_array.pixels, slice_from_image(Image.fromarray(pixels), Preprocessing.card()).pixels
    )


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(2, 40))
@settings(deadline=None, max_examples=30)
def test_normalised_slices_have_mean_zero_and_deviation_one(seed: int, count: int, side: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, side, side), dtype=np.uint8)
    pixels[:, 0, 0], pixels[:, -1, -1] = 0, 255
    found = normalise(pixels)
    assert found.shape == (count, 1, side, side)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.mean(axis=(1, 2, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(found.std(axis=(1, 2, 3), ddof=1), 1, atol=1e-4)


def test_a_slice_of_one_grey_becomes_zero() -> None:
    assert not normalise(np.full((1, 8, 8), 77, np.uint8)).any()


def test_preprocessing_goes_into_a_manifest_and_comes_back() -> None:
    changed = Preprocessing(slices=9, directions=("A", "R"), field_mm=(200, 160), window_percentiles=(0.5, 99))
    through_json = {key: list(value) if isinstance(value, tuple) else value for key, value in changed.to_dict().items()}
    assert Preprocessing.from_dict(through_json) == changed
    assert Preprocessing.from_dict(Preprocessing.card().to_dict()) == Preprocessing.card()


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 0},
        {"slices": 0},
        {"spacing_mm": 0},
        {"field_mm": (100, -1)},
        {"directions": ("L", "R")},
        {"directions": ("P", "S")},
        {"directions": ("P", "P")},
        {"window_percentiles": (99, 1)},
        {"window_percentiles": (0, 101)},
    ],
)
def test_preprocessing_that_makes_no_sense_cannot_exist(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="preprocessing"):
        Preprocessing(**wrong)  # type: ignore[arg-type]


def test_directions_turn_the_picture(volume: Volume) -> None:
    upright = stack(slices(volume, STANDARD))
    turned = stack(slices(volume, Preprocessing(directions=("A", "R"))))
    difference_ = np.abs(upright[:, ::-1, ::-1].astype(int) - turned.astype(int))
    assert difference_.max() <= 1
