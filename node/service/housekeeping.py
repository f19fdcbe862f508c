"""The periodic acts of the office: what each does, and how often (node/service/scheduler.py).

Each act is safe to be run at any time, twice, or by an office that has just been restarted.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NamedTuple

import structlog

from node.archive.counting import Counting
from node.archive.fetching import Fetcher, Fetching
from node.config import Settings
from node.deliver.courier import refuse_unconfigured
from node.deliver.verification import Verification
from node.dimse.requestor import peer_of
from node.notify.office import Notifying
from node.notify.post import Post
from node.observe import audit_message, drift, tally
from node.observe.audit import Trail
from node.process.clock import SteadyClock
from node.process.heartbeat import Pulse, pulse
from node.receive import completeness
from node.service.ledger import Ledger
from node.service.listener import on_store, titles
from node.service.recall import Recall
from node.service.scheduler import Act
from node.service.witness import Reception
from storage import (
    Database,
    DataFolder,
    answers,
    files,
    queue,
    retention,
    retraction,
    studies,
    switches,
    tallies,
    watermarks,
)
from storage.errors import FolderInUse
from storage.records import Study, SwitchName

log = structlog.get_logger()

SWEEP_GRACE_S = 3600.0
SILENT_S = 5.0  # it gives a sign of life every second
FOR_EVER = float("inf")
LONGEST_TELLING_S = 600.0
LONGEST_ECHO_S = 30.0
LOOK_EVERY_S = 5.0


def acts(settings: Settings, folder: DataFolder, db: Database, trail: Trail | None = None) -> tuple[Act, ...]:
    """Everything that the office does from time to time; `trail` hears of what is deleted."""
    ledger = Ledger(folder, titles(settings))
    reception = None if trail is None else Reception(trail, ledger)
    archived = _of_archive(settings, folder, db, reception)
    fetching = None if archived is None else archived.fetching
    watch = CompletenessWatch(settings, folder, db, fetching=fetching)
    clock = SteadyClock(folder.path("locks/clock"))
    found = [
        Act("completeness", 0.1, watch.look),
        Act("rejection notes", 2, Recall(settings, folder, db).look),
        Act("leases", 10, lambda: give_back_leases(settings, db, clock)),
        Act("unconfigured destinations", 600, lambda: refuse_unconfigured(db, settings, _now())),
        Act("sweep", 900, lambda: sweep(folder, db, clock)),
        Act("retention", 3600, lambda: retire(settings, folder, db, clock, trail)),
        Act("watermark", 60, lambda: make_room(settings, folder, db, trail)),
        Act("disk", 60, lambda: look_at_disk(settings, folder, db)),
        Act("tallies", 2, lambda: tally.count_events(db)),
        Act("tallies of long ago", 86400, lambda: fold(db)),
        Act("drift", 86400, lambda: look_for_drift(folder, db)),
    ]
    if settings.hl7:
        found.append(Act("retractions", 5, partial(retract, settings, db)))
    if archived is not None:
        found.append(Act("counting", 5, archived.counting.ask))
    if fetching is not None:
        found.append(Act("fetching", 1, partial(_fetch, fetching, reception, db)))
        found.append(Act("ledger", 2, lambda: ledger.write(db, _now())))
    return tuple(found)


def telling(notifying: Notifying) -> tuple[Act, ...]:
    """Word to people: one act looks, and each channel has one of its own, which may wait for its server."""
    if not notifying.posts:
        return ()
    posts = (
        Act(f"channel {each.name}", 1, partial(_tell, each), may_take_s=LONGEST_TELLING_S) for each in notifying.posts
    )
    return (Act("notices", LOOK_EVERY_S, notifying.look), *posts)


def asking(settings: Settings, echoes: Iterable[Verification]) -> Iterator[Act]:
    """C-ECHO to each destination, in a thread of its own: one that hangs delays no other."""
    every_s = settings.delivery.echo_every_s
    if every_s:
        yield from (Act(f"echo to {each.name}", every_s, each.ask, may_take_s=LONGEST_ECHO_S) for each in echoes)


def _tell(post: Post) -> None:
    post.round(_now(), time.monotonic())


class OfArchive(NamedTuple):
    """What is done with the archive; it may be that it is only asked."""

    counting: Counting
    fetching: Fetching | None


def _fetch(fetching: Fetching, reception: Reception | None, db: Database) -> None:
    """Fetch what is due, and note what came by C-GET: in this thread, over associations that are over now."""
    if not switches.on(db).keys().isdisjoint((SwitchName.INTAKE, SwitchName.DRAIN)):
        return
    try:
        fetching.work()
    finally:
        if reception is not None:
            reception.ended()


def _of_archive(settings: Settings, folder: DataFolder, db: Database, reception: Reception | None) -> OfArchive | None:
    archive, timeout_s = settings.archive, settings.delivery.timeout_s
    if archive is None:
        return None
    peer = peer_of(archive, settings)
    fetching = None
    if archive.fetch != "never":
        fetcher = Fetcher(
            peer,
            db,
            partial(on_store, folder, db, settings, reception=reception),
            method=archive.fetch,
            own_ae_title=settings.listener.ae_title,
            timeout_s=timeout_s,
            pause_s=archive.pause_s,
        )
        fetching = Fetching(fetcher)
    return OfArchive(Counting(peer, timeout_s, db), fetching)


class CompletenessWatch:
    """Finds the studies that are complete, and queues the job of each."""

    def __init__(
        self,
        settings: Settings,
        folder: DataFolder,
        db: Database,
        monotonic: Callable[[], float] = time.monotonic,
        fetching: Fetching | None = None,
    ) -> None:
        """`monotonic` is the clock that nobody can set; `fetching` brings what a silent study lacks."""
        self._settings = settings
        self._folder = folder
        self._db = db
        self._monotonic = monotonic
        self._fetching = fetching
        self._quiet = completeness.QuietClock()
        self._counts = completeness.Counts()
        self._deaf_since_s: float | None = None

    def look(self) -> None:
        """Once around."""
        receiving, waiting, now_s = studies.receiving(self._db), answers.waiting(self._db), self._monotonic()
        listener = pulse(self._folder.path("locks"), "listener") if receiving or waiting else None
        followed = [*receiving, *(study for study, _ in waiting)]
        ends = self._quiet.until(followed, _now(), now_s, listened_s=self._listened_s(listener, now_s))
        open_senders = set(listener.facts.get("senders", ())) if listener and listener.beats else None
        self._counts.look(receiving)
        for study in receiving:
            self._judge(study, ends[study.study_instance_uid], open_senders)
        for study, answer in waiting:
            rule = completeness.is_over(study, ends[study.study_instance_uid], self._settings.completeness)
            if rule is not None and answers.publish_waiting(self._db, answer, rule, _now()):
                log.info("no result", study=study.study_instance_uid, job_id=answer.job_id, rule=rule)

    def _judge(self, study: Study, now: datetime, open_senders: set[str] | None) -> None:
        """Publish or queue what is complete; queue early what is worth a look."""
        rule = completeness.is_complete(
            study,
            now,
            self._settings.completeness,
            open_senders=open_senders or (),
            patience_s=self._settings.listener.idle_timeout_s,
            doubtful=self._counts.is_doubtful(study.study_instance_uid),
        )
        lacking = self._fetching.lacks(study) if rule is not None and self._fetching is not None else ""
        if rule is not None and lacking is not None:
            self._complete(study, f"{rule}{lacking}")
            return
        rule = completeness.is_worth_a_look(study, now, self._settings.completeness, open_senders=open_senders)
        if rule is not None:
            self._work_early(study, rule)

    def _listened_s(self, listener: Pulse | None, now_s: float) -> float:
        """How long senders have been able to reach us. A listener that stays away holds up no study for ever."""
        if listener is None or (listener.state == "ready" and listener.age_s < SILENT_S and self._is_held("listener")):
            self._deaf_since_s = None
            return FOR_EVER if listener is None else listener.facts.get("listening_s", FOR_EVER) + listener.age_s
        if self._deaf_since_s is None:
            self._deaf_since_s = now_s
        return FOR_EVER if now_s - self._deaf_since_s > self._settings.listener.idle_timeout_s else 0.0

    def _is_held(self, lock: str) -> bool:
        try:
            with self._folder.lock(lock):
                return False
        except FolderInUse:
            return True

    def _complete(self, study: Study, rule: str) -> None:
        job = studies.mark_stable(self._db, study, rule, self._settings.worker.maximum_attempts, _now())
        if job is not None:
            ids = {"study": study.study_instance_uid, "job_id": job.job_id}
            log.info("study complete", **ids, revision=job.revision, rule=rule, state=job.state)

    def _work_early(self, study: Study, rule: str) -> None:
        job = studies.work_early(self._db, study, rule, self._settings.worker.maximum_attempts, _now())
        if job is not None:
            log.info("worked on early", study=study.study_instance_uid, job_id=job.job_id, rule=rule)


def retract(settings: Settings, db: Database) -> None:
    """Receivers of HL7 are told of results that no longer hold."""
    for delivery in retraction.untold(db, [each.name for each in settings.hl7]):
        retraction.tell(db, delivery, _now())
        log.info("result retracted", destination=delivery.destination, job_id=delivery.job_id)


def give_back_leases(settings: Settings, db: Database, clock: SteadyClock) -> None:
    """Jobs whose worker has gone. After the clock was set, the living get the time to renew theirs."""
    if clock.jumped_within(settings.worker.lease_s):
        return
    count = queue.release_expired(db, _now())
    if count:
        log.warning("leases ended", jobs=count)


def sweep(folder: DataFolder, db: Database, clock: SteadyClock) -> None:
    """What crashes left behind; after the clock was set, the age of a file says nothing for a while."""
    if clock.jumped_within(SWEEP_GRACE_S):
        return
    swept = files.sweep(folder, db, _now(), SWEEP_GRACE_S)
    if swept.leftovers or swept.doomed or swept.strays:
        log.info("files swept", **vars(swept))


def retire(
    settings: Settings, folder: DataFolder, db: Database, clock: SteadyClock, trail: Trail | None = None
) -> None:
    """What retention says may go; nothing undelivered, and nothing early because a clock was set forward."""
    now, keep = clock.now(), settings.retention
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


def look_at_disk(settings: Settings, folder: DataFolder, db: Database) -> None:
    """Keep how full it is, hour by hour, and say so while instances are refused for want of space."""
    used, limit = files.disk_use_percent(folder), settings.listener.maximum_disk_use_percent
    tallies.measure(db, "disk_used_percent", {}, used, _now())
    if used >= limit:
        log.error("disk full: instances are refused", used_percent=round(used, 1), limit_percent=limit)


def fold(db: Database) -> None:
    """Hours that nobody looks at one by one any more."""
    slots = tallies.fold(db, _now())
    if slots:
        log.info("tallies folded", slots=slots)


def look_for_drift(folder: DataFolder, db: Database) -> None:
    """Judge the last week that is over, and keep what was found for pages, numbers and notices."""
    found = drift.look(db, folder, _now())
    if found.drifted:
        log.warning("drift", found=found.words)


def _now() -> datetime:
    return datetime.now(UTC)
