"""Pure: a circuit breaker. While a destination does not answer, one try now and then is enough."""

from node.config import DeliverySettings
from node.retry import delay_s, spread


class Breaker:
    """Closed: send. Open: wait. When the wait is over, one try decides (fault F63).

    >>> breaker = Breaker(DeliverySettings(backoff_s=10))
    >>> breaker.is_open(now_s=0.0)
    False
    >>> wait_s = breaker.failed("no connection", now_s=0.0)
    >>> breaker.is_open(now_s=7.9), breaker.is_open(now_s=12.1)
    (True, False)
    """

    def __init__(self, settings: DeliverySettings) -> None:
        """Closed."""
        self._settings = settings
        self._failures = 0
        self._open_until_s = float("-inf")
        self.reason = ""
        self.proved = False  # the last try succeeded

    def failed(self, reason: str, now_s: float) -> float:
        """Open, for longer each time; the wait in seconds."""
        self._failures += 1
        self.reason = reason
        self.proved = False
        wait_s = spread(delay_s(self._failures, self._settings))
        self._open_until_s = now_s + wait_s
        return wait_s

    def rejected(self, reason: str, now_s: float) -> float:
        """Open for long: somebody has to repair the destination first; the wait in seconds."""
        self._failures += 1
        self.reason = reason
        self.proved = False
        wait_s = spread(self._settings.maximum_backoff_s)
        self._open_until_s = now_s + wait_s
        return wait_s

    def succeeded(self) -> None:
        """Close."""
        self._failures = 0
        self.reason = ""
        self.proved = True

    def is_open(self, now_s: float) -> bool:
        """Whether to wait still."""
        return now_s < self._open_until_s
