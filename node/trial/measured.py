"""What a bundle is worth on a site's labelled studies: numbers with 95 % intervals, of all and of parts of them.

AUROC, Brier score and expected calibration error are bootstrapped over patients (model/training/metrics.py); shares
have Wilson's intervals. A study is *flagged* when its band is "high likelihood"; sensitivity and specificity are those
of the flag, among the studies that were classified.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.training import metrics
from model.training.metrics import Interval
from model.types import Band
from node.trial.commissioning import Case
from node.trial.precision import Needed, Share, needed
from storage.records import Word

UNKNOWN = "unknown"
FEWEST = 10  # classified studies of a group, below which it gets no bootstrapped number
RESAMPLES = 1000
BINS = 5
AGES = ((60, "under 60"), (70, "60 to 69"), (80, "70 to 79"), (math.inf, "80 and older"))
NOTHING = Interval(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Group:
    """The numbers of some of the studies; nan where there are too few, or only one label."""

    name: str
    studies: int
    classified: int
    with_label: int  # of the classified ones
    auroc: Interval
    brier: Interval
    ece: Interval
    expected: float  # mean probability, and how many have the label: calibration in the large
    observed: Share
    sensitivity: Share
    specificity: Share
    flagged: Share
    out_of_scope: Share

    @classmethod
    def of(cls, name: str, cases: Sequence[Case]) -> "Group":
        """Of these studies."""
        seen = [each for each in cases if each.said.is_classified]
        flags = [is_flagged(each) for each in seen]
        positive = [flag for flag, each in zip(flags, seen, strict=True) if each.label]
        negative = [flag for flag, each in zip(flags, seen, strict=True) if not each.label]
        labels, probabilities = arrays(seen)
        bootstrapped = _bootstrapped(seen)
        return cls(
            name=name,
            studies=len(cases),
            classified=len(seen),
            with_label=int(labels.sum()),
            auroc=bootstrapped.get("auroc", NOTHING),
            brier=bootstrapped.get("brier", NOTHING),
            ece=bootstrapped.get("ece", NOTHING),
            expected=float(probabilities.mean()) if seen else math.nan,
            observed=Share.measured(int(labels.sum()), len(seen)),
            sensitivity=Share.measured(sum(positive), len(positive)),
            specificity=Share.measured(len(negative) - sum(negative), len(negative)),
            flagged=Share.measured(sum(flags), len(seen)),
            out_of_scope=Share.measured(sum(each.said.in_scope is False for each in cases), len(cases)),
        )


@dataclass(frozen=True)
class Bin:
    """Studies of about the same probability, and how many of them have the label."""

    expected: float
    observed: Share


@dataclass(frozen=True)
class Summary:
    """Everything that a report says beside its studies.

    missing   rows of the table for which there is no study
    reasons   why a study was not classified -> how often; failures: those of them that are errors
    kappa     agreement of the flag with the label, of all classified studies
    words     what readers said of standing answers of this bundle
    """

    labelled: int
    missing: int
    whole: Group
    parts: Mapping[str, Sequence[Group]]
    calibration: Sequence[Bin]
    bands: Mapping[str, tuple[int, int]]  # without the label, with it
    reasons: Mapping[str, int]
    failures: int
    kappa: Interval
    needed: Sequence[Needed]
    words: Mapping[str, int]

    def as_json(self) -> dict[str, Any]:
        """Plain values; what does not exist is null."""
        plain: dict[str, Any] = _finite(asdict(self))
        plain["bands"] = {band: {"label_0": none, "label_1": some} for band, (none, some) in self.bands.items()}
        return plain


def summarise(cases: Sequence[Case], labelled: int, words: Mapping[str, int]) -> Summary:
    """The numbers of these cases; `labelled`: rows of the table."""
    whole = Group.of("all", cases)
    seen = [each for each in cases if each.said.is_classified]
    unread = [each.said for each in cases if not each.said.is_classified]
    return Summary(
        labelled=labelled,
        missing=labelled - len({each.line for each in cases}),
        whole=whole,
        parts={name: list(_groups(cases, key)) for name, key in KEYS.items()},
        calibration=list(_calibration(seen)),
        bands=_bands(seen),
        reasons=dict(Counter(each.reason for each in unread).most_common()),
        failures=sum(each.is_failure for each in unread),
        kappa=_kappa(seen),
        needed=needed(whole.auroc.value, whole.sensitivity.value, whole.specificity.value, whole.observed.value),
        words={str(word): words.get(word, 0) for word in Word},
    )


def is_flagged(case: Case) -> bool:
    """Whether a reader is told of a high likelihood."""
    return case.said.band == Band.HIGH_LIKELIHOOD


def arrays(cases: Sequence[Case]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Labels and probabilities of classified studies."""
    return np.array([each.label for each in cases], np.int64), np.array(
        [each.said.probability for each in cases], np.float64
    )


def _age(case: Case) -> str:
    age = case.age
    return UNKNOWN if age is None else next(name for below, name in AGES if age < below)


def _field(case: Case) -> str:
    return UNKNOWN if case.field_strength is None else f"{round(2 * case.field_strength) / 2:g} T"


KEYS: Mapping[str, Callable[[Case], str]] = {
    "scanner": lambda case: case.scanner,
    "field strength": _field,
    "age": _age,
    "sex": lambda case: case.sex or UNKNOWN,
}


def _groups(cases: Sequence[Case], key: Callable[[Case], str]) -> Iterator[Group]:
    for name in sorted({key(each) for each in cases}):
        yield Group.of(name, [each for each in cases if key(each) == name])


def _bootstrapped(seen: Sequence[Case]) -> Mapping[str, Interval]:
    if len(seen) < FEWEST:
        return {}
    labels, probabilities = arrays(seen)
    return metrics.with_intervals(labels, probabilities, _subjects(seen), resamples=RESAMPLES)


def _kappa(seen: Sequence[Case]) -> Interval:
    if len(seen) < FEWEST:
        return NOTHING
    labels, _ = arrays(seen)
    flags = np.array([float(is_flagged(each)) for each in seen])
    return metrics.with_intervals(labels, flags, _subjects(seen), resamples=RESAMPLES)["kappa"]


def _subjects(seen: Sequence[Case]) -> NDArray[np.str_]:
    return np.array([each.subject for each in seen])


def _calibration(seen: Sequence[Case]) -> Iterator[Bin]:
    """In groups of equal size, from the least to the most probable."""
    labels, probabilities = arrays(seen)
    order = np.argsort(probabilities, kind="stable")
    for rows in np.array_split(order, min(BINS, max(1, len(seen) // FEWEST))) if len(seen) else ():
        yield Bin(float(probabilities[rows].mean()), Share.measured(int(labels[rows].sum()), len(rows)))


def _bands(seen: Sequence[Case]) -> dict[str, tuple[int, int]]:
    counted = Counter((str(each.said.band), each.label) for each in seen)
    names = dict.fromkeys([*map(str, Band), *(band for band, _ in counted)])
    return {name: (counted[name, 0], counted[name, 1]) for name in names}


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(each) for name, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value
