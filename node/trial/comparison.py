"""Two answers on each of many studies: how often they agree, by how much they differ, and which ones to look at.

kappa      Cohen's kappa of the decision bands, of the studies that both classified (Cohen 1960)
bias       mean of the differences of the probabilities, new less old, and the limits of agreement: bias ± 1.96 standard
           deviations (Bland and Altman 1986)
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from node.trial.replay import Pair

FEWEST = 2  # studies, for a number that needs several
LARGE = 0.1  # a difference of probabilities that is worth a look
FLIP, GAINED_OR_LOST, BAND, SERIES, MOVED = (
    "the band is the opposite",
    "one classified it, the other not",
    "another band",
    "another series",
    f"probability moved by {LARGE:.0%} or more",
)
RANK = {each: place for place, each in enumerate((FLIP, GAINED_OR_LOST, BAND, SERIES, MOVED))}
OPPOSITE = {"high likelihood", "no significant changes"}


@dataclass(frozen=True)
class Comparison:
    """What the pairs come to; None where there are too few studies for a number.

    bands    (old, new) -> how often, of the studies that both classified
    reasons  why there is no new answer -> how often
    """

    pairs: Sequence[Pair]
    both: int
    only_old: int
    only_new: int
    neither: int
    other_series: int
    other_band: int
    failures: int
    bands: dict[tuple[str, str], int]
    reasons: dict[str, int]
    kappa: float | None
    bias: float | None
    limits: tuple[float, float] | None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        totals = {name: value for name, value in vars(self).items() if name not in ("pairs", "bands", "limits")}
        return {
            "totals": {"studies": len(self.pairs), **totals, "limits_of_agreement": self.limits},
            "bands": [{"old": old, "new": new, "studies": count} for (old, new), count in self.bands.items()],
            "studies": [{**asdict(each), "look_at": why_look(each)} for each in self.pairs],
        }


def compare(pairs: Sequence[Pair]) -> Comparison:
    """The totals; in `pairs` the studies to look at come first."""
    both = [each for each in pairs if each.old.is_classified and each.new.is_classified]
    bands = Counter((str(each.old.band), str(each.new.band)) for each in both)
    differences = np.array([moved(each) for each in both], float)
    bias = float(differences.mean()) if len(both) >= FEWEST else None
    reach = 1.96 * float(differences.std(ddof=1)) if len(both) >= FEWEST else 0.0
    return Comparison(
        pairs=sorted(pairs, key=_order),
        both=len(both),
        only_old=sum(each.old.is_classified and not each.new.is_classified for each in pairs),
        only_new=sum(each.new.is_classified and not each.old.is_classified for each in pairs),
        neither=sum(not each.new.is_classified and not each.old.is_classified for each in pairs),
        other_series=sum(_is_other_series(each) for each in pairs),
        other_band=sum(count for (old, new), count in bands.items() if old != new),
        failures=sum(each.new.is_failure for each in pairs),
        bands=dict(bands.most_common()),
        reasons=dict(Counter(each.new.reason for each in pairs if not each.new.is_classified).most_common()),
        kappa=_kappa(both),
        bias=bias,
        limits=None if bias is None else (bias - reach, bias + reach),
    )


def moved(pair: Pair) -> float:
    """By how much the probability moved; 0 where one of the two has none."""
    if pair.old.probability is None or pair.new.probability is None:
        return 0.0
    return pair.new.probability - pair.old.probability


def why_look(pair: Pair) -> str:
    """Why a person should look at this study; "" where there is no reason to."""
    old, new = pair.old, pair.new
    if old.is_classified != new.is_classified:
        return GAINED_OR_LOST
    if old.is_classified and old.band != new.band:
        return FLIP if {old.band, new.band} == OPPOSITE else BAND
    if _is_other_series(pair):
        return SERIES
    return MOVED if abs(moved(pair)) >= LARGE else ""


def _order(pair: Pair) -> tuple[int, float, str]:
    return RANK.get(why_look(pair), len(RANK)), -abs(moved(pair)), pair.study_instance_uid


def _is_other_series(pair: Pair) -> bool:
    return pair.old.series_instance_uid != pair.new.series_instance_uid and not pair.new.is_failure


def _kappa(both: Sequence[Pair]) -> float | None:
    if len(both) < FEWEST:
        return None
    old, new = [str(each.old.band) for each in both], [str(each.new.band) for each in both]
    if len({*old, *new}) == 1:
        return None  # all in one band: chance alone would have it so
    from sklearn.metrics import cohen_kappa_score  # large, and seldom needed

    return float(cohen_kappa_score(old, new))
