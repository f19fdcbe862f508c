"""The watchdog's end of the process that holds torch: start it, talk to it, kill it, say how it ended."""

import contextlib
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from pydantic import ValidationError

from node.config import Settings
from node.errors import ConfigurationError, Transient
from node.process.hardening import CONFIGURATION_EXIT, environment_for_children
from node.work.messages import Said, Task, said

LONGEST_LINE_BYTES = 64 * 2**20
ENDS_WITHIN_S = 5.0


class ChildEnded(Transient):
    """The process ended, or said what nobody understands."""


class ConfigurationRefused(ConfigurationError):
    """The process found its configuration wrong, and has said so on standard error."""


class Child:
    """A process that loads the bundle once and then works on one task after the other (node/work/inference.py)."""

    def __init__(self, settings: Settings, module: str = "node.work.inference") -> None:
        """Start it. To be called from the main thread, since the child ends with the thread that made it."""
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-P", "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env=environment_for_children(),
        )
        self.started_at_s = time.monotonic()
        self._heard: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=self._listen, name="child-listener", daemon=True).start()
        self._send(settings.model_dump_json().encode() + b"\n")

    def say(self, task: Task) -> None:
        """Give it a task."""
        self._send(task.line())

    def hear(self, within_s: float) -> Said | None:
        """The next thing it says; None when it says nothing in time. Raises ChildEnded, ConfigurationRefused."""
        try:
            line = self._heard.get(timeout=within_s)
        except queue.Empty:
            return None
        if not line:
            raise self._last_words()
        try:
            return said.validate_json(line)
        except ValidationError:
            self.kill()
            raise ChildEnded("the worker process said what nobody understands, and was killed") from None

    def kill(self) -> None:
        """End it at once, whatever it does."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None  # noqa: S101
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    @property
    def lives(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    @property
    def memory_mib(self) -> float:
        """Its resident memory; 0 where the system does not say."""
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        except OSError:
            return 0.0
        return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS")), 0.0)

    def _send(self, line: bytes) -> None:
        assert self._process.stdin is not None  # noqa: S101
        with contextlib.suppress(BrokenPipeError):  # it has ended: `hear` says so
            self._process.stdin.write(line)
            self._process.stdin.flush()

    def _listen(self) -> None:
        assert self._process.stdout is not None  # noqa: S101
        with self._process.stdout as pipe:
            while line := pipe.readline(LONGEST_LINE_BYTES):
                self._heard.put(line)
        self._heard.put(b"")

    def _last_words(self) -> ChildEnded | ConfigurationRefused:
        try:
            code = self._process.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return ChildEnded("the worker process closed its pipe, and was killed")
        self.kill()
        if code == CONFIGURATION_EXIT:
            return ConfigurationRefused("the worker process found its configuration wrong")
        if code < 0:
            hint = ": out of memory?" if code == -signal.SIGKILL else ""
            return ChildEnded(f"the worker process died of {signal.Signals(-code).name}{hint}")
        return ChildEnded(f"the worker process ended with exit code {code}")
