"""Slice predictions -> study prediction: the one rule of serving, training, calibration and evaluation.

Every slice of a plane counts the same, and the means of the planes count by the weights of the bundle
(`Preprocessing.weights`), of those planes that were read.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from model.planes import shares
from model.uncertainty import Uncertainty

NO_WEIGHTS: Mapping[str, float] = {}
Planes = Sequence[str] | NDArray[np.str_]


def study_probability(
    calibrated: NDArray[np.float64], planes: Planes = (), weights: Mapping[str, float] = NO_WEIGHTS
) -> float:
    """Of the slices' calibrated probabilities, (N,); `planes` are theirs, none where all lie in one plane."""
    return float(over_slices(calibrated, planes, weights))


def study_uncertainty(
    samples: NDArray[np.float64], planes: Planes = (), weights: Mapping[str, float] = NO_WEIGHTS
) -> Uncertainty:
    """Class-1 probabilities (samples, slices) -> uncertainty of the study: over slices first, then the spread.

    A dropout sample is one draw of the network, and its opinion of the study is its own mean over the slices; the
    spread of those opinions is the network's doubt about the study. The other way round, a mean of the slices' spreads,
    mixes in what cancels between slices within every draw, and stays high for a study that all draws agree on. Since a
    draw keeps its masks from slice to slice, the spread does not shrink merely because a study has many slices.
    """
    return Uncertainty.of(over_slices(samples, planes, weights))


def over_slices(
    values: NDArray[np.float64], planes: Planes = (), weights: Mapping[str, float] = NO_WEIGHTS
) -> NDArray[np.float64]:
    """(…, N) -> (…): the mean within each plane, then that of the planes by their weights.

    >>> float(over_slices(np.array([0.2, 0.4, 0.9]), ["axial", "axial", "coronal"], {"axial": 2.0, "coronal": 1.0}))
    0.5
    """
    found = shares(list(planes), weights)
    if len(found) < 2:
        return np.asarray(values.mean(axis=-1))
    own = np.asarray(planes)
    means = [share * values[..., own == plane].mean(axis=-1) for plane, share in found.items()]
    return np.asarray(np.sum(means, axis=0))
