"""Log-ins that last.

Sessions live in this process alone: a restart, or a changed user, asks everybody concerned to log in again.
"""

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from node.access.visitor import Visitor

MOST = 10_000


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
