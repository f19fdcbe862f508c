"""The processes of the service: the order in which they stop, and what becomes of one that does not."""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from node.config import Settings
from node.process.heartbeat import Heartbeat
from node.service.supervisor import Role, Supervised, roles, stop_in_order
from storage import DataFolder
from tests.destination import wait_until

PART = """
import os, pathlib, signal, sys, time
name, notes, stops = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3] == "stops"
def note(what, *facts):
    with notes.open("a") as file:
        print(what, name, *facts, file=file)
def stop(*_):
    note("asked")
    time.sleep(0.3 if stops else 3600)
    note("ended")
    os._exit(0)
signal.signal(signal.SIGTERM, stop)
sys.stdin.readline()
note("runs", os.getpid())
while True:
    time.sleep(60)
"""


@dataclass(frozen=True)
class Part(Role):
    """A role that a small program plays, which notes what happens to it."""

    notes: str = ""
    stops: str = "stops"

    @property
    def module(self) -> tuple[str, ...]:
        return "part_of_a_test", self.name, self.notes, self.stops


class House:
    """Some parts that run, and what they noted."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.notes, self.parts = DataFolder(folder / "data"), folder / "notes", list[Supervised]()
        self.folder.create()

    def start(self, stops: str = "stops") -> None:
        """All roles of a service with two workers."""
        settings = Settings.model_validate({"data_folder": self.folder.root, "worker": {"count": 2}})
        for role in roles(settings):
            self.parts.append(Supervised(Part(**vars(role), notes=str(self.notes), stops=stops), settings, self.folder))
        for part in self.parts:
            part.start()
            part.go()
        wait_until(lambda: len(self.said("runs")) == len(self.parts), "all parts to run", 30)

    def stop(self, timeout_s: float) -> None:
        """As the service does."""
        with Heartbeat(self.folder.path("locks"), "service") as heart:
            stop_in_order(self.parts, timeout_s, heart)

    def said(self, what: str = "") -> list[str]:
        """Their notes, in order."""
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        return [line for line in lines if line.startswith(what)]


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    (tmp_path / "part_of_a_test.py").write_text(PART)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    made = House(tmp_path)
    yield made
    made.stop(0.1)


def test_the_door_closes_first_and_the_pages_last_and_the_office_delivers_until_the_workers_have_ended(
    house: House,
) -> None:
    house.start()
    house.stop(20)
    said = house.said()[len(house.parts) :]
    assert said[:2] == ["asked listener", "ended listener"]
    assert set(said[2:4]) == {"asked worker-1", "asked worker-2"}
    assert set(said[4:6]) == {"ended worker-1", "ended worker-2"}
    assert said[6:8] == ["asked office", "ended office"]
    assert said[8:] == ["asked web", "ended web"]


def test_what_does_not_stop_in_time_is_killed_and_stays_dead(house: House) -> None:
    house.start(stops="never")
    house.stop(0.2)
    assert [part.exit_code for part in house.parts] == [-signal.SIGKILL] * len(house.parts)
    for after_s in (3600, 7200):
        for part in house.parts:
            part.look_after(time.monotonic() + after_s)
    assert [part.exit_code for part in house.parts] == [-signal.SIGKILL] * len(house.parts)


def test_what_dies_is_started_again_after_a_delay_and_gets_its_settings_again(house: House) -> None:
    house.start()
    first, now_s = house.parts[0], time.monotonic()
    (runs,) = house.said(f"runs {first.role.name}")
    os.kill(int(runs.split()[-1]), signal.SIGKILL)
    wait_until(lambda: first.exit_code == -signal.SIGKILL, "its end", 10)
    for after_s in (0, 0.9):
        first.look_after(now_s + after_s)
        assert first.exit_code == -signal.SIGKILL
    first.look_after(now_s + 1.1)
    wait_until(lambda: len(house.said(f"runs {first.role.name}")) == 2, "it to run again", 30)
    assert first.exit_code is None
