"""What waits to be told, what each channel was told when, and what was last seen: one file, written whole.

It is durable before anybody is told, so that a notice outlives a crash and is told at least once. On a disk that takes
nothing, which is what a notice may be about, it is kept in memory and told all the same.
"""

import json
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog

from node.notify.notice import Notice
from storage.folder import sync

log = structlog.get_logger()

LONGEST_WAIT = timedelta(days=7)
MOST_WAITING = 500


class Ledger:
    """Used by several threads: who looks, and one for each channel."""

    def __init__(self, path: Path) -> None:
        """Goes on from the file, where one can be read."""
        self._path = path
        self._lock = threading.Lock()
        self._waiting: list[Notice] = []
        self._told_at: dict[str, datetime] = {}
        self._seen: dict[str, Any] | None = None
        self._read()

    @property
    def seen(self) -> Mapping[str, Any] | None:
        """What was last seen; None where nobody has ever looked."""
        return self._seen

    def add(self, notices: Sequence[Notice], seen: Mapping[str, Any]) -> None:
        """These are to be told, and this was seen: both or neither survive a crash.

        That events came of which nothing is to be told is not worth a write: after a crash they are looked at again.
        """
        with self._lock:
            if not notices and self._seen is not None and {**self._seen, "event": None} == {**seen, "event": None}:
                self._seen = dict(seen)
                return
            self._waiting.extend(each for each in notices if each.channels)
            over = len(self._waiting) - MOST_WAITING
            if over > 0:
                log.error("notices are lost: too many wait", notices=over)
                del self._waiting[:over]
            self._seen = dict(seen)
            self._write()

    def waiting_for(self, channel: str, now: datetime) -> list[Notice]:
        """What this channel has not been told, oldest first; what waits for too long is given up."""
        with self._lock:
            found = [each for each in self._waiting if channel in each.channels]
            given_up = [each for each in found if now - each.at > LONGEST_WAIT]
            if given_up:
                log.error("notices are given up", channel=channel, notices=len(given_up))
                self._strike(channel, given_up)
                self._write()
            return [each for each in found if each not in given_up]

    def told_at(self, channel: str, kind: str) -> datetime | None:
        """When this channel was last told of this kind."""
        return self._told_at.get(f"{channel} {kind}")

    def told(self, channel: str, notices: Sequence[Notice], now: datetime) -> None:
        """The channel has taken these."""
        with self._lock:
            self._strike(channel, notices)
            self._told_at.update({f"{channel} {each.kind}": now for each in notices})
            self._write()

    def keep_only(self, channels: Sequence[str]) -> None:
        """Nobody waits for channels that are no longer configured."""
        with self._lock:
            gone = {name for each in self._waiting for name in each.channels} - set(channels)
            for name in sorted(gone):
                self._strike(name, self._waiting)

    def _strike(self, channel: str, notices: Sequence[Notice]) -> None:
        ids = {each.notice_id for each in notices}
        left = (each.without(channel) if each.notice_id in ids else each for each in self._waiting)
        self._waiting = [each for each in left if each.channels]

    def _read(self) -> None:
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
            waiting = [
                Notice(each["notice_id"], each["kind"], each["text"], _time(each["at"]), tuple(each["channels"]))
                for each in content["waiting"]
            ]
            told_at = {name: _time(at) for name, at in content["told_at"].items()}
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            log.exception("what was told before cannot be read, and is forgotten")
            return
        self._waiting, self._told_at, self._seen = waiting, told_at, content.get("seen")

    def _write(self) -> None:
        content = {
            "waiting": [{**asdict(each), "at": each.at.isoformat()} for each in self._waiting],
            "told_at": {name: at.isoformat() for name, at in self._told_at.items()},
            "seen": self._seen,
        }
        part = self._path.parent / "tmp" / f"{self._path.name}.part"
        try:
            with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:  # noqa: PTH123 - of a descriptor
                file.write(json.dumps(content).encode())
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._path)
            sync(self._path.parent)
        except OSError as error:
            log.warning("notices are kept in memory only", reason=error.strerror)


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
