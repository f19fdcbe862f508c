"""The watchdog's end of the process that holds torch: talk to it, kill it, say how it ended."""

import queue
import signal
import threading
from typing import Any

from pydantic import ValidationError

from node.config import Settings
from node.errors import ConfigurationRefused, Transient
from node.process.hardening import CONFIGURATION_EXIT
from node.process.spawn import ChildProcess
from node.work.messages import Device, Said, Task, said

LONGEST_LINE_BYTES = 64 * 2**20
ENDS_WITHIN_S = 5.0


class ChildEnded(Transient):
    """The process ended, or said what nobody understands."""


class InferenceChild:
    """A process that loads the bundle once and then works on one task after the other (node/work/inference.py)."""

    def __init__(self, settings: Settings, module: str = "node.work.inference") -> None:
        """Start it. To be called from the main thread, since the child ends with the thread that made it."""
        self._process = ChildProcess(module, answers=True)
        self.started_at_s = self._process.started_at_s
        self.device_facts: dict[str, Any] = {}  # the last that it said of its device
        self._heard: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=self._listen, name="child-listener", daemon=True).start()
        self._process.configure(settings)

    def say(self, task: Task) -> None:
        """Give it a task."""
        self._process.write(task.encoded())

    def hear(self, within_s: float) -> Said | None:
        """The next thing it says; None when it says nothing in time, or something of its device, which is kept.

        Raises ChildEnded, ConfigurationRefused.
        """
        try:
            line = self._heard.get(timeout=within_s)
        except queue.Empty:
            return None
        if not line:
            raise self._last_words()
        try:
            heard = said.validate_json(line)
        except ValidationError:
            self.kill()
            raise ChildEnded("the worker process said what nobody understands, and was killed") from None
        if isinstance(heard, Device):
            self.device_facts = heard.facts
            return None
        return heard

    def kill(self) -> None:
        """End it at once, whatever it does."""
        self._process.kill()

    @property
    def memory_mib(self) -> float:
        """Its resident memory; 0 where the system does not say."""
        return self._process.memory_mib

    def _listen(self) -> None:
        with self._process.answers as pipe:
            while line := pipe.readline(LONGEST_LINE_BYTES):
                self._heard.put(line)
        self._heard.put(b"")

    def _last_words(self) -> ChildEnded | ConfigurationRefused:
        code = self._process.wait(ENDS_WITHIN_S)
        self.kill()
        if code is None:
            return ChildEnded("the worker process closed its pipe, and was killed")
        if code == CONFIGURATION_EXIT:
            return ConfigurationRefused("the worker process found its configuration wrong")
        if code < 0:
            hint = ": out of memory?" if code == -signal.SIGKILL else ""
            return ChildEnded(f"the worker process died of {signal.Signals(-code).name}{hint}")
        return ChildEnded(f"the worker process ended with exit code {code}")
