"""Whether a week of studies differs from what is usual by more than chance. Pure: samples in, comparisons out.

    what a study has         probability, spread, brightness, contrast, texture     two-sample Kolmogorov-Smirnov
    how many studies are     flagged, undecided, out of scope, not read             Fisher's exact test, two-sided
    useless                  more than half are flagged                             exact binomial test, one-sided
    silent                   none is flagged, though some usually are               Fisher's exact test, one-sided

Each of these is a test on its own, for all scanners together and for each scanner. They are taken together by
Bonferroni: a week without drift is told as one with a chance of at most `LEVEL`, however many tests there are and
however they hang together. What that comes to is simulated in tests/false_alarms.py. The baseline is the same
every week, so that false alarms, rare as they are, may come several weeks running.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from node import verdict
from storage.records import Sighting

LEVEL = 0.01  # chance of a false alarm in a week, at most
LEAST = 20  # studies on either side of a comparison
EXACT_UP_TO = 500  # studies: beyond, the distribution of Kolmogorov-Smirnov is that of its limit
ALL = ""  # scanners

MEASURES = ("probability", "spread", "brightness", "contrast", "texture")
SHARES: Mapping[str, Callable[[Sighting], bool | None]] = {  # None: the study does not count here
    "flagged": lambda each: None if each.band is None else each.band == verdict.HIGH,
    "undecided": lambda each: None if each.band is None else each.band not in (verdict.HIGH, verdict.LOW),
    "out of scope": lambda each: None if each.in_scope is None else not each.in_scope,
    "not read": lambda each: each.in_scope is None,
}
NAMES = (*MEASURES, *SHARES)
USELESS, SILENT = "useless", "silent"


@dataclass(frozen=True)
class Comparison:
    """One test.

    what     a measure or share (it moved), USELESS or SILENT      scanner   ALL, or one by name
    now, usual      mean of the measure, or share                  p         before the correction for the others
    studies, usual_studies   that were compared                    source    what the baseline is
    """

    what: str
    scanner: str
    now: float
    usual: float
    studies: int
    usual_studies: int
    p: float
    source: str
    drifted: bool = False

    @property
    def words(self) -> str:
        """In a sentence, without its full stop."""
        where = f"{self.scanner}: " if self.scanner else ""
        if self.what == USELESS:
            return f"{where}{self.now:.0%} of the studies are flagged, which tells a reader little"
        if self.what == SILENT:
            return f"{where}no study is flagged of {self.studies}, where {self.usual:.0%} usually are"
        return f"{where}{self.what} {figure(self.what, self.now)}, usually {figure(self.what, self.usual)}"


@dataclass(frozen=True)
class Usual:
    """A baseline, and in words what it is."""

    found: Sequence[Sighting]
    source: str


def figure(what: str, value: float) -> str:
    """A mean or a share as it is shown.

    >>> figure("flagged", 0.256), figure("probability", 0.256), figure("brightness", 80.04)
    ('26 %', '0.256', '80.0')
    """
    if what in SHARES:
        return f"{100 * value:.0f} %"
    return f"{value:.1f}" if what in ("brightness", "contrast") else f"{value:.3f}"


def values(found: Sequence[Sighting], what: str) -> list[float]:
    """What the studies have that have it; of a share 1 and 0."""
    if what in SHARES:
        judged = (SHARES[what](each) for each in found)
        return [float(each) for each in judged if each is not None]
    measured = (getattr(each, what) for each in found)
    return [each for each in measured if each is not None]


def moved(what: str, scanner: str, week: Sequence[Sighting], usual: Usual) -> Comparison | None:
    """Whether this measure or share is another one than usual; None where too few studies have it."""
    now, before = values(_of(week, scanner), what), values(_of(usual.found, scanner), what)
    if min(len(now), len(before)) < LEAST:
        return None
    p = _fisher(now, before) if what in SHARES else _kolmogorov_smirnov(now, before)
    return _comparison(what, scanner, now, before, p, usual.source)


def flagging(month: Sequence[Sighting], usual: Usual) -> Iterator[Comparison]:
    """Whether the flag of the last four weeks still says something: neither on most studies nor on none."""
    from scipy.stats import binomtest

    now, before = values(month, "flagged"), values(usual.found, "flagged")
    if min(len(now), len(before)) < LEAST:
        return
    flagged = round(sum(now))
    p = float(binomtest(flagged, len(now), 0.5, "greater").pvalue)
    yield _comparison(USELESS, ALL, now, before, p, usual.source)
    if not flagged:
        yield _comparison(SILENT, ALL, now, before, _fisher(now, before, "less"), usual.source)


def told(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The same, each with whether it drifted, given how many there are."""
    limit = LEVEL / max(1, len(comparisons))
    return [Comparison(**{**vars(each), "drifted": each.p <= limit}) for each in comparisons]


def scanners(week: Sequence[Sighting], usual: Sequence[Sighting]) -> list[str]:
    """ALL, and each scanner that has studies enough on both sides; where there is but one, it is ALL."""
    names = sorted({each.scanner for each in week})
    enough = [name for name in names if min(len(_of(week, name)), len(_of(usual, name))) >= LEAST]
    return [ALL, *enough] if len(names) > 1 else [ALL]


def _of(found: Sequence[Sighting], scanner: str) -> Sequence[Sighting]:
    return found if scanner == ALL else [each for each in found if each.scanner == scanner]


def _comparison(
    what: str, scanner: str, now: Sequence[float], before: Sequence[float], p: float, source: str
) -> Comparison:
    return Comparison(what, scanner, mean(now), mean(before), len(now), len(before), p, source)


def mean(found: Sequence[float]) -> float:
    """Of at least one."""
    return sum(found) / len(found)


def _fisher(now: Sequence[float], before: Sequence[float], alternative: str = "two-sided") -> float:
    from scipy.stats import fisher_exact

    table = [[round(sum(each)), len(each) - round(sum(each))] for each in (now, before)]
    return float(fisher_exact(table, alternative)[1])


def _kolmogorov_smirnov(now: Sequence[float], before: Sequence[float]) -> float:
    from scipy.stats import ks_2samp

    is_small = max(len(now), len(before)) <= EXACT_UP_TO
    return float(ks_2samp(now, before, method="exact" if is_small else "asymp").pvalue)
