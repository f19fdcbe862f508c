"""When a sender is silent: against its own habit, and by one rule for page, numbers and notices."""

from datetime import datetime, timedelta

import pytest

from node import silence
from storage import Database, tallies
from tests.stored import NOW

DAY = timedelta(days=1)


def sends(db: Database, title: str, *days: float) -> datetime:
    """An instance so many days after NOW, each; when the last came."""
    for day in days:
        one = [(silence.RECEIVED, {"peer": title, "host": "10.1.0.2"}, 1.0)]
        tallies.add(db, one, NOW + day * DAY)
    return NOW + max(days) * DAY


def of(db: Database, title: str, now: datetime, least_s: float = 3600) -> silence.Silence:
    return silence.of_sender(db, title, silence.last_instances(db).get(title), now, least_s)


def test_a_sender_is_silent_after_half_as_long_again_as_its_longest_pause(db: Database) -> None:
    last = sends(db, "MR1", *range(8), 11, 12)
    assert of(db, "MR1", last).longest_pause_s == 97 * 3600
    limit = timedelta(hours=97 * 1.5)
    assert not of(db, "MR1", last + limit).is_over_limit
    assert of(db, "MR1", last + limit + timedelta(seconds=1)).is_over_limit
    assert not of(db, "MR1", last + limit + DAY, least_s=(limit + 2 * DAY).total_seconds()).is_over_limit
    assert not of(db, "MR1", last + 300 * DAY, least_s=0).is_over_limit, "the site does not want to know"


@pytest.mark.parametrize("days", [[0, 1, 2, 3, 8], [number / 24 for number in range(20)]])
def test_whoever_sent_seldom_or_for_a_few_days_has_no_habit(db: Database, days: list[float]) -> None:
    last = sends(db, "MR1", *days)
    found = of(db, "MR1", max(last, NOW + 6 * DAY))
    assert (found.longest_pause_s, found.limit_s, found.is_over_limit) == (None, None, False)


def test_a_sender_that_went_away_for_good_stays_silent(db: Database) -> None:
    last = sends(db, "MR1", *range(10))
    for other in ("MR10", 'MR1", "x'):
        sends(db, other, *range(20, 30))
    assert of(db, "MR1", last + 300 * DAY).longest_pause_s == 25 * 3600
    assert of(db, "MR1", last + 300 * DAY).is_over_limit


def test_who_never_sent_anything_is_not_missed(db: Database) -> None:
    assert of(db, "MR1", NOW) == silence.Silence()
