"""Temperature and bounds follow their stated rules."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.bands import Thresholds
from model.training import calibrate, coverage
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
    assert calibrate.calibrate(given, 0.9) == calibrate.calibrate(axial, 0.9)
    measured, alone = (evaluate(each, 1.0, Thresholds(), resamples=10) for each in (given, axial))
    assert measured.by_subject["auroc"].value == alone.by_subject["auroc"].value
    assert (measured.subjects, measured.slices) == (300, 300)
    assert set(measured.by_view) == {"axial", "coronal", "sagittal", "all"}
    assert set(alone.by_view) == {"axial"}
    others = given.where(given.views != "axial")
    assert len(others.served()) == len(others)


def test_the_temperature_undoes_overconfidence_and_the_error_shrinks() -> None:
    found = calibrate.calibrate(predictions(sharpness=3.0), 0.9)
    assert found.temperature == pytest.approx(3.0, rel=0.25)
    assert found.ece_after < 0.5 * found.ece_before


def test_the_sets_are_of_the_scores_of_all_subjects_and_hold_their_labels() -> None:
    given = predictions()
    found = calibrate.calibrate(given, 0.9)
    subjects = given.by_subject(found.temperature)
    assert found.conformal.level == 0.9
    for scores, label in ((found.conformal.no_scores, 0), (found.conformal.yes_scores, 1)):
        np.testing.assert_allclose(scores, np.sort(subjects.probabilities[subjects.labels == label]), atol=1e-4)
    measured = coverage.measured(subjects, found.conformal)
    assert all(0.9 <= held.value < 0.92 for held in measured.held.values())


def test_coverage_is_measured_on_folds_that_had_no_part_in_the_bounds() -> None:
    given = predictions()
    found = calibrate.calibrate(given, 0.9)
    for label, held in found.coverage.held.items():
        assert held.low < 0.9 < held.high
        assert sum(found.coverage.sets[label].values()) == (given.by_subject(1.0).labels == int(label)).sum()
    blind = (given.folds == 0) & (given.labels == 1)
    logits = np.where(blind[:, None], [20, -20], given.logits).astype(np.float32)
    spoilt = calibrate.calibrate(replace(given, logits=logits), 0.9)
    subjects = replace(given, logits=logits).by_subject(spoilt.temperature)
    assert coverage.measured(subjects, spoilt.conformal).held["1"].value >= 0.9
    assert spoilt.coverage.held["1"].value == pytest.approx(0.8, abs=0.04)


def test_without_a_fold_there_must_be_subjects_of_both_labels() -> None:
    given = predictions()
    apart = replace(given, folds=given.labels)
    with pytest.raises(NoTrainingData, match="without any one fold"):
        calibrate.calibrate(apart, 0.9)


def test_one_label_alone_cannot_be_calibrated() -> None:
    given = predictions()
    with pytest.raises(NoTrainingData, match="both labels"):
        calibrate.calibrate(given.where(given.labels == 1), 0.9)


def test_predictions_survive_being_written_and_read(tmp_path: Path) -> None:
    given = predictions(20)
    given.save(tmp_path / "predictions.npz")
    again = Predictions.load(tmp_path / "predictions.npz")
    for name, value in vars(given).items():
        np.testing.assert_array_equal(getattr(again, name), value)
