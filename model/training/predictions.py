"""What bundles said of slices whose labels are known: made by the code that serves, kept in one file."""

from collections.abc import Mapping
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

AXIAL: Mapping[str, float] = {"axial": 1.0}  # plane -> weight, of a bundle that names no planes


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

    logits (N, 2) before temperature; spreads, study_spreads (N,) of the slice, and of its subject, by all slices in the
    planes that the bundle reads, or in its own view where that is none of them; rollouts (N, 14, 14) scaled to 0-1;
    folds (N,) the one whose network was asked
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

    def by_subject(self, temperature: float, weights: Mapping[str, float] = AXIAL) -> BySubject:
        """Slices of a subject together, as the node puts the slices of a study together; `weights` as in a bundle."""
        probabilities = self.probabilities(temperature)
        names, first, owner = np.unique(self.subjects, return_index=True, return_inverse=True)
        own = [np.flatnonzero(owner == number) for number in range(len(names))]
        means = [study_probability(probabilities[each], self.views[each], weights) for each in own]
        return BySubject(names, self.labels[first], np.array(means), self.study_spreads[first], self.folds[first])

    def served_rows(self, weights: Mapping[str, float] = AXIAL) -> NDArray[np.intp]:
        """Numbers of the slices in planes that a bundle with these weights reads; of all, where there are none."""
        read = np.flatnonzero(np.isin(self.views, sorted(weights)))
        return read if len(read) else np.arange(len(self))

    def served(self, weights: Mapping[str, float] = AXIAL) -> Self:
        """The slices of `served_rows`."""
        return self.where(self.served_rows(weights))

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
    """Ask a bundle for every subject, through the code that serves.

    Slices of a subject in the planes that the bundle reads are one study, those of each other view one of their own.
    """
    predictor = Predictor(bundle, device)
    weights = bundle.manifest.preprocessing.weights
    names = sorted(set(slices.subjects.tolist()))
    parts = []
    for number, name in enumerate(names, start=1):
        own = slices.of_subjects([name])
        study = np.where(np.isin(own.views, sorted(weights)), "", own.views)
        views = [np.flatnonzero(study == view) for view in np.unique(study)]
        order = np.argsort(np.concatenate(views))
        parts.append(
            Predictions.joined([_of_study(predictor, own.numbered(view), name, fold) for view in views]).where(order)
        )
        if report is not None:
            report("predicting", number, len(names), {})
    return Predictions.joined(parts)


def _of_study(predictor: Predictor, own: Slices, name: str, fold: int) -> Predictions:
    pixels = own.take(np.arange(len(own)))
    items = [Slice(each, plane=str(view)) for each, view in zip(pixels, own.views, strict=True)]
    answer = predictor.predict_slices(items, seed=name.encode())
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
