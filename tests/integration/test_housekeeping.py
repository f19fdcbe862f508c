"""The periodic acts of the office, each on a real database."""

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from node.archive.fetching import Fetching
from node.config import Settings
from node.process.clock import SteadyClock
from node.process.heartbeat import Heartbeat
from node.service.housekeeping import CompletenessWatch, acts, give_back_leases, retire, sweep
from node.service.scheduler import Act, Scheduler
from storage import Database, answers, outbox, queue
from storage.records import Job
from storage.states import AnswerKind, AnswerState, JobState
from tests import stored
from tests.destination import wait_until


def now() -> datetime:
    return datetime.now(UTC)


def settings(db: Database) -> Settings:
    return Settings(data_folder=stored.folder(db).root)


def steady(
    db: Database, wall: Callable[[], datetime] = now, monotonic: Callable[[], float] = lambda: 0.0
) -> SteadyClock:
    return SteadyClock(stored.folder(db).root / "clock", wall, monotonic)


class Clock:
    """A monotonic clock that a test sets."""

    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


def watch(db: Database, clock: Clock, fetching: Fetching | None = None, **completeness: Any) -> CompletenessWatch:
    settings = Settings(data_folder=stored.folder(db).root, completeness={"quiet_period_s": 60, **completeness})
    return CompletenessWatch(settings, stored.folder(db), db, clock, fetching)


def due(db: Database) -> list[Job]:
    """The jobs of complete studies, newest first; not the early work."""
    return [job for job in queue.listing(db) if not job.early]


def test_a_study_that_fell_silent_is_queued_once(db: Database) -> None:
    clock = Clock()
    look = watch(db, clock).look
    stored.received(db, 1, now=now())
    look()
    clock.s = 59
    look()
    assert due(db) == []
    clock.s = 61
    look()
    look()
    (job,) = due(db)
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
    assert [job.revision for job in due(db)] == [2, 1]


def test_a_study_does_not_fall_silent_while_nobody_listens(db: Database) -> None:
    clock = Clock()
    look = watch(db, clock).look
    stored.received(db, 1, now=now() - timedelta(hours=1))
    with Heartbeat(stored.folder(db).path("locks"), "listener") as listener, stored.folder(db).lock("listener"):
        for clock.s in (0, 50, 100):  # it is starting
            look()
        listener.beat("ready")
        look()
        assert due(db) == []
    for clock.s in (150, 170):  # the listener has stopped
        look()
    assert due(db) == []
    clock.s = 150 + 301  # and stays away for longer than an association may idle
    look()
    clock.s += 61
    look()
    assert len(due(db)) == 1


@pytest.mark.parametrize(("listening_s", "jobs"), [(2.0, 0), (61.0, 1)])
def test_after_a_restart_silence_counts_from_when_senders_could_reach_us_again(
    db: Database, listening_s: float, jobs: int
) -> None:
    stored.received(db, 1, now=now() - timedelta(hours=1))
    with Heartbeat(stored.folder(db).path("locks"), "listener") as listener, stored.folder(db).lock("listener"):
        listener.beat("ready", listening_s=listening_s)
        watch(db, Clock()).look()
    assert len(due(db)) == jobs


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
        assert due(db) == []
        listener.beat("ready", senders=[])
        look()
        assert len(due(db)) == 1


def test_a_series_that_fell_silent_is_worked_on_early_once_and_due_when_the_study_is_complete(db: Database) -> None:
    clock = Clock()
    look = watch(db, clock).look
    stored.received(db, 1, now=now())
    for clock.s in (0, 3):
        look()
    assert queue.listing(db) == []
    for clock.s in (5, 6):
        look()
    (job,) = queue.listing(db)
    assert (job.state, job.early, job.reason) == (JobState.QUEUED, True, "no instance came for 5 s")
    clock.s = 61
    look()
    (job,) = queue.listing(db)
    assert (job.state, job.early, job.reason) == (JobState.QUEUED, False, "no instance came for 60 s")


def test_early_work_begins_when_the_sender_has_released_its_association(db: Database) -> None:
    clock = Clock()
    look = watch(db, clock).look
    stored.received(db, 1, now=now(), sender="SCANNER")
    with Heartbeat(stored.folder(db).path("locks"), "listener") as listener, stored.folder(db).lock("listener"):
        listener.beat("ready", senders=["SCANNER"], listening_s=1000.0)
        for clock.s in (0, 2):
            look()
        assert queue.listing(db) == []
        listener.beat("ready", senders=[], listening_s=1000.0)
        look()
        assert [job.early for job in queue.listing(db)] == [True]


def test_no_result_is_published_when_the_exam_is_over_and_at_once_when_the_count_is_reached(db: Database) -> None:
    clock = Clock()
    look = watch(db, clock, no_result_after_s=3600).look
    for study, expected in (("1.2.1", None), ("1.2.2", 1)):
        stored.received(db, 1, study=study, now=now(), expected=expected)
    look()
    clock.s = 61
    look()
    for _ in range(2):
        job = stored.claimed(db, now=now())
        outbox.complete(db, stored.folder(db), job, stored.answer(job, AnswerKind.NO_RESULT), [], [], {}, now())
    look()

    def states() -> list[AnswerState]:
        return [each.state for uid in ("1.2.1", "1.2.2") for each in answers.of_study(db, uid)]

    assert states() == [AnswerState.KEPT, AnswerState.STANDING]
    clock.s = 3600 + 62
    look()
    assert states() == [AnswerState.STANDING, AnswerState.STANDING]


def test_a_lease_that_ended_goes_back(db: Database) -> None:
    stored.queued(db, now=now() - timedelta(hours=1))
    job = queue.claim(db, "worker-1:1", 60, now() - timedelta(minutes=10))
    assert job is not None
    give_back_leases(settings(db), db, steady(db))
    assert queue.get(db, job.job_id).state is JobState.QUEUED


def test_retention_and_sweep_take_only_what_has_ended(db: Database) -> None:
    ended = stored.delivered(db, study="1.2.1")
    waiting = stored.reported(db, study="1.2.2")
    settings = Settings(data_folder=stored.folder(db).root, retention={"keep_studies_days": 0, "keep_results_days": 0})
    retire(settings, stored.folder(db), db, steady(db))
    sweep(stored.folder(db), db, steady(db))
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


def test_a_clock_set_back_stops_no_act() -> None:
    """The wall clock has no part in when an act runs."""
    runs: list[float] = []
    with Scheduler([Act("often", 0.02, lambda: runs.append(0.0))]) as scheduler:
        wait_until(lambda: len(runs) > 5, "some runs", 10)
        assert scheduler.late() == []


def test_an_act_without_success_is_late_after_a_while() -> None:
    def fail() -> None:
        raise OSError("no")

    with Scheduler([Act("broken", 0.02, fail), Act("whole", 0.02, lambda: None)]) as scheduler:
        wait_until(lambda: scheduler.facts()["whole"]["succeeded_s_ago"] is not None, "a run", 10)
        assert scheduler.late() == []
        scheduler._began_at_s -= 100
        assert scheduler.late() == ["broken"]


def test_a_clock_set_forward_deletes_nothing_early_and_one_set_back_nothing_late(db: Database) -> None:
    at, machine = [now()], Clock()
    clock = SteadyClock(stored.folder(db).root / "clock", lambda: at[0], machine)
    began = clock.now()
    at[0], machine.s = began + timedelta(days=3650), 60
    assert clock.now() == began + timedelta(seconds=60)
    again = SteadyClock(stored.folder(db).root / "clock", lambda: at[0], machine)
    machine.s = 120
    assert again.now() == began + timedelta(seconds=120)
    at[0] = began - timedelta(days=1)
    assert again.now() == at[0]


def test_after_another_boot_a_rest_is_believed_and_ten_years_are_not(db: Database) -> None:
    file, began = stored.folder(db).root / "clock", now()
    for rest, believed in ((timedelta(days=3), timedelta(days=3)), (timedelta(days=3650), timedelta(days=30))):
        file.write_text(json.dumps({"at": began.isoformat(), "boot": "another", "machine_s": 5}))
        clock = SteadyClock(file, lambda rest=rest: began + rest, lambda: 7.0)  # type: ignore[misc]
        assert clock.now() == began + believed


def test_a_set_clock_is_noticed_and_forgotten(db: Database) -> None:
    at, machine = [now()], Clock()
    clock = SteadyClock(stored.folder(db).root / "clock", lambda: at[0], machine)
    assert not clock.jumped_within(60)
    at[0] += timedelta(hours=1)
    assert clock.jumped_within(60)
    machine.s, at[0] = 61, at[0] + timedelta(seconds=61)
    assert not clock.jumped_within(60)


def test_a_clock_set_forward_costs_no_worker_its_lease(db: Database) -> None:
    at, machine = [now()], Clock()
    clock = SteadyClock(stored.folder(db).root / "clock", lambda: at[0], machine)
    stored.running(db)
    at[0] += timedelta(hours=1)
    give_back_leases(settings(db), db, clock)
    assert queue.counts(db)[JobState.RUNNING] == 1
