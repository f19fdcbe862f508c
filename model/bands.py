"""What a probability means: the decision bands of a bundle, which are of one of two kinds.

Thresholds   two bounds of the probability and a limit of the dropout spread, as the published card has them
Conformal    which labels fit, at a stated level, from the probabilities of subjects whose labels are known
"""

import math
from collections.abc import Sequence
from typing import Annotated, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from model.types import Band, Standing

Probability = Annotated[float, Field(ge=0, le=1)]
CLASSES = 20  # of a histogram, from 0 to 1


class Part(BaseModel):
    """Part of a manifest: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Thresholds(Part):
    """Where the decision bands lie; the defaults are the published ones."""

    low_confidence_spread: Probability = 0.15
    high_likelihood: Probability = 0.75
    no_significant_changes: Probability = 0.62

    @model_validator(mode="after")
    def _do_not_cross(self) -> Self:
        if self.no_significant_changes > self.high_likelihood:
            raise ValueError("no_significant_changes must not lie above high_likelihood")
        return self

    @property
    def limits(self) -> dict[str, float]:
        """Every number that decides a band."""
        return self.model_dump()

    @property
    def bounds(self) -> dict[str, float]:
        """Of the probability alone."""
        return {name: value for name, value in self.limits.items() if name != "low_confidence_spread"}

    def band(self, probability: float, spread: float) -> Band:
        """What a calibrated probability and its dropout spread mean together.

        >>> Thresholds().band(0.9, 0.05), Thresholds().band(0.9, 0.2)
        (<Band.HIGH_LIKELIHOOD: 'high likelihood'>, <Band.LOW_CONFIDENCE: 'low confidence'>)
        """
        if spread > self.low_confidence_spread:
            return Band.LOW_CONFIDENCE
        if probability >= self.high_likelihood:
            return Band.HIGH_LIKELIHOOD
        return Band.NO_SIGNIFICANT_CHANGES if probability < self.no_significant_changes else Band.INDETERMINATE

    def standing(self, probability: float) -> tuple[Standing, ...]:
        """Nothing: nobody's probabilities are known."""
        return ()


class Conformal(Part):
    """Which labels fit: class-conditional (Mondrian) split-conformal sets.

    A label fits a study unless its probability speaks against that label more than those of nearly all calibration
    subjects who bear it. Whoever is exchangeable with the calibration subjects of her own label, 0 or 1, gets a set
    that holds it with a chance of at least `level` (Vovk 2012, arXiv:1209.2673; Sadinle, Lei & Wasserman 2019,
    arXiv:1609.00451). "Nearly all" is the ceil((n + 1) level)-th of n scores in order, and all of them where n is too
    small for that: the correction for finite samples (Angelopoulos & Bates 2023, arXiv:2107.07511).

    no_up_to            label 0 fits up to this probability;  yes_from: label 1 fits from this one on
    no_scores, yes_scores   calibrated probabilities of the subjects with label 0 and with label 1, ascending
    """

    level: Annotated[float, Field(gt=0, lt=1)]
    no_up_to: Probability
    yes_from: Probability
    no_scores: Annotated[tuple[Probability, ...], Field(min_length=1)]
    yes_scores: Annotated[tuple[Probability, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _follows(self) -> Self:
        for scores in (self.no_scores, self.yes_scores):
            if list(scores) != sorted(scores):
                raise ValueError("the scores of a label stand in ascending order")
        if (self.no_up_to, self.yes_from) != _bounds(self.level, self.no_scores, self.yes_scores):
            raise ValueError("no_up_to and yes_from do not follow from level and scores")
        return self

    @classmethod
    def of(cls, level: float, no_scores: Sequence[float], yes_scores: Sequence[float]) -> Self:
        """From the probabilities of subjects with label 0 and with label 1, in any order.

        >>> found = Conformal.of(0.75, [0.1, 0.2, 0.3], [0.2, 0.7, 0.8])
        >>> found.no_up_to, found.yes_from, found.band(0.25).value, found.band(0.9).value
        (0.3, 0.2, 'indeterminate', 'high likelihood')
        """
        no, yes = tuple(sorted(no_scores)), tuple(sorted(yes_scores))
        no_up_to, yes_from = _bounds(level, no, yes)
        return cls(level=level, no_up_to=no_up_to, yes_from=yes_from, no_scores=no, yes_scores=yes)

    @property
    def limits(self) -> dict[str, float]:
        """Every number that decides a band, and how many subjects they come from."""
        return {
            "level": self.level,
            **self.bounds,
            "no_subjects": len(self.no_scores),
            "yes_subjects": len(self.yes_scores),
        }

    @property
    def bounds(self) -> dict[str, float]:
        """Of the probability alone."""
        return {"yes_from": self.yes_from, "no_up_to": self.no_up_to}

    def band(self, probability: float, spread: float = 0.0) -> Band:
        """The set as a band: {no}, {yes}, both, none. The dropout spread has no part in it."""
        no, yes = probability <= self.no_up_to, probability >= self.yes_from
        if no and yes:
            return Band.INDETERMINATE
        if not no and not yes:
            return Band.UNLIKE
        return Band.HIGH_LIKELIHOOD if yes else Band.NO_SIGNIFICANT_CHANGES

    def standing(self, probability: float) -> tuple[Standing, ...]:
        """Where a probability lies among the calibration subjects of label 0, and of label 1."""
        return tuple(
            Standing(
                label=label,
                subjects=len(scores),
                lower=int(np.searchsorted(scores, probability)),
                histogram=tuple(np.histogram(scores, bins=CLASSES, range=(0, 1))[0].tolist()),
            )
            for label, scores in enumerate((self.no_scores, self.yes_scores))
        )


def _bounds(level: float, no_scores: Sequence[float], yes_scores: Sequence[float]) -> tuple[float, float]:
    """no_up_to and yes_from of scores in ascending order."""
    no, yes = (math.ceil((len(scores) + 1) * level - 1e-9) for scores in (no_scores, yes_scores))
    return (
        no_scores[no - 1] if no <= len(no_scores) else 1.0,
        yes_scores[-yes] if yes <= len(yes_scores) else 0.0,
    )
