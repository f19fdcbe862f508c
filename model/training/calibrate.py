"""One temperature and the decision bands, from out-of-fold predictions, by rules that are stated and not tuned."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model import calibration
from model.manifest import Thresholds
from model.training import metrics
from model.training.errors import NoTrainingData
from model.training.predictions import Predictions

SENSITIVITY, SPECIFICITY, CONFIDENT = 0.9, 0.9, 0.95

RULES = {
    "temperature": "the one under which the labels of the out-of-fold slices are most likely",
    "no_significant_changes": f"the highest probability that {SENSITIVITY:.0%} of the subjects with label 1 reach",
    "high_likelihood": "the lowest probability, not below the other bound, that no more than "
    f"{1 - SPECIFICITY:.0%} of the subjects with label 0 reach",
    "low_confidence_spread": f"the dropout spread below which {CONFIDENT:.0%} of the subjects lie",
}


@dataclass(frozen=True)
class Calibration:
    """What the out-of-fold predictions say; ECE by subject, at T = 1 and at the temperature."""

    temperature: float
    thresholds: Thresholds
    ece_before: float
    ece_after: float


def calibrate(predictions: Predictions) -> Calibration:
    """Temperature by slice, thresholds by subject, of the slices that are as the node's.

    Raises NoTrainingData when one of the labels is missing.
    """
    if len(set(predictions.labels.tolist())) < 2:
        raise NoTrainingData("calibration needs predictions of both labels")
    predictions = predictions.served()
    temperature = calibration.fit_temperature(predictions.logits, predictions.labels)
    before, after = predictions.by_subject(1.0), predictions.by_subject(temperature)
    low = sensitive_threshold(after.labels, after.probabilities)
    high = specific_threshold(after.labels, after.probabilities)
    return Calibration(
        temperature=temperature,
        thresholds=Thresholds(
            no_significant_changes=_rounded(low),
            high_likelihood=max(_rounded(high), _rounded(low)),
            low_confidence_spread=min(1.0, _rounded(float(np.quantile(after.spreads, CONFIDENT)))),
        ),
        ece_before=calibration.expected_calibration_error(before.probabilities, before.labels),
        ece_after=calibration.expected_calibration_error(after.probabilities, after.labels),
    )


def sensitive_threshold(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64], wanted: float = SENSITIVITY
) -> float:
    """The highest threshold whose sensitivity is at least `wanted`."""
    positives = np.sort(probabilities[labels == 1])
    return float(positives[int(np.floor((1 - wanted) * len(positives) + 1e-9))])


def specific_threshold(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64], wanted: float = SPECIFICITY
) -> float:
    """The lowest of the predicted probabilities whose specificity is at least `wanted`; 1 when none is."""
    for candidate in np.unique(probabilities):
        if metrics.measure(labels, probabilities, float(candidate)).specificity >= wanted:
            return float(candidate)
    return 1.0


def _rounded(value: float) -> float:
    """Four digits, downwards, so that a subject on the bound stays above it."""
    return float(np.floor(value * 1e4) / 1e4)
