"""When is a study complete, and by which rule?"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from node.config import Completeness
from node.receive.completeness import QuietClock, is_complete
from storage.records import Study
from storage.states import StudyState

START = datetime(2026, 3, 29, 0, 59, tzinfo=UTC)  # a minute before the clocks of Europe jump
SETTINGS = Completeness(quiet_period_s=60)


def study(instances: int = 10, expected: int | None = None, last: datetime = START, revision: int = 1) -> Study:
    return Study("1.2.3", StudyState.RECEIVING, revision, instances, expected, START, last, ("SCANNER", "PACS"))


def after(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_a_study_is_complete_when_nothing_came_for_the_quiet_period() -> None:
    assert is_complete(study(), after(59.9), SETTINGS) is None
    assert is_complete(study(), after(60), SETTINGS) == "no instance came for 60 s"


def test_a_study_with_every_counted_instance_does_not_wait_for_the_quiet_period() -> None:
    assert is_complete(study(10, expected=10), after(0), SETTINGS) == "all 10 instances that the sender counts are here"


def test_a_study_with_fewer_instances_than_counted_waits_for_the_quiet_period_and_says_what_is_missing() -> None:
    assert is_complete(study(9, expected=10), after(59), SETTINGS) is None
    rule = is_complete(study(9, expected=10), after(60), SETTINGS)
    assert rule == "no instance came for 60 s; 9 of 10 counted instances are here"


def test_a_count_that_is_exceeded_is_wrong_and_only_the_quiet_period_counts() -> None:
    assert is_complete(study(11, expected=10), after(0), SETTINGS) is None
    assert is_complete(study(11, expected=10), after(60), SETTINGS) == "no instance came for 60 s"


def test_a_site_can_switch_the_count_off() -> None:
    settings = Completeness(quiet_period_s=60, use_study_related_instances=False)
    assert is_complete(study(10, expected=10), after(0), settings) is None


@pytest.mark.parametrize(
    ("open_senders", "silent_s", "complete"),
    [
        ({"PACS"}, 61, False),  # a slow sender is waited for
        ({"PACS"}, 301, True),  # but no longer than an association may idle
        ({"OTHER"}, 61, True),  # who never sent an instance of this study delays nothing
        (set(), 61, True),
    ],
)
def test_an_open_association_of_the_sender_delays_within_bounds(
    open_senders: set[str], silent_s: float, complete: bool
) -> None:
    rule = is_complete(study(), after(silent_s), SETTINGS, open_senders=open_senders, patience_s=300)
    assert (rule is not None) == complete


def ends(clock: QuietClock, now: datetime, monotonic_s: float, of: Study | None = None) -> datetime:
    each = of or study()
    return clock.until([each], now, monotonic_s)["1.2.3"]


def test_silence_before_the_start_of_this_process_is_read_from_the_wall_clock() -> None:
    assert ends(QuietClock(), after(3600), 5.0) == after(3600)


def test_a_wall_clock_that_jumps_forward_ends_no_silence_early() -> None:
    clock = QuietClock()
    ends(clock, after(1), 100.0)
    assert ends(clock, after(7200), 101.0) == after(2)


def test_a_wall_clock_that_jumps_back_freezes_no_study() -> None:
    clock = QuietClock()
    ends(clock, after(-86400), 100.0)
    assert ends(clock, after(-86340), 160.0) == after(60)


def test_a_stored_time_in_the_far_future_freezes_no_study() -> None:
    future = study(last=after(10**9))
    clock = QuietClock()
    ends(clock, START, 0.0, future)
    end = ends(clock, after(60), 60.0, future)
    assert is_complete(future, end, SETTINGS) is not None


def test_time_in_which_nobody_listened_is_no_silence_of_the_sender() -> None:
    clock = QuietClock()
    (end,) = clock.until([study()], after(3600), 0.0, listened_s=0).values()
    assert end == START  # an office that starts before the listener does
    assert ends(clock, after(3610), 10.0) == after(10)
    clock.until([study()], after(3640), 40.0, listened_s=0)
    assert ends(clock, after(3650), 50.0) == after(10)


def test_an_office_that_starts_after_the_listener_counts_from_when_the_listener_did() -> None:
    (end,) = QuietClock().until([study()], after(3600), 100.0, listened_s=2.0).values()
    assert end == after(2)


def test_a_new_instance_begins_the_silence_anew() -> None:
    clock = QuietClock()
    ends(clock, after(0), 0.0)
    ends(clock, after(50), 50.0)
    more = replace(study(11), last_received_at=after(50))
    assert ends(clock, after(51), 51.0, more) == after(51)
    assert ends(clock, after(100), 100.0, more) == after(100)
