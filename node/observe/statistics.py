"""How much was done, how quickly, and what came of it: from the sums, over so many days."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from node.observe.tally import READER, SECONDS, SHARES
from storage import Database, tallies
from storage.records import Tally


@dataclass(frozen=True)
class Spectrum:
    """How often a measure fell up to each bound; the last one has none."""

    bounds: Sequence[float]  # upper ones, the last infinite
    counts: Sequence[int]
    total: float  # of all that was measured

    @property
    def count(self) -> int:
        """How often it was measured."""
        return sum(self.counts)

    @property
    def mean(self) -> float | None:
        """None where nothing was measured."""
        return self.total / self.count if self.count else None

    def quantile(self, share: float) -> float | None:
        """The bound below which this share lies; None where nothing was measured."""
        left = share * self.count
        for bound, count in zip(self.bounds, self.counts, strict=True):
            left -= count
            if left <= 0 and self.count:
                return bound
        return None


@dataclass(frozen=True)
class ScannerFacts:
    """What came of the studies of one scanner."""

    name: str
    bands: Mapping[str, int]
    out_of_scope: int

    @property
    def studies(self) -> int:
        """That were read."""
        return sum(self.bands.values()) + self.out_of_scope


@dataclass(frozen=True)
class StatisticsFacts:
    """What happened since `since`; days are those of the node's own time zone."""

    at: datetime
    since: datetime
    days: Mapping[date, int]  # studies received on each, days without any too
    jobs: Mapping[str, int]  # how they ended
    report_s: Spectrum  # from the last instance to the report
    stages_s: Mapping[str, Spectrum]
    refused: Mapping[str, int]  # series by reason, most frequent first
    bands: Mapping[str, int]
    spread: Spectrum
    out_of_scope: int
    scanners: Sequence[ScannerFacts]  # most studies first
    words: Mapping[str, int]  # of readers
    uncounted: int  # events that are still to be added up; many after an upgrade, or when the office was away
    words_by_bundle: Mapping[str, Mapping[str, int]]  # the same, by the bundle that they are about


def of_days(db: Database, days: int, now: datetime) -> StatisticsFacts:
    """The last `days` days, today among them."""
    first = now.astimezone().replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days - 1)

    def found(name: str) -> list[Tally]:
        return tallies.since(db, name, first)

    predictions, out_of_scope, said = found("predictions"), found("out_of_scope"), found("reader_words")
    return StatisticsFacts(
        at=now,
        since=first,
        days=_by_day(found("studies_received"), first, days),
        jobs=_by(found("jobs_ended"), "state"),
        report_s=spectrum(found("report_s"), found("report_s_sum"), SECONDS),
        stages_s=_stages(found("stage_s"), found("stage_s_sum")),
        refused=_by(found("series_refused"), "reason"),
        bands=_by(predictions, "band"),
        spread=spectrum(found("spread"), found("spread_sum"), SHARES),
        out_of_scope=round(sum(each.value for each in out_of_scope)),
        scanners=_scanners(predictions, out_of_scope),
        words=_by(said, "word"),
        words_by_bundle=_words_by_bundle(said),
        uncounted=tallies.behind(db, READER),
    )


def spectrum(counted: Sequence[Tally], sums: Sequence[Tally], bounds: Sequence[float]) -> Spectrum:
    """Of the tallies of a histogram and of its sum."""
    by_bound: Counter[str] = Counter()
    for each in counted:
        by_bound[each.labels["le"]] += round(each.value)
    counts = [by_bound[f"{bound:g}"] for bound in bounds]
    return Spectrum((*bounds, float("inf")), (*counts, by_bound["+Inf"]), sum(each.value for each in sums))


def _by(found: Sequence[Tally], label: str) -> dict[str, int]:
    counted: Counter[str] = Counter()
    for each in found:
        counted[each.labels[label]] += round(each.value)
    return dict(counted.most_common())


def _words_by_bundle(said: Sequence[Tally]) -> dict[str, dict[str, int]]:
    names = sorted({each.labels.get("bundle", "") for each in said})
    return {name: _by([each for each in said if each.labels.get("bundle", "") == name], "word") for name in names}


def _by_day(found: Sequence[Tally], first: datetime, days: int) -> dict[date, int]:
    counted = {(first + timedelta(days=number)).date(): 0 for number in range(days)}
    for each in found:
        day = each.slot.astimezone(first.tzinfo).date()
        if day in counted:
            counted[day] += round(each.value)
    return counted


def _stages(counted: Sequence[Tally], sums: Sequence[Tally]) -> dict[str, Spectrum]:
    names = dict.fromkeys(each.labels["stage"] for each in counted)
    return {
        name: spectrum(
            [each for each in counted if each.labels["stage"] == name],
            [each for each in sums if each.labels["stage"] == name],
            SECONDS,
        )
        for name in names
    }


def _scanners(predictions: Sequence[Tally], out_of_scope: Sequence[Tally]) -> list[ScannerFacts]:
    names = {each.labels["scanner"] for each in (*predictions, *out_of_scope)}
    found = [
        ScannerFacts(
            name,
            _by([each for each in predictions if each.labels["scanner"] == name], "band"),
            round(sum(each.value for each in out_of_scope if each.labels["scanner"] == name)),
        )
        for name in names
    ]
    return sorted(found, key=lambda each: (-each.studies, each.name))
