"""Planes make a volume by their positions, or are refused with the reason why not."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import highdicom
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from scipy.spatial.transform import Rotation

from node.dicom.frames import Frame, frames
from node.dicom.values import unwarned
from node.series.geometry import GeometryError, orientation, stack
from node.series.reasons import Reason
from tests import factories

SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)


def plane(position: Sequence[float], directions: Sequence[float] = SAGITTAL, **more: object) -> Frame:
    frame = Frame(0, None, tuple(position), tuple(directions), (1.0, 1.0), (64, 48), 1.0, 0.0, ())
    return replace(frame, **more)  # type: ignore[arg-type]


def sagittal(places: Sequence[float]) -> list[Frame]:
    return [plane((place, -24.0, 32.0)) for place in places]


def refused(planes: Sequence[Frame]) -> GeometryError:
    with pytest.raises(GeometryError) as caught:
        stack(planes)
    return caught.value


def test_planes_are_ordered_by_position_whatever_their_order() -> None:
    planes = sagittal(np.arange(30) * 1.5)
    shuffled = Random(7).sample(planes, len(planes))
    grid = stack(shuffled)
    heights = [shuffled[index].position_mm[0] for index in grid.order if index is not None]
    assert sorted(heights, reverse=True) == heights  # the normal of (0 1 0, 0 0 -1) points to the right, to -x
    assert grid.spacing_mm == pytest.approx((1.5, 1, 1))
    np.testing.assert_allclose(grid.affine_mm @ [0, 0, 0, 1], [43.5, -24, 32, 1], atol=1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_every_pixel_of_an_oblique_stack_lies_where_its_own_header_says(seed: int) -> None:
    turned = Rotation.random(random_state=seed).as_matrix()
    rows, columns, normal = turned.T
    planes = [
        plane(np.array([3.0, -40, 70]) + place * 2.2 * normal, (*rows, *columns), spacing_mm=(0.7, 0.9))
        for place in Random(seed).sample(range(25), 25)
    ]
    grid = stack(planes)
    for place, index in enumerate(grid.order):
        assert index is not None
        expected = np.array(planes[index].position_mm) + 10 * 0.7 * columns + 20 * 0.9 * rows
        np.testing.assert_allclose((grid.affine_mm @ [place, 10, 20, 1])[:3], expected, atol=1e-6)


def test_the_grid_is_the_one_that_highdicom_finds() -> None:
    turned = Rotation.from_euler("xyz", (8, -5, 11), degrees=True).apply(np.reshape(SAGITTAL, (2, 3)))
    datasets = factories.mr_series(slices=24, rows=32, columns=40, orientation=turned.ravel().tolist())
    Random(1).shuffle(datasets)
    ours = stack(frames(datasets)).affine_mm
    theirs = highdicom.get_volume_from_series([factories.encoded(each) for each in datasets]).affine
    backwards = np.diag([-1.0, 1, 1, 1])  # highdicom counts the planes against their normal
    backwards[0, 3] = 23
    np.testing.assert_allclose(theirs, ours @ backwards, atol=1e-4)


def test_positions_rounded_by_the_scanner_are_regular() -> None:
    assert stack(sagittal([round(place * 0.6999878, 2) for place in range(200)])).missing == 0


def test_a_missing_slice_is_a_gap_in_the_order() -> None:
    grid = stack(sagittal([place for place in range(40) if place not in (11, 25, 26)]))
    assert (len(grid.order), grid.missing) == (40, 3)
    assert [place for place, index in enumerate(reversed(grid.order)) if index is None] == [11, 25, 26]


ODD: dict[str, tuple[Reason, Callable[[], list[Frame]]]] = {
    "one plane": (Reason.TOO_FEW_SLICES, lambda: sagittal([0])),
    "no position": (Reason.NO_GEOMETRY, lambda: [*sagittal(range(20)), plane(())]),
    "no orientation": (Reason.NO_GEOMETRY, lambda: [plane((place, 0, 0), ()) for place in range(20)]),
    "no spacing": (Reason.NO_GEOMETRY, lambda: [plane((place, 0, 0), spacing_mm=()) for place in range(20)]),
    "spacing of zero": (Reason.NO_GEOMETRY, lambda: [plane((place, 0, 0), spacing_mm=(0, 1)) for place in range(20)]),
    "orientation of zero": (Reason.NO_GEOMETRY, lambda: [plane((place, 0, 0), (0,) * 6) for place in range(20)]),
    "rows along columns": (
        Reason.NO_GEOMETRY,
        lambda: [plane((place, 0, 0), (0, 1, 0, 0, 1, 0)) for place in range(20)],
    ),
    "skewed orientation": (
        Reason.NO_GEOMETRY,
        lambda: [plane((place, 0, 0), (0, 1, 0, 0, 0.1, -0.995)) for place in range(20)],
    ),
    "a localizer's three planes": (
        Reason.MIXED_ORIENTATIONS,
        lambda: [*sagittal(range(10)), *(plane((0, 0, place), (1, 0, 0, 0, 1, 0)) for place in range(10))],
    ),
    "another size": (Reason.MIXED_SIZES, lambda: [*sagittal(range(20)), plane((20, -24, 32), size=(64, 64))]),
    "another pixel spacing": (
        Reason.MIXED_SIZES,
        lambda: [*sagittal(range(20)), plane((20, -24, 32), spacing_mm=(1.1, 1.1))],
    ),
    "two volumes": (Reason.SEVERAL_VOLUMES, lambda: sagittal([*range(20), *range(20)])),
    "twice the same position": (Reason.DUPLICATE_POSITIONS, lambda: sagittal([*range(20), 7])),
    "all at one place": (Reason.SEVERAL_VOLUMES, lambda: sagittal([5.0] * 20)),
    "two interleaved stacks": (Reason.IRREGULAR_SPACING, lambda: sagittal([*range(20), *np.arange(20) + 0.3])),
    "growing distances": (Reason.IRREGULAR_SPACING, lambda: sagittal(np.arange(20) ** 1.2)),
    "a tilted stack": (
        Reason.SHEARED,
        lambda: [plane((place * 2.0, -24 + place * 0.2, 32)) for place in range(20)],
    ),
    "one slice beside the others": (
        Reason.IRREGULAR_SPACING,
        lambda: [plane((place, -24 + (5 if place == 9 else 0), 32)) for place in range(20)],
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_no_regular_stack_is_refused_by_name(name: str) -> None:
    reason, make = ODD[name]
    assert refused(make()).reason is reason


@pytest.mark.parametrize("value", ["nan", "inf", "1e400", "left"])
@pytest.mark.parametrize("keyword", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"])
def test_coordinates_that_are_no_finite_numbers_are_no_geometry(keyword: str, value: str, tmp_path: Path) -> None:
    paths = factories.write(factories.mr_series(slices=2, rows=8, columns=8), tmp_path)
    headers = [dcmread(path) for path in paths]
    values = [value, *(str(each) for each in headers[1][keyword].value[1:])]
    raw = "\\".join(values).encode()
    headers[1]._dict[Tag(keyword)] = RawDataElement(Tag(keyword), "DS", len(raw), raw, 0, False, True)
    with unwarned():
        assert refused(frames(headers)).reason is Reason.NO_GEOMETRY


def test_orientation_is_named_in_words() -> None:
    axial = factories.grid(factories.ORIENTATIONS["axial"], (20, 30, 40), (1, 1, 1))
    coronal = factories.grid(factories.ORIENTATIONS["coronal"], (20, 30, 40), (1, 1, 1))
    tilted = np.eye(4)
    tilted[:3, :3] = Rotation.from_euler("x", 12, degrees=True).as_matrix()
    assert orientation(axial) == "axial"
    assert orientation(coronal) == "coronal"
    assert orientation(tilted @ axial) == "axial, 12.0 degrees oblique"


@pytest.mark.parametrize("step", [0.5, 0.75, 0.9375, 1.0, 1.17])
@pytest.mark.parametrize("turn", [(0, 0, 0), (8, -5, 11)])
def test_positions_rounded_to_a_tenth_of_a_millimetre_are_regular(step: float, turn: tuple[int, int, int]) -> None:
    turned = Rotation.from_euler("xyz", turn, degrees=True).as_matrix()
    rows, columns, normal = turned.T
    exact = [np.array([3.0, -40, 70]) + place * step * normal for place in range(180)]
    grid = stack([plane([round(float(x), 1) for x in each], (*rows, *columns)) for each in exact])
    assert (len(grid.order), grid.missing) == (180, 0)
    assert grid.spacing_mm[0] == pytest.approx(step, abs=2e-3)
    np.testing.assert_allclose(grid.affine_mm[:3, 3], exact[0], atol=0.1)


def test_a_slice_missing_among_rounded_positions_is_a_gap() -> None:
    grid = stack(sagittal([round(place * 0.9375, 1) for place in range(180) if place not in (40, 41, 90)]))
    assert (len(grid.order), grid.missing) == (180, 3)
