"""Weeks without drift, simulated: how often is one told as drift? Weeks with some: how often is it found?

python -m tests.false_alarms
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random

from node import verdict
from node.observe import comparing
from node.observe.comparing import NAMES, Usual
from storage.records import Sighting

AT = datetime(2026, 6, 1, tzinfo=UTC)
SCANNERS = ("Maker A", "Maker B", "Maker C")


@dataclass(frozen=True)
class Rate:
    """Of `weeks`, in how many drift was told."""

    weeks: int
    alarms: int
    tests: float  # in a week, on average


def studies(
    dice: Random,
    count: int,
    *,
    more_likely: float = 0.0,
    brighter: float = 0.0,
    out_of_scope: float = 0.05,
    not_read: float = 0.1,
) -> Iterator[Sighting]:
    """Of one hospital: most not demented, some out of scope, some without a series that can be read."""
    for number in range(count):
        scanner = dice.choice(SCANNERS)
        if dice.random() < not_read:
            yield Sighting(number, AT, "", scanner)
            continue
        grey = (dice.gauss(70 + brighter, 8), dice.gauss(45, 5), dice.gauss(0.15, 0.02))
        if dice.random() < out_of_scope:
            yield Sighting(number, AT, "bundle", scanner, False, None, None, None, *grey)
            continue
        probability = min(1.0, dice.betavariate(2, 4) + more_likely)
        spread = dice.betavariate(2, 25)
        band = verdict.HIGH if probability > 0.6 else verdict.LOW if probability < 0.4 else verdict.BETWEEN
        yield Sighting(number, AT, "bundle", scanner, True, band, probability, spread, *grey)


def rate(*, weeks: int, a_week: int, baseline: int, seed: int, **change: float) -> Rate:
    """A new baseline for every week, so that the weeks are independent."""
    alarms = tests = 0
    for week in range(weeks):
        dice = Random(1000 * seed + week)
        usual = Usual([*studies(dice, baseline)], "usual")
        this = [*studies(dice, a_week, **change)]
        month = [each for _ in range(4) for each in studies(dice, a_week, **change)]
        found = [
            compared
            for what in NAMES
            for scanner in comparing.scanners(this, usual.found)
            if (compared := comparing.moved(what, scanner, this, usual)) is not None
        ]
        told = comparing.told([*found, *comparing.flagging(month, usual)])
        alarms += any(each.drifted for each in told)
        tests += len(told)
    return Rate(weeks, alarms, tests / weeks)


if __name__ == "__main__":
    CHANGES: dict[str, dict[str, float]] = {
        "no drift": {},
        "probability + 0.05": {"more_likely": 0.05},
        "probability + 0.10": {"more_likely": 0.1},
        "probability + 0.20": {"more_likely": 0.2},
        "brightness + 4 (0.5 sd)": {"brighter": 4.0},
        "out of scope 5 -> 20 %": {"out_of_scope": 0.2},
        "not read 10 -> 30 %": {"not_read": 0.3},
    }
    for name, change in CHANGES.items():
        for a_week, baseline in ((30, 120), (100, 400), (300, 1200)):
            weeks = 2000 if not change and a_week < 300 else 300
            found = rate(weeks=weeks, a_week=a_week, baseline=baseline, seed=1, **change)
            share = f"{100 * found.alarms / found.weeks:6.2f} %"
            print(f"{name:26} {a_week:4} a week, baseline {baseline:5} {found.tests:5.1f} tests  {share} of {weeks}")  # noqa: T201
