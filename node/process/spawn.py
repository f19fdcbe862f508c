"""A Python process of ours, started with a pipe that it must not outlive.

The pipe is its standard input: the settings go through it first, and it closes when this process ends, however it ends
(`hardening`).
"""

import contextlib
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

from node.config import Settings
from node.process.hardening import environment_for_children


class ChildProcess:
    """One process from its start to its end. What it is for, and whether it is started again, is its user's business.

    It has a process group of its own: a Ctrl-C in the terminal reaches its parent alone.
    """

    def __init__(self, *module: str, answers: bool = False) -> None:
        """Start `python -m` with these arguments; with `answers` its standard output is read here.

        To be called from a thread that stays: where the child asks for it, the kernel ends it with that thread.
        """
        self.started_at_s = time.monotonic()
        self._popen = subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", "-m", *module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if answers else None,
            start_new_session=True,
            env=environment_for_children(),
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    @property
    def answers(self) -> IO[bytes]:
        """Its standard output."""
        assert self._popen.stdout is not None  # noqa: S101
        return self._popen.stdout

    @property
    def exit_code(self) -> int | None:
        """Negative: the signal that it died of; None while it runs."""
        return self._popen.poll()

    @property
    def memory_mib(self) -> float:
        """Its resident memory; 0 where the system does not say."""
        try:
            status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        except OSError:
            return 0.0
        return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS")), 0.0)

    def configure(self, settings: Settings) -> None:
        """Give it its settings: the first line that it reads."""
        self.write(settings.model_dump_json().encode() + b"\n")

    def write(self, line: bytes) -> None:
        """One line into the pipe; one that has ended hears nothing, and its exit code says why."""
        assert self._popen.stdin is not None  # noqa: S101
        with contextlib.suppress(BrokenPipeError):
            self._popen.stdin.write(line)
            self._popen.stdin.flush()

    def terminate(self) -> None:
        """Ask it to stop: SIGTERM."""
        self._popen.terminate()

    def wait(self, timeout_s: float) -> int | None:
        """Its exit code; None when it still runs after `timeout_s`."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._popen.wait(timeout_s)
        return None

    def kill(self) -> None:
        """End it at once if it still runs, and close the pipe."""
        self._popen.kill()
        self._popen.wait()
        assert self._popen.stdin is not None  # noqa: S101
        with contextlib.suppress(OSError):
            self._popen.stdin.close()
