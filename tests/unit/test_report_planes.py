"""Results of slices in several planes say of each which plane it is of, and which ends of the patient its edges are."""

from dataclasses import replace

import numpy as np
import pytest
from pydicom.dataset import Dataset

from model.types import Prediction
from node.report import Encoded, curve, overlay
from tests import factories, reports

DIRECTIONS = {
    "axial": ((0, 1, 0), (1, 0, 0), (0, 0, 1)),
    "sagittal": ((0, 0, -1), (0, -1, 0), (1, 0, 0)),
    "coronal": ((0, 0, -1), (1, 0, 0), (0, 1, 0)),
}
REMARK = "Planes read: axial (3 slices, weight 50 %), sagittal (3 slices, weight 50 %)."


def prediction(planes: tuple[str, ...], series: list[Dataset] | None = None, each: int = 3) -> Prediction:
    """`each` slices of these planes, 10 mm apart, the later ones more probable."""
    made = reports.prediction(series or (), each * len(planes))
    items = []
    for index, item in enumerate(made.slices):
        plane = planes[index // each]
        affine = np.eye(4)
        affine[:3, :3] = np.transpose(DIRECTIONS[plane])
        affine[:3, 3] = affine[:3, :3] @ [-111.5, -111.5, 10 * (index % each - 1) + 0.5]
        placed = replace(item.slice, affine_mm=affine, plane=plane)
        items.append(replace(item, slice=placed, probability=0.1 * (index + 1)))
    return replace(made, slices=tuple(items), remarks=(REMARK,))


@pytest.fixture(scope="module")
def series() -> list[Dataset]:
    return factories.mr_series(slices=4, rows=16, columns=16)


@pytest.fixture(scope="module")
def results(series: list[Dataset]) -> list[Encoded]:
    where = [reports.destination("one"), reports.destination("two", report="text")]
    how = reports.context(where, captures=9, parametric_map=True)
    return reports.build(series, prediction(("axial", "sagittal", "coronal"), series), how)


def test_a_capture_lies_in_its_plane_and_says_so(results: list[Encoded]) -> None:
    captures = [reports.read(each) for each in results if each.kind == "overlay"]
    said = {str(each.DerivationDescription).split()[0]: list(each.PatientOrientation) for each in captures}
    assert said == {"Axial": ["L", "P"], "Sagittal": ["A", "F"], "Coronal": ["L", "F"]}
    assert len(captures) == 9


def test_every_plane_has_a_parametric_map_whose_frames_lie_in_it(results: list[Encoded]) -> None:
    maps = [reports.read(each) for each in results if each.kind == "parametric_map"]
    assert [each.NumberOfFrames for each in maps] == [3, 3, 3]
    shared = [each.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0] for each in maps]
    found = [[float(value) for value in each.ImageOrientationPatient] for each in shared]
    assert found == [[*DIRECTIONS[plane][1], *DIRECTIONS[plane][0]] for plane in ("axial", "sagittal", "coronal")]
    assert len({each.SOPInstanceUID for each in maps}) == 3
    assert [each.InstanceNumber for each in maps] == [1, 2, 3]


@pytest.mark.parametrize("kind", ["sr_comprehensive", "sr_text"])
def test_the_report_says_which_planes_were_read_and_which_slice_is_the_key(results: list[Encoded], kind: str) -> None:
    text = str(reports.of_kind(results, kind).to_json())
    assert REMARK in text
    if kind == "sr_text":
        assert "Slices used: 9 (3 axial, 3 sagittal, 3 coronal)" in text
    else:
        assert "the highest probability, coronal slice 3 of 3, P 10.5 mm." in text


def test_the_place_of_a_slice_is_counted_within_its_plane() -> None:
    made = prediction(("axial", "sagittal"))
    assert overlay.place(made, 1) == "Axial slice 2 of 3, H 0.5 mm"
    assert overlay.place(made, 3) == "Sagittal slice 1 of 3, R 9.5 mm"
    assert overlay.place(prediction(("coronal",)), 2) == "Coronal slice 3 of 3, P 10.5 mm"
    assert overlay.place(prediction(("axial",)), 1) == "Slice 2 of 3, H 0.5 mm"


def test_the_most_probable_slice_of_each_plane_is_among_the_key_slices() -> None:
    assert set(overlay.key_slices(prediction(("axial", "sagittal", "coronal"), each=9).slices)) >= {8, 17, 26}


def test_each_plane_has_a_curve_of_its_own_beside_the_others() -> None:
    made = prediction(("axial", "sagittal"))
    pixels = np.asarray(curve.picture(made, 952, 204, {})).astype(int)
    is_curve = np.abs(pixels - curve.CURVE).max(axis=2) < 24
    columns = np.flatnonzero(is_curve.any(axis=0))
    gaps = np.flatnonzero(np.diff(columns) > 10)
    assert len(gaps) == 1
    heights = [np.flatnonzero(is_curve[:, column]).mean() for column in columns[[2, gaps[0] - 2, gaps[0] + 3, -3]]]
    assert heights == sorted(heights, reverse=True)  # 10 to 30 %, then 40 to 60 %
