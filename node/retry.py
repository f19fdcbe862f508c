"""Pure: an error and the number of the attempt become a decision, `Retry` or `GiveUp`. Nothing sleeps here
(`patience` does).

    Permanent, an altered or missing file      the same input fails again: give up
    Refused by a destination                   a few tries, then give up; an operator's retry goes on
    Unreachable, StorageFull, DatabaseBusy     nothing is wrong with the work itself: retry for ever
    anything else, for a job                   retry until its attempts are used up

Delays double from `backoff_s` up to `maximum_backoff_s` and are spread by a fifth, so that what failed together does
not come back together.
"""

import random
from dataclasses import dataclass
from typing import Protocol

from node.config import DeliverySettings, Worker
from node.errors import Permanent, Refused, Unreachable
from node.logs import safe_text
from storage.errors import DatabaseBusy, StorageError, StorageFull

RETRY_FOREVER = (Unreachable, StorageFull, DatabaseBusy)
SPREAD = 0.2


@dataclass(frozen=True)
class Retry:
    """Try again after `delay_s`."""

    delay_s: float
    reason: str


@dataclass(frozen=True)
class GiveUp:
    """Trying again is of no use."""

    reason: str


Decision = Retry | GiveUp


class Backoff(Protocol):
    """The part of a settings section that says how long to wait."""

    @property
    def backoff_s(self) -> float:
        """The first delay, in seconds."""

    @property
    def maximum_backoff_s(self) -> float:
        """No delay is longer, but for the spread."""


def delay_s(attempt: int, backoff: Backoff) -> float:
    """The delay after the `attempt`-th failure (from 1), without spread.

    >>> [delay_s(attempt, DeliverySettings(backoff_s=15, maximum_backoff_s=100)) for attempt in (1, 2, 3, 4, 5000)]
    [15.0, 30.0, 60.0, 100.0, 100.0]
    """
    return float(min(backoff.maximum_backoff_s, backoff.backoff_s * 2.0 ** min(max(attempt, 1) - 1, 60)))


def spread(delay: float) -> float:
    """The delay, longer or shorter by up to a fifth."""
    return delay * random.SystemRandom().uniform(1 - SPREAD, 1 + SPREAD)


def decide(error: Exception, attempt: int, settings: Worker | DeliverySettings) -> Decision:
    """What to do after the `attempt`-th try (from 1) failed with `error`."""
    reason = safe_text(error)
    retry = Retry(spread(delay_s(attempt, settings)), reason)
    if isinstance(error, RETRY_FOREVER):
        return retry
    if isinstance(error, Refused) and isinstance(settings, DeliverySettings):
        return retry if attempt < settings.attempts_when_refused else GiveUp(_after(attempt, reason))
    if isinstance(error, Permanent | StorageError):
        return GiveUp(reason)
    if isinstance(settings, Worker) and attempt >= settings.maximum_attempts:
        return GiveUp(_after(attempt, reason))
    return retry


def _after(attempt: int, reason: str) -> str:
    return f"{reason} (after {attempt} attempt{'s' if attempt > 1 else ''})"
