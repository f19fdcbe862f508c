"""A bundle reads the planes that it names, where it says they lie, as far as a series gives them."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from model import Predictor, scope, sight, slicing
from model.aggregate import study_probability, study_uncertainty
from model.bundle import with_brain
from model.errors import BundleError, TooCoarse
from model.manifest import Manifest
from model.planes import Slab, readable, within_mm
from model.slicing import Preprocessing
from model.types import Scope, SourceFrame, Volume
from node.config import Settings
from node.series.choice import Limits, look
from node.series.reasons import Reason, SeriesRefused
from node.series.volume import read_series
from tests import bundles, factories

THREE = tuple(Slab.standard(plane, slices=3, spacing_mm=10.0) for plane in ("axial", "sagittal", "coronal"))
PREPROCESSING = Preprocessing(size=64, planes=THREE)


def volume(spacing_mm: tuple[float, float, float] = (3.0, 3.0, 3.0), plane: str = "sagittal") -> Volume:
    shape = tuple(int(size / step) for size, step in zip((200, 240, 240), spacing_mm, strict=True))
    voxels, affine = factories.head_phantom(shape, spacing_mm, plane=plane)  # type: ignore[arg-type]
    sources = tuple(SourceFrame(f"1.2.{place}") for place in range(shape[0]))
    return Volume(voxels.astype(np.float32), affine, sources)


@pytest.fixture(scope="module")
def head() -> Volume:
    return volume()


def test_without_planes_a_manifest_is_the_one_that_it_was() -> None:
    assert "planes" not in Manifest(trained=True).to_json()
    (axial,) = Preprocessing(slices=11, spacing_mm=2.0, below_crown_mm=46.0).slabs
    assert (axial.plane, axial.slices, axial.middle_mm) == ("axial", 11, (0, 0, -46.0))
    (atlas,) = Preprocessing(brain="deepbet").slabs
    assert atlas.middle_mm == (0, 0, 3.5)


def test_a_manifest_keeps_its_planes_and_says_nothing_of_the_axial_slab_beside_them() -> None:
    manifest = Manifest(trained=True, preprocessing=Preprocessing(planes=THREE))
    assert Manifest.model_validate_json(manifest.to_json()) == manifest
    assert '"below_crown_mm"' not in manifest.to_json()
    assert manifest.preprocessing.weights == {"axial": 1, "sagittal": 1, "coronal": 1}


@pytest.mark.parametrize(
    "wrong",
    [
        {"planes": [{"plane": "oblique"}]},
        {"planes": [{"plane": "coronal", "directions": ["P", "L"]}]},
        {"planes": [{"plane": "coronal", "weight": 0}]},
        {"planes": [{"plane": "coronal", "depth_mm": 3}]},
        {"planes": [{"plane": "coronal"}, {"plane": "coronal"}]},
        {"planes": [{"plane": "coronal"}], "slices": 11},
    ],
)
def test_a_manifest_with_impossible_planes_is_refused_and_the_key_is_named(wrong: dict[str, object]) -> None:
    with pytest.raises(BundleError, match="preprocessing"):
        Manifest.checked(trained=True, preprocessing=wrong)


def test_the_slices_of_each_plane_lie_where_the_slab_says(head: Volume) -> None:
    found = slicing.slices(head, PREPROCESSING)
    assert [item.plane for item in found] == [slab.plane for slab in THREE for _ in range(3)]
    middles = {item.plane: item for item in found[1::3]}
    axial, sagittal, coronal = (middles[slab.plane].affine_mm for slab in THREE)
    assert axial is not None
    assert sagittal is not None
    assert coronal is not None
    for plane, directions in ((axial, "PL"), (sagittal, "FA"), (coronal, "FL")):
        steps = plane[:3, :2] / np.linalg.norm(plane[:3, :2], axis=0)
        letters = {"P": (0, 1, 0), "L": (1, 0, 0), "F": (0, 0, -1), "A": (0, -1, 0)}
        np.testing.assert_allclose(steps.T, [letters[each] for each in directions])
    centre = [31.5, 31.5, 0, 1]
    np.testing.assert_allclose((sagittal @ centre)[:3], (coronal @ centre)[:3])
    np.testing.assert_allclose((axial @ centre)[:3] - (coronal @ centre)[:3], (0, 0, 3.5), atol=1e-9)
    for plane in ("axial", "sagittal", "coronal"):
        places = [item.position_mm for item in found if item.plane == plane]
        np.testing.assert_allclose(np.diff(np.array(places, float)), 10)


def test_a_pixel_of_any_plane_shows_what_lies_at_its_place_in_the_patient(head: Volume) -> None:
    """The middle of the head is in all three, and the planes agree along the lines where they meet."""
    found = {item.plane: item for item in slicing.slices(head, PREPROCESSING)[1::3]}
    coronal, sagittal = found["coronal"], found["sagittal"]
    down_the_middle = [item.pixels[:, 31:33].mean(axis=1) for item in (coronal, sagittal)]
    assert np.corrcoef(*down_the_middle)[0, 1] > 0.98
    assert coronal.source is not None
    assert sagittal.source == coronal.source  # of a sagittal series, the image through the middle


def test_a_thick_series_gives_the_plane_of_its_images_alone_and_a_fine_one_all() -> None:
    for plane, read in (("axial", ["axial"]), ("sagittal", ["sagittal"]), ("coronal", ["coronal"])):
        thick = volume((6.0, 2.0, 2.0), plane)
        grid_of = partial(Slab.grid, anchor_mm=np.zeros(3), size=64)
        found = readable(thick, THREE, grid_of)
        assert [slab.plane for slab in found.slabs] == read
        assert found.too_coarse_mm == {slab.plane: pytest.approx(6) for slab in THREE if slab.plane != plane}
    assert within_mm(volume(), THREE[1].grid(np.zeros(3), 64)) == pytest.approx(3)
    with pytest.raises(TooCoarse, match=r"sagittal slices would be sampled every 6\.0 mm"):
        readable(volume((6.0, 2.0, 2.0), "axial"), THREE[1:], grid_of)


@pytest.fixture
def in_scope(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    """The gate is another module's matter; gives the planes that it was shown."""
    shown: list[set[str]] = []

    def assess(_volume: object, items: tuple[object, ...], _limits: object) -> Scope:
        shown.append({item.plane for item in items})  # type: ignore[attr-defined]
        return Scope(True, "stands open", {})

    monkeypatch.setattr(scope, "assess", assess)
    return shown


def test_the_answer_says_which_planes_were_read_and_which_could_not_be(in_scope: list[set[str]], head: Volume) -> None:
    _, found = sight.see(head, PREPROCESSING, {})
    counted = "(3 slices, weight 33 %)"
    assert found.remarks == (f"Planes read: axial {counted}, sagittal {counted}, coronal {counted}.",)
    items, found = sight.see(volume((5.0, 2.0, 2.0), "coronal"), PREPROCESSING, {})
    assert {item.plane for item in items} == {"coronal"}
    assert found.remarks == (
        "Planes read: coronal (3 slices, weight 100 %). Not read, too coarse in this series: "
        "axial (sampled every 5.0 mm), sagittal (sampled every 5.0 mm).",
    )
    assert in_scope == [{"axial"}, {"axial"}]  # whether it is a head at all is asked of axial slices, read or not


def test_every_slice_of_a_plane_counts_the_same_and_planes_by_their_weights() -> None:
    planes, weights = ["axial"] * 3 + ["coronal"], {"axial": 1.0, "coronal": 3.0, "sagittal": 9.0}
    assert study_probability(np.array([0.1, 0.2, 0.3, 0.6]), planes, weights) == pytest.approx(0.25 * 0.2 + 0.75 * 0.6)
    samples = np.array([[0.1, 0.2, 0.3, 0.6], [0.3, 0.4, 0.5, 0.6]])
    assert study_uncertainty(samples, planes, weights).spread == pytest.approx(0.25 * 0.1)
    assert study_probability(np.array([0.1, 0.2, 0.3, 0.6]), planes) == pytest.approx((0.2 + 0.6) / 2)


@pytest.mark.usefixtures("in_scope")
def test_an_answer_of_several_planes_is_their_weighted_mean(head: Volume) -> None:
    heavy = replace(PREPROCESSING, planes=(THREE[0], replace(THREE[2], weight=3.0)))
    found = Predictor(bundles.bundle(preprocessing=heavy), threads=1).predict(head, b"a study")
    axial, coronal = (
        np.mean([item.probability for item in found.slices if item.slice.plane == plane])
        for plane in ("axial", "coronal")
    )
    assert found.probability == pytest.approx(0.25 * axial + 0.75 * coronal)


def test_planes_that_hang_from_the_head_are_not_hung_from_a_brain() -> None:
    with pytest.raises(BundleError, match="planes"):
        with_brain(bundles.bundle(preprocessing=PREPROCESSING), "deepbet")


def test_a_series_that_is_too_coarse_for_every_plane_is_refused_by_that_reason(tmp_path: Path) -> None:
    thick = {"slices": 24, "rows": 64, "columns": 64, "spacing_mm": (6.0, 4.0, 4.0), "plane": "axial"}
    (series,) = read_series(factories.write(factories.mr_series(None, **thick), tmp_path)).series
    limits = Limits.of(Settings(), Manifest(trained=True, preprocessing=Preprocessing(planes=THREE[1:])))
    with pytest.raises(SeriesRefused, match=r"coronal slices would be sampled every 6\.0 mm") as refused:
        look(series, limits)
    assert refused.value.reason is Reason.TOO_COARSE
