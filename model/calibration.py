"""Does a probability of 0.8 come true eight times in ten? One temperature that makes it so, and how to measure it.

Temperature scaling and the expected calibration error are those of Guo et al. 2017 (arXiv:1706.04599).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

Floats = NDArray[np.floating]
Labels = NDArray[np.integer]


def probability(logits: Floats, temperature: float = 1.0) -> NDArray[np.float64]:
    """softmax(logits / temperature)[class 1]; logits (…, 2) -> (…,).

    >>> probability(np.array([[0.0, 0.0], [1.0, 3.0]]), 2.0).round(4).tolist()
    [0.5, 0.7311]
    """
    scaled = (np.asarray(logits[..., 1], np.float64) - logits[..., 0]) / temperature
    return np.asarray(np.exp(-np.logaddexp(0, -scaled)))


def fit_temperature(logits: Floats, labels: Labels) -> float:
    """The temperature, 0.05 to 20, that makes held-out labels (N,) most likely under logits (N, 2)."""
    margin = (np.asarray(logits[:, 1], np.float64) - logits[:, 0]) * np.where(labels == 1, 1, -1)

    def surprise(log_temperature: float) -> float:
        return float(np.logaddexp(0, -margin / np.exp(log_temperature)).mean())

    found = minimize_scalar(surprise, bounds=(np.log(0.05), np.log(20)), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


class Reliability(NamedTuple):
    """A reliability diagram: for each bin with anything in it, mean prediction, share of class 1, count."""

    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]
    counts: NDArray[np.int64]


def reliability(probabilities: Floats, labels: Labels, bins: int = 10) -> Reliability:
    """Class-1 probabilities (N,) and labels (N,) in `bins` bins of equal width."""
    which = np.minimum((np.asarray(probabilities) * bins).astype(int), bins - 1)
    count = np.bincount(which, minlength=bins)
    filled = count > 0
    sums = (np.bincount(which, weights=values, minlength=bins)[filled] for values in (probabilities, labels))
    predicted, observed = (total / count[filled] for total in sums)
    return Reliability(predicted, observed, count[filled])


def expected_calibration_error(probabilities: Floats, labels: Labels, bins: int = 10) -> float:
    """Mean distance between prediction and outcome over the bins, weighted by their counts.

    >>> expected_calibration_error(np.array([0.75, 0.75, 0.75, 0.75]), np.array([1, 1, 1, 0]))
    0.0
    """
    predicted, observed, count = reliability(probabilities, labels, bins)
    return float(np.average(np.abs(predicted - observed), weights=count))


def brier(probabilities: Floats, labels: Labels) -> float:
    """Mean squared distance between probability and outcome (Brier 1950); 0 is best, 0.25 is a coin."""
    return float(np.square(np.asarray(probabilities, np.float64) - labels).mean())
