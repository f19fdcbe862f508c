"""The periodic acts of the office, each on a real database."""

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from node.archive.fetching import Fetching
from node.config import Settings
from node.process.heartbeat import Heartbeat
from node.service.housekeeping import CompletenessWatch, acts, give_back_leases, retire, sweep
from node.service.scheduler import Act, Scheduler
from storage import Database, queue
from storage.states import JobState
from tests import stored
from tests.destination import wait_until


def now() -> datetime:
    return datetime.now(UTC)


class Clock:
    """A monotonic clock that a test sets."""

    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


def watch(db: Database, clock: Clock, fetching: Fetching | None = None, **completeness: Any) -> CompletenessWatch:
    settings = Settings(data_folder=stored.folder(db).root, completeness={"quiet_period_s": 60, **completeness})
    return CompletenessWatch(settings, stored.folder(db), db, clock, fetching)


def test_a_study_that_fell_silent_is_queued_once(db: Database) -> None:
    clock = Clock()
    look = watch(db, clock).look
    stored.received(db, 1, now=now())
    look()
    clock.s = 59
    look()
    assert queue.listing(db) == []
    clock.s = 61
    look()
    look()
    (job,) = queue.listing(db)
    assert (job.state, job.revision, job.maximum_attempts) == (JobState.QUEUED, 1, 3)
    assert job.reason == "no instance came for 60 s"


def test_a_late_instance_leads_to_a_second_job(db: Database) -> None:
    clock = Clock()
    look = watch(db, clock).look
    stored.received(db, 1, now=now())
    look()
    clock.s = 61
    look()
    stored.received(db, 2, now=now())
    look()
    clock.s = 122
    look()
    assert [job.revision for job in queue.listing(db)] == [2, 1]


def test_a_study_does_not_fall_silent_while_nobody_listens(db: Database) -> None:
    clock = Clock()
    look = watch(db, clock).look
    stored.received(db, 1, now=now() - timedelta(hours=1))
    with Heartbeat(stored.folder(db).path("locks"), "listener") as listener, stored.folder(db).lock("listener"):
        for clock.s in (0, 50, 100):  # it is starting
            look()
        listener.beat("ready")
        look()
        assert queue.listing(db) == []
    for clock.s in (150, 170):  # the listener has stopped
        look()
    assert queue.listing(db) == []
    clock.s = 150 + 301  # and stays away for longer than an association may idle
    look()
    clock.s += 61
    look()
    assert len(queue.listing(db)) == 1


@pytest.mark.parametrize(("listening_s", "jobs"), [(2.0, 0), (61.0, 1)])
def test_after_a_restart_silence_counts_from_when_senders_could_reach_us_again(
    db: Database, listening_s: float, jobs: int
) -> None:
    stored.received(db, 1, now=now() - timedelta(hours=1))
    with Heartbeat(stored.folder(db).path("locks"), "listener") as listener, stored.folder(db).lock("listener"):
        listener.beat("ready", listening_s=listening_s)
        watch(db, Clock()).look()
    assert len(queue.listing(db)) == jobs


def test_an_open_association_of_its_sender_delays_a_study(db: Database) -> None:
    clock = Clock()
    look = watch(db, clock).look
    stored.received(db, 1, now=now(), sender="SCANNER")
    with Heartbeat(stored.folder(db).path("locks"), "listener") as listener, stored.folder(db).lock("listener"):
        listener.beat("ready", senders=["SCANNER"])
        look()
        clock.s = 100
        listener.beat("ready", senders=["SCANNER"])
        look()
        assert queue.listing(db) == []
        listener.beat("ready", senders=[])
        look()
        assert len(queue.listing(db)) == 1


def test_a_lease_that_ended_goes_back(db: Database) -> None:
    stored.queued(db, now=now() - timedelta(hours=1))
    job = queue.claim(db, "worker-1:1", 60, now() - timedelta(minutes=10))
    assert job is not None
    give_back_leases(db)
    assert queue.get(db, job.job_id).state is JobState.QUEUED


def test_retention_and_sweep_take_only_what_has_ended(db: Database) -> None:
    ended = stored.delivered(db, study="1.2.1")
    waiting = stored.reported(db, study="1.2.2")
    settings = Settings(data_folder=stored.folder(db).root, retention={"keep_studies_days": 0, "keep_results_days": 0})
    retire(settings, stored.folder(db), db)
    sweep(stored.folder(db), db)
    assert [job.job_id for job in queue.listing(db)] == [waiting.job_id]
    assert ended.job_id != waiting.job_id


def test_every_act_runs_and_a_failing_one_comes_again(db: Database) -> None:
    runs: list[int] = []

    def fails() -> None:
        runs.append(1)
        raise RuntimeError("Doe^Jane")

    real = acts(Settings(data_folder=stored.folder(db).root), stored.folder(db), db)
    with Scheduler([*real, Act("fails", 0.1, fails)]) as scheduler:
        wait_until(lambda: len(runs) >= 3, "the failing act to come again", 20)
        wait_until(
            lambda: all(
                each["succeeded_s_ago"] is not None for name, each in scheduler.facts().items() if name != "fails"
            ),
            "every act to have run",
            20,
        )
        facts = scheduler.facts()
    assert facts["fails"]["succeeded_s_ago"] is None
    assert "RuntimeError" in facts["fails"]["trouble"]
    assert "Doe" not in facts["fails"]["trouble"]
    assert {each["trouble"] for name, each in facts.items() if name != "fails"} == {None}


def test_an_act_that_takes_long_is_not_run_twice_at_a_time() -> None:
    inside, most = 0, 0
    done = threading.Event()

    def slow() -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        done.wait(0.5)
        inside -= 1

    with Scheduler([Act("slow", 0.1, slow)]):
        done.wait(1.2)
    assert most == 1
