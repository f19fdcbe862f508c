"""What goes wrong around a node, one thing after the other."""

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import timedelta
from pathlib import Path

from node.process.heartbeat import pulse
from tests.clocks import Clock
from tests.destination import Destination, destination
from tests.services import Service

CLOCKS = (
    timedelta(hours=1),
    timedelta(hours=-1),
    timedelta(days=3653),
    timedelta(days=-3653),
    timedelta(seconds=90),
    timedelta(),
)
OUT_OF_RESOURCES, SUCCESS = 0xA700, 0x0000
MOST_FREE_BYTES = 64 * 1024  # of a disk that counts as full


class Pacs:
    """A destination that can go and come back on the same port, and that may have no room."""

    def __init__(self) -> None:
        self.kept = Destination()
        self._open = ExitStack()
        self.come()

    def come(self) -> None:
        """Be there, with what it had."""
        self._open.enter_context(destination(port=self.kept.port, keep=self.kept))

    def go(self) -> None:
        """Be away."""
        self._open.close()

    def has_room(self, yes: bool) -> None:
        """What it answers."""
        self.kept.answer = lambda uid: SUCCESS if yes else OUT_OF_RESOURCES


class Trouble:
    """Everything that is done follows from the seed, but the time that it takes."""

    def __init__(self, node: Service, pacs: Pacs, clock: Clock, disk: Path | None, seed: str) -> None:
        """`disk` is a small one that holds the data folder; without it no disk fills."""
        self._node, self._pacs, self._clock, self._disk = node, pacs, clock, disk
        self._random = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.interruptions = 0  # after each of which one result may come a second time

    def run(self, stop: threading.Event, pause_s: float) -> None:
        """Until `stop`; then everything is put right."""
        while not stop.wait(self._random.uniform(0.5, 1.5) * pause_s):
            name = self._random.choices(tuple(ACTS), [weight for _, weight in ACTS.values()])[0]
            ACTS[name][0](self)
            self.counts[name] += 1
        self._clock.set_forward(timedelta())

    def kill(self) -> None:
        role = self._random.choice(("listener", "office", "worker-1", "inference", "service"))
        self.interruptions += role in ("office", "service")
        assert self._node.process is not None
        if role == "service":
            self._node.process.kill()
        else:
            with suppress(AssertionError, ValueError, ProcessLookupError):  # it is not there at the moment
                if (pid := self._node.pid(role)) in _descendants(self._node.process.pid):
                    os.kill(pid, signal.SIGKILL)

    def set_clock(self) -> None:
        self._clock.set_forward(self._random.choice(CLOCKS))

    def pacs_goes(self) -> None:
        self.interruptions += 1
        self._pacs.go()
        time.sleep(self._random.uniform(1, 4))
        self._pacs.come()

    def pacs_is_full(self) -> None:
        self._pacs.has_room(False)
        time.sleep(self._random.uniform(1, 4))
        self._pacs.has_room(True)

    def hangup(self) -> None:
        assert self._node.process is not None
        sign = pulse(self._node.folder.root / "locks", "service")
        if sign is not None and (sign.pid, sign.state) == (self._node.process.pid, "ready"):
            self._node.process.send_signal(signal.SIGHUP)

    def disk_fills(self) -> None:
        if self._disk is None:
            return
        ballast = self._disk / "ballast"
        try:
            with ballast.open("wb") as file:
                free = os.statvfs(self._disk).f_bavail * os.statvfs(self._disk).f_frsize
                with suppress(OSError):
                    os.posix_fallocate(file.fileno(), 0, max(free - MOST_FREE_BYTES, 1))
            time.sleep(self._random.uniform(1, 3))
        finally:
            ballast.unlink(missing_ok=True)


ACTS: dict[str, tuple[Callable[[Trouble], None], int]] = {  # and how often, against the others
    "processes killed": (Trouble.kill, 6),
    "clocks set": (Trouble.set_clock, 4),
    "times the destination went": (Trouble.pacs_goes, 3),
    "times the destination was full": (Trouble.pacs_is_full, 2),
    "hangups": (Trouble.hangup, 1),
    "times the disk filled": (Trouble.disk_fills, 3),
}


def _descendants(pid: int) -> set[int]:
    found: set[int] = set()
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found |= {int(each) for each in path.read_text().split()}
    return found.union(*(_descendants(each) for each in found))
