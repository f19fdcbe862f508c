"""A verdict has the same words wherever it is read."""

from model.types import Band
from node import verdict
from node.work.outcome import PredictionOutcome
from tests import reports


def test_every_band_has_words_and_a_colour() -> None:
    assert {*verdict.HEADLINES} == {*verdict.COLOURS} == {*(each.value for each in Band), None}


def test_what_a_job_kept_reads_as_the_prediction_did() -> None:
    for made in (reports.prediction(slices=2), reports.out_of_scope()):
        kept = PredictionOutcome.of(made)
        assert verdict.meaning(kept) == verdict.meaning(made)
        assert verdict.headline(kept) == verdict.headline(made)
