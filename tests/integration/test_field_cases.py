"""Examinations rebuilt from bug reports, kept beside the project: the right series, rightly placed, or the reason."""

import csv
import os
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import pytest
from pydicom import config as pydicom_config

from model.manifest import Manifest
from node.config import Settings
from node.dicom.acquisition import acquisition
from node.series.body import other_part
from node.series.choice import Choice, Limits, choose
from node.series.reasons import Reason
from node.series.study import ALONE
from node.series.volume import read_series
from node.series.weighting import weighting
from tests.unit.test_selection_weighting import T1_WEIGHTED

pytestmark = [pytest.mark.realdata, pytest.mark.slow]

LIMITS = Limits.of(Settings(), Manifest(trained=True))
AGENT, NOT_T1 = Reason.CONTRAST_AGENT, Reason.NOT_T1_WEIGHTED

# Case, and the folder in it: the number of the series that is read (0: none), and the reasons of others by number.
CASES: dict[str, tuple[int, dict[int, Reason]]] = {
    "brain_and_spine_description": (2, {}),
    "capture_inside_series/first": (2, {}),
    "capture_inside_series/last": (2, {}),
    "contrast_protocol_with": (2, {3: NOT_T1}),
    "contrast_protocol_wwo": (2, {6: AGENT, 7: AGENT, 601: AGENT}),
    "dixon_fat_first": (402, {401: NOT_T1}),
    "end_slices_missing": (0, {2: Reason.GAPS}),
    "excess_padding": (2, {}),
    "lossy_archive_copy": (2, {}),
    "nd_twin_first": (4, {}),
    "newborn": (0, {2: Reason.OTHER_SUBJECT}),
    "pixel_padding_value": (2, {}),
    "repeat_after_motion": (18, {}),
    "scope_no_second_try": (3, {4: Reason.OUT_OF_SCOPE}),
    "slab_wrap": (2, {}),
    "unreadable_no_second_try": (3, {2: Reason.UNREADABLE}),
    "vertex_shading": (2, {}),
    "white_matter_nulled": (6, {4: NOT_T1}),
}
MIDDLE_MM = {"slab_wrap": 49.0, "vertex_shading": 49.0}


@pytest.fixture(scope="module")
def cases(real_data: Path) -> Path:
    """The folder of the cases."""
    folder = real_data.parent / "cases" / "images"
    if not folder.is_dir():
        pytest.skip("the cases are not there")
    return folder


def chosen(cases: Path, name: str, out: Path) -> Choice:
    """What is chosen of the study that a case makes."""
    case, _, part = name.partition("/")
    series = {"SHARED_SERIES": str(cases.parents[1] / "data" / "series")}
    make = [sys.executable, str(cases / case / "make.py"), str(out)]
    subprocess.run(make, check=True, capture_output=True, env={**os.environ, **series})
    reading = read_series(sorted(path for path in (out / part).rglob("*") if path.is_file()))
    (study,) = reading.studies.values()
    return choose(study, LIMITS)


@pytest.mark.parametrize("name", CASES)
def test_a_case_of_the_field_comes_out_right(cases: Path, tmp_path: Path, name: str) -> None:
    read, reasons = CASES[name]
    found = chosen(cases, name, tmp_path)
    verdicts = {each.series_number: each for each in found.verdicts}
    right = found.look is not None and found.look.scope.inside
    chosen_number = next((number for number, each in verdicts.items() if each.series_instance_uid == found.chosen), 0)
    assert (chosen_number if right else 0) == read, found.verdicts
    assert {number: verdicts[number].reason for number in reasons} == reasons
    if name in MIDDLE_MM and found.look is not None:
        slices = found.look.slices
        assert slices[len(slices) // 2].position_mm == pytest.approx(MIDDLE_MM[name], abs=3)


def lines(cases: Path, name: str) -> list[list[str]]:
    with (cases / name / "cases.csv").open(encoding="utf-8") as file:
        return list(csv.reader(file, delimiter="|"))


def test_words_for_an_agent(cases: Path) -> None:
    wrong = []
    for description, protocol, right, agent in lines(cases, "contrast_words"):
        header = deepcopy(T1_WEIGHTED["Siemens MPRAGE"])
        header.SeriesDescription, header.ProtocolName, header.ContrastBolusAgent = description, protocol, agent
        found = weighting(acquisition(header)).reason
        if found is not (AGENT if right == "AGENT" else Reason.ELIGIBLE):
            wrong.append((description, protocol, agent, found))
    assert wrong == []


def test_words_for_a_part_of_the_body(cases: Path) -> None:
    wrong = []
    for part, right, *_ in lines(cases, "body_part_words"):
        header = deepcopy(T1_WEIGHTED["Siemens MPRAGE"])
        with pydicom_config.disable_value_validation():
            header.BodyPartExamined = part
        found = other_part(header, acquisition(header), ALONE)
        if bool(found) is (right in ("HEAD", "SILENT")):
            wrong.append((part, right, found))
    assert wrong == []
