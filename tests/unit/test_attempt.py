"""One attempt at one job, with a child that is an object of the test: no process, and no waiting."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from node.config import Destination, Settings
from node.patience import StoppedWaiting
from node.work import planning
from node.work.attempt import Attempt
from node.work.child import ChildEnded
from node.work.messages import Analysed, Failed, Outgoing, Progress, Said, Task
from storage import Database, outbox, queue
from storage.answers import NewAnswer
from storage.errors import DatabaseBusy, LeaseLost, StorageFull
from storage.records import Job, Proof, Result
from storage.states import AnswerKind, JobState
from tests import stored
from tests.outcomes import outcome

PACS = Destination(name="pacs", ae_title="PACS", host="h", port=1, proof="find")
PREDICTS = Progress(stage="predicts", done=12, of=61)


class Fake:
    """A child that says what it was given to say, one thing each time it is heard; then it ends, or hangs."""

    def __init__(self, *lines: Said | Callable[[], Said | None] | None, hangs: bool = False) -> None:
        self._hangs = hangs
        self.tasks: list[Task] = []
        self.killed = False
        self.memory_mib = 100.0
        self._lines = iter(lines)

    def say(self, task: Task) -> None:
        """Take the task."""
        self.tasks.append(task)

    def hear(self, within_s: float) -> Said | None:
        """The next line; one that can be called is asked for it."""
        assert not self.killed, "a killed child is not heard"
        for line in self._lines:
            return line() if callable(line) else line
        if self._hangs:
            return None
        raise ChildEnded("it ended")

    def kill(self) -> None:
        """Note it."""
        self.killed = True


class Clock:
    """A clock that goes on by so much each time it is read."""

    def __init__(self, step_s: float) -> None:
        self._at_s, self._step_s = 0.0, step_s

    def now_s(self) -> float:
        """The time, in seconds."""
        self._at_s += self._step_s
        return self._at_s


class Bench:
    """A running job, and the signs of life that its attempt gave."""

    def __init__(self, db: Database) -> None:
        self.db, self.job, self.stop = db, stored.running(db), threading.Event()
        self.signs: list[dict[str, Any]] = []

    def attempt(self, child: Fake, **worker: Any) -> Job:
        """The job after the attempt."""
        settings = Settings.model_validate({"worker": {"backoff_s": 0, **worker}, "stop_timeout_s": 1})
        settings = settings.model_copy(update={"destinations": (PACS,)})
        Attempt(self.job, child, settings, self.db, self.stop, lambda **facts: self.signs.append(facts)).run()
        return self.after

    @property
    def after(self) -> Job:
        """The job as it is now."""
        return queue.get(self.db, self.job.job_id)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with stored.opened(tmp_path / "data") as database:
        yield database


@pytest.fixture
def bench(db: Database) -> Bench:
    return Bench(db)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.patience.PAUSE_S", 0.001)
    monkeypatch.setattr("node.work.attempt.TICK_S", 0.001)


def analysed(*results: Outgoing) -> Analysed:
    return Analysed(answer=NewAnswer(AnswerKind.RESULT, "key", "read"), outcome=outcome(), results=results)


def test_what_was_analysed_is_written_with_outcome_results_and_who_gets_them(bench: Bench, db: Database) -> None:
    results = [stored.encoded(db, bench.job, number) for number in (1, 2)]
    lines = [Outgoing(result=each, destinations=("pacs", "gone")) for each in results]
    after = bench.attempt(Fake(None, PREDICTS, analysed(*lines)))
    assert (after.state, after.reason) == (JobState.REPORTED, "read")
    assert after.outcome == {**outcome().as_row(), "attempt": bench.job.attempt}
    assert outbox.results_of_job(db, bench.job.job_id) == results
    proofs = {(each.destination, each.proof) for each in outbox.of_job(db, bench.job.job_id)}
    assert proofs == {("pacs", Proof.FIND), ("gone", Proof.NONE)}


def test_an_information_system_gets_the_first_report_and_what_has_no_result_only_where_it_wants_that() -> None:
    def line(kind: str, number: int) -> Outgoing:
        uids = {"sop_instance_uid": f"2.25.{number}", "sop_class_uid": "1", "series_instance_uid": "1"}
        result = Result(**uids, job_id=1, kind=kind, ordinal=number, path="p", sha256="s", size_bytes=1)
        return Outgoing(result=result, destinations=())

    result = analysed(line("summary", 1), line("sr_text", 2), line("sr_comprehensive", 3))
    none = result.model_copy(update={"answer": NewAnswer(AnswerKind.NO_RESULT, "key", "nothing to read")})
    receivers = [{"name": "ris", "host": "h", "port": 1}, {"name": "his", "host": "h", "port": 1, "skipped": True}]
    settings = Settings(hl7=receivers)  # type: ignore[arg-type]

    def planned(said: Analysed) -> list[tuple[str, str]]:
        return [(each.destination, each.sop_instance_uid) for each in planning.deliveries(said, settings)]

    assert planned(result) == [("ris", "2.25.2"), ("his", "2.25.2")]
    assert planned(none) == [("his", "2.25.2")]
    assert planned(analysed(line("summary", 1))) == []


def test_a_child_cannot_write_its_result_under_another_job(bench: Bench, db: Database) -> None:
    result = stored.encoded(db, bench.job, 1)
    forged = Outgoing(result=type(result)(**{**vars(result), "job_id": 99}), destinations=())
    bench.attempt(Fake(analysed(forged)))
    assert outbox.results_of_job(db, bench.job.job_id) == [result]


def test_the_progress_is_told_as_stage_done_and_of(bench: Bench) -> None:
    bench.attempt(Fake(None, PREDICTS, None, analysed()))
    job = bench.job.job_id
    assert bench.signs[0] == {"job": job, "stage": "starts", "done": 0, "of": 0}
    assert bench.signs[-1] == {"job": job, "stage": "predicts", "done": 12, "of": 61}


@pytest.mark.parametrize(
    ("decision", "state"), [("retry", JobState.QUEUED), ("give up", JobState.FAILED)], ids=["retry", "give up"]
)
def test_a_failure_ends_the_attempt_as_it_was_decided(bench: Bench, decision: Any, state: JobState) -> None:
    after = bench.attempt(Fake(Failed(decision=decision, reason="broken", outcome=outcome())))
    assert (after.state, after.reason) == (state, "broken")
    kept = {**outcome().as_row(), "attempt": 1} if state is JobState.FAILED else None
    assert after.outcome == kept


def test_a_full_disk_is_waited_for_and_the_same_task_goes_on(bench: Bench) -> None:
    child = Fake(Failed(decision="hold", reason="disk full", delay_s=0.02), analysed())
    assert bench.attempt(child).state is JobState.DONE  # there is nothing to deliver
    assert child.tasks[0] == child.tasks[1]
    assert {"job": bench.job.job_id, "stage": "waits: disk full", "done": 0, "of": 0} in bench.signs


def test_a_child_that_ends_gives_the_job_back(bench: Bench) -> None:
    with pytest.raises(ChildEnded):
        bench.attempt(Fake(PREDICTS))
    assert (bench.after.state, bench.after.reason, bench.after.attempt) == (JobState.QUEUED, "it ended", 1)


def test_a_child_over_its_memory_is_killed_and_the_reason_says_what_it_did(bench: Bench) -> None:
    child = Fake(PREDICTS, None)
    with pytest.raises(ChildEnded):
        bench.attempt(child, maximum_memory_mib=99)
    assert child.killed
    assert bench.after.reason == "worker killed while it predicts, 12 of 61: over 99 MiB of memory"


def test_a_child_over_its_time_is_killed(bench: Bench) -> None:
    child = Fake(hangs=True)
    with pytest.raises(ChildEnded):
        bench.attempt(child, job_timeout_s=0.05)
    assert child.killed
    assert bench.after.reason == "worker killed while it starts: over 0.05 s"


def test_a_stop_lets_the_job_end_within_its_grace(bench: Bench) -> None:
    bench.stop.set()
    assert bench.attempt(Fake(None, None, analysed())).state is JobState.DONE


def test_a_stop_kills_the_child_when_its_grace_is_over(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.work.attempt.STOP_SHARE", 0.0)
    bench.stop.set()
    child = Fake(hangs=True)
    with pytest.raises(ChildEnded):
        bench.attempt(child)
    assert child.killed
    assert (bench.after.state, bench.after.reason) == (JobState.QUEUED, "the service stopped")


def test_a_lease_that_the_database_does_not_renew_is_tried_again_while_the_child_is_heard(
    bench: Bench, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries, renew = [DatabaseBusy("held"), StorageFull("no space")], queue.renew
    renewed: list[Job] = []

    def refuse(*arguments: Any) -> Job:
        if tries:
            raise tries.pop()
        renewed.append(renew(*arguments))
        return renewed[-1]

    monkeypatch.setattr("storage.queue.renew", refuse)
    monkeypatch.setattr("node.work.attempt._now", lambda: stored.after(30))
    monkeypatch.setattr("node.work.attempt.time.monotonic", Clock(step_s=10).now_s)
    # due after 20 s, at 30 s: refused at 30 and 40, renewed at 50 and 70
    assert bench.attempt(Fake(*[None] * 7, analysed()), lease_s=60).state is JobState.DONE
    assert len(renewed) == 2


def test_a_job_that_was_cancelled_is_dropped_and_stays_cancelled(bench: Bench, db: Database) -> None:
    def cancel() -> Said:
        queue.cancel(db, bench.job.job_id, "wrong patient", stored.NOW)
        return analysed()

    with pytest.raises(LeaseLost):
        bench.attempt(Fake(cancel))
    assert bench.after.reason == "wrong patient"


def refusing(monkeypatch: pytest.MonkeyPatch, *errors: Exception) -> None:
    """The database takes the end of a job only after these."""
    left: Iterator[Exception] = iter(errors)
    complete = outbox.complete

    def refuse(*arguments: Any, **options: Any) -> Job:
        error = next(left, None)
        if error is not None:
            raise error
        return complete(*arguments, **options)

    monkeypatch.setattr("storage.outbox.complete", refuse)


def test_the_end_of_a_job_waits_until_the_database_takes_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    refusing(monkeypatch, DatabaseBusy("held"), StorageFull("no space"))
    assert bench.attempt(Fake(analysed())).state is JobState.DONE
    assert [each["stage"] for each in bench.signs[-2:]] == ["waits: held", "waits: no space"]


def test_a_stop_leaves_a_job_that_the_database_does_not_take_to_the_next_worker(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing(monkeypatch, *[DatabaseBusy("held")] * 3)
    bench.stop.set()
    with pytest.raises(StoppedWaiting):
        bench.attempt(Fake(analysed()))
    assert bench.after.state is JobState.RUNNING
