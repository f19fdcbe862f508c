"""The periodic acts of the office, by a clock that nobody can set.

A scheduler that keeps wall-clock times stands still for as long as the clock was set back. Here each act has a thread
that does it, waits for its period on the monotonic clock, and does it again. An act that fails is logged and comes
again; one that takes longer than its period is not run twice at the same time, and what it missed meanwhile is one run
(fault F28). An act that has not succeeded for long is late, and `neurossl health` says so.
"""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import structlog

from node.logs import safe_text

log = structlog.get_logger()

LATE_AFTER_PERIODS = 3
LATE_AFTER_S = 60.0


@dataclass(frozen=True)
class Act:
    """What is done every `every_s` seconds, for the first time at once."""

    name: str
    every_s: float
    do: Callable[[], None]
    may_take_s: float = 0.0  # what waits for others

    @property
    def late_after_s(self) -> float:
        """Without success for longer than this, something is wrong."""
        return LATE_AFTER_PERIODS * self.every_s + LATE_AFTER_S + self.may_take_s


class Scheduler:
    """Runs acts in threads while its context lasts; leaving it waits for those under way."""

    def __init__(self, acts: Iterable[Act]) -> None:
        """Nothing runs before the context is entered."""
        self._acts = tuple(acts)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._began_at_s = time.monotonic()
        self._succeeded_at_s: dict[str, float] = {}
        self._trouble: dict[str, str] = {}
        self._threads = [
            threading.Thread(target=self._repeat, args=(act,), name=act.name, daemon=True) for act in self._acts
        ]

    def __enter__(self) -> Self:
        """Start."""
        self._began_at_s = time.monotonic()
        for thread in self._threads:  # one each: a slow act delays no other
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def facts(self) -> dict[str, dict[str, Any]]:
        """For each act how long ago it last succeeded, and what went wrong since."""
        with self._lock:
            return {
                act.name: {"succeeded_s_ago": self._age_s(act), "trouble": self._trouble.get(act.name)}
                for act in self._acts
            }

    def late(self) -> list[str]:
        """The acts that have not succeeded for too long."""
        with self._lock:
            return [act.name for act in self._acts if self._silent_s(act) > act.late_after_s]

    def _age_s(self, act: Act) -> float | None:
        return round(self._silent_s(act), 1) if act.name in self._succeeded_at_s else None

    def _silent_s(self, act: Act) -> float:
        return time.monotonic() - self._succeeded_at_s.get(act.name, self._began_at_s)

    def _repeat(self, act: Act) -> None:
        while not self._stop.is_set():
            self._run(act)
            self._stop.wait(act.every_s)

    def _run(self, act: Act) -> None:
        try:
            act.do()
        except Exception as error:
            log.exception("a periodic act failed", act=act.name)
            with self._lock:
                self._trouble[act.name] = safe_text(error)
        else:
            with self._lock:
                self._succeeded_at_s[act.name] = time.monotonic()
                self._trouble.pop(act.name, None)
