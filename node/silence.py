"""When a sender is silent: one rule for the page, the numbers and the notices.

It is silent when its last instance is longer ago than the site's `least_s`, and than half as long again as the longest
pause that it made in the four weeks before. That needs a week of history, and ten hours in which something came: until
then nobody knows its habit.
"""

import itertools
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from storage import Database, tallies

RECEIVED = "received_instances"
HABIT = timedelta(weeks=4)
KNOWN_AFTER = timedelta(weeks=1)
FEWEST_HOURS = 10
LONGER_THAN_EVER = 1.5
AN_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Silence:
    """Of one sender, in seconds."""

    lasts_s: float | None = None  # since its last instance; None where none ever came
    longest_pause_s: float | None = None  # before that one; None while its habit is not known
    limit_s: float | None = None  # from here on it is silent; None where nobody can say

    @property
    def is_over_limit(self) -> bool:
        """Whether somebody should look after it."""
        return self.limit_s is not None and self.lasts_s is not None and self.lasts_s > self.limit_s


def of_sender(db: Database, ae_title: str, last: datetime | None, now: datetime, least_s: float) -> Silence:
    """`last` is when its last instance came; with a `least_s` of 0 nobody is ever silent."""
    if last is None:
        return Silence()
    hours = {each.slot for each in tallies.since(db, RECEIVED, last - HABIT, last, peer=ae_title)}
    longest_s = longest_pause_s(hours, now)
    limit_s = max(least_s, LONGER_THAN_EVER * longest_s) if least_s and longest_s is not None else None
    return Silence(max(0.0, (now - last).total_seconds()), longest_s, limit_s)


def longest_pause_s(hours: Collection[datetime], now: datetime) -> float | None:
    """Between two hours in which something came, in seconds; None where that is no habit yet."""
    ordered = sorted(hours)
    if len(ordered) < FEWEST_HOURS or now - ordered[0] < KNOWN_AFTER:
        return None
    pauses = (later - earlier for earlier, later in itertools.pairwise(ordered))
    return (max(pauses) + AN_HOUR).total_seconds()


def last_instances(db: Database) -> dict[str, datetime]:
    """When each sender's last instance came, by AE title."""
    found: dict[str, datetime] = {}
    for each in tallies.totals(db, RECEIVED):
        title = each.labels["peer"]
        found[title] = max(each.at, found.get(title, each.at))
    return found
