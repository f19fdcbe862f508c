"""One channel: what of the ledger is due goes out as one message; what is not taken is tried again."""

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from typing import NamedTuple

import structlog

from node.config_telling import Channel, EmailChannel, Notifications, WebhookChannel
from node.errors import NodeError
from node.logs import safe_text
from node.notify.ledger import Ledger
from node.notify.mail import Mail
from node.notify.notice import Notice, message
from node.notify.service import Service
from node.notify.ways import Way
from node.notify.webhook import Webhook
from node.retry import delay_s, spread

log = structlog.get_logger()


class Pauses(NamedTuple):
    """Between the tries of a channel that takes nothing."""

    backoff_s: float = 30.0
    maximum_backoff_s: float = 3600.0


def way_of(channel: Channel) -> Way:
    """How this channel is told."""
    if isinstance(channel, EmailChannel):
        return Mail(channel)
    return Webhook(channel) if isinstance(channel, WebhookChannel) else Service(channel)


class Post:
    """Tells one channel, in a thread of its own."""

    def __init__(
        self, channel: Channel, settings: Notifications, ledger: Ledger, node: str, pauses: Pauses | None = None
    ) -> None:
        """`node` is how the node calls itself."""
        self.name = channel.name
        self.trouble = ""  # why it was not told the last time
        self._way = way_of(channel)
        self._settings = settings
        self._ledger = ledger
        self._node = node
        self._pauses = pauses or Pauses()
        self._failures = 0
        self._not_before_s = float("-inf")

    def round(self, now: datetime, now_s: float) -> None:
        """Tell what is due. Does not raise for what the channel does."""
        if now_s < self._not_before_s:
            return
        waiting = self._ledger.waiting_for(self.name, now)
        told_at = {each.kind: self._ledger.told_at(self.name, each.kind) for each in waiting}
        found = due(waiting, told_at, now, self._settings)
        if not found:
            return
        try:
            self._way.tell(message(self._node, found))
        except NodeError as error:
            self._failed(safe_text(error), now_s)
            return
        except Exception as error:  # whatever a library does
            log.exception("notices not sent, in a way that nobody foresaw", channel=self.name)
            self._failed(safe_text(error), now_s)
            return
        self._failures, self.trouble = 0, ""
        self._ledger.told(self.name, found, now)
        log.info("notices sent", channel=self.name, notices=len(found))

    def _failed(self, reason: str, now_s: float) -> None:
        self._failures += 1
        wait_s = spread(delay_s(self._failures, self._pauses))
        self._not_before_s = now_s + wait_s
        self.trouble = reason[:120]
        log.warning("notices not sent", channel=self.name, reason=reason, wait_s=round(wait_s, 1))


def due(
    waiting: Sequence[Notice], told_at: dict[str, datetime | None], now: datetime, settings: Notifications
) -> list[Notice]:
    """Of what waits, what goes now: urgent kinds at once, the others together and not in quiet hours.

    After a message about a kind the next one waits for `pause_s`; whatever comes meanwhile goes with it. A time in the
    future is that of a clock which was set back: it holds up nothing.
    """
    pause, digest = timedelta(seconds=settings.pause_s), timedelta(seconds=settings.digest_s)

    def is_over(since: datetime | None, wait: timedelta) -> bool:
        return since is None or not timedelta() <= now - since < wait

    free = [each for each in waiting if is_over(told_at.get(each.kind), pause)]
    urgent = [each for each in free if each.kind in settings.urgent]
    others = [each for each in free if each.kind not in settings.urgent]
    quiet = is_quiet(now.astimezone().time(), settings.quiet_hours)
    collected = bool(others) and is_over(min(each.at for each in others), digest)
    return [*urgent, *(others if collected and not quiet else [])]


def is_quiet(at: time, hours: str) -> bool:
    """Whether this time of the local day lies in `hours`.

    >>> [is_quiet(time(hour), "22:00-06:00") for hour in (21, 22, 5, 6)]
    [False, True, True, False]
    """
    if not hours:
        return False
    begin, end = (time.fromisoformat(part) for part in hours.split("-"))
    return begin <= at < end if begin <= end else at >= begin or at < end
