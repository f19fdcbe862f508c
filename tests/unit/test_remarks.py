"""What a reader should know beside the numbers: twins and flat ends; and many series with one verdict, said once."""

from dataclasses import replace

import numpy as np
import pytest
from pydicom.dataset import Dataset

from model import head as heads
from model.types import Volume
from node.cli import model_tables
from node.offline.predictions import Answered
from node.report import Source, build_skipped
from node.series.beside import on_twins
from tests import factories, reports


def volume() -> Volume:
    voxels, affine = factories.head_phantom((84, 108, 84), (2.5, 2.5, 2.5))
    return Volume(voxels.astype(np.float32), affine)


@pytest.fixture(scope="module")
def head() -> Volume:
    return volume()


def texts(dataset: Dataset) -> list[str]:
    return [str(element.value) for element in dataset.iterall() if element.keyword == "TextValue"]


def crown_mm(found: Volume) -> float:
    return heads.find(found).crown_mm


def test_the_crown_stays_where_a_coil_sees_the_vertex_five_times_darker(head: Volume) -> None:
    shade = np.linspace(0.2, 1.0, head.voxels.shape[1], dtype=np.float32)[None, :, None]
    assert crown_mm(Volume(head.voxels * shade, head.affine_mm)) == pytest.approx(crown_mm(head), abs=3)


def test_the_crown_stays_where_the_volume_ends_before_the_head_and_the_area_is_known(head: Volume) -> None:
    area = heads.find(head).areas_cm2()
    assert area[-1] == 0
    place = head.affine_mm.copy()
    place[:3, 3] += 22 * place[:3, 1]
    part = heads.find(Volume(np.ascontiguousarray(head.voxels[:, 22:]), place))
    assert part.cut_cm2()[0] > heads.FLAT_CM2
    assert part.crown_mm == pytest.approx(crown_mm(head), abs=3)


def test_the_report_says_that_there_was_a_twin_and_which_was_read() -> None:
    series = factories.mr_series(slices=4, rows=16, columns=16)
    how = replace(reports.context(), beside=tuple(on_twins("2", ["3"])))
    said = "Series 2 was read; series 3, made by the same protocol, was not."
    made = reports.prediction(series, slices=5)
    assert said in texts(reports.of_kind(reports.build(series, made, how), "sr_comprehensive"))
    alone, beside = (reports.build(series, made, each)[0].sop_instance_uid for each in (reports.context(), how))
    assert alone != beside


def test_many_series_with_one_verdict_are_one_sentence() -> None:
    series = factories.mr_series(slices=4, rows=16, columns=16)
    verdicts = [
        reports.Verdict(series_number=number, reason="too few slices", detail="1, at least 20 are needed")
        for number in range(1, 86)
    ]
    results = build_skipped(Source(series), verdicts, "nothing to read", reports.context())
    said = [each for each in texts(reports.of_kind(results, "sr_text")) if "too few slices" in each]
    assert said == ["85 series (MR, series 1, 2, 3, ...): too few slices: 1, at least 20 are needed"]


def test_predict_says_what_the_report_says(capsys: pytest.CaptureFixture[str]) -> None:
    series = factories.mr_series(slices=4, rows=16, columns=16)
    flat, twin = "The head is cut off.", *on_twins("2", ["3"])
    made = replace(reports.prediction(series, slices=5), remarks=(flat,))
    answered = Answered("1.2", "DICOM", made, beside=(twin,))
    assert model_tables.plain(answered)["remarks"] == [flat, twin]
    model_tables.answers([answered], True, "")
    shown = capsys.readouterr().out
    assert f"1.2: {flat}" in shown
    assert f"1.2: {twin}" in shown
