"""The pipeline learns a difference that is there, and does not learn one that is not."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.training import crossval, datasets, metrics, sources
from model.training.crossval import Plan
from model.training.datasets import Slices
from model.training.hardware import start
from model.training.predictions import Predictions
from model.training.recipes import Recipe
from tests import training_data
from tests.training_data import TINY

pytestmark = pytest.mark.slow

LABELS = [0, 1] * 20


def slices(folder: Path, told: list[int] | None = None) -> Slices:
    table = training_data.table(folder / "data", LABELS, told=told)
    return datasets.load(sources.find(table), TINY.preprocessing, folder / "cache").slices


def out_of_fold(folder: Path, data: Slices, recipe: Recipe = TINY) -> Predictions:
    return crossval.crossvalidate(Plan(start("cpu"), recipe, folder / "run"), data)


def auroc(predictions: Predictions) -> float:
    subjects = predictions.by_subject(1.0)
    return metrics.auroc(subjects.labels, subjects.probabilities)


def test_a_planted_difference_is_learnt(tmp_path: Path) -> None:
    predictions = out_of_fold(tmp_path, slices(tmp_path))
    assert len(predictions) == 120
    assert auroc(predictions) > 0.95


@pytest.mark.parametrize("seed", [0, 1])
def test_shuffled_labels_are_not_learnt(tmp_path: Path, seed: int) -> None:
    told = np.random.default_rng(seed).permutation(LABELS).tolist()
    predictions = out_of_fold(tmp_path, slices(tmp_path, told))
    assert 0.2 < auroc(predictions) < 0.8  # 0.5 ± 3 standard errors of 40 subjects


def test_each_fold_was_judged_by_a_network_that_had_not_seen_it(tmp_path: Path) -> None:
    """A label that is only in the subject's own pictures, as noise, cannot be told; leaking it would give 1.0."""
    data = slices(tmp_path, np.random.default_rng(5).permutation(LABELS).tolist())
    longer = replace(TINY.finetuning, schedule=replace(TINY.finetuning.schedule, epochs=20))
    memorising = replace(TINY, folds=2, pretraining=None, finetuning=longer)
    assert auroc(out_of_fold(tmp_path, data, memorising)) < 0.8


def test_the_weights_of_the_smallest_validation_loss_are_kept_when_patience_is_asked_for(tmp_path: Path) -> None:
    patient = replace(TINY, pretraining=None, finetuning=replace(TINY.finetuning, patience=2))
    patient = replace(
        patient, finetuning=replace(patient.finetuning, schedule=replace(TINY.finetuning.schedule, epochs=40))
    )
    out_of_fold(tmp_path, slices(tmp_path, np.random.default_rng(0).permutation(LABELS).tolist()), patient)
    for fold in range(4):
        history = json.loads((tmp_path / "run" / f"fold_{fold}" / "history.json").read_text())
        losses = [each["validation_loss"] for each in history]
        assert len(losses) < 40
        assert len(losses) - 1 - int(np.argmin(losses)) == 2
