"""The periodic acts of the office: what each does, and how often. When they run is APScheduler's business
(node/service/scheduler.py).

Each act is safe to be run at any time, twice, or by an office that has just been restarted.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog

from node.config import CountSource, Settings
from node.deliver.courier import refuse_unconfigured
from node.dimse import scu
from node.dimse.scu import Peer
from node.errors import NodeError
from node.observe import audit_message
from node.observe.audit import Trail
from node.process.heartbeat import Pulse, pulse
from node.receive import completeness
from node.service.scheduler import Act
from storage import Database, DataFolder, files, queue, retention, studies, watermarks
from storage.errors import FolderInUse, NotFound
from storage.records import Study

log = structlog.get_logger()

COUNT_EVERY_S = 15.0
SILENT_S = 5.0  # it gives a sign of life every second


def acts(settings: Settings, folder: DataFolder, db: Database, trail: Trail | None = None) -> tuple[Act, ...]:
    """Everything that the office does from time to time; `trail` hears of what is deleted."""
    watch = CompletenessWatch(settings, folder, db)
    found = [
        Act("completeness", 0.25, watch.look),
        Act("leases", 10, lambda: give_back_leases(db)),
        Act("unconfigured destinations", 600, lambda: refuse_unconfigured(db, settings, _now())),
        Act("sweep", 900, lambda: sweep(folder, db)),
        Act("retention", 3600, lambda: retire(settings, folder, db, trail)),
        Act("watermark", 60, lambda: make_room(settings, folder, db, trail)),
        Act("disk", 60, lambda: warn_of_full_disk(settings, folder)),
    ]
    source = settings.completeness.count_source
    if source is not None:
        found.append(Act("counting", 5, Counting(settings, source, db).ask))
    return tuple(found)


class CompletenessWatch:
    """Finds the studies that are complete, and queues the job of each."""

    def __init__(
        self, settings: Settings, folder: DataFolder, db: Database, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """`monotonic` is the clock that nobody can set."""
        self._settings = settings
        self._folder = folder
        self._db = db
        self._monotonic = monotonic
        self._quiet = completeness.QuietClock()
        self._deaf_since_s: float | None = None

    def look(self) -> None:
        """Once around."""
        receiving, now_s = studies.receiving(self._db), self._monotonic()
        listener = pulse(self._folder.path("locks"), "listener") if receiving else None
        ends = self._quiet.until(receiving, _now(), now_s, listening=self._is_listening(listener, now_s))
        open_senders = set(listener.facts.get("senders", ())) if listener and listener.beats else set()
        for study in receiving:
            rule = completeness.is_complete(
                study,
                ends[study.study_instance_uid],
                self._settings.completeness,
                open_senders=open_senders,
                patience_s=self._settings.listener.idle_timeout_s,
            )
            if rule is not None:
                self._queue(study, rule)

    def _is_listening(self, listener: Pulse | None, now_s: float) -> bool:
        """Whether senders can reach us. A listener that stays away holds up no study for ever."""
        if listener is None or (listener.state == "ready" and listener.age_s < SILENT_S and self._is_held("listener")):
            self._deaf_since_s = None
            return True
        if self._deaf_since_s is None:
            self._deaf_since_s = now_s
        return now_s - self._deaf_since_s > self._settings.listener.idle_timeout_s

    def _is_held(self, lock: str) -> bool:
        try:
            with self._folder.lock(lock):
                return False
        except FolderInUse:
            return True

    def _queue(self, study: Study, rule: str) -> None:
        job = studies.mark_stable(self._db, study, rule, self._settings.worker.maximum_attempts, _now())
        if job is not None:
            log.info(
                "study complete", study=study.study_instance_uid, revision=job.revision, job_id=job.job_id, rule=rule
            )


class Counting:
    """Asks a peer by C-FIND how many instances each study that is being received has."""

    def __init__(self, settings: Settings, source: CountSource, db: Database) -> None:
        """Nothing is asked before `ask`."""
        self._peer = Peer(source.ae_title, source.host, source.port, settings.listener.ae_title, None)
        self._timeout_s = settings.delivery.timeout_s
        self._db = db
        self._asked: dict[str, tuple[int, float]] = {}

    def ask(self) -> None:
        """Once around; a study is asked for again when it has grown, and not too often."""
        now_s = time.monotonic()
        receiving = {study.study_instance_uid: study for study in studies.receiving(self._db)}
        self._asked = {uid: asked for uid, asked in self._asked.items() if uid in receiving}
        for uid, study in receiving.items():
            instances, at_s = self._asked.get(uid, (0, float("-inf")))
            if study.instances == instances or now_s - at_s < COUNT_EVERY_S:
                continue
            self._asked[uid] = (study.instances, now_s)
            try:
                expected = scu.count_instances(self._peer, uid, self._timeout_s)
                if expected is not None and expected != study.expected_instances:
                    studies.set_expected(self._db, uid, expected)
            except NotFound:
                continue
            except NodeError as error:
                log.warning("instances not counted", peer=str(self._peer), reason=str(error))
                return


def give_back_leases(db: Database) -> None:
    """Jobs whose worker has gone."""
    count = queue.release_expired(db, _now())
    if count:
        log.warning("leases ended", jobs=count)


def sweep(folder: DataFolder, db: Database) -> None:
    """What crashes left behind."""
    swept = files.sweep(folder, db, _now())
    if swept.leftovers or swept.doomed or swept.strays:
        log.info("files swept", **vars(swept))


def retire(settings: Settings, folder: DataFolder, db: Database, trail: Trail | None = None) -> None:
    """What retention says may go; nothing undelivered."""
    now, keep = _now(), settings.retention
    gone = retention.purge_studies(
        db, folder, now - timedelta(days=keep.keep_studies_days), now, on_gone=_noting(trail)
    )
    jobs = retention.purge_results(db, folder, now - timedelta(days=keep.keep_results_days), now)
    if gone or jobs:
        log.info("deleted by retention", studies=gone, jobs=jobs)


def make_room(settings: Settings, folder: DataFolder, db: Database, trail: Trail | None = None) -> None:
    """While the disk is fuller than the watermark, instances of the studies that ended longest ago go."""
    watermark = settings.retention.maximum_disk_use_percent
    if watermark is None or files.disk_use_percent(folder) <= watermark:
        return

    def is_full() -> bool:
        return files.disk_use_percent(folder) > watermark

    gone = watermarks.make_room(db, folder, is_full, _now(), on_gone=_noting(trail))
    log.warning("deleted to make room", studies=gone, watermark_percent=watermark, enough=not is_full())


def _noting(trail: Trail | None) -> Callable[[str], None]:
    def note(study_instance_uid: str) -> None:
        if trail is not None:
            trail.note(audit_message.study_deleted(trail.us, study_instance_uid))

    return note


def warn_of_full_disk(settings: Settings, folder: DataFolder) -> None:
    """Say so while instances are refused for want of space."""
    used, limit = files.disk_use_percent(folder), settings.listener.maximum_disk_use_percent
    if used >= limit:
        log.error("disk full: instances are refused", used_percent=round(used, 1), limit_percent=limit)


def _now() -> datetime:
    return datetime.now(UTC)
