"""Whole subjects into folds: nothing of a subject, whatever session or slice, is on both sides of a split."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from model.training.errors import NoTrainingData, SubjectLeak


@dataclass(frozen=True)
class Split:
    """One turn of a cross-validation: the names of the subjects on each side."""

    fold: int
    training: frozenset[str]
    validation: frozenset[str]

    def __post_init__(self) -> None:
        if both := self.training & self.validation:
            raise SubjectLeak(f"fold {self.fold}: {', '.join(sorted(both)[:5])} would be on both sides")
        if not self.training or not self.validation:
            raise NoTrainingData(f"fold {self.fold} leaves one side without a subject")


def assign(labels: Mapping[str, int], folds: int, seed: int) -> dict[str, int]:
    """Subject -> fold, stratified by label. The same subjects, labels and seed give the same folds in any order.

    Subjects of a label are shuffled by a hash of their name and dealt out in turn; the second label is dealt from the
    other end, so that folds differ in size by one subject at most.

    >>> assign({"a": 0, "b": 1, "c": 0, "d": 1}, folds=2, seed=7) == assign({"d": 1, "c": 0, "b": 1, "a": 0}, 2, 7)
    True
    """
    smallest = min((list(labels.values()).count(label) for label in set(labels.values())), default=0)
    if not 2 <= folds <= smallest:
        raise NoTrainingData(
            f"{folds} folds need at least {max(2, folds)} subjects of each label; there are {smallest}"
        )
    result = {}
    for turn, label in enumerate(sorted(set(labels.values()))):
        names = sorted((name for name in labels if labels[name] == label), key=lambda name: _shuffled(name, seed))
        for position, name in enumerate(names):
            result[name] = position % folds if turn % 2 == 0 else folds - 1 - position % folds
    return result


def splits(folds: Mapping[str, int]) -> Iterator[Split]:
    """Each fold once as the validation side, the others as the training side."""
    for fold in sorted(set(folds.values())):
        validation = frozenset(name for name in folds if folds[name] == fold)
        yield Split(fold, frozenset(folds) - validation, validation)


def _shuffled(name: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\0{name}".encode()).digest()
