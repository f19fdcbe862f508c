"""The worker's watchdog against children that do what a hostile study might make them do."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from node import charge
from node.charge import ModelAt
from node.config import Destination, Settings
from node.errors import ConfigurationRefused
from node.process.heartbeat import Heartbeat, pulse
from node.process.role import ProcessRole
from node.work.child import ChildEnded
from node.work.messages import Analysed, Device, Failed, Line, Outgoing, Progress, Ready
from node.work.watchdog import Watchdog, work
from storage import Database, outbox, queue
from storage.answers import NewAnswer
from storage.errors import DatabaseBusy, FolderInUse
from storage.records import Job
from storage.states import AnswerKind, JobState
from tests import stored
from tests.destination import wait_until
from tests.outcomes import outcome

READY = Ready(
    bundle="fake 1", sha256="0" * 64, trained=True, device="cpu", engine="none", precision="float32", load_s=0.1
)
DONE = Analysed(answer=NewAnswer(AnswerKind.RESULT, "key", "read"), outcome=outcome(), results=())
CHILD = """
import json, os, signal, sys, time
def say(line): os.write(1, line.encode() + b"\\n")
with open(os.path.join(os.path.dirname(__file__), "children"), "a") as pids: print(os.getpid(), file=pids)
sys.stdin.readline()
say({ready!r})
for line in sys.stdin:
    job = json.loads(line)["job_id"]; attempt = json.loads(line)["attempt"]
    done, hold, retry, progress = {done!r}, {hold!r}, {retry!r}, {progress!r}
{behaviour}
"""


class Bench:
    """A watchdog in a thread, and the child that it starts."""

    def __init__(self, db: Database, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.db, self.folder, self.stop = db, folder, threading.Event()
        monkeypatch.setenv("PYTHONPATH", str(folder))
        self.error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def start(self, behaviour: str, ready: Line = READY, stop_timeout_s: float = 1.0, **worker: Any) -> None:
        """Work with a child that does this with each task."""
        lines = {
            "ready": ready.encoded().decode().strip(),
            "done": DONE.encoded().decode().strip(),
            "hold": Failed(decision="hold", reason="disk full", delay_s=0.1).encoded().decode().strip(),
            "retry": Failed(decision="retry", reason="no memory", delay_s=0.0).encoded().decode().strip(),
            "progress": Progress(stage="predicts", done=1, of=61).encoded().decode().strip(),
        }
        indented = "\n".join(f"    {line}" for line in behaviour.splitlines())
        (self.folder / "fake_child.py").write_text(CHILD.format(**lines, behaviour=indented))
        settings = Settings(
            data_folder=stored.folder(self.db).root,
            worker={"backoff_s": 0, **worker},  # type: ignore[arg-type]
            stop_timeout_s=stop_timeout_s,
            destinations=(Destination(name="pacs", ae_title="PACS", host="h", port=1, proof="find"),),
        )
        self._thread = threading.Thread(target=self.run, args=(settings,), daemon=True)
        self._thread.start()

    def run(self, settings: Settings) -> None:
        """The watchdog, until the stop or an error."""
        locks = stored.folder(self.db).path("locks")
        try:
            with Heartbeat(locks, "worker-1") as heart:
                role = ProcessRole("worker-1", stored.folder(self.db), self.db, heart)
                Watchdog(settings, role, self.stop, "fake_child").run()
        except Exception as error:  # noqa: BLE001 (handed to the test)
            self.error = error

    def ended(self, job: Job, *states: JobState, timeout_s: float = 20) -> Job:
        """The job once it is in one of these states."""
        wait_until(lambda: queue.get(self.db, job.job_id).state in states, f"{states}", timeout_s)
        return queue.get(self.db, job.job_id)

    def end(self) -> None:
        """Stop, and wait."""
        self.stop.set()
        if self._thread is not None:
            self._thread.join(20)
            assert not self._thread.is_alive()

    @property
    def children(self) -> list[int]:
        """The process id of every child so far."""
        return [int(line) for line in (self.folder / "children").read_text().split()]

    @property
    def stage(self) -> str:
        """What the worker says that it does."""
        sign = pulse(stored.folder(self.db).path("locks"), "worker-1")
        return str(sign.facts.get("stage")) if sign else ""


@pytest.fixture
def bench(db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench(db, tmp_path, monkeypatch)
    yield made
    made.end()


def now() -> datetime:
    return datetime.now(UTC)


def job_of(db: Database, study: str = "1.2.3", **values: Any) -> Job:
    return stored.queued(db, study=study, now=now(), **values)


def test_a_job_ends_with_its_outcome_and_deliveries(bench: Bench, db: Database) -> None:
    job = job_of(db)
    result = stored.encoded(db, job, 1)
    analysed = DONE.model_copy(update={"results": (Outgoing(result=result, destinations=("pacs",)),)})
    bench.start(f"say({analysed.encoded().decode().strip()!r})")
    ended = bench.ended(job, JobState.REPORTED)
    assert (ended.attempt, ended.reason) == (1, "read")
    assert ended.outcome == {**outcome().as_row(), "attempt": 1}
    (delivery,) = outbox.of_job(db, job.job_id)
    assert (delivery.destination, delivery.proof) == ("pacs", "find")


def test_what_a_child_says_of_its_device_is_in_the_sign_of_life(bench: Bench, db: Database) -> None:
    job = job_of(db)
    device = Device(name="A Card", used_mib=3000, total_mib=80_000)
    bench.start(f"say({device.encoded().decode().strip()!r})\nsay(done)")
    assert bench.ended(job, JobState.DONE).attempt == 1

    def memory() -> tuple[Any, ...]:
        sign = pulse(stored.folder(db).path("locks"), "worker-1")
        return tuple(sign.facts.get(f"device_{key}") for key in ("name", "used_mib", "total_mib")) if sign else ()

    wait_until(lambda: memory() == ("A Card", 3000, 80_000), "the memory of the device", 10)


def test_a_job_that_kills_its_worker_is_given_up_and_the_next_one_is_done(bench: Bench, db: Database) -> None:
    poison, healthy = job_of(db, "1.2.1"), job_of(db, "1.2.2")
    bench.start(f"if job == {poison.job_id}: os.kill(os.getpid(), signal.SIGKILL)\nsay(done)")
    failed = bench.ended(poison, JobState.FAILED, timeout_s=60)
    assert failed.attempt == 3
    assert "SIGKILL" in failed.reason
    assert bench.ended(healthy, JobState.DONE).attempt == 1


def test_a_hanging_job_is_killed_with_the_reason(bench: Bench, db: Database) -> None:
    job = job_of(db, maximum_attempts=1)
    bench.start("say(progress)\ntime.sleep(3600)", job_timeout_s=0.6)
    failed = bench.ended(job, JobState.FAILED)
    assert "worker killed" in failed.reason
    assert "predicts, 1 of 61" in failed.reason
    assert "over 0.6 s" in failed.reason


def test_a_job_that_takes_too_much_memory_is_killed_with_the_reason(bench: Bench, db: Database) -> None:
    job = job_of(db, maximum_attempts=1)
    bench.start("x = bytearray(400 * 2**20)\ntime.sleep(3600)", maximum_memory_mib=200)
    assert "over 200 MiB" in bench.ended(job, JobState.FAILED).reason


@pytest.mark.parametrize("noise", ["not json", '{"kind": "analysed"}', '{"kind": "unheard of"}', ""])
def test_a_child_that_says_what_nobody_understands_is_replaced(bench: Bench, db: Database, noise: str) -> None:
    job = job_of(db)
    bench.start(f"if attempt == 1: say({noise!r}); time.sleep(3600)\nsay(done)")
    assert bench.ended(job, JobState.DONE).attempt == 2


def test_a_child_that_ends_by_itself_costs_one_attempt(bench: Bench, db: Database) -> None:
    job = job_of(db)
    bench.start("if attempt == 1: sys.exit(7)\nsay(done)")
    assert bench.ended(job, JobState.DONE).attempt == 2


def test_an_error_that_may_pass_gives_the_job_back_until_its_attempts_are_used_up(bench: Bench, db: Database) -> None:
    job = job_of(db)
    bench.start("say(retry)")
    failed = bench.ended(job, JobState.FAILED)
    assert failed.attempt == 3
    assert "no memory" in failed.reason


def test_a_full_disk_costs_a_job_neither_attempts_nor_time(bench: Bench, db: Database) -> None:
    job = job_of(db)
    code = "for _ in range(5):\n    say(hold)\n    sys.stdin.readline()\ntime.sleep(0.3)\nsay(done)"
    bench.start(code, job_timeout_s=1.2)
    wait_until(lambda: "disk full" in bench.stage, "the stage to say so")
    assert bench.ended(job, JobState.DONE).attempt == 1


def promoted(db: Database, sha256: str) -> None:
    folder = stored.folder(db).root
    settings = Settings(data_folder=folder)
    charge.promote(settings, ModelAt(folder / "new", sha256), ModelAt(folder, "1" * 64), "uid 0", "a report", now())


def test_a_promotion_meets_a_running_job_after_its_end_and_the_next_one_with_the_new_bundle(
    bench: Bench, db: Database
) -> None:
    job = job_of(db)
    bench.start("if job == 1: say(progress); time.sleep(1)\nsay(done)")
    wait_until(lambda: bench.stage == "predicts", "the job to be worked on")
    promoted(db, READY.sha256)
    other = job_of(db, "1.2.4")
    assert bench.ended(other, JobState.DONE).attempt == 1
    assert queue.get(db, job.job_id).attempt == 1
    assert len(bench.children) == 2


def test_what_took_the_place_of_a_promoted_bundle_is_not_served(bench: Bench, db: Database) -> None:
    promoted(db, "2" * 64)
    job = job_of(db)
    bench.start("say(done)")
    wait_until(lambda: bench.error is not None, "the refusal")
    assert "is not the bundle that was promoted" in str(bench.error)
    assert queue.get(db, job.job_id).state is JobState.QUEUED


def test_a_cancelled_job_is_dropped_and_the_next_one_is_done(bench: Bench, db: Database) -> None:
    job = job_of(db)
    bench.start("if job == 1: time.sleep(3600)\nsay(done)", lease_s=5)
    bench.ended(job, JobState.RUNNING)
    queue.cancel(db, job.job_id, "wrong patient", now())
    other = job_of(db, "1.2.4")
    bench.ended(other, JobState.DONE, timeout_s=30)
    assert queue.get(db, job.job_id).state is JobState.CANCELLED


def test_a_long_job_keeps_its_lease(bench: Bench, db: Database) -> None:
    job = job_of(db)
    bench.start("time.sleep(7)\nsay(done)", lease_s=5)
    bench.ended(job, JobState.RUNNING)
    deadline = time.monotonic() + 20
    while queue.get(db, job.job_id).state is JobState.RUNNING:
        assert time.monotonic() < deadline
        assert queue.release_expired(db, now()) == 0
        time.sleep(0.05)
    assert bench.ended(job, JobState.DONE).attempt == 1


def test_a_stop_lets_the_job_end_when_it_does_soon(bench: Bench, db: Database) -> None:
    job = job_of(db)
    bench.start("time.sleep(1)\nsay(done)", stop_timeout_s=10)
    bench.ended(job, JobState.RUNNING)
    bench.end()
    assert queue.get(db, job.job_id).state is JobState.DONE


def test_a_stop_gives_the_job_back_when_it_does_not_end_soon(bench: Bench, db: Database) -> None:
    job = job_of(db)
    bench.start("time.sleep(3600)", stop_timeout_s=1)
    bench.ended(job, JobState.RUNNING)
    bench.end()
    after = queue.get(db, job.job_id)
    assert (after.state, after.reason) == (JobState.QUEUED, "the service stopped")


def refusing_claims(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """While this event is set, the database lets nobody claim."""
    claim, busy = queue.claim, threading.Event()

    def refuse(*arguments: Any) -> Job | None:
        if busy.is_set():
            raise DatabaseBusy("held")
        return claim(*arguments)

    monkeypatch.setattr("storage.queue.claim", refuse)
    monkeypatch.setattr("node.patience.PAUSE_S", 0.05)
    busy.set()
    return busy


def test_a_busy_database_delays_the_claim_and_is_said(
    bench: Bench, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy, job = refusing_claims(monkeypatch), job_of(db)
    bench.start("say(done)")
    wait_until(lambda: bench.stage == "waits: held", "the stage to say so")
    busy.clear()
    assert bench.ended(job, JobState.DONE).attempt == 1


def test_a_child_that_dies_while_the_database_is_busy_costs_no_attempt(
    bench: Bench, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy, job = refusing_claims(monkeypatch), job_of(db)
    bench.start("say(done)")
    wait_until(lambda: bench.stage == "waits: held", "the stage to say so")
    (pid,) = bench.children
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(bench.children) == 2, "the next child")
    busy.clear()
    assert bench.ended(job, JobState.DONE).attempt == 1


def test_a_stop_while_the_database_is_busy_ends_the_worker_without_an_error(
    bench: Bench, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing_claims(monkeypatch)
    bench.start("say(done)")
    wait_until(lambda: bench.stage == "waits: held", "the stage to say so")
    bench.end()
    assert bench.error is None


def test_a_wrong_configuration_ends_the_worker(bench: Bench, db: Database) -> None:
    (bench.folder / "fake_child.py").write_text("import sys; sys.exit(2)")
    bench.run(Settings(data_folder=stored.folder(db).root))
    assert isinstance(bench.error, ConfigurationRefused)


def test_a_child_that_dies_while_it_loads_ends_a_worker_that_never_worked(bench: Bench, db: Database) -> None:
    (bench.folder / "fake_child.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    bench.run(Settings(data_folder=stored.folder(db).root))
    assert isinstance(bench.error, ChildEnded)
    assert "SIGSEGV" in str(bench.error)


def test_a_worker_gives_back_what_a_dead_one_in_its_role_held_and_nothing_else(db: Database, tmp_path: Path) -> None:
    dead, other = job_of(db, "1.2.1"), job_of(db, "1.2.2")
    for owner in ("worker-1:99", "worker-11:98"):
        assert queue.claim(db, owner, 3600, now()) is not None
    stop = threading.Event()
    stop.set()
    work(Settings(data_folder=stored.folder(db).root), stop, "worker-1")
    assert queue.get(db, dead.job_id).state is JobState.QUEUED
    assert queue.get(db, other.job_id).state is JobState.RUNNING


def test_two_workers_take_two_roles(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.process.role.HOLDER_LEAVES_WITHIN_S", 0.1)
    stop = threading.Event()
    stop.set()
    with stored.folder(db).lock("worker-1"):
        work(Settings(data_folder=stored.folder(db).root), stop)
        assert pulse(stored.folder(db).path("locks"), "worker-2") is not None
        with pytest.raises(FolderInUse):
            work(Settings(data_folder=stored.folder(db).root), stop, "worker-1")


def test_the_watchdog_starts_without_torch() -> None:
    import subprocess

    parts = ("work.watchdog", "service.office", "service.listener", "service.supervisor")
    code = f"import {', '.join(f'node.{part}' for part in parts)}, sys; print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "False\n"
