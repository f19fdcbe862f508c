"""What bundles said of slices whose labels are known: made by the code that serves, kept in one file."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from model import calibration
from model.aggregate import study_probability
from model.bundle import Bundle
from model.predictor import Predictor
from model.training.datasets import Slices
from model.training.loop import Report
from model.types import Slice

SERVED_VIEW = "axial"


@dataclass(frozen=True)
class BySubject:
    """One row per subject. labels (S,), probabilities (S,) calibrated, spreads (S,) of Monte Carlo dropout."""

    subjects: NDArray[np.str_]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    spreads: NDArray[np.float64]
    folds: NDArray[np.int64]


@dataclass(frozen=True)
class Predictions:
    """One row per slice.

    logits (N, 2) before temperature; spreads, study_spreads (N,) of the slice, and of all slices of its subject in its
    view; rollouts (N, 14, 14) scaled to 0-1; folds (N,) the one whose network was asked
    """

    subjects: NDArray[np.str_]
    views: NDArray[np.str_]
    labels: NDArray[np.int64]
    folds: NDArray[np.int64]
    logits: NDArray[np.float32]
    spreads: NDArray[np.float64]
    study_spreads: NDArray[np.float64]
    rollouts: NDArray[np.float16]

    def __len__(self) -> int:
        return len(self.subjects)

    def probabilities(self, temperature: float) -> NDArray[np.float64]:
        """(N,) of class 1."""
        return calibration.probability(self.logits, temperature)

    def by_subject(self, temperature: float) -> BySubject:
        """Slices of a subject together, as the node puts the slices of a study together."""
        probabilities = self.probabilities(temperature)
        names, first, owner = np.unique(self.subjects, return_index=True, return_inverse=True)
        means = [study_probability(probabilities[owner == number]) for number in range(len(names))]
        return BySubject(names, self.labels[first], np.array(means), self.study_spreads[first], self.folds[first])

    def served_rows(self) -> NDArray[np.intp]:
        """Numbers of the axial slices, because those are what the node reads; of all, where there are none."""
        axial = np.flatnonzero(self.views == SERVED_VIEW)
        return axial if len(axial) else np.arange(len(self))

    def served(self) -> Self:
        """The slices of `served_rows`."""
        return self.where(self.served_rows())

    def where(self, wanted: NDArray[np.bool_] | NDArray[np.intp]) -> Self:
        """The rows for which `wanted` (N,) holds, or those with these numbers."""
        return type(self)(*(getattr(self, field.name)[wanted] for field in fields(self)))

    def save(self, path: Path) -> None:
        """Into one .npz, in one step."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        with part.open("wb") as file:
            np.savez_compressed(
                file, allow_pickle=False, **{each.name: getattr(self, each.name) for each in fields(self)}
            )
        part.replace(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """The inverse of `save`."""
        with np.load(path, allow_pickle=False) as content:
            return cls(*(content[field.name] for field in fields(cls)))

    @classmethod
    def joined(cls, parts: list[Self]) -> Self:
        """Several sets, one after the other."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))


def predict(
    bundle: Bundle, slices: Slices, *, fold: int = 0, device: str = "auto", report: Report | None = None
) -> Predictions:
    """Ask a bundle for every subject, each view of a subject as one study, through the code that serves."""
    predictor = Predictor(bundle, device)
    names = sorted(set(slices.subjects.tolist()))
    parts = []
    for number, name in enumerate(names, start=1):
        own = slices.of_subjects([name])
        views = [np.flatnonzero(own.views == view) for view in np.unique(own.views)]
        order = np.argsort(np.concatenate(views))
        parts.append(
            Predictions.joined([_of_view(predictor, own.numbered(view), name, fold) for view in views]).where(order)
        )
        if report is not None:
            report("predicting", number, len(names), {})
    return Predictions.joined(parts)


def _of_view(predictor: Predictor, own: Slices, name: str, fold: int) -> Predictions:
    pixels = own.take(np.arange(len(own)))
    answer = predictor.predict_slices([Slice(each) for each in pixels], seed=name.encode())
    return Predictions(
        subjects=own.subjects,
        views=own.views,
        labels=own.labels,
        folds=np.full(len(own), fold, np.int64),
        logits=np.stack([each.logits for each in answer.slices]),
        spreads=np.array([each.spread for each in answer.slices]),
        study_spreads=np.full(len(own), answer.spread, np.float64),
        rollouts=np.stack([each.rollout for each in answer.slices]).astype(np.float16),
    )
