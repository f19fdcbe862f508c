"""Temperature and bounds follow their stated rules."""

from pathlib import Path

import numpy as np
import pytest

from model.manifest import Thresholds
from model.training import calibrate
from model.training.errors import NoTrainingData
from model.training.evaluate import evaluate
from model.training.predictions import Predictions


def predictions(count: int = 300, sharpness: float = 3.0, seed: int = 0) -> Predictions:
    """Three slices a subject whose logits are `sharpness` times too sure of themselves."""
    random = np.random.default_rng(seed)
    margin = np.repeat(random.normal(0, 1.5, count), 3)
    labels = np.repeat(random.random(count) < 1 / (1 + np.exp(-margin[::3])), 3).astype(np.int64)
    return Predictions(
        subjects=np.repeat([f"S{number:03d}" for number in range(count)], 3),
        views=np.tile(["axial", "sagittal", "coronal"], count),
        labels=labels,
        folds=np.repeat(np.arange(count) % 5, 3),
        logits=np.stack([-sharpness * margin / 2, sharpness * margin / 2], axis=1).astype(np.float32),
        spreads=np.full(3 * count, 0.1),
        study_spreads=np.repeat(np.linspace(0, 0.2, count), 3),
        rollouts=np.zeros((3 * count, 4, 4), np.float16),
    )


def test_only_the_slices_that_are_as_the_nodes_are_counted() -> None:
    given = predictions()
    axial = given.where(given.views == "axial")
    assert calibrate.calibrate(given) == calibrate.calibrate(axial)
    measured, alone = (evaluate(each, 1.0, Thresholds(), resamples=10) for each in (given, axial))
    assert measured.by_subject["auroc"].value == alone.by_subject["auroc"].value
    assert (measured.subjects, measured.slices) == (300, 300)
    assert set(measured.by_view) == {"axial", "coronal", "sagittal", "all"}
    assert set(alone.by_view) == {"axial"}
    others = given.where(given.views != "axial")
    assert len(others.served()) == len(others)


def test_the_temperature_undoes_overconfidence_and_the_error_shrinks() -> None:
    found = calibrate.calibrate(predictions(sharpness=3.0))
    assert found.temperature == pytest.approx(3.0, rel=0.25)
    assert found.ece_after < 0.5 * found.ece_before


def test_the_bounds_keep_their_promise() -> None:
    given = predictions()
    found = calibrate.calibrate(given)
    subjects = given.by_subject(found.temperature)
    low, high = found.thresholds.no_significant_changes, found.thresholds.high_likelihood
    assert 0.9 <= (subjects.probabilities[subjects.labels == 1] >= low).mean() < 0.92
    assert 0.9 <= (subjects.probabilities[subjects.labels == 0] < high).mean() < 0.92
    assert low <= high
    assert found.thresholds.low_confidence_spread == pytest.approx(0.19, abs=0.001)


def test_a_perfect_model_has_bounds_in_order() -> None:
    labels = np.array([0, 0, 0, 1, 1, 1])
    probabilities = np.array([0.1, 0.2, 0.3, 0.7, 0.8, 0.9])
    assert calibrate.sensitive_threshold(labels, probabilities) == 0.7
    assert calibrate.specific_threshold(labels, probabilities) == 0.7


def test_one_label_alone_cannot_be_calibrated() -> None:
    given = predictions()
    with pytest.raises(NoTrainingData, match="both labels"):
        calibrate.calibrate(given.where(given.labels == 1))


def test_predictions_survive_being_written_and_read(tmp_path: Path) -> None:
    given = predictions(20)
    given.save(tmp_path / "predictions.npz")
    again = Predictions.load(tmp_path / "predictions.npz")
    for name, value in vars(given).items():
        np.testing.assert_array_equal(getattr(again, name), value)
