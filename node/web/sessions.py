"""Log-ins that last, and what becomes of those that fail.

Sessions live in this process alone: a restart, or a changed user, asks everybody concerned to log in again.
"""

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from node.web.visitor import Visitor

MOST = 10_000
FREE_FAILURES = 4
FIRST_WAIT_S = 2.0


@dataclass
class _Session:
    visitor: Visitor
    mark: str  # of the user as they were at log-in
    began_s: float
    seen_s: float


class Sessions:
    """Who is logged in."""

    def __init__(self, idle_s: float, longest_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """A session ends `idle_s` after its last request, and `longest_s` after its first."""
        self._idle_s, self._longest_s, self._clock = idle_s, longest_s, clock
        self._open: OrderedDict[str, _Session] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, visitor: Visitor, mark: str = "") -> str:
        """A new session; its secret name, which the browser keeps."""
        name, now_s = secrets.token_urlsafe(32), self._clock()
        with self._lock:
            self._open[name] = _Session(visitor, mark, now_s, now_s)
            while len(self._open) > MOST:
                self._open.popitem(last=False)
        return name

    def visitor(self, name: str, *, counts: bool = True) -> tuple[Visitor, str] | None:
        """Who has this session, and their mark; None when it has ended. What a script asks does not count as use."""
        with self._lock:
            found = self._open.get(name)
            if found is None:
                return None
            now_s = self._clock()
            if now_s - found.seen_s > self._idle_s or now_s - found.began_s > self._longest_s:
                del self._open[name]
                return None
            if counts:
                found.seen_s = now_s
            return found.visitor, found.mark

    def end(self, name: str) -> None:
        """Log out."""
        with self._lock:
            self._open.pop(name, None)


class Throttle:
    """Failed log-ins of one name or one address: after a few, each has to wait twice as long as the one before."""

    def __init__(self, longest_wait_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """What failed is forgotten after ten times `longest_wait_s` without another failure."""
        self._longest_s, self._clock = longest_wait_s, clock
        self._failed: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait_s(self, who: str) -> float:
        """How long they still have to wait; 0 when they may try."""
        with self._lock:
            count, at_s = self._failed.get(who, (0, 0.0))
        if count <= FREE_FAILURES:
            return 0.0
        wait_s = min(self._longest_s, FIRST_WAIT_S * 2.0 ** min(count - FREE_FAILURES - 1, 30))
        return max(0.0, at_s + wait_s - self._clock())

    def failed(self, who: str) -> None:
        """Once more."""
        with self._lock:
            now_s = self._clock()
            count, at_s = self._failed.pop(who, (0, now_s))
            count = 0 if now_s - at_s > 10 * self._longest_s else count
            self._failed[who] = (count + 1, now_s)
            while len(self._failed) > MOST:
                self._failed.popitem(last=False)

    def succeeded(self, who: str) -> None:
        """Forget what failed."""
        with self._lock:
            self._failed.pop(who, None)
