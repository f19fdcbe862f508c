"""When the series of studies come: a day of scanners, of several hospitals, or everything at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DAY_S = 86_400.0
DAY_CURVE = (1, 1, 1, 1, 1, 2, 4, 9, 12, 13, 13, 12, 10, 11, 12, 12, 10, 8, 6, 4, 3, 2, 2, 1)  # share of each hour


@dataclass(frozen=True)
class Demand:
    """What comes, in one day or at once. All of it is an assumption until a site gives its own.

    series, instances: of each study · pause_s: mean between two series of it · peaks_apart_s: between hospitals
    """

    name: str
    studies: int
    hospitals: int = 1
    at_once: bool = False
    series: int = 6
    instances: int = 600
    pause_s: float = 240.0
    quiet_s: float = 60.0
    peaks_apart_s: float = 3600.0


def of_series(demand: Demand, random: np.random.Generator) -> NDArray[np.float64]:
    """(studies, series) seconds from the day's beginning at which each series comes; studies in their order."""
    if demand.at_once:
        return np.zeros((demand.studies, demand.series))
    weights = np.array(DAY_CURVE) / sum(DAY_CURVE)
    hour = random.choice(24, demand.studies, p=weights)
    first = (hour + random.uniform(size=demand.studies)) * DAY_S / 24
    shift = random.uniform(-0.5, 0.5, demand.hospitals) * demand.peaks_apart_s
    if demand.hospitals > 1:
        first += shift[random.integers(demand.hospitals, size=demand.studies)]
    pauses = random.exponential(demand.pause_s, (demand.studies, demand.series - 1))
    times = np.maximum(first, 0)[:, None] + np.hstack([np.zeros((demand.studies, 1)), pauses.cumsum(axis=1)])
    in_order: NDArray[np.float64] = times[times[:, 0].argsort()]
    return in_order
