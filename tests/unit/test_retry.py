"""An error and the number of the attempt become a decision."""

import pytest

from node.config import DeliverySettings, Worker
from node.errors import MixedPatients, OutOfResources, Refused, Unreachable
from node.retry import SPREAD, GiveUp, Retry, decide, delay_s, spread
from storage.errors import DatabaseBusy, StorageFull

WORKER = Worker(maximum_attempts=3, backoff_s=10, maximum_backoff_s=30)
DELIVERY = DeliverySettings(backoff_s=10, maximum_backoff_s=30, attempts_when_refused=3)


def test_a_permanent_error_is_given_up_at_once() -> None:
    decision = decide(MixedPatients("two patients in study 1.2.3"), 1, WORKER)
    assert decision == GiveUp("two patients in study 1.2.3")


def test_a_transient_error_of_a_job_is_retried_until_its_attempts_are_used_up() -> None:
    error = OutOfResources("the batch does not fit")
    decisions = [decide(error, attempt, WORKER) for attempt in (1, 2, 3)]
    assert [type(decision) for decision in decisions] == [Retry, Retry, GiveUp]
    assert decisions[-1] == GiveUp("the batch does not fit (after 3 attempts)")


def test_an_error_that_nobody_foresaw_is_retried_and_its_text_is_withheld() -> None:
    decision = decide(ValueError("Invalid value for VR DA: 'SECRETDATE'"), 1, WORKER)
    assert isinstance(decision, Retry)
    assert "SECRET" not in decision.reason
    assert "ValueError" in decision.reason


@pytest.mark.parametrize("error", [StorageFull("disk full"), DatabaseBusy("locked")])
@pytest.mark.parametrize("settings", [WORKER, DELIVERY])
def test_a_full_disk_or_a_busy_database_fails_no_work_however_long_it_lasts(
    error: Exception, settings: Worker | DeliverySettings
) -> None:
    assert isinstance(decide(error, 10_000, settings), Retry)


def test_an_unreachable_destination_is_retried_for_ever() -> None:
    assert isinstance(decide(Unreachable("no answer"), 10_000, DELIVERY), Retry)


def test_a_refusal_is_tried_a_few_times_and_then_given_up() -> None:
    error = Refused("0xA900: data set does not match SOP class")
    assert [type(decide(error, attempt, DELIVERY)) for attempt in (1, 2, 3)] == [Retry, Retry, GiveUp]


def test_delays_double_up_to_the_cap_and_never_overflow() -> None:
    assert [delay_s(attempt, WORKER) for attempt in (0, 1, 2, 3, 4, 10**9)] == [10, 10, 20, 30, 30, 30]


def test_delays_are_spread_by_a_fifth() -> None:
    spreads = [spread(100) for _ in range(200)]
    assert 100 * (1 - SPREAD) <= min(spreads) < max(spreads) <= 100 * (1 + SPREAD)
    assert max(spreads) - min(spreads) > 10
