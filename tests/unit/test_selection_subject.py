"""Only people like those whom the model was trained on are read; what a header does not say is not held against it."""

from typing import Any

import pytest
from pydicom import Dataset

from model.manifest import Subjects
from node.config import SelectionSettings
from node.series.reasons import Reason
from node.series.selection import SeriesHeaders, select
from node.series.subject import unlike
from tests import factories

ADULTS = Subjects(age_years=(18, 96))


def header(**elements: Any) -> Dataset:
    found = Dataset()
    for keyword, value in elements.items():
        setattr(found, keyword, value)
    return found


@pytest.mark.parametrize(
    "elements",
    [
        {"PatientAge": "018Y"},
        {"PatientAge": "096Y"},
        {"PatientAge": "000Y"},  # says nothing
        {"PatientAge": "999Y"},  # nobody is as old
        {"PatientAge": ""},
        {"PatientBirthDate": "19480312", "StudyDate": "20260301"},
        {"PatientBirthDate": "20260312", "StudyDate": "20260301"},  # not born yet
        {"PatientBirthDate": "19480231", "StudyDate": "20260301"},
        {},
        {"PatientSpeciesDescription": "Homo sapiens"},
    ],
    ids=str,
)
def test_who_may_be_one_of_them_is_read(elements: dict[str, str]) -> None:
    assert unlike([header(**elements)], ADULTS) == ""


@pytest.mark.parametrize(
    ("elements", "words"),
    [
        ({"PatientAge": "003D"}, "younger than 18"),
        ({"PatientAge": "012W"}, "younger than 18"),
        ({"PatientAge": "006M"}, "younger than 18"),
        ({"PatientAge": "017Y"}, "younger than 18"),
        ({"PatientAge": "097Y"}, "older than 96"),
        ({"PatientAge": "000Y", "PatientBirthDate": "20260201", "StudyDate": "20260301"}, "younger than 18"),
        ({"PatientBirthDate": "20200201", "StudyDate": "20260301"}, "younger than 18"),
        ({"PatientSpeciesDescription": "Canis lupus familiaris"}, "another species"),
        ({"PatientBreedDescription": "Beagle"}, "an animal"),
    ],
    ids=str,
)
def test_who_is_none_of_them_is_refused(elements: dict[str, str], words: str) -> None:
    assert words in unlike([header(**elements)], ADULTS)


def test_the_age_itself_is_not_said() -> None:
    assert "41" not in unlike([header(PatientAge="041D")], ADULTS)


def test_a_bundle_that_knows_no_ages_refuses_none() -> None:
    assert unlike([header(PatientAge="003D")], Subjects(age_years=None)) == ""


def test_every_series_of_a_newborn_is_refused_with_that_reason() -> None:
    series = SeriesHeaders("1.2", tuple(factories.mr_series(PatientAge="003D", PatientBirthDate="")), ())
    (verdict,) = select([series], SelectionSettings(), subjects=ADULTS).verdicts
    assert (verdict.eligible, verdict.reason) == (False, Reason.OTHER_SUBJECT)
    assert select([series], SelectionSettings()).verdicts[0].eligible
