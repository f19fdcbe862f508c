"""What a network has to beat: logistic regression on the pixels of a subject's slices, judged on the same folds.

Nothing is chosen on the subjects that are judged: how strongly the weights are shrunk is found within each fold's
training subjects alone, by the likelihood of inner folds (nested cross-validation: Varma & Simon 2006,
doi 10.1186/1471-2105-7-91).
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from model.training import folds, metrics
from model.training.datasets import Slices
from model.training.errors import NoTrainingData
from model.training.evaluate import ALL_VIEWS
from model.training.metrics import Interval, Labels

SHRINKAGE = tuple(10.0**power for power in range(-3, 3))  # of weights whose features have a mean square norm of 1
INNER_FOLDS = 5
SIDE = 56  # pixels along a slice that is looked at
Floats = NDArray[np.float64]


def measured(slices: Slices, assigned: Mapping[str, int], seed: int, resamples: int = 1000) -> dict[str, Interval]:
    """AUROC by subject, out of fold, of each view and of ALL_VIEWS where there are several.

    slices: labelled ones; assigned: subject -> fold. Empty where there are too few subjects to choose anything within.
    """
    names = sorted(assigned)
    labels = np.array([slices.label_of[name] for name in names], np.int64)
    fold = np.array([assigned[name] for name in names])
    views = sorted(set(slices.views.tolist()))
    features = {view: _features(slices.where(slices.views == view), names) for view in views}
    if len(views) > 1:
        features[ALL_VIEWS] = np.concatenate([features[view] for view in views], axis=1)
    try:
        scores = {view: _out_of_fold(labels, _turned(each), fold, seed) for view, each in features.items()}
    except NoTrainingData:
        return {}
    return {view: metrics.auroc_interval(labels, each, np.array(names), resamples) for view, each in scores.items()}


def _features(slices: Slices, names: list[str]) -> Floats:
    """(S, F): the mean slice of each subject, made small; a subject without one gets the mean of the others."""
    means = {name: _small(slices.of_subjects([name])) for name in set(slices.subjects.tolist())}
    common: Floats = np.mean(list(means.values()), axis=0)
    return np.stack([means.get(name, common) for name in names])


def _turned(features: Floats) -> Floats:
    """(S, F) in the space that they span, (S, at most S): a shrunk fit sees inner products alone, which stay
    (Hastie & Tibshirani 2004, doi 10.1093/biostatistics/kxh010)."""
    left, strength, _ = np.linalg.svd(features, full_matrices=False)
    return np.asarray(left * strength)


def _small(slices: Slices) -> Floats:
    """(F,): the mean of the slices, and of blocks of their pixels."""
    mean = slices.take(np.arange(len(slices))).mean(axis=0)
    step = max(1, len(mean) // SIDE)
    side = len(mean) // step
    return np.asarray(mean[: side * step, : side * step].reshape(side, step, side, step).mean(axis=(1, 3)).ravel())


def _out_of_fold(labels: Labels, features: Floats, fold: Labels, seed: int) -> Floats:
    """Log-odds (S,) of each subject by a fit that has seen nothing of its fold."""
    scores = np.empty(len(labels))
    for each in np.unique(fold):
        own = fold == each
        shrinkage = _chosen(labels[~own], features[~own], seed)
        scores[own] = _fit(labels[~own], features[~own], features[own], shrinkage)
    return scores


def _chosen(labels: Labels, features: Floats, seed: int) -> float:
    """The shrinkage under which the labels of inner folds are most likely."""
    names = [str(row) for row in range(len(labels))]
    assigned = folds.assign(dict(zip(names, labels.tolist(), strict=True)), INNER_FOLDS, seed)
    fold = np.array([assigned[name] for name in names])

    def surprise(shrinkage: float) -> float:
        parts = [(fold != each, fold == each) for each in range(INNER_FOLDS)]
        found = [
            _surprise(labels[own], _fit(labels[rest], features[rest], features[own], shrinkage)) for rest, own in parts
        ]
        return float(np.concatenate(found).mean())

    return min(SHRINKAGE, key=surprise)


def _fit(labels: Labels, features: Floats, asked: Floats, shrinkage: float) -> Floats:
    """Log-odds of label 1 for `asked` (A, F), after learning from features (S, F)."""
    middle = features.mean(axis=0)
    scale = np.sqrt(np.square(features - middle).sum() / len(features)) or 1.0
    known, wanted = ((each - middle) / scale for each in (features, asked))

    def loss(weights: Floats) -> tuple[float, Floats]:
        odds = known @ weights[1:] + weights[0]
        slope = (1 / (1 + np.exp(-odds)) - labels) / len(labels)
        gradient = np.concatenate([[slope.sum()], known.T @ slope + shrinkage * weights[1:]])
        return float(_surprise(labels, odds).mean() + shrinkage * np.square(weights[1:]).sum() / 2), gradient

    found = minimize(loss, np.zeros(known.shape[1] + 1), jac=True, method="L-BFGS-B")
    return np.asarray(wanted @ found.x[1:] + found.x[0])


def _surprise(labels: Labels, odds: Floats) -> Floats:
    return np.logaddexp(0, np.where(labels == 1, -odds, odds))
