"""A bundle measured on labelled images: the same numbers, by the same code, as the out-of-fold ones."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from model.manifest import Thresholds
from model.training import metrics
from model.training.metrics import Interval
from model.training.predictions import BySubject, Predictions

EVEN = 0.5


@dataclass(frozen=True)
class Evaluation:
    """Numbers with their intervals.

    by_subject, by_slice   thresholded ones at 0.5;  at_bounds: by subject, at each bound of the decision bands
    by_view                AUROC of one view alone, by subject;  by_fold: AUROC by subject within each fold, no interval
    """

    by_subject: dict[str, Interval]
    by_slice: dict[str, Interval]
    at_bounds: dict[str, dict[str, Interval]]
    by_view: dict[str, Interval]
    by_fold: dict[int, float]
    subjects: int
    slices: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; what does not exist is null."""
        return {
            "subjects": self.subjects,
            "slices": self.slices,
            "by_subject": metrics.as_json(self.by_subject),
            "by_slice": metrics.as_json(self.by_slice),
            "at_bounds": {name: metrics.as_json(each) for name, each in self.at_bounds.items()},
            "auroc_by_view": metrics.as_json(self.by_view),
            "auroc_by_fold": {str(fold): round(value, 6) for fold, value in self.by_fold.items() if np.isfinite(value)},
        }


def evaluate(predictions: Predictions, temperature: float, thresholds: Thresholds, resamples: int = 1000) -> Evaluation:
    """Everything that the report and the command line print."""
    subjects = predictions.by_subject(temperature)
    bounds = {
        "no_significant_changes": thresholds.no_significant_changes,
        "high_likelihood": thresholds.high_likelihood,
    }
    return Evaluation(
        by_subject=_measured(subjects, EVEN, resamples),
        by_slice=metrics.with_intervals(
            predictions.labels, predictions.probabilities(temperature), predictions.subjects, resamples=resamples
        ),
        at_bounds={name: _measured(subjects, bound, resamples) for name, bound in bounds.items()},
        by_view={
            str(view): _auroc(predictions.where(predictions.views == view).by_subject(temperature), resamples)
            for view in np.unique(predictions.views)
        },
        by_fold={
            int(fold): metrics.auroc(
                subjects.labels[subjects.folds == fold], subjects.probabilities[subjects.folds == fold]
            )
            for fold in np.unique(subjects.folds)
        },
        subjects=len(subjects.subjects),
        slices=len(predictions),
    )


def _measured(subjects: BySubject, threshold: float, resamples: int) -> dict[str, Interval]:
    return metrics.with_intervals(
        subjects.labels, subjects.probabilities, subjects.subjects, threshold=threshold, resamples=resamples
    )


def _auroc(subjects: BySubject, resamples: int) -> Interval:
    return metrics.interval_of(
        lambda rows: metrics.auroc(subjects.labels[rows], subjects.probabilities[rows]), subjects.subjects, resamples
    )
