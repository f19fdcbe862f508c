"""A bundle measured on labelled images: the same numbers, by the same code, as the out-of-fold ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.bands import Conformal, Thresholds
from model.training import coverage, metrics
from model.training.coverage import Coverage
from model.training.metrics import Interval
from model.training.predictions import AXIAL, BySubject, Predictions

EVEN = 0.5
ALL_VIEWS = "all"


@dataclass(frozen=True)
class Evaluation:
    """Numbers with their intervals, of the slices in the planes that the node reads, where there are any.

    by_subject, by_slice   thresholded ones at 0.5;  at_bounds: by subject, at each bound of the bands
    by_view                AUROC by subject of one view alone, and of ALL_VIEWS together where there are several
    by_fold                AUROC by subject within each fold, no interval
    coverage               by subject, of conformal sets; None where the bands are of the other kind
    planes                 those that the node reads
    """

    by_subject: dict[str, Interval]
    by_slice: dict[str, Interval]
    at_bounds: dict[str, dict[str, Interval]]
    by_view: dict[str, Interval]
    by_fold: dict[int, float]
    subjects: int
    slices: int
    coverage: Coverage | None = None
    planes: tuple[str, ...] = ("axial",)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; what does not exist is null."""
        return {
            "subjects": self.subjects,
            "slices": self.slices,
            "planes": list(self.planes),
            "by_subject": metrics.as_json(self.by_subject),
            "by_slice": metrics.as_json(self.by_slice),
            "at_bounds": {name: metrics.as_json(each) for name, each in self.at_bounds.items()},
            "auroc_by_view": metrics.as_json(self.by_view),
            "auroc_by_fold": {str(fold): round(value, 6) for fold, value in self.by_fold.items() if np.isfinite(value)},
            "coverage": self.coverage.to_dict() if self.coverage else None,
        }


def evaluate(
    predictions: Predictions,
    temperature: float,
    bands: Thresholds | Conformal,
    weights: Mapping[str, float] = AXIAL,
    resamples: int = 1000,
) -> Evaluation:
    """Everything that the report and the command line print; `weights` are those of the bundle, plane by plane."""
    served = predictions.served(weights)
    subjects = served.by_subject(temperature, weights)
    return Evaluation(
        by_subject=_measured(subjects, EVEN, resamples),
        by_slice=metrics.with_intervals(
            served.labels, served.probabilities(temperature), served.subjects, resamples=resamples
        ),
        at_bounds={name: _measured(subjects, bound, resamples) for name, bound in bands.bounds.items()},
        by_view={
            view: _auroc(each.by_subject(temperature, weights), resamples) for view, each in _views(predictions).items()
        },
        by_fold={
            int(fold): metrics.auroc(
                subjects.labels[subjects.folds == fold], subjects.probabilities[subjects.folds == fold]
            )
            for fold in np.unique(subjects.folds)
        },
        subjects=len(subjects.subjects),
        slices=len(served),
        coverage=coverage.measured(subjects, bands) if isinstance(bands, Conformal) else None,
        planes=tuple(weights),
    )


def read_by_node(planes: Sequence[str]) -> str:
    """Of which slices the numbers are, for people.

    >>> read_by_node(["axial", "coronal"])
    'axial and coronal slices, which the node reads'
    """
    return f"{' and '.join(planes)} slices, which the node reads"


def words(view: str) -> str:
    """A key of `by_view` for people."""
    return "all views together" if view == ALL_VIEWS else f"{view} slices alone"


def _views(predictions: Predictions) -> dict[str, Predictions]:
    names = [str(view) for view in np.unique(predictions.views)]
    parts = {view: predictions.where(predictions.views == view) for view in names}
    return parts | ({ALL_VIEWS: predictions} if len(names) > 1 else {})


def _measured(subjects: BySubject, threshold: float, resamples: int) -> dict[str, Interval]:
    return metrics.with_intervals(
        subjects.labels, subjects.probabilities, subjects.subjects, threshold=threshold, resamples=resamples
    )


def _auroc(subjects: BySubject, resamples: int) -> Interval:
    return metrics.auroc_interval(subjects.labels, subjects.probabilities, subjects.subjects, resamples)
