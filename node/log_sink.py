"""Where log lines go: a bounded queue and one thread that writes, so that whoever reads the log can stop reading.

A pipe to a log reader that stalls is full after 64 KiB, and a write to it blocks for ever. Here that blocks one thread
which nobody waits for: lines are dropped while the queue is full, and counted; before the next line that gets out
stands how many.
"""

import atexit
import contextlib
import json
import logging
import os
import queue
import threading
import time
from datetime import UTC, datetime
from typing import Any

MOST_LINES = 2000
LAST_LINES_WITHIN_S = 1.0  # at the end of the process
STANDARD_ERROR = 2


_dropped_by_all = 0


def dropped_since_start() -> int:
    """Lines that this process has lost, told of or not."""
    return _dropped_by_all


class Sink(logging.Handler):
    """A logging handler that never waits."""

    def __init__(self, process: str, descriptor: int = STANDARD_ERROR, most_lines: int = MOST_LINES) -> None:
        """The thread starts with the first line."""
        super().__init__()
        self._process = process
        self._descriptor = descriptor
        self._lines: queue.Queue[bytes] = queue.Queue(most_lines)
        self._dropped = 0
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def dropped(self) -> int:
        """Lines that were lost and have not been told of yet."""
        return self._dropped

    def emit(self, record: logging.LogRecord) -> None:
        """Queue one line."""
        try:
            line = self.format(record).encode(errors="backslashreplace") + b"\n"
        except Exception:  # noqa: BLE001 - a line that cannot be written must not fail what it tells of
            self.handleError(record)
            return
        self._start()
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            global _dropped_by_all
            self._dropped += 1
            _dropped_by_all += 1

    def flush(self) -> None:
        """Wait a little for what is queued to be written."""
        deadline_s = time.monotonic() + LAST_LINES_WITHIN_S
        while self._lines.unfinished_tasks and time.monotonic() < deadline_s:
            time.sleep(0.005)

    def close(self) -> None:
        """Let what is queued out, if that is quick."""
        self.flush()
        super().close()

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._write_on, name="log", daemon=True)
                self._thread.start()
                atexit.register(self.flush)

    def _write_on(self) -> None:
        while True:
            line = self._lines.get()
            try:
                if self._dropped:
                    dropped, self._dropped = self._dropped, 0
                    self._write(self._about(dropped))
                self._write(line)
            finally:
                self._lines.task_done()

    def _write(self, line: bytes) -> None:
        left = memoryview(line)
        with contextlib.suppress(OSError):  # nobody reads any more, or the disk behind it is full
            while left:
                left = left[os.write(self._descriptor, left) :]

    def _about(self, dropped: int) -> bytes:
        event: dict[str, Any] = {
            "event": "log lines dropped: whoever reads the log was too slow",
            "lines": dropped,
            "level": "warning",
            "process": self._process,
            "timestamp": datetime.now(UTC).isoformat(),
        }
        return json.dumps(event).encode() + b"\n"
