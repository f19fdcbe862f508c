"""How good the predictions are: numbers with intervals that resample subjects, not slices.

labels (N,) 0 or 1; probabilities (N,) of class 1, 0-1. A number that does not exist for these labels (AUROC of one
class) is nan. Slices of one subject are not independent, so every interval draws whole subjects with replacement.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, rankdata

from model import calibration

Labels = NDArray[np.int64]
Probabilities = NDArray[np.float64]


@dataclass(frozen=True)
class Metrics:
    """Numbers of one set of predictions; the thresholded ones say "present" where probability >= threshold."""

    auroc: float
    average_precision: float
    sensitivity: float
    specificity: float
    f1: float
    mcc: float
    kappa: float
    brier: float
    ece: float


@dataclass(frozen=True)
class Interval:
    """A number and its 95 % interval: of its bootstrap distribution, where nothing else is said."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f}-{self.high:.3f})"


def measure(labels: Labels, probabilities: Probabilities, threshold: float = 0.5) -> Metrics:
    """All numbers at once, of one prediction at least."""
    present = probabilities >= threshold
    tp, fp = int((present & (labels == 1)).sum()), int((present & (labels == 0)).sum())
    fn, tn = int((~present & (labels == 1)).sum()), int((~present & (labels == 0)).sum())
    total = len(labels)
    chance = ((tp + fp) * (tp + fn) + (fn + tn) * (fp + tn)) / total**2
    return Metrics(
        auroc=auroc(labels, probabilities),
        average_precision=average_precision(labels, probabilities),
        sensitivity=_ratio(tp, tp + fn),
        specificity=_ratio(tn, tn + fp),
        f1=_ratio(2 * tp, 2 * tp + fp + fn),
        mcc=_ratio(tp * tn - fp * fn, np.sqrt(float(tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))),
        kappa=_ratio((tp + tn) / total - chance, 1 - chance),
        brier=calibration.brier(probabilities, labels),
        ece=calibration.expected_calibration_error(probabilities, labels),
    )


def auroc(labels: Labels, scores: NDArray[np.float64]) -> float:
    """Area under the ROC curve: how often a positive scores above a negative, ties half (Mann-Whitney).

    >>> auroc(np.array([0, 1, 0, 1]), np.array([0.1, 0.4, 0.4, 0.8]))
    0.875
    """
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if not positives or not negatives:
        return float("nan")
    ranks = rankdata(scores)
    return float((ranks[labels == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def average_precision(labels: Labels, scores: NDArray[np.float64]) -> float:
    """Area under the precision-recall curve as the mean precision at each new positive, ties taken together."""
    recall, precision = precision_recall(labels, scores)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision)) if len(recall) else float("nan")


def precision_recall(labels: Labels, scores: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Recall and precision at every distinct score, from the highest down; empty without a positive."""
    if not labels.sum():
        return np.empty(0), np.empty(0)
    hits, called = _cumulative(labels, scores)
    return hits / labels.sum(), hits / called


def roc(labels: Labels, scores: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """False and true positive rate at every distinct score, from (0, 0) to (1, 1)."""
    hits, called = _cumulative(labels, scores)
    positives = int(labels.sum())
    true = np.concatenate([[0.0], hits / max(1, positives)])
    false = np.concatenate([[0.0], (called - hits) / max(1, len(labels) - positives)])
    return false, true


def with_intervals(
    labels: Labels,
    probabilities: Probabilities,
    subjects: NDArray[np.str_],
    *,
    threshold: float = 0.5,
    resamples: int = 1000,
    seed: int = 2025,
) -> dict[str, Interval]:
    """Every metric with its 95 % percentile interval; whole subjects are drawn with replacement.

    A draw without both classes tells nothing of a metric that needs both, and is left out for that metric.
    """
    value = asdict(measure(labels, probabilities, threshold))
    draws = [
        list(asdict(measure(labels[rows], probabilities[rows], threshold)).values())
        for rows in _resampled(subjects, resamples, seed)
    ]
    return {
        name: Interval(value[name], *_bounds(np.array([draw[i] for draw in draws]))) for i, name in enumerate(value)
    }


def interval_of(
    statistic: Callable[[NDArray[np.int64]], float],
    subjects: NDArray[np.str_],
    resamples: int = 1000,
    seed: int = 2025,
) -> Interval:
    """Any statistic of row numbers with its 95 % percentile interval over whole subjects."""
    draws = np.array([statistic(rows) for rows in _resampled(subjects, resamples, seed)])
    return Interval(statistic(np.arange(len(subjects))), *_bounds(draws))


def auroc_interval(
    labels: Labels, scores: NDArray[np.float64], subjects: NDArray[np.str_], resamples: int = 1000
) -> Interval:
    """AUROC with its 95 % percentile interval over whole subjects."""
    return interval_of(lambda rows: auroc(labels[rows], scores[rows]), subjects, resamples)


def share(count: int, of: int) -> Interval:
    """A share with its exact 95 % interval (Clopper & Pearson 1934, doi 10.1093/biomet/26.4.404).

    >>> str(share(9, 10))
    '0.900 (0.555-0.997)'
    """
    if not of:
        return Interval(float("nan"), float("nan"), float("nan"))
    bounds = binomtest(count, of).proportion_ci()
    return Interval(count / of, float(bounds.low), float(bounds.high))


def as_json(metrics: Mapping[str, Interval]) -> dict[str, dict[str, float | None]]:
    """Plain numbers for a JSON file; what does not exist becomes null."""
    return {
        name: {bound: (round(each, 6) if np.isfinite(each) else None) for bound, each in asdict(interval).items()}
        for name, interval in metrics.items()
    }


def _resampled(subjects: NDArray[np.str_], resamples: int, seed: int) -> list[NDArray[np.int64]]:
    names, owner = np.unique(subjects, return_inverse=True)
    rows_of = [np.flatnonzero(owner == each) for each in range(len(names))]
    generator = np.random.default_rng(seed)
    drawn = generator.integers(len(names), size=(resamples, len(names)))
    return [np.concatenate([rows_of[each] for each in draw]) for draw in drawn]


def _bounds(draws: NDArray[np.float64]) -> tuple[float, float]:
    known = draws[np.isfinite(draws)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)


def _cumulative(labels: Labels, scores: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    order = np.argsort(-scores, kind="stable")
    last_of_tie = np.flatnonzero(np.diff(scores[order], append=np.nan) != 0)
    return np.cumsum(labels[order])[last_of_tie], last_of_tie + 1


def _ratio(numerator: float, denominator: float) -> float:
    return float(numerator / denominator) if denominator else float("nan")
