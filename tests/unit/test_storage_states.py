"""The transition tables."""

import pytest

from storage.errors import InvalidTransition
from storage.states import TRANSITIONS, DeliveryState, JobState, StudyState, check

FIRST = {StudyState.RECEIVING, JobState.QUEUED, DeliveryState.PENDING}
LAST = {JobState.DONE, DeliveryState.COMMITTED}


@pytest.mark.parametrize("state", [*StudyState, *JobState, *DeliveryState])
def test_every_state_can_be_reached_and_left(state: StudyState | JobState | DeliveryState) -> None:
    assert state in FIRST or any(after is state for _, after in TRANSITIONS)
    assert state in LAST or any(before is state for before, _ in TRANSITIONS)


def test_every_change_has_its_reason_beside_it() -> None:
    assert all(len(reason) > 10 for reason in TRANSITIONS.values())
    assert check(JobState.QUEUED, JobState.RUNNING) == "claimed by a worker"


def test_a_change_that_is_not_in_the_table_is_refused_in_words() -> None:
    with pytest.raises(InvalidTransition, match="a job that is done cannot become queued"):
        check(JobState.DONE, JobState.QUEUED)


def test_states_of_different_things_do_not_mix() -> None:
    with pytest.raises(InvalidTransition):
        check(JobState.QUEUED, DeliveryState.SENDING)
