"""The raw rollout as numbers: the values that went in, each patch where it lies."""

from dataclasses import replace

import numpy as np
import pytest

from model.types import Slice
from node.report import codes
from node.report.template import items
from tests import reports
from tests.factories import ABSENT, enhanced_mr, mr_series

SERIES = mr_series(slices=4, rows=16, columns=16)
MADE = reports.prediction(SERIES, slices=7)


def test_it_is_made_only_on_request() -> None:
    kinds = [each.kind for each in reports.build(SERIES, MADE, reports.context())]
    assert "parametric_map" not in kinds


def test_it_holds_every_rollout_unchanged_where_its_patches_lie() -> None:
    results = reports.build(SERIES, MADE, reports.context(parametric_map=True))
    assert [each.kind for each in results] == ["summary", "overlay", "overlay", "parametric_map", "sr_comprehensive"]
    dataset = reports.of_kind(results, "parametric_map")
    stored = np.frombuffer(dataset.FloatPixelData, "<f4").reshape(7, 14, 14)
    (shared,) = dataset.SharedFunctionalGroupsSequence
    spacing = [float(value) for value in shared.PixelMeasuresSequence[0].PixelSpacing]
    cosines = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    by_height = {round(each.slice.position_mm or 0, 3): each for each in MADE.slices}
    for frame, groups in zip(stored, dataset.PerFrameFunctionalGroupsSequence, strict=True):
        start = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, float)
        item = by_height.pop(round(float(start[2]), 3))
        np.testing.assert_array_equal(frame, item.rollout)
        assert item.slice.affine_mm is not None
        for row, column in ((0, 0), (13, 0), (6, 9)):
            centre = (item.slice.affine_mm @ [16 * row + 7.5, 16 * column + 7.5, 0, 1])[:3]
            ours = start + cosines[:3] * spacing[1] * column + cosines[3:] * spacing[0] * row
            np.testing.assert_allclose(ours, centre, atol=1e-4)
    assert not by_height


def test_captures_map_and_report_are_series_of_their_own_that_follow_the_setting() -> None:
    results = reports.build(SERIES, MADE, reports.context(captures=1, parametric_map=True, series_number=700))
    datasets = {each.kind: reports.read(each) for each in results}
    numbers = {kind: int(dataset.SeriesNumber) for kind, dataset in datasets.items()}
    assert numbers["summary"] == numbers["overlay"] == 700
    assert len({numbers[kind] for kind in ("summary", "parametric_map", "sr_comprehensive")}) == 3
    assert all(700 <= number < 710 for number in numbers.values())


def test_the_report_points_at_it() -> None:
    results = reports.build(SERIES, MADE, reports.context(parametric_map=True))
    rollout = next(each for each in results if each.kind == "parametric_map")
    shown = [
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for _, _, item in items(reports.of_kind(results, "sr_comprehensive"))
        if item.ValueType == "IMAGE" and item.ConceptNameCodeSequence[0].CodeValue == codes.VISUAL_EXPLANATION.CodeValue
    ]
    assert rollout.sop_instance_uid in shown


def test_it_refers_to_every_image_of_the_series() -> None:
    dataset = reports.of_kind(reports.build(SERIES, MADE, reports.context(parametric_map=True)), "parametric_map")
    (series,) = dataset.ReferencedSeriesSequence
    referenced = [each.ReferencedSOPInstanceUID for each in series.ReferencedInstanceSequence]
    assert referenced == [each.SOPInstanceUID for each in SERIES]
    assert [each.ReferencedSOPInstanceUID for each in dataset.SourceImageSequence] == referenced


def test_it_can_be_made_from_a_multi_frame_source() -> None:
    series = [enhanced_mr(slices=6, rows=16, columns=16)]
    dataset = reports.of_kind(reports.build(series, MADE, reports.context(parametric_map=True)), "parametric_map")
    assert dataset.NumberOfFrames == 7
    assert (
        dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0].ReferencedSOPClassUID == series[0].SOPClassUID
    )


@pytest.mark.parametrize("reason", ["no frame of reference", "no place of one slice"])
def test_without_a_place_in_the_patient_there_is_none(reason: str) -> None:
    series, made = SERIES, MADE
    if reason == "no frame of reference":
        series = mr_series(slices=4, rows=16, columns=16, FrameOfReferenceUID=ABSENT)
    else:
        lost = replace(made.slices[2], slice=Slice(made.slices[2].slice.pixels))
        made = replace(made, slices=(*made.slices[:2], lost))
    kinds = [each.kind for each in reports.build(series, made, reports.context(parametric_map=True))]
    assert "parametric_map" not in kinds
