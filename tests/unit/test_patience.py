"""Waiting for a database that is busy, or a disk that is full."""

import threading
from collections.abc import Callable, Iterator

import pytest
from structlog.testing import capture_logs

from node.patience import StoppedWaiting, patiently
from storage.errors import DatabaseBusy, LeaseLost, StorageFull


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.patience.PAUSE_S", 0.001)


def failing(*errors: Exception) -> Callable[[], str]:
    """A write that raises each of these once, then succeeds."""
    left: Iterator[Exception] = iter(errors)

    def write() -> str:
        error = next(left, None)
        if error is not None:
            raise error
        return "written"

    return write


def test_a_write_is_tried_until_the_database_takes_it_and_each_refusal_is_said() -> None:
    heard: list[str] = []
    with capture_logs() as logs:
        write = failing(DatabaseBusy("held"), StorageFull("full"), DatabaseBusy("held again"))
        assert patiently(write, threading.Event(), "it waits", heard.append, job_id=7) == "written"
    assert heard == ["held", "full", "held again"]
    assert [(each["event"], each["reason"], each["job_id"]) for each in logs] == [("it waits", r, 7) for r in heard]


def test_any_other_error_is_not_waited_out() -> None:
    with pytest.raises(LeaseLost):
        patiently(failing(DatabaseBusy("held"), LeaseLost("not ours")), threading.Event(), "it waits")


def test_a_stop_ends_the_waiting_after_one_last_try() -> None:
    stop = threading.Event()
    stop.set()
    assert patiently(failing(), stop, "it waits") == "written"
    with pytest.raises(StoppedWaiting, match="it waits: held"):
        patiently(failing(DatabaseBusy("held"), DatabaseBusy("held")), stop, "it waits")


def test_what_is_done_between_the_tries_may_end_them() -> None:
    def waits(reason: str) -> None:
        raise ZeroDivisionError(reason)

    with pytest.raises(ZeroDivisionError):
        patiently(failing(DatabaseBusy("held")), threading.Event(), "it waits", waits)
