"""Slice predictions -> study prediction."""

import numpy as np
from numpy.typing import NDArray

from model.uncertainty import Uncertainty


def study_probability(calibrated: NDArray[np.float64]) -> float:
    """Mean of the slices' calibrated probabilities, (N,): every slice of the slab counts the same."""
    return float(calibrated.mean())


def study_uncertainty(samples: NDArray[np.float64]) -> Uncertainty:
    """Class-1 probabilities (samples, slices) -> uncertainty of the study: mean over slices first, then the spread.

    A dropout sample is one draw of the network, and its opinion of the study is its own mean over the slices; the
    spread of those opinions is the network's doubt about the study. The other way round, a mean of the slices' spreads,
    mixes in what cancels between slices within every draw, and stays high for a study that all draws agree on. Since a
    draw keeps its masks from slice to slice, the spread does not shrink merely because a study has many slices.
    """
    return Uncertainty.of(samples.mean(axis=1))
