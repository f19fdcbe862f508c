"""Site rules: tag expressions that say what they mean, and say what is wrong with them."""

import pytest
from pydicom.dataset import Dataset

from node.config import SelectionRule
from node.dicom.rules import parse
from tests import factories


@pytest.fixture(scope="module")
def header() -> Dataset:
    return factories.mr_series(slices=1, description="t1_mprage_sag iso", Manufacturer="SIEMENS")[0]


@pytest.mark.parametrize(
    "expression",
    [
        'Manufacturer == "siemens"',
        "Manufacturer == 'SIEMENS '",
        'SeriesDescription ~ "MPRAGE.*iso"',
        "RepetitionTime < 3000 and RepetitionTime >= 2300",
        "RepetitionTime == 2300.0",
        "RepetitionTime != 2301",
        "(0018,0080) > 2000",
        'ScanningSequence == "IR"',
        'ImageType == "ND" and ImageType == "ORIGINAL"',
        'ScanningSequence != "EP"',
        "EchoTime is present and ContrastBolusAgent is absent",
        "not (RepetitionTime > 3000 or EchoTime > 10)",
        'Modality == "CT" or Modality == "MR" and EchoTime < 3',
        'ContrastBolusAgent != "x"',
    ],
)
def test_holds(expression: str, header: Dataset) -> None:
    assert parse(expression)(header)


@pytest.mark.parametrize(
    "expression",
    [
        'Manufacturer == "SIEMENS AG"',
        'SeriesDescription ~ "^iso"',
        "RepetitionTime > 2300",
        "ContrastBolusVolume < 5",
        "SeriesDescription < 5",
        "not EchoTime is present",
        '(Modality == "CT" or Modality == "MR") and EchoTime > 3',
    ],
)
def test_does_not_hold(expression: str, header: Dataset) -> None:
    assert not parse(expression)(header)


def test_elements_of_enhanced_objects_are_found_in_their_functional_groups() -> None:
    made = factories.enhanced_mr(slices=4)
    assert "RepetitionTime" not in made
    assert parse("RepetitionTime > 100 and PixelSpacing == 2")(made)


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [
        ("", "an element is missing"),
        ("RepetitionTime", "a comparison is missing"),
        ("RepetitionTime <", "a value is missing"),
        ("RepetitionTme < 5", "no element of the DICOM data dictionary"),
        ("(0019,1011) == 5", "no element of the DICOM data dictionary"),
        ('RepetitionTime < "five"', "no number"),
        ("Manufacturer == SIEMENS", "no number"),
        ('Manufacturer ~ "("', "no regular expression"),
        ("Manufacturer ~ 5", "quotation marks"),
        ("Manufacturer is there", "present or absent"),
        ("Manufacturer and Modality", "no comparison"),
        ("(EchoTime < 5", "closing bracket"),
        ("EchoTime < 5)", "nothing is expected before"),
        ("EchoTime < 5 RepetitionTime > 3", "nothing is expected before"),
        ("EchoTime § 5", "cannot be understood"),
    ],
)
def test_a_wrong_expression_says_what_is_wrong(expression: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse(expression)


def test_the_settings_refuse_a_wrong_expression() -> None:
    with pytest.raises(ValueError, match="no element of the DICOM data dictionary"):
        SelectionRule(when="Nonsense is present", then="refuse", why="never")
