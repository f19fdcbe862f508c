"""The outcome of a job: what is written is read again, by this version and by those around it."""

import json
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from model.types import Band, ModelId, Prediction, Scope, Slice, SlicePrediction, SourceFrame
from node.work.outcome import CANNOT_BE_READ, Outcome, PredictionOutcome
from tests.outcomes import WRITTEN, outcome

MODEL = ModelId("made up", "1", "ab" * 32, False, 1.5, 10, "last_to_first", {"high_likelihood": 0.7})


def prediction(**values: Any) -> Prediction:
    logits, rollout = np.zeros(2, np.float32), np.zeros((14, 14), np.float32)
    where = Slice(np.zeros((4, 4), np.uint8), np.eye(4) * [1, 1, 1, 1] + 7.12345, SourceFrame("1.2.3", 5))
    slices = (SlicePrediction(where, logits, 0.12345678, 0.01, 0.2, 0.1, rollout),)
    answer = {
        "scope": Scope(True, "looks like a head", {"texture": 0.1}),
        "slices": slices,
        "probability": 0.25,
        "spread": 0.03,
        "predictive_entropy": 0.5,
        "mutual_information": 0.01,
        "band": Band.NO_SIGNIFICANT_CHANGES,
        "model": MODEL,
    }
    return Prediction(**{**answer, **values})


def test_the_row_of_the_first_version_is_read_and_shown_as_it_was_written() -> None:
    row = json.loads(WRITTEN)
    found = Outcome.from_row(row)
    assert found is not None
    assert found.selection is not None
    assert found.selection.series[0].description == "T1 MPRAGE"
    assert found.prediction is not None
    assert found.prediction.model.thresholds["high_likelihood"] == 0.75
    assert found.prediction.slices[0].position_mm == -6.35
    assert (found.attempt, found.error, found.timings_s["volume"]) == (1, None, 0.0607)
    assert found.as_row() == {**row, "version": 1}
    assert list(found.as_row()["timings_s"]) == list(row["timings_s"])


def test_the_row_of_a_failure_of_the_first_version_is_read() -> None:
    row = {"software": "0.1.0", "timings_s": {"verify": 0.02}, "error": "FileAltered: a file is missing"}
    found = Outcome.from_row(row)
    assert found is not None
    assert (found.error, found.selection, found.prediction) == ("FileAltered: a file is missing", None, None)
    assert found.as_row() == {**row, "version": 1}


def test_what_is_written_is_read_again_through_row_and_pipe() -> None:
    made = outcome()
    assert Outcome.from_row(json.loads(json.dumps(made.as_row()))) == made
    assert Outcome.model_validate_json(made.model_dump_json()) == made


@pytest.mark.parametrize("row", [None, {}])
def test_a_job_that_no_attempt_ended_has_no_outcome(row: dict[str, Any] | None) -> None:
    assert Outcome.from_row(row) is None


def test_what_a_later_version_adds_is_passed_over() -> None:
    row = {**json.loads(WRITTEN), "version": 2, "quality": {"noise": 3}}
    row["selection"]["series"][0]["laterality"] = "L"
    found = Outcome.from_row(row)
    assert found is not None
    assert (found.version, found.error) == (2, None)
    assert found.selection == outcome().selection


@pytest.mark.parametrize("row", [{"selection": "none"}, {"timings_s": [1]}, {"prediction": {"probability": 0.5}}])
def test_a_row_that_cannot_be_read_says_so_and_hides_no_job(row: dict[str, Any]) -> None:
    assert Outcome.from_row(row) == Outcome(error=CANNOT_BE_READ)


def test_an_outcome_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        outcome().attempt = 2


def test_a_prediction_keeps_its_numbers_and_the_place_of_each_slice() -> None:
    kept = PredictionOutcome.of(prediction())
    assert (kept.probability, kept.spread, kept.band) == (0.25, 0.03, "no significant changes")
    assert vars(kept.model) == vars(MODEL)
    (each,) = kept.slices
    assert (each.source, each.frame, each.probability, each.spread) == ("1.2.3", 5, 0.123457, 0.01)
    assert each.position_mm == pytest.approx(7.12345 * 4, abs=0.01)


def test_a_study_out_of_scope_and_a_number_that_is_none_are_kept_without_numbers() -> None:
    nothing = dict.fromkeys(("probability", "spread", "predictive_entropy", "mutual_information", "band"))
    scope = Scope(False, "noise", {"grain": float("nan"), "texture": float("inf")})
    kept = PredictionOutcome.of(prediction(scope=scope, slices=(), **nothing))
    assert kept.scope.measurements == {"grain": None, "texture": None}
    row = Outcome(prediction=kept).as_row()["prediction"]
    assert {name: row[name] for name in nothing} == nothing
    assert PredictionOutcome.model_validate_json(kept.model_dump_json()) == kept
