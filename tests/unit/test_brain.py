"""The steps around deepbet's networks, the way into the atlas, and what the gate says of a brain."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from model import aligned, brain, brain_scope, sight
from model.aligned import Aligned
from model.brain import Brain
from model.errors import VolumeError
from model.manifest import Manifest
from model.slicing import Preprocessing
from model.types import Slice, Volume

WITH_BRAIN = Preprocessing(slices=3, spacing_mm=10.0, brain="deepbet")


@cache
def atlas_brain() -> Brain:
    """The brain of the atlas, where the atlas has it."""
    mask = aligned.atlas_brain() > 0.5
    affine = np.diag([*[aligned.GRID_MM] * 3, 1.0])
    affine[:3, 3] = -aligned.GRID_MM * (np.array(mask.shape) - 1) / 2
    return Brain(mask, affine, 1.0, mask.shape, (0, 0, 0))


def moved(turn: tuple[float, float, float], stretch: tuple[float, float, float]) -> NDArray[np.float64]:
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", turn, degrees=True).as_matrix() * stretch
    affine[:3, 3] = (12, -30, 25)
    return affine


def test_a_brain_that_was_turned_and_stretched_is_brought_back_into_the_atlas() -> None:
    away = moved((-15, 4, 6), (1.1, 0.95, 0.9))
    found = aligned.align(replace(atlas_brain(), affine_mm=away @ atlas_brain().affine_mm))
    assert found.likeness > 0.97
    corners = np.array([[x, y, z, 1] for x in (-60, 60) for y in (-80, 80) for z in (-40, 50)]).T
    assert np.linalg.norm((found.affine_mm @ corners - away @ corners)[:3], axis=0).max() < 5
    across = found.affine_mm[:3, :3].T @ found.affine_mm[:3, :3]
    assert np.allclose(across, np.diag(np.diag(across)), atol=1e-9), "slices would be sheared"


def test_where_there_is_no_brain_nothing_is_aligned() -> None:
    empty = replace(atlas_brain(), mask=np.zeros_like(atlas_brain().mask))
    assert aligned.align(empty) == Aligned(pytest.approx(np.eye(4)), 0.0)


def test_slices_are_black_outside_the_brain_and_lie_where_the_atlas_says() -> None:
    away = moved((0, 0, 0), (1, 1, 1))
    place = away @ atlas_brain().affine_mm
    shape = atlas_brain().mask.shape
    lit = Volume(np.linspace(100, 200, int(np.prod(shape)), dtype=np.float32).reshape(shape), place)
    items = aligned.slices(lit, replace(atlas_brain(), affine_mm=place), Aligned(away, 1.0), WITH_BRAIN)
    inside = [float((item.pixels > 0).mean()) for item in items]
    assert all(0.2 < share < 0.75 for share in inside)
    assert all(item.pixels[0].max() == item.pixels[:, 0].max() == 0 for item in items)
    assert [item.position_mm for item in items] == pytest.approx([25 + 3.5 + z for z in (-10, 0, 10)])


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, -1)])
def test_however_a_volume_lies_its_axes_run_to_the_right_the_front_and_the_top(
    order: tuple[int, int, int], signs: tuple[int, int, int]
) -> None:
    directions = np.zeros((3, 3))
    directions[order, range(3)] = np.multiply(signs, (1.0, 2.0, 3.0))
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("x", 10, degrees=True).as_matrix() @ directions
    volume = Volume(np.arange(24, dtype=np.float32).reshape(2, 3, 4), affine)
    voxels, place = brain.upright(volume)
    assert (np.diag(place)[:3] * (-1, -1, 1) > 0).all()
    for value in (0, 7, 23):
        was, now = np.argwhere(volume.voxels == value)[0], np.argwhere(voxels == value)[0]
        assert np.allclose(affine @ [*was, 1], place @ [*now, 1])


def test_the_nearest_voxel_is_the_one_that_the_centre_lies_in() -> None:
    line = np.arange(5).reshape(5, 1, 1)
    assert brain.nearest(line, (3, 1, 1)).ravel().tolist() == [0, 2, 4]
    assert brain.nearest(line, (10, 1, 1)).ravel().tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_the_largest_piece_counts_and_its_holes_are_filled() -> None:
    mask = np.zeros((9, 9, 9), bool)
    mask[0:6, 0:6, 0:6] = True
    mask[2:4, 2:4, 2:4] = False
    mask[8, 8, 8] = True
    found = brain.filled(brain.largest(mask))
    assert found.sum() == 6**3
    assert not found[8, 8, 8]
    assert not brain.largest(np.zeros((3, 3, 3), bool)).any()


def test_the_box_has_a_tenth_around_it_and_stays_in_the_volume() -> None:
    mask = np.zeros((100, 100, 100), bool)
    mask[20:60, 0:50, 90:100] = True
    mask[5, 5, 5] = True  # too little to count
    assert brain.box_of(mask, (200, 100, 50)) == (slice(32, 128), slice(0, 55), slice(45, 50))
    assert brain.box_of(np.zeros((4, 4, 4), bool), (8, 8, 8)) == brain.NOTHING


def test_a_volume_without_contrast_has_no_brain_and_one_that_is_not_finite_is_an_error() -> None:
    even = Volume(np.full((8, 8, 8), 7, np.float32), np.eye(4))
    assert brain.find(even).litres == 0
    items, found = sight.see(even, WITH_BRAIN, {})
    assert (found.inside, found.reason) == (False, "there is no brain")
    assert len(items) == 3
    with pytest.raises(VolumeError, match="not finite"):
        brain.find(Volume(np.full((8, 8, 8), np.nan, np.float32), np.eye(4)))


def test_what_is_cut_off_is_measured_where_the_volume_ends() -> None:
    whole = atlas_brain()
    half = replace(whole, mask=whole.mask[:, :18], shape=(30, 18, 30))
    assert whole.cut_cm2() == 0
    assert half.cut_cm2() == pytest.approx(whole.mask[:, 17].sum() * 0.36)
    assert replace(half, shape=(30, 40, 30)).cut_cm2() == 0, "the volume goes on behind the box"


def test_every_limit_of_the_brain_refuses_in_words() -> None:
    rng = np.random.default_rng(0)
    mask = np.hypot(*np.indices((224, 224)) - 111.5) < 90
    items = [Slice(np.where(mask, rng.integers(90, 180, mask.shape), 0).astype(np.uint8), np.eye(4)) for _ in range(5)]
    measured = brain_scope.measure(atlas_brain(), Aligned(np.eye(4), 1.0), items)
    assert set(measured) == set(brain_scope.WORDS)
    for key in brain_scope.THRESHOLDS:
        name, side = key.rsplit("_", 1)
        beyond = measured[name] + (1 if side == "minimum" else -1)
        found = brain_scope.assess(atlas_brain(), Aligned(np.eye(4), 1.0), items, {key: beyond})
        assert brain_scope.WORDS[name] in found.reason, key


def test_a_bundle_without_a_brain_keeps_its_identity() -> None:
    assert "brain" not in Manifest(trained=False).to_json()
    with_brain = Manifest(trained=False, preprocessing=Preprocessing(brain="deepbet"))
    assert Manifest.model_validate_json(with_brain.to_json()) == with_brain
    assert '"brain": "deepbet"' in with_brain.to_json()
    with pytest.raises(ValueError, match="none or deepbet"):
        Preprocessing(brain="fsl")
