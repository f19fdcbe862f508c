"""Waiting for a database that is busy, or for a disk that is full: nothing is wrong with the work that waits."""

from collections.abc import Callable
from threading import Event
from typing import Any, TypeVar

import structlog

from storage.errors import DatabaseBusy, StorageFull

log = structlog.get_logger()

PASSING = (DatabaseBusy, StorageFull)
PAUSE_S = 5.0

Answer = TypeVar("Answer")


class StoppedWaiting(Exception):
    """The process was asked to stop while the database did not take a write; nothing was written."""


def patiently(
    write: Callable[[], Answer], stop: Event, words: str, waits: Callable[[str], None] = lambda reason: None, **ids: Any
) -> Answer:
    """What `write` gives, tried again for as long as it takes.

    Each refusal is logged as `words` with these `ids`, and `waits` hears its reason. Raises StoppedWaiting when `stop`
    comes first, and whatever else `write` or `waits` raise.
    """
    while True:
        try:
            return write()
        except PASSING as error:
            log.warning(words, reason=str(error), **ids)
            waits(str(error))
            if stop.wait(PAUSE_S):
                raise StoppedWaiting(f"{words}: {error}") from error
