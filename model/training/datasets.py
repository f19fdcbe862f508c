"""Slices with what is known of them, ready to train on; a selection shares the pixels of the whole."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.slicing import Preprocessing
from model.training import cache, folds
from model.training.cache import Progress
from model.training.errors import NoTrainingData, SubjectLeak
from model.training.sources import Found, ImageSource, Skipped
from model.training.tables import COVARIATES

UNKNOWN = -1


@dataclass(frozen=True)
class Slices:
    """N slices.

    pixels    (M, S, S) uint8, M >= N, usually memory-mapped;  rows: (N,) which of them are meant
    subjects  (N,) names;  sessions, views: (N,);  labels: (N,) 1, 0 or UNKNOWN;  given_folds: (N,) or UNKNOWN
    digests   (N,) a hash of each slice's pixels
    covariates  (N, K) float32, K = len(tables.COVARIATES), nan where not given
    """

    pixels: NDArray[np.uint8]
    rows: NDArray[np.int64]
    subjects: NDArray[np.str_]
    sessions: NDArray[np.str_]
    views: NDArray[np.str_]
    labels: NDArray[np.int64]
    given_folds: NDArray[np.int64]
    digests: NDArray[np.str_]
    covariates: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Pixels (n, S, S) of the slices with these numbers, copied."""
        return np.asarray(self.pixels[self.rows[index]])

    def where(self, wanted: NDArray[np.bool_]) -> "Slices":
        """The slices for which `wanted` (N,) holds."""
        return self.numbered(np.flatnonzero(wanted))

    def numbered(self, index: NDArray[np.int64]) -> "Slices":
        """The slices with these numbers, in this order."""
        rest = [getattr(self, field.name)[index] for field in fields(self) if field.name != "pixels"]
        return Slices(self.pixels, *rest)

    def of_subjects(self, names: Collection[str]) -> "Slices":
        """All slices of these subjects."""
        return self.where(np.isin(self.subjects, sorted(names)))

    def without_subjects(self, names: Collection[str]) -> "Slices":
        """All slices of all other subjects."""
        return self.where(~np.isin(self.subjects, sorted(names)))

    def labelled(self) -> "Slices":
        """The slices with a label."""
        return self.where(self.labels != UNKNOWN)

    @property
    def known(self) -> list[Any]:
        """Everything that training could learn from, as plain values: pictures by their hash, labels, covariates."""
        return [self.digests.tolist(), self.views.tolist(), self.labels.tolist(), self.covariates.tolist()]

    @property
    def label_of(self) -> dict[str, int]:
        """Subject -> label. A subject with a positive session counts as positive; without any label it is left out."""
        known = self.labels != UNKNOWN
        result: dict[str, int] = {}
        for subject, label in zip(self.subjects[known], self.labels[known], strict=True):
            result[str(subject)] = max(int(label), result.get(str(subject), 0))
        return result


@dataclass(frozen=True)
class Dataset:
    """What was found, loaded: the slices, and everything that was skipped on the way."""

    found: Found
    slices: Slices
    skipped: tuple[Skipped, ...]

    @property
    def summary(self) -> dict[str, object]:
        """Counts for people and for the manifest."""
        labels, ages = self.slices.label_of, self.slices.covariates[:, COVARIATES.index("age")]
        known = ages[np.isfinite(ages)]
        return {
            "layout": self.found.layout,
            "subjects": len(set(self.slices.subjects.tolist())),
            "slices": len(self.slices),
            "subjects_by_label": {str(label): count for label, count in sorted(Counter(labels.values()).items())},
            "slices_by_view": dict(sorted(Counter(self.slices.views.tolist()).items())),
            "skipped": len(self.skipped),
            "age_years": [int(known.min()), int(known.max())] if known.size else None,
        }


def load(found: Found, preprocessing: Preprocessing, cache_folder: Path, progress: Progress | None = None) -> Dataset:
    """All readable slices of what was found. Raises NoTrainingData when nothing could be read."""
    cached = cache.build(cache_folder, found.sources, preprocessing, progress)
    skipped = (*found.skipped, *cached.skipped)
    if not cached.entries:
        first = f"; the first: {skipped[0].path}: {skipped[0].reason}" if skipped else ""
        raise NoTrainingData(f"{found.root}: none of {len(found.sources)} images could be read{first}")
    read = [(found.sources[position], entry) for position, entry in cached.entries.items()]
    counts = [entry.count for _, entry in read]

    def each(values: list[str]) -> NDArray[np.str_]:
        return np.repeat(np.array(values, dtype=np.str_), counts)

    def numbers(values: list[int | None]) -> NDArray[np.int64]:
        return np.repeat(np.array([UNKNOWN if value is None else value for value in values], np.int64), counts)

    slices = Slices(
        pixels=cached.pixels,
        rows=np.concatenate([np.arange(entry.first, entry.first + entry.count) for _, entry in read]),
        subjects=each([source.subject for source, _ in read]),
        sessions=each([source.session for source, _ in read]),
        views=np.concatenate(
            [np.array(entry.planes or [source.view] * entry.count, np.str_) for source, entry in read]
        ),
        labels=numbers([source.label for source, _ in read]),
        given_folds=numbers([source.fold for source, _ in read]),
        digests=np.concatenate([np.array(entry.digests, dtype=np.str_) for _, entry in read]),
        covariates=np.repeat(np.array([_covariates(source) for source, _ in read], np.float32), counts, axis=0),
    )
    return Dataset(found, slices, skipped)


def _covariates(source: ImageSource) -> list[float]:
    return [source.covariates.get(name, float("nan")) for name in COVARIATES]


def folds_of(slices: Slices, count: int, seed: int) -> dict[str, int]:
    """Subject -> fold: the folds that the data give, else stratified ones.

    Raises SubjectLeak when a picture lies under two subjects, NoTrainingData when only some subjects have a fold.
    """
    no_shared_picture(slices)
    labels = slices.label_of
    given = {str(subject): int(fold) for subject, fold in zip(slices.subjects, slices.given_folds, strict=True)}
    known = {subject for subject in labels if given[subject] != UNKNOWN}
    if not known:
        return folds.assign(labels, count, seed)
    if missing := sorted(set(labels) - known):
        raise NoTrainingData(f"{len(missing)} subjects have no fold while others have, the first is {missing[0]}")
    return {subject: given[subject] for subject in labels}


def no_shared_picture(slices: Slices) -> None:
    """Raises SubjectLeak when two subjects share a picture: the folds could not keep it on one side."""
    owner: dict[str, str] = {}
    for digest, subject in zip(slices.digests.tolist(), slices.subjects.tolist(), strict=True):
        if owner.setdefault(digest, subject) != subject:
            raise SubjectLeak(f"{owner[digest]} and {subject} hold the same picture; one of the names must be wrong")
