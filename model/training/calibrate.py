"""One temperature and the conformal sets, from out-of-fold predictions, by rules that are stated and not tuned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model import calibration
from model.bands import Conformal
from model.training.coverage import Coverage
from model.training.errors import NoTrainingData
from model.training.predictions import AXIAL, Predictions

DIGITS = 1e4  # of a score
SHARES = 6  # of the whole: the steps of the planes' weights

RULES = {
    "weights": "the recipe's; where it asks for those of the folds, the shares in sixths, none of them 0, under which "
    "the labels of the out-of-fold subjects are most likely",
    "temperature": "the one under which the labels of the out-of-fold slices are most likely",
    "yes_from": "with n subjects of label 1, the ceil((n + 1) level)-th of their probabilities from the highest down",
    "no_up_to": "with n subjects of label 0, the ceil((n + 1) level)-th of their probabilities from the lowest up",
    "coverage": "weights, temperature, bounds of each fold from predictions of the other folds; exact 95 % intervals",
}


@dataclass(frozen=True)
class Calibration:
    """What the out-of-fold predictions say; ECE by subject, at T = 1 and at the temperature.

    weights   of the planes that are read, as the bundle gets them
    coverage  measured by cross-validation: no subject has a part in the bounds that it is judged by
    """

    temperature: float
    conformal: Conformal
    coverage: Coverage
    ece_before: float
    ece_after: float
    weights: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; what does not exist is null."""
        return {
            "temperature": self.temperature,
            "conformal": self.conformal.model_dump(mode="json"),
            "coverage": self.coverage.to_dict(),
            "ece_before": self.ece_before,
            "ece_after": self.ece_after,
            "weights": dict(self.weights),
        }


def calibrate(
    predictions: Predictions, level: float, weights: Mapping[str, float] = AXIAL, *, from_folds: bool = False
) -> Calibration:
    """Temperature by slice, sets of this level by subject, of the slices that are as the node's.

    The scores are out-of-fold ones, and the network that serves is one more, trained on all subjects: cross-conformal
    (Vovk 2015, doi 10.1007/s10472-013-9368-4) rather than split. No theorem covers that last step, which is why the
    coverage is measured too.

    weights: of the planes that the bundle reads;  from_folds: choose other ones. Raises NoTrainingData when one of the
    labels is missing.
    """
    served = predictions.served(weights)
    temperature, chosen, conformal = _sets(served, level, weights, from_folds)
    before, after = served.by_subject(1.0, chosen), served.by_subject(temperature, chosen)
    return Calibration(
        temperature=temperature,
        conformal=conformal,
        coverage=cross_validated(served, level, weights, from_folds=from_folds),
        ece_before=calibration.expected_calibration_error(before.probabilities, before.labels),
        ece_after=calibration.expected_calibration_error(after.probabilities, after.labels),
        weights=chosen,
    )


def cross_validated(
    predictions: Predictions, level: float, weights: Mapping[str, float] = AXIAL, *, from_folds: bool = False
) -> Coverage:
    """Each fold judged by weights, temperature and bounds of the other folds. Raises NoTrainingData."""
    labels, bands = [], []
    for fold in np.unique(predictions.folds):
        own = predictions.folds == fold
        temperature, chosen, conformal = _sets(predictions.where(~own), level, weights, from_folds)
        subjects = predictions.where(own).by_subject(temperature, chosen)
        labels.append(subjects.labels)
        bands += [conformal.band(float(each)) for each in subjects.probabilities]
    return Coverage.of(np.concatenate(labels), bands)


def plane_weights(predictions: Predictions, temperature: float, planes: Sequence[str]) -> dict[str, float]:
    """The shares of these planes, in steps of 1 / SHARES and none of them 0, that make the subjects' labels likeliest.

    Of equally good ones those nearest to equal shares.
    """
    parts = (each for each in product(range(1, SHARES), repeat=len(planes)) if sum(each) == SHARES)
    shares = [dict(zip(planes, each, strict=True)) for each in parts] or [dict.fromkeys(planes, 1)]

    def surprise(weights: Mapping[str, float]) -> tuple[float, int]:
        subjects = predictions.by_subject(temperature, weights)
        likely = np.where(subjects.labels == 1, subjects.probabilities, 1 - subjects.probabilities)
        return round(float(-np.log(np.maximum(likely, 1e-12)).mean()), 9), max(map(int, weights.values()))

    best = min(shares, key=surprise)
    return {plane: share / sum(best.values()) for plane, share in best.items()}


def _sets(
    predictions: Predictions, level: float, weights: Mapping[str, float], from_folds: bool
) -> tuple[float, Mapping[str, float], Conformal]:
    if set(predictions.labels.tolist()) != {0, 1}:
        raise NoTrainingData("calibration needs predictions of both labels, also without any one fold")
    temperature = calibration.fit_temperature(predictions.logits, predictions.labels)
    chosen = plane_weights(predictions, temperature, list(weights)) if from_folds else weights
    subjects = predictions.by_subject(temperature, chosen)
    no, yes = (subjects.probabilities[subjects.labels == label] for label in (0, 1))
    return temperature, chosen, Conformal.of(level, _rounded(no, np.ceil), _rounded(yes, np.floor))


def _rounded(probabilities: NDArray[np.float64], how: np.ufunc) -> list[float]:
    """To four digits, outwards, so that rounding takes no label out of a set."""
    rounded: list[float] = (np.clip(how(probabilities * DIGITS), 0, DIGITS) / DIGITS).tolist()
    return rounded
