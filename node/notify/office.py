"""Notices as the office's work: facts are looked at, and each channel is told, by acts of the scheduler."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from node import certificates, silence
from node.config import Settings
from node.notify import watch
from node.notify.ledger import Ledger
from node.notify.notice import notice
from node.notify.post import Post
from node.process.heartbeat import pulses
from storage import Database, DataFolder, events, files

FILE = "notices.json"
NO_DRIFT = ""

Down = Callable[[], Mapping[str, bool | None]]


class Notifying:
    """Looks, and tells."""

    def __init__(
        self, settings: Settings, folder: DataFolder, db: Database, down: Down, drift: Callable[[], str] | None = None
    ) -> None:
        """`down` says of each destination whether it takes results; `drift` what has drifted, "" where nothing has."""
        told = settings.notifications
        self._settings = settings
        self._folder = folder
        self._db = db
        self._down = down
        self._drift = drift or (lambda: NO_DRIFT)
        self._ledger = Ledger(folder.path(FILE))
        self._down_since_s: dict[str, float] = {}
        node = settings.listener.ae_title
        self.posts = [Post(each, told, self._ledger, node) for each in told.channels]
        self._names = tuple(each.name for each in told.channels)
        self._ledger.keep_only(self._names)

    @property
    def troubles(self) -> dict[str, str]:
        """Why a channel is not told at the moment, "" where it is."""
        return {each.name: each.trouble for each in self.posts}

    def look(self) -> None:
        """Note what is to be told; without anybody to tell, nothing is."""
        if not self._names:
            return
        before, told = self._ledger.seen, self._settings.notifications
        facts = self._facts(None if before is None else int(before["event"]))
        found = [notice(kind, text, facts.now, self._names) for kind, text in watch.changes(before, facts, told)]
        self._ledger.add(found, watch.seen(before, facts, told))

    def _facts(self, since: int | None) -> watch.Facts:
        now, settings = datetime.now(UTC), self._settings
        newest = events.newest_id(self._db)
        failures = [] if since is None else events.named_since(self._db, "job failed", since)
        failed = [each.job_id for each in failures if each.job_id is not None and each.event_id <= newest]
        return watch.Facts(
            now=now,
            newest_event=newest,
            failed_jobs=failed,
            down=self._long_down(),
            silent=self._silent(now),
            disk_use_percent=files.disk_use_percent(self._folder),
            disk_limit_percent=settings.listener.maximum_disk_use_percent,
            certificates={
                each.key: each.not_after for each in certificates.of_settings(settings, now) if each.not_after
            },
            drift=self._drift(),
            processes={each.role: each.pid for each in pulses(self._folder.path("locks")) if each.beats},
        )

    def _long_down(self) -> dict[str, bool | None]:
        """A destination is down when it has taken nothing for the time that the settings say."""
        found: dict[str, bool | None] = {}
        for name, is_down in self._down().items():
            if not is_down:
                self._down_since_s.pop(name, None)
                found[name] = is_down
                continue
            since_s = self._down_since_s.setdefault(name, time.monotonic())
            lasts = time.monotonic() - since_s >= self._settings.notifications.destination_down_s
            found[name] = True if lasts else None
        return found

    def _silent(self, now: datetime) -> dict[str, float | None]:
        least_s, last = self._settings.notifications.peer_silent_s, silence.last_instances(self._db)
        allowed = dict.fromkeys(each.ae_title for each in self._settings.listener.allow)
        found = {title: silence.of_sender(self._db, title, last.get(title), now, least_s) for title in allowed}
        return {title: each.lasts_s if each.is_over_limit else None for title, each in found.items()}
