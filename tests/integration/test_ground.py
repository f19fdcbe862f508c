"""What is done to a node that runs: its clock is set, its folders and its database go, its folder becomes read-only.

One node for all of it, whose parts each test leaves in order; it runs without the rights of root, so that permissions
hold, and tells a socket of ours what it would tell systemd.
"""

import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from storage import instances
from storage.states import JobState
from tests import factories, peers
from tests.clocks import Clock
from tests.destination import Destination, destination, wait_until
from tests.services import Service, service

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

NOTICED_WITHIN_S = 30.0
QUIET_S = 3
TEN_YEARS = timedelta(days=3653)
WITHOUT_RIGHTS = ("--user", "--map-user=54321", "--map-group=54321")


@dataclass
class Ground:
    """The node, and what can be done to it."""

    node: Service
    clock: Clock
    pacs: Destination
    sent: Path
    told: list[str] = field(default_factory=list)  # to systemd
    number: int = 0

    @property
    def data(self) -> Path:
        return self.node.folder.root

    def study(self) -> tuple[str, list[Path]]:
        """A study that is new to it."""
        self.number += 1
        uid = f"1.2.826.0.1.88.{self.number}"
        made = factories.mr_series(study_uid=uid, series_uid=f"{uid}.1", slices=48, spacing_mm=(3.3, 2, 2))
        return uid, factories.write(made, self.sent / str(self.number))

    def keeps(self, study: str, count: int) -> bool:
        """So many instances of the study have file and row, at the latest a moment after they were acknowledged."""
        wait_until(lambda: self.kept(study) == count, f"{count} rows of {study}", 10)
        return True

    def kept(self, study: str) -> int:
        """Instances of the study that have file and row."""
        with self.node.database() as db:
            found = instances.of_study(db, study)
        return sum((self.data / each.path).is_file() for each in found)

    def health(self) -> tuple[int, str]:
        told = self.node.command("health")
        return told.returncode, told.stderr

    def is_well(self) -> bool:
        return self.health()[0] == 0


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory, bundle: Path) -> Iterator[Ground]:
    folder = tmp_path_factory.mktemp("ground")
    clock, done = Clock(folder), threading.Event()
    quiet = {"quiet_period_s": QUIET_S, "no_result_after_s": QUIET_S}
    heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    heard.bind(str(folder / "notify"))
    heard.settimeout(0.2)
    with heard, destination() as pacs, service(folder, bundle, pacs.port, start=False, completeness=quiet) as node:
        node.prefix = [peers.program("unshare"), *WITHOUT_RIGHTS]
        node.environment = {**clock.environment, "NOTIFY_SOCKET": str(folder / "notify"), "HOME": "/nowhere"}
        ground = Ground(node, clock, pacs, folder / "sent")
        listening = threading.Thread(target=_listen, args=(heard, ground.told, done))
        listening.start()
        try:
            node.start()
            yield ground
        finally:
            done.set()
            listening.join()


def _listen(heard: socket.socket, told: list[str], done: threading.Event) -> None:
    while not done.is_set():
        try:
            told.append(heard.recv(200).decode())
        except TimeoutError:
            continue


def test_systemd_hears_that_it_is_ready_and_goes_on_living(ground: Ground) -> None:
    wait_until(lambda: "READY=1" in ground.told, "ready", 10)
    before = ground.told.count("WATCHDOG=1")
    wait_until(lambda: ground.told.count("WATCHDOG=1") >= before + 3, "signs of life", 10)


def test_a_database_that_goes_is_built_anew_and_nothing_is_lost(ground: Ground) -> None:
    before, whole = ground.study()
    assert all(each.accepted for each in ground.node.send(whole))
    first = ground.node.ended(before, timeout_s=60)
    for path in ground.data.glob("neurossl.sqlite*"):
        path.unlink()
    study, paths = ground.study()
    taken = ground.node.send_until_taken(paths, 90)
    assert "was removed or replaced under the running node" in ground.node.log.read_text()
    wait_until(lambda: ground.node.job(before) is not None, "its rows", 60)
    assert len(taken) == len(paths)
    assert ground.keeps(study, len(paths))
    assert ground.keeps(before, len(whole))
    for each in (before, study):
        assert ground.node.ended(each, timeout_s=90).state is first.state
    assert {len(contents) for contents in ground.pacs.contents.values()} == {1}


def test_a_clock_set_back_stops_nothing(ground: Ground) -> None:
    for back in (timedelta(hours=-1), -TEN_YEARS):
        ground.clock.set_forward(back)
        study, paths = ground.study()
        assert all(each.accepted for each in ground.node.send(paths))
        assert ground.node.ended(study, timeout_s=60).state is JobState.DONE
        assert ground.is_well()
    ground.clock.set_forward(timedelta())


def test_a_clock_set_forward_publishes_nothing_early(ground: Ground) -> None:
    for forward in (timedelta(hours=1), TEN_YEARS):
        study, paths = ground.study()
        assert all(each.accepted for each in ground.node.send(paths[:24]))
        ground.clock.set_forward(forward)
        time.sleep(QUIET_S / 2)
        assert all(each.accepted for each in ground.node.send(paths[24:]))
        job = ground.node.ended(study, timeout_s=60)
        assert (job.state, job.revision) == (JobState.DONE, 1)
        assert ground.keeps(study, len(paths))
        assert ground.is_well()
        ground.clock.set_forward(timedelta())


def test_a_clock_set_forward_by_ten_years_deletes_nothing(ground: Ground) -> None:
    study, paths = ground.study()
    assert all(each.accepted for each in ground.node.send(paths))
    job = ground.node.ended(study, timeout_s=60)
    ground.clock.set_forward(TEN_YEARS)
    ground.node.kill("office")  # the next one begins with retention and sweep
    wait_until(lambda: ground.node.is_ready("office"), "the next office", 60)
    time.sleep(1)
    ground.clock.set_forward(timedelta())
    assert ground.keeps(study, len(paths))
    again = ground.node.job(study)
    assert again is not None
    assert (again.job_id, again.state) == (job.job_id, JobState.DONE)


@pytest.mark.parametrize("name", ["tmp", "locks"])
def test_a_folder_that_goes_is_made_again(ground: Ground, name: str) -> None:
    shutil.rmtree(ground.data / name)
    study, paths = ground.study()
    began = time.monotonic()
    taken = ground.node.send_until_taken(paths, 90)
    assert time.monotonic() - began < NOTICED_WITHIN_S
    assert len(taken) == len(paths)
    assert ground.keeps(study, len(paths))
    assert ground.node.ended(study, timeout_s=60).state is JobState.DONE
    wait_until(ground.is_well, "all to be well", 60)
    second = ground.node.command("serve")
    assert second.returncode != 0
    assert "another service runs on this data folder" in second.stderr


def test_a_folder_that_becomes_read_only_is_said_and_refused_until_it_is_not(ground: Ground) -> None:
    study, paths = ground.study()
    folders = [ground.data, *(path for path in ground.data.rglob("*") if path.is_dir())]
    try:
        for folder in folders:
            os.chmod(folder, 0o500)  # noqa: PTH101 - of a folder that was made so
        assert {each.status for each in ground.node.send(paths[:2])} == {0xA700}
        wait_until(lambda: "nothing can be stored" in ground.health()[1], "its health to say so", NOTICED_WITHIN_S)
        assert ground.health()[0] == 1
    finally:
        for folder in folders:
            folder.chmod(0o700)
    assert len(ground.node.send_until_taken(paths, 60)) == len(paths)
    assert ground.node.ended(study, timeout_s=60).state is JobState.DONE
    wait_until(ground.is_well, "all to be well", 60)


def test_systemd_hears_of_a_reload_and_of_the_stop(ground: Ground) -> None:
    assert ground.node.process is not None
    ground.node.config.write_text(ground.node.config.read_text().replace('"captures": 3', '"captures": 2'))
    ready = ground.told.count("READY=1")
    ground.node.process.send_signal(signal.SIGHUP)
    wait_until(lambda: ground.told.count("READY=1") > ready, "the reload", 90)
    (reloading,) = [each for each in ground.told if each.startswith("RELOADING=1\nMONOTONIC_USEC=")]
    assert ground.told.index(reloading) > ground.told.index("READY=1")
    assert ground.node.stop() == 0
    wait_until(lambda: "STOPPING=1" in ground.told, "the stop", 5)
