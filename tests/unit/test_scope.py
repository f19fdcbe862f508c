"""The gate lets heads through and keeps out what lies in a head coil instead, each for a measured, named reason."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from model import scope
from model.slicing import Preprocessing, slice_from_image, slices
from model.types import Scope, Volume
from tests import factories

pytestmark = pytest.mark.slow

SHAPE, SPACING = (80, 80, 80), 2.7
Field = NDArray[np.float64]


def assessed(volume: Volume) -> Scope:
    return scope.assess(volume, slices(volume, Preprocessing()))


@cache
def head() -> Volume:
    voxels, affine = factories.head_phantom((84, 108, 84), (2.5, 2.5, 2.5))
    return Volume(voxels.astype(np.float32), affine)


@cache
def grid() -> tuple[Field, Field, Field]:
    """x, y, z (LPS mm) of every sample of an axial stack around the origin."""
    z, y, x = ((np.indices(SHAPE) - np.reshape(SHAPE, (3, 1, 1, 1)) / 2 + 0.5) * SPACING).astype(float)
    return x, y, z


def scanned(image: Field, noise: float = 12, seed: int = 0) -> Volume:
    """An object as a scanner shows it: Rician noise on the magnitude."""
    rng = np.random.default_rng(seed)
    voxels = np.hypot(image + rng.normal(0, noise, image.shape), rng.normal(0, noise, image.shape))
    return Volume(voxels.astype(np.float32), factories.grid(factories.ORIENTATIONS["axial"], SHAPE, (SPACING,) * 3))


def texture(width: float, seed: int = 1) -> Field:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=SHAPE), width)
    return np.asarray(noise / noise.std(), float)


def ball(radius: float = 85) -> Field:
    x, y, z = grid()
    return 800.0 * (x * x + y * y + z * z < radius**2)


def shaded_ball() -> Field:
    x, y, z = grid()
    return ball() * (1 + 0.4 * np.cos(np.sqrt(x * x + y * y + z * z) / 70))


def cylinder() -> Field:
    x, y, z = grid()
    return 800.0 * ((np.hypot(x, y) < 85) & (abs(z) < 90))


def cube() -> Field:
    return np.where(np.max(np.abs(grid()), axis=0) < 80, 800.0, 0)


def quality_phantom() -> Field:
    """A fluid cylinder with rods, a slot and a comb inside."""
    x, y, z = grid()
    image = cylinder()
    for turn in range(6):
        centre = 50 * np.exp(1j * turn * np.pi / 3)
        image[(np.hypot(x - centre.real, y - centre.imag) < 10) & (abs(z) < 60)] = 100
    image[(abs(x) < 30) & (abs(y) < 4) & (abs(z) < 50)] = 50
    return image


def ellipsoid(x_mm: float, y_mm: float, z_mm: float) -> Field:
    x, y, z = grid()
    return np.asarray(np.sqrt((x / x_mm) ** 2 + (y / y_mm) ** 2 + (z / z_mm) ** 2))


def head_shaped_texture(width: float) -> Field:
    return np.clip(700 + 150 * texture(width), 0, None) * (ellipsoid(75, 95, 90) < 1)


def computed_head() -> Field:
    """The well-known phantom of ellipses: bright shell, even inside, two dark ventricles."""
    image = 900.0 * ((ellipsoid(75, 95, 90) < 1) & (ellipsoid(70, 88, 84) > 1)) + 500.0 * (ellipsoid(68, 86, 82) < 1)
    x, y, z = grid()
    for side in (-1, 1):
        image[((x - side * 16) / 9) ** 2 + ((y - 5) / 32) ** 2 + ((z - 10) / 25) ** 2 < 1] = 120
    return image


def knee() -> Field:
    x, y, z = grid()
    leg, bone = np.hypot(x, y - 0.1 * z), np.sqrt((x / 32) ** 2 + ((y + 8) / 30) ** 2)
    image = 500.0 * (leg < 65)
    image[(leg < 65) & (leg > 55)] = 950
    image[(bone < 1) & (abs(z) > 4)] = 120
    image[(bone < 0.9) & (abs(z) > 4)] = 900
    return np.asarray(np.clip(image * (1 + 0.1 * texture(1.5)), 0, None))


def melon() -> Field:
    radius = ellipsoid(95, 95, 100)
    image = 700.0 * (radius < 1) - 350.0 * ((radius < 1) & (radius > 0.9))
    image[(texture(1.2, 7) > 2.2) & (radius < 0.75) & (radius > 0.35)] = 60
    return np.asarray(np.clip(image * (1 + 0.08 * texture(2, 8)), 0, None))


def bottles() -> Field:
    x, y, z = grid()
    image = np.zeros(SHAPE)
    for place, (across, along) in enumerate([(-45, -45), (45, -45), (-45, 45), (45, 45)]):
        image[(np.hypot(x - across, y - along) < 38) & (abs(z) < 90)] = 400 + 150 * place
    return image


def pineapple() -> Field:
    x, y, z = grid()
    radius = np.hypot(x, y) / 65
    image = 600.0 * ((radius < 1) & (abs(z) < 95)) * (1 + 0.25 * np.cos(16 * np.arctan2(y, x)) * (radius > 0.3))
    return np.asarray(np.clip(image * (1 + 0.15 * texture(1.5, 10)), 0, None))


def trunk() -> Field:
    x, y, z = grid()
    radius = np.sqrt((x / 105) ** 2 + (y / 80) ** 2)
    image = 450.0 * (radius < 1) + 500.0 * ((radius < 1) & (radius > 0.88))
    image[((abs(x) - 45) / 35) ** 2 + ((y + 5) / 50) ** 2 < 1] = 60
    return image * (1 + 0.08 * texture(1.5, 12)) + 0 * z


OBJECTS: dict[str, Callable[[], Volume]] = {
    "ball": lambda: scanned(ball()),
    "shaded ball": lambda: scanned(shaded_ball()),
    "small ball": lambda: scanned(ball(50)),
    "cylinder": lambda: scanned(cylinder()),
    "cube": lambda: scanned(cube()),
    "quality phantom": lambda: scanned(quality_phantom()),
    "even ellipsoid of a head's size": lambda: scanned(800.0 * (ellipsoid(75, 95, 90) < 1)),
    "head-shaped fine texture": lambda: scanned(head_shaped_texture(1.5)),
    "head-shaped coarse texture": lambda: scanned(head_shaped_texture(3.5)),
    "computed head": lambda: scanned(computed_head()),
    "computed head with texture": lambda: scanned(
        np.clip(computed_head() + 60 * texture(1.5, 5) * (ellipsoid(68, 86, 82) < 1), 0, None)
    ),
    "knee": lambda: scanned(knee()),
    "melon": lambda: scanned(melon()),
    "pineapple": lambda: scanned(pineapple()),
    "bottles": lambda: scanned(bottles()),
    "trunk": lambda: scanned(trunk()),
    "noise": lambda: scanned(np.zeros(SHAPE), noise=50),
    "even noise": lambda: Volume(np.random.default_rng(0).uniform(0, 4095, SHAPE).astype(np.float32), np.eye(4) * 2.7),
    "empty": lambda: Volume(np.zeros(SHAPE, np.float32), np.diag([2.7, 2.7, 2.7, 1])),
    "constant": lambda: Volume(np.full(SHAPE, 100, np.float32), np.diag([2.7, 2.7, 2.7, 1])),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", OBJECTS)
def test_what_is_no_head_is_outside_with_a_reason(name: str) -> None:
    found = assessed(OBJECTS[name]())
    assert not found.inside
    assert "is expected" in found.reason or "nothing large enough" in found.reason


@pytest.mark.parametrize("plane", ["sagittal", "axial"])
@pytest.mark.parametrize("seed", [0, 5])
def test_a_t1_weighted_head_is_inside(plane: str, seed: int) -> None:
    voxels, affine = factories.head_phantom((84, 108, 84), (2.5, 2.5, 2.5), plane=plane, seed=seed)  # type: ignore[arg-type]
    found = assessed(Volume(voxels.astype(np.float32), affine))
    assert found.inside, found.reason
    assert set(found.measurements) == set(scope.WORDS)


def turned(axes: str, degrees: float) -> Volume:
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler(axes, degrees, degrees=True).as_matrix()
    return Volume(head().voxels, turn @ head().affine_mm)


@pytest.mark.parametrize(("axis", "degrees"), [("x", -15), ("x", 15), ("z", -12), ("z", 12)])
def test_a_head_that_is_turned_a_little_is_inside(axis: str, degrees: float) -> None:
    assert assessed(turned(axis, degrees)).inside


@pytest.mark.parametrize(("axis", "degrees"), [("z", 90), ("y", 90)])
def test_a_head_that_wrong_headers_lay_on_its_side_is_outside(axis: str, degrees: float) -> None:
    """Front-back and left-right, or left-right and foot-head, are exchanged: not what the model was trained on."""
    assert not assessed(turned(axis, degrees)).inside


@pytest.mark.parametrize("rows", [slice(0, 44), slice(34, 108)], ids=["ends above the slab's end", "without its top"])
def test_a_head_of_which_a_part_is_missing_is_outside(rows: slice) -> None:
    moved = np.eye(4)
    moved[1, 3] = rows.start
    part = Volume(np.ascontiguousarray(head().voxels[:, rows]), head().affine_mm @ moved)
    found = assessed(part)
    assert not found.inside
    words = scope.WORDS["covered" if rows.start == 0 else "top_cut_cm2"]
    assert words in found.reason


def test_inverted_contrast_is_outside() -> None:
    dark = np.where(head().voxels > 60, 900 - head().voxels, head().voxels)
    found = assessed(Volume(dark.astype(np.float32), head().affine_mm))
    assert not found.inside
    assert "furrows" in found.reason


def test_a_head_lost_in_noise_is_outside() -> None:
    rng = np.random.default_rng(0)
    noisy = np.hypot(head().voxels + rng.normal(0, 700, head().voxels.shape), rng.normal(0, 700, head().voxels.shape))
    assert not assessed(Volume(noisy.astype(np.float32), head().affine_mm)).inside


def test_every_limit_is_a_threshold_of_the_bundle_and_its_reason_says_so() -> None:
    measured = scope.measure(head(), slices(head(), Preprocessing()))
    assert scope.decide(measured, scope.THRESHOLDS).inside
    for key in scope.THRESHOLDS:
        name, side = key.rsplit("_", 1)
        beyond = measured[name] + (0.001 + abs(measured[name]) * 0.01) * (1 if side == "minimum" else -1)
        found = scope.decide(measured, {**scope.THRESHOLDS, key: beyond})
        assert not found.inside, key
        assert scope.WORDS[name] in found.reason
        assert ("at least" if side == "minimum" else "at most") in found.reason


def test_the_limits_of_the_bundle_are_those_that_count() -> None:
    items = slices(head(), Preprocessing())
    assert scope.assess(head(), items, {}).inside
    assert not scope.assess(head(), items, {"head_ml_maximum": 500.0}).inside


def test_measuring_twice_gives_the_same_numbers() -> None:
    assert assessed(head()) == assessed(head())


def test_pictures_are_measured_only_by_what_does_not_depend_on_how_they_lie() -> None:
    inside = [item for item in slices(head(), Preprocessing()) if item.position_mm is not None][20:40:5]
    pictures = [slice_from_image(item.pixels, Preprocessing.card()) for item in inside]
    found = scope.assess(None, pictures)
    assert found.inside
    assert set(found.measurements) == {"texture", "grain"}


@pytest.mark.parametrize("name", ["black", "white", "noise", "ramp"])
def test_a_picture_of_nothing_is_outside(name: str) -> None:
    picture = {
        "black": np.zeros((208, 176)),
        "white": np.full((208, 176), 255),
        "noise": np.random.default_rng(0).integers(0, 256, (208, 176)),
        "ramp": np.add.outer(np.arange(208), np.zeros(176)),
    }[name].astype(np.uint8)
    assert not scope.assess(None, [slice_from_image(picture, Preprocessing.card())]).inside
