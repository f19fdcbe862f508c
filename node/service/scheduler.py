"""The periodic acts of the office on APScheduler: wiring, nothing else.

An act that fails is logged and comes again; one that takes longer than its period is not run twice at the same time,
and what it missed meanwhile is one run (fault F28).
"""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from node.logs import safe_text

log = structlog.get_logger()


@dataclass(frozen=True)
class Act:
    """What is done every `every_s` seconds, for the first time at once."""

    name: str
    every_s: float
    do: Callable[[], None]


class Scheduler:
    """Runs acts in threads while its context lasts; leaving it waits for those under way."""

    def __init__(self, acts: Iterable[Act]) -> None:
        """Nothing runs before the context is entered."""
        self._acts = tuple(acts)
        self._lock = threading.Lock()
        self._succeeded_at_s: dict[str, float] = {}
        self._trouble: dict[str, str] = {}
        executor = ThreadPoolExecutor(max(1, len(self._acts)))  # one slow act delays no other
        self._scheduler = BackgroundScheduler(timezone="UTC", executors={"default": executor})

    def __enter__(self) -> Self:
        """Start."""
        for act in self._acts:
            self._scheduler.add_job(
                self._run,
                "interval",
                [act],
                seconds=act.every_s,
                id=act.name,
                next_run_time=datetime.now(UTC),
                max_instances=1,
                coalesce=True,
                misfire_grace_time=None,
            )
        self._scheduler.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop."""
        self._scheduler.shutdown(wait=True)

    def facts(self) -> dict[str, dict[str, Any]]:
        """For each act how long ago it last succeeded, and what went wrong since."""
        with self._lock:
            return {
                act.name: {"succeeded_s_ago": self._age_s(act), "trouble": self._trouble.get(act.name)}
                for act in self._acts
            }

    def _age_s(self, act: Act) -> float | None:
        at_s = self._succeeded_at_s.get(act.name)
        return None if at_s is None else round(time.monotonic() - at_s, 1)

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
