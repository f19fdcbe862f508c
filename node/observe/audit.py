"""The audit trail: what happened goes to whom the site has named, and never holds up what happens.

    listener   associations refused, instances received        office   results sent and told, studies deleted
    service    start, stop, configuration changed              queue    an answer withdrawn

Each process has a trail of its own: a bounded queue, and a thread that sends. While the receiver is away, messages
wait; when the queue is full, the newest are lost, counted, and the log says how many.
"""

import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import structlog

from node.config import Settings
from node.logs import safe_text
from node.observe import audit_message, syslog
from node.observe.audit_message import AuditEvent

log = structlog.get_logger()

SEVERITY = {
    audit_message.SUCCESS: syslog.NOTICE,
    audit_message.MINOR_FAILURE: syslog.WARNING,
    audit_message.SERIOUS_FAILURE: syslog.ERROR,
}
CLOSES_WITHIN_S = 2.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
SAY_EVERY_S = 60.0
REMEMBERED = "configuration.sha256"


class Trail:
    """Takes events from any thread, at once. Use as a context manager: leaving it sends what waits, for a moment."""

    def __init__(self, settings: Settings, process: str) -> None:
        """Nothing is sent before the context is entered. Raises ConfigurationError when the TLS files are wrong."""
        self.us = settings.listener.ae_title
        self.lost = 0
        self._process = process
        self._way = syslog.way_to(settings.audit)
        self._waiting: queue.Queue[tuple[datetime, AuditEvent]] = queue.Queue(settings.audit.maximum_waiting)
        self._closing = threading.Event()
        self._counting = threading.Lock()
        self._said_lost, self._said_at_s = 0, float("-inf")
        self._thread = threading.Thread(target=self._send_forever, name="audit", daemon=True)

    @property
    def is_on(self) -> bool:
        """Whether anybody is to hear of it: an event that is costly to find out about need not be, otherwise."""
        return self._way is not None

    def __enter__(self) -> Self:
        """Start sending."""
        if self.is_on:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Send what waits, and count the rest as lost."""
        self._closing.set()
        if not self.is_on:
            return
        self._thread.join(CLOSES_WITHIN_S)
        left = self._waiting.qsize() + self._thread.is_alive()
        if left:
            self._lose(left)
        self._say_lost(at_once=True)

    def note(self, event: AuditEvent) -> None:
        """Have it sent; never waits, never raises."""
        if not self.is_on:
            return
        try:
            self._waiting.put_nowait((datetime.now(UTC), event))
        except queue.Full:
            self._lose(1)

    def _lose(self, count: int) -> None:
        with self._counting:
            self.lost += count

    def _say_lost(self, *, at_once: bool = False) -> None:
        due = at_once or time.monotonic() - self._said_at_s > SAY_EVERY_S
        if due and self.lost > self._said_lost:
            log.error("audit messages lost", lost=self.lost - self._said_lost, lost_since_start=self.lost)
            self._said_lost, self._said_at_s = self.lost, time.monotonic()

    def _send_forever(self) -> None:
        while True:
            self._say_lost()
            try:
                at, event = self._waiting.get(timeout=0.1)
            except queue.Empty:
                if self._closing.is_set():
                    break
                continue
            if not self._send(self._encoded(event, at)):
                self._lose(1)
                break
        assert self._way is not None  # noqa: S101
        self._way.close()

    def _encoded(self, event: AuditEvent, at: datetime) -> bytes:
        body = audit_message.encode(event, self.us, at)
        return syslog.message(body, SEVERITY[event.outcome], self._process, at)

    def _send(self, message: bytes) -> bool:
        """Until it is sent; False when it could not be before the end."""
        assert self._way is not None  # noqa: S101
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                self._way.send(message)
            except OSError as error:
                self._way.close()
                if pause_s == FIRST_PAUSE_S:
                    log.warning("audit messages wait: their receiver does not take them", reason=safe_text(error))
                self._say_lost()
                if self._closing.wait(pause_s):
                    return self._sent_at_last(message)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            else:
                return True

    def _sent_at_last(self, message: bytes) -> bool:
        assert self._way is not None  # noqa: S101
        try:
            self._way.send(message)
        except OSError:
            return False
        return True


@contextmanager
def trail_of(settings: Settings, process: str) -> Iterator[Trail]:
    """The trail of a process from its start to its stop, both noted."""
    with Trail(settings, process) as trail:
        trail.note(audit_message.activity(trail.us, process, audit_message.START))
        try:
            yield trail
        finally:
            trail.note(audit_message.activity(trail.us, process, audit_message.STOP))


def note_configuration(trail: Trail, settings: Settings) -> None:
    """Note when the settings are others than when this was last asked, by their hash, which the data folder keeps."""
    if not trail.is_on:
        return
    kept, now = settings.data_folder / REMEMBERED, settings.fingerprint
    before = _read(kept)
    if before == now:
        return
    trail.note(audit_message.configuration_changed(trail.us, before or "unknown", now))
    try:
        kept.write_text(now, encoding="ascii")
    except OSError as error:
        log.warning("the hash of the configuration is not kept", reason=safe_text(error))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
