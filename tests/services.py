"""`neurossl serve` as a process that a test may kill, restart and look into.

with service(tmp_path, small_bundle(tmp_path), pacs.port) as node:
    node.send(series)
    node.ended(study)
    node.kill("worker-1")
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pydicom import Dataset

from model import Bundle
from model.manifest import Architecture
from node.dimse import scu
from node.dimse.scu import SendOutcome
from node.process.heartbeat import pulse, pulses
from storage import Database, DataFolder, open_database, outbox, queue
from storage.records import Job
from storage.states import DeliveryState, JobState
from tests import factories
from tests.destination import wait_until

ROLES = ("worker-1", "office", "listener")
ENDED = {JobState.DONE, JobState.SKIPPED, JobState.FAILED, JobState.CANCELLED}
SLOW_START_S = 90.0


def small_bundle(folder: Path) -> Path:
    """A bundle of a network so small that a study takes seconds on any machine."""
    path = folder / "bundle"
    if not path.exists():
        Bundle.untrained(preset=Architecture(embed_dim=24, depth=2, num_heads=2, covariance_dim=4)).save(path)
    return path


class Service:
    """One data folder, and the service on it."""

    def __init__(self, folder: Path, bundle: Path, pacs_port: int | None, **settings: Any) -> None:
        self.folder, self.log = DataFolder(folder / "data"), folder / "service.log"
        self.config = folder / "config.yaml"
        pacs = {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": pacs_port}
        values = {
            "data_folder": str(self.folder.root),
            "listener": {"port": 0, "allow": [{"ae_title": "SCANNER"}, {"ae_title": "PACS"}]},
            "completeness": {"quiet_period_s": 1.5, "no_result_after_s": 1.5},
            "worker": {
                "bundle": str(bundle),
                "allow_untrained_bundle": True,
                "threads": 1,
                "backoff_s": 0.5,
                "maximum_attempts": 20,
            },
            "results": {"captures": 3},
            "destinations": [pacs] if pacs_port else [],
            "delivery": {"backoff_s": 0.5, "maximum_backoff_s": 2, "timeout_s": 5},
            "stop_timeout_s": 15,
            "web": {"enabled": False},
            **settings,
        }
        self.config.write_text(json.dumps(values))  # which is YAML as well
        self.process: subprocess.Popen[bytes] | None = None
        self.prefix: list[str] = []  # of the command line: what it is started by
        self.environment: dict[str, str] = {}  # beside that of the tests

    def start(self, *, ready: bool = True) -> None:
        """Start it, and wait until everything is ready."""
        with self.log.open("ab") as log:
            command = [*self.prefix, sys.executable, "-P", "-m", "node", "serve", "--config", str(self.config)]
            environment = {**os.environ, **self.environment}
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        if ready:
            self.wait_ready()

    def wait_ready(self) -> None:
        """Until all processes say so; fails with the end of the log when the service ends."""

        def is_ready() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            return all(self.is_ready(role) for role in ROLES)

        wait_until(is_ready, "the service to be ready", SLOW_START_S)

    def is_ready(self, role: str) -> bool:
        """Whether this process lives and is ready."""
        sign = pulse(self.folder.root / "locks", role)
        return sign is not None and sign.beats and sign.state == "ready" and _runs(sign.pid)

    def stop(self, timeout_s: float = 60) -> int:
        """SIGTERM; its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout_s)

    def pid(self, role: str) -> int:
        """The process id of "service", "listener", "office", "worker-1" or "inference" (the worker's child)."""
        if role == "inference":
            (found,) = _children(self.pid("worker-1"))
            return found
        sign = pulse(self.folder.root / "locks", role)
        assert sign is not None, role
        return sign.pid

    def kill(self, role: str) -> None:
        """kill -9; the service itself is started again, as a supervisor does."""
        with suppress(ProcessLookupError, ValueError):
            os.kill(self.pid(role), signal.SIGKILL)
        if role == "service":
            assert self.process is not None
            self.process.wait()
            self.start(ready=False)

    @property
    def pids(self) -> set[int]:
        """Of everything that runs."""
        found = {sign.pid for sign in pulses(self.folder.root / "locks") if _runs(sign.pid)}
        return found | {child for pid in found for child in _children(pid)}

    @property
    def port(self) -> int | None:
        """Where the listener listens."""
        sign = pulse(self.folder.root / "locks", "listener")
        return sign.facts.get("port") if sign and sign.beats else None

    @contextmanager
    def database(self) -> Iterator[Database]:
        """Its database, to look into."""
        db = open_database(self.folder)
        try:
            yield db
        finally:
            db.close()

    def send(self, paths: Iterable[Path], calling: str = "SCANNER") -> list[SendOutcome]:
        """C-STORE over one association."""
        assert self.port is not None
        return self._send_to(self.port, paths, calling)

    def _send_to(self, port: int, paths: Iterable[Path], calling: str = "SCANNER") -> list[SendOutcome]:
        return list(scu.send(scu.Peer("NEUROSSL", "127.0.0.1", port, calling), paths, 10))

    def send_until_taken(self, paths: Iterable[Path], timeout_s: float = 120) -> set[str]:
        """As a scanner does: what was not acknowledged is sent again; every acknowledged SOP Instance UID."""
        left, taken = list(paths), set[str]()
        deadline = time.monotonic() + timeout_s
        while left:
            assert time.monotonic() < deadline, f"{len(left)} instances were not taken in time"
            if (port := self.port) is None:  # asked once: while the service restarts it comes and goes
                time.sleep(0.2)
                continue
            outcomes = self._send_to(port, left)
            taken |= {each.sop_instance_uid for each in outcomes if each.accepted}
            left = [each.path for each in outcomes if not each.accepted]
            time.sleep(0.2 if left else 0)
        return taken

    def job(self, study: str) -> Job | None:
        """Its newest job."""
        if not self.folder.database.exists():
            return None
        with self.database() as db:
            jobs = [job for job in queue.listing(db) if job.study_instance_uid == study]
        return jobs[0] if jobs else None

    def ended(self, study: str, revision: int = 1, timeout_s: float = 120) -> Job:
        """The job of this revision once nothing more will happen to it."""

        def has_ended() -> bool:
            job = self.job(study)
            if job is None or job.revision < revision or job.state not in ENDED:
                return False
            with self.database() as db:
                states = {each.state for each in outbox.of_job(db, job.job_id)}
            return not states & {DeliveryState.PENDING, DeliveryState.SENDING}

        try:
            wait_until(has_ended, f"the end of study {study}", timeout_s)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.job(study)}\n{self.log.read_text()[-3000:]}") from None
        job = self.job(study)
        assert job is not None
        return job

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`neurossl …` with its configuration."""
        line = [sys.executable, "-P", "-m", "node", *arguments, "--config", str(self.config)]
        return subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)


@contextmanager
def service(
    folder: Path, bundle: Path, pacs_port: int | None, *, start: bool = True, **settings: Any
) -> Iterator[Service]:
    """A service that runs, and leaves nothing behind."""
    node = Service(folder, bundle, pacs_port, **settings)
    try:
        if start:
            node.start()
        yield node
    finally:
        if node.process is not None:
            left = node.pids
            node.process.kill()
            node.process.wait()
            wait_until(lambda: not any(_runs(pid) for pid in left), "everything to be gone", 30)


def studies(folder: Path, count: int, **series: Any) -> dict[str, list[Path]]:
    """Made-up studies as files, by Study Instance UID."""
    made: dict[str, list[Path]] = {}
    for number in range(count):
        datasets: list[Dataset] = factories.mr_series(
            study_uid=f"1.2.826.0.1.{number + 1}",
            series_uid=f"1.2.826.0.1.{number + 1}.1",
            slices=48,
            spacing_mm=(3.3, 2, 2),
            **series,
        )
        made[str(datasets[0].StudyInstanceUID)] = factories.write(datasets, folder / f"study-{number}")
    return made


def in_background(act: Any, *arguments: Any) -> threading.Thread:
    """Run it in a thread."""
    thread = threading.Thread(target=act, args=arguments, daemon=True)
    thread.start()
    return thread


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(each) for each in text.split() if _runs(int(each))]
