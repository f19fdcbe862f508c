"""Metrics against scikit-learn, and intervals that know that slices of a subject are not independent."""

import numpy as np
import pytest
from sklearn import metrics as independent

from model.training import metrics


@pytest.fixture(params=range(4))
def sample(request: pytest.FixtureRequest) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(request.param)
    labels = random.integers(0, 2, 200)
    probabilities = np.clip(0.3 * labels + random.normal(0.35, 0.25, 200), 0, 1).round(2)  # ties
    return labels, probabilities


def test_every_metric_is_what_scikit_learn_says(sample: tuple[np.ndarray, np.ndarray]) -> None:
    labels, probabilities = sample
    present = probabilities >= 0.5
    ours = metrics.measure(labels, probabilities)
    assert ours.auroc == pytest.approx(independent.roc_auc_score(labels, probabilities))
    assert ours.average_precision == pytest.approx(independent.average_precision_score(labels, probabilities))
    assert ours.sensitivity == pytest.approx(independent.recall_score(labels, present))
    assert ours.specificity == pytest.approx(independent.recall_score(labels, present, pos_label=0))
    assert ours.f1 == pytest.approx(independent.f1_score(labels, present))
    assert ours.mcc == pytest.approx(independent.matthews_corrcoef(labels, present))
    assert ours.kappa == pytest.approx(independent.cohen_kappa_score(labels, present))
    assert ours.brier == pytest.approx(independent.brier_score_loss(labels, probabilities))


def test_the_curves_are_scikit_learns(sample: tuple[np.ndarray, np.ndarray]) -> None:
    labels, probabilities = sample
    false, true = metrics.roc(labels, probabilities)
    theirs = independent.roc_curve(labels, probabilities, drop_intermediate=False)
    np.testing.assert_allclose(false, theirs[0])
    np.testing.assert_allclose(true, theirs[1])
    recall, precision = metrics.precision_recall(labels, probabilities)
    their_precision, their_recall, _ = independent.precision_recall_curve(labels, probabilities)
    np.testing.assert_allclose(recall, their_recall[:-1][::-1])
    np.testing.assert_allclose(precision, their_precision[:-1][::-1])


@pytest.mark.slow
def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    hits = 0
    for trial in range(60):
        labels = np.repeat([0, 1], 30)
        scores = 1 / (1 + np.exp(-(random.normal(0, 1, 60) + labels)))  # true AUROC: Phi(1 / sqrt 2) = 0.760
        interval = metrics.with_intervals(labels, scores, np.arange(60).astype(str), resamples=200, seed=trial)["auroc"]
        hits += interval.low <= 0.760 <= interval.high
    assert 51 <= hits <= 60


def test_copies_of_a_subjects_slices_do_not_make_the_interval_narrower() -> None:
    random = np.random.default_rng(2)
    labels = np.repeat([0, 1], 20)
    scores = np.clip(random.normal(0.4, 0.2, 40) + 0.2 * labels, 0, 1)
    subjects = np.arange(40).astype(str)
    alone = metrics.with_intervals(labels, scores, subjects, resamples=300)["auroc"]
    copied = metrics.with_intervals(*(np.repeat(each, 10) for each in (labels, scores, subjects)), resamples=300)[
        "auroc"
    ]
    assert copied.high - copied.low == pytest.approx(alone.high - alone.low, abs=1e-9)


def test_a_metric_that_does_not_exist_is_nan_and_becomes_null() -> None:
    labels, probabilities = np.ones(5, int), np.linspace(0.1, 0.9, 5)
    found = metrics.with_intervals(labels, probabilities, np.arange(5).astype(str), resamples=20)
    assert np.isnan(found["auroc"].value)
    assert metrics.as_json(found)["auroc"] == {"value": None, "low": None, "high": None}
    assert metrics.as_json(found)["sensitivity"]["value"] == 0.6
