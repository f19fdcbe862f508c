"""How often conformal sets hold the label of a subject: what was promised, measured on subjects with labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from model.bands import Conformal
from model.training import metrics
from model.training.metrics import Interval
from model.training.predictions import BySubject
from model.types import Band

SETS = {
    Band.NO_SIGNIFICANT_CHANGES: "{no}",
    Band.INDETERMINATE: "{no, yes}",
    Band.UNLIKE: "{}",
    Band.HIGH_LIKELIHOOD: "{yes}",
}
HOLDING = {"0": ("{no}", "{no, yes}"), "1": ("{yes}", "{no, yes}")}


@dataclass(frozen=True)
class Coverage:
    """Of subjects by their label, "0" or "1"; a label without a subject has no number.

    held   share whose set holds their label, with its exact 95 % interval
    sets   how many have each set
    """

    held: dict[str, Interval]
    sets: dict[str, dict[str, int]]

    @classmethod
    def of(cls, labels: NDArray[np.int64], bands: Sequence[Band]) -> Self:
        """labels (S,) 0 or 1, and the sets as bands."""
        names = np.array([SETS[band] for band in bands])
        counts = {
            label: {each: int((names[labels == int(label)] == each).sum()) for each in SETS.values()}
            for label in HOLDING
        }
        held = {label: sum(count[each] for each in HOLDING[label]) for label, count in counts.items()}
        return cls({label: metrics.share(held[label], sum(counts[label].values())) for label in counts}, counts)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"held": metrics.as_json(self.held), "sets": self.sets}


def measured(subjects: BySubject, conformal: Conformal) -> Coverage:
    """Of these sets on these subjects."""
    return Coverage.of(subjects.labels, [conformal.band(float(each)) for each in subjects.probabilities])
