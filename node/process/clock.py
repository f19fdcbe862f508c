"""What the wall clock may be believed, by the clocks that nobody can set.

Deleting is done by an age, and ages are differences of wall-clock times: a clock that was set forward by ten years
would make everything old at once. `SteadyClock` goes on from the time that it once had as the machine's own clock runs,
whatever is done to the wall clock; it is kept in a file, so that a restart forgets nothing.
"""

import contextlib
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

LONGEST_REST = timedelta(days=30)  # of a machine that was off: more than that is a clock that was set
NOTICED = timedelta(seconds=5)
BOOT = Path("/proc/sys/kernel/random/boot_id")


class SteadyClock:
    """Never ahead of the wall clock, never faster than the machine's own clock."""

    def __init__(
        self,
        file: Path,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
    ) -> None:
        """Goes on from what the file says, or from the wall clock where there is none that can be read."""
        self._file = file
        self._wall = wall
        self._monotonic = monotonic
        self._began_at_s = monotonic()
        self._began = self._first()
        self._offset = wall() - self._machine()
        self._jumped_at_s = float("-inf")

    def now(self) -> datetime:
        """The time by which ages are measured."""
        found = min(self._began + timedelta(seconds=self._monotonic() - self._began_at_s), self._wall())
        self._keep(found)
        return found

    def jumped_within(self, seconds: float) -> bool:
        """Whether the wall clock was set, by more than moments, within these last seconds."""
        now_s, offset = self._monotonic(), self._wall() - self._machine()
        if abs(offset - self._offset) > NOTICED:
            self._offset, self._jumped_at_s = offset, now_s
        return now_s - self._jumped_at_s < seconds

    def _machine(self) -> datetime:
        return datetime(2000, 1, 1, tzinfo=UTC) + timedelta(seconds=self._monotonic())

    def _first(self) -> datetime:
        wall = self._wall()
        try:
            kept = json.loads(self._file.read_text(encoding="ascii"))
            last = datetime.fromisoformat(kept["at"])
            if kept["boot"] == _boot():
                return min(wall, last + timedelta(seconds=self._began_at_s - float(kept["machine_s"])))
        except (OSError, ValueError, KeyError, TypeError):
            return wall
        return min(wall, last + LONGEST_REST)

    def _keep(self, at: datetime) -> None:
        kept = {"at": at.isoformat(), "boot": _boot(), "machine_s": self._monotonic()}
        with contextlib.suppress(OSError):  # the next time will do
            partial = self._file.with_suffix(".new")
            partial.write_text(json.dumps(kept), encoding="ascii")
            partial.replace(self._file)


def _boot() -> str:
    try:
        return BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return ""
