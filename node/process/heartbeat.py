"""Each process leaves a sign of life in the data folder, for `neurossl health`, `queue show` and its siblings.

One file a process, of a fixed length and written in place, so that a full disk does not stop a heart. Its age is
measured by the machine's monotonic clock within one boot: setting the wall clock neither kills nor revives a process
(fault F45).
"""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from node.log_sink import dropped_since_start

LENGTH_BYTES = 4096
STALE_S = 30.0
SUFFIX = ".alive"


@dataclass(frozen=True)
class Pulse:
    """The last sign of life of one process."""

    role: str  # "listener", "worker-1", "office", "service"
    state: str  # "starting", "ready", "stopping", "stopped", "failed"
    pid: int
    age_s: float  # infinite when it is from before this boot
    facts: Mapping[str, Any]

    @property
    def beats(self) -> bool:
        """Whether the process lives and does its rounds."""
        return self.age_s <= STALE_S and self.state not in ("stopped", "failed")


class Heartbeat:
    """The writing end. Use as a context manager: leaving says "stopped", or "failed" when it is by an error."""

    def __init__(self, folder: Path, role: str) -> None:
        """`folder` is where the signs of all processes lie; it exists."""
        self.role = role
        self._file = os.open(folder / f"{role}{SUFFIX}", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self.beat("starting")

    def beat(self, state: str = "ready", **facts: Any) -> None:
        """Write a sign of life. A failure to write is no reason to stop working."""
        if dropped := dropped_since_start():
            facts["log_lines_dropped"] = dropped
        sign = {
            "role": self.role,
            "state": state,
            "pid": os.getpid(),
            "boot": _boot(),
            "at_s": time.monotonic(),
            "facts": facts,
        }
        line = json.dumps(sign).encode()
        if len(line) > LENGTH_BYTES:
            line = json.dumps({**sign, "facts": {}}).encode()
        try:
            os.pwrite(self._file, line.ljust(LENGTH_BYTES), 0)
        except OSError:
            return

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Say that this process has stopped, or failed: then it is to be started again."""
        self.beat("stopped" if kind is None else "failed")
        os.close(self._file)


def pulses(folder: Path) -> tuple[Pulse, ...]:
    """The last sign of life of every process that ever left one, by role."""
    found = (pulse(folder, path.name.removesuffix(SUFFIX)) for path in sorted(folder.glob(f"*{SUFFIX}")))
    return tuple(each for each in found if each is not None)


def forget_the_dead(folder: Path) -> None:
    """Take away the signs of processes that died: of a worker, for example, that is no longer configured."""
    for sign in pulses(folder):
        if not sign.beats:
            (folder / f"{sign.role}{SUFFIX}").unlink(missing_ok=True)


def pulse(folder: Path, role: str) -> Pulse | None:
    """The last sign of life of `role`; None when there is none that can be read."""
    for _ in range(3):
        try:
            sign = json.loads((folder / f"{role}{SUFFIX}").read_bytes())
            age_s = time.monotonic() - sign["at_s"] if sign["boot"] == _boot() else float("inf")
            return Pulse(role, sign["state"], sign["pid"], age_s, sign["facts"])
        except OSError:
            return None
        except (ValueError, KeyError, TypeError):
            time.sleep(0.01)  # read while it was being written
    return None


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"
