"""One temperature and the conformal sets, from out-of-fold predictions, by rules that are stated and not tuned."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model import calibration
from model.bands import Conformal
from model.training.coverage import Coverage
from model.training.errors import NoTrainingData
from model.training.predictions import Predictions

DIGITS = 1e4  # of a score

RULES = {
    "temperature": "the one under which the labels of the out-of-fold slices are most likely",
    "yes_from": "with n subjects of label 1, the ceil((n + 1) level)-th of their probabilities from the highest down",
    "no_up_to": "with n subjects of label 0, the ceil((n + 1) level)-th of their probabilities from the lowest up",
    "coverage": "temperature and bounds of each fold from the predictions of the other folds; exact 95 % intervals",
}


@dataclass(frozen=True)
class Calibration:
    """What the out-of-fold predictions say; ECE by subject, at T = 1 and at the temperature.

    coverage  measured by cross-validation: no subject has a part in the bounds that it is judged by
    """

    temperature: float
    conformal: Conformal
    coverage: Coverage
    ece_before: float
    ece_after: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; what does not exist is null."""
        return {
            "temperature": self.temperature,
            "conformal": self.conformal.model_dump(mode="json"),
            "coverage": self.coverage.to_dict(),
            "ece_before": self.ece_before,
            "ece_after": self.ece_after,
        }


def calibrate(predictions: Predictions, level: float) -> Calibration:
    """Temperature by slice, sets of this level by subject, of the slices that are as the node's.

    The scores are out-of-fold ones, and the network that serves is one more, trained on all subjects: cross-conformal
    (Vovk 2015, doi 10.1007/s10472-013-9368-4) rather than split. No theorem covers that last step, which is why the
    coverage is measured too.

    Raises NoTrainingData when one of the labels is missing.
    """
    served = predictions.served()
    temperature, conformal = _sets(served, level)
    before, after = served.by_subject(1.0), served.by_subject(temperature)
    return Calibration(
        temperature=temperature,
        conformal=conformal,
        coverage=cross_validated(served, level),
        ece_before=calibration.expected_calibration_error(before.probabilities, before.labels),
        ece_after=calibration.expected_calibration_error(after.probabilities, after.labels),
    )


def cross_validated(predictions: Predictions, level: float) -> Coverage:
    """Each fold judged by temperature and bounds of the other folds. Raises NoTrainingData."""
    labels, bands = [], []
    for fold in np.unique(predictions.folds):
        own = predictions.folds == fold
        temperature, conformal = _sets(predictions.where(~own), level)
        subjects = predictions.where(own).by_subject(temperature)
        labels.append(subjects.labels)
        bands += [conformal.band(float(each)) for each in subjects.probabilities]
    return Coverage.of(np.concatenate(labels), bands)


def _sets(predictions: Predictions, level: float) -> tuple[float, Conformal]:
    if set(predictions.labels.tolist()) != {0, 1}:
        raise NoTrainingData("calibration needs predictions of both labels, also without any one fold")
    temperature = calibration.fit_temperature(predictions.logits, predictions.labels)
    subjects = predictions.by_subject(temperature)
    no, yes = (subjects.probabilities[subjects.labels == label] for label in (0, 1))
    return temperature, Conformal.of(level, _rounded(no, np.ceil), _rounded(yes, np.floor))


def _rounded(probabilities: NDArray[np.float64], how: np.ufunc) -> list[float]:
    """To four digits, outwards, so that rounding takes no label out of a set."""
    rounded: list[float] = (np.clip(how(probabilities * DIGITS), 0, DIGITS) / DIGITS).tolist()
    return rounded
