"""A verdict has the same words wherever it is read."""

from dataclasses import replace

import pytest

from model.bands import Conformal
from model.types import Band
from node import verdict
from node.report import summary
from node.report.drawing import wrapped
from node.work.outcome import PredictionOutcome
from tests import reports


def test_every_band_has_words_and_a_colour() -> None:
    assert {*verdict.HEADLINES} == {*verdict.COLOURS} == {*(each.value for each in Band), None}


def test_what_a_job_kept_reads_as_the_prediction_did() -> None:
    for made in (reports.prediction(slices=2), reports.out_of_scope()):
        kept = PredictionOutcome.of(made)
        assert verdict.meaning(kept) == verdict.meaning(made)
        assert verdict.headline(kept) == verdict.headline(made)


SETS = Conformal.of(0.9, [number / 40 for number in range(1, 31)], [0.2 + number / 30 for number in range(1, 21)])
APART = Conformal.of(0.9, [0.1] * 20, [0.9] * 20)


@pytest.mark.parametrize(
    ("sets", "probability", "said"),
    [
        (
            SETS,
            0.9,
            "only yes fits, {yes}: of people without dementia like the 30 it was calibrated on, at most 10 % score",
        ),
        (SETS, 0.1, "only no fits, {no}: of people with dementia like the 20 it was calibrated on, at most 10 % score"),
        (SETS, 0.5, "both fit, {no, yes}: of people like the calibration subjects, at most 10 % with dementia score"),
        (APART, 0.5, "neither fits, {}: of people like the calibration subjects, at most 10 % with dementia score"),
    ],
)
def test_a_conformal_set_is_said_in_one_sentence_with_its_promise(
    sets: Conformal, probability: float, said: str
) -> None:
    made = reports.conformal(sets, probability)
    assert said in verdict.meaning(made)
    assert verdict.meaning(PredictionOutcome.of(made)) == verdict.meaning(made)
    assert len(wrapped(verdict.meaning(made), 17, summary.RIGHT - summary.MARGIN - 48)) <= 2, "the page has two lines"
    assert ("does not decide" in verdict.meaning(made)) is (made.band in (Band.INDETERMINATE, Band.UNLIKE))


def test_the_bound_that_was_passed_stands_in_the_sentence() -> None:
    assert "above 70 %" in verdict.meaning(reports.conformal(SETS, 0.9))
    assert "below 27 %" in verdict.meaning(reports.conformal(SETS, 0.1)).replace("26.7", "27")


def test_the_place_among_the_calibration_subjects_is_said() -> None:
    made = reports.conformal(SETS, 0.5)
    assert verdict.among(made) == (
        "Among the calibration subjects, of the 30 without dementia 63 % and of the 20 with dementia 40 % "
        "have a lower probability."
    )
    assert verdict.among(PredictionOutcome.of(made)) == verdict.among(made)
    assert verdict.among(replace(made, standing=())) == ""


@pytest.mark.parametrize(("sets", "middle"), [(SETS, Band.INDETERMINATE), (APART, Band.UNLIKE)])
def test_the_zones_are_where_the_sets_are(sets: Conformal, middle: Band) -> None:
    zones = verdict.zones(sets.limits)
    assert [name for name, _, _ in zones] == [Band.NO_SIGNIFICANT_CHANGES, middle, Band.HIGH_LIKELIHOOD]
    for name, low, high in zones:
        assert sets.band((low + high) / 2) is Band(name)
