"""`neurossl work`: claims one job at a time and sees to it that the job ends, whatever it does to the process it runs
in.

The watchdog here is small, knows no torch and decodes nothing. Its child (node/inference.py) does the work: one that
crashes, hangs over `job_timeout_s` or takes too much memory is killed and replaced, the attempt stays counted, and a
job that kills its worker again and again runs out of attempts. Only the watchdog writes to the database
(node/attempt.py).
"""

import os
import threading
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial

import structlog

from node.attempt import Attempt
from node.child import Child, ChildEnded
from node.config import Settings
from node.heartbeat import Heartbeat
from node.process import RestartDelay
from node.recovery import open_or_rebuild
from node.task import Ready
from storage import Database, DataFolder, queue
from storage.errors import DatabaseBusy, FolderInUse, LeaseLost, StorageFull
from storage.records import Job

log = structlog.get_logger()

TICK_S = 0.1
DATABASE_PAUSE_S = 5.0
MAXIMUM_WORKERS = 64
PLACE_WAIT_S = 15.0


def work(settings: Settings, stop: threading.Event, place: str | None = None) -> None:
    """Work until `stop`. The place is "worker-1" and so on; by default the first that is free.

    A place is a lock: whoever holds it knows that a lease under its name is a dead worker's, and gives it back at once.

    Raises ConfigurationRefused when the bundle or the device is not what the settings say, ChildEnded when the process
    that loads them dies of it, FolderInUse when the place is taken.
    """
    folder = DataFolder(settings.data_folder)
    folder.create()
    with ExitStack() as held:
        place = _take(held, folder, place)
        heart = held.enter_context(Heartbeat(folder.path("locks"), place))
        db = open_or_rebuild(folder)
        held.callback(db.close)
        queue.release(db, f"{place}:", datetime.now(UTC))
        Watchdog(settings, db, place, stop, heart).run()


def _take(held: ExitStack, folder: DataFolder, place: str | None) -> str:
    if place is not None:
        held.enter_context(folder.lock(place, wait_s=PLACE_WAIT_S))
        return place
    for number in range(1, MAXIMUM_WORKERS + 1):
        try:
            held.enter_context(folder.lock(f"worker-{number}"))
        except FolderInUse:
            continue
        return f"worker-{number}"
    raise FolderInUse(f"{folder.root}: {MAXIMUM_WORKERS} workers run already")


class Watchdog:
    """Keeps one child ready, claims jobs and sees each through."""

    def __init__(
        self,
        settings: Settings,
        db: Database,
        place: str,
        stop: threading.Event,
        heart: Heartbeat,
        module: str = "node.inference",
    ) -> None:
        """`module` is what the child runs."""
        self._settings = settings
        self._db = db
        self._owner = f"{place}:{os.getpid()}"
        self._stop = stop
        self._heart = heart
        self._module = module
        self._delay = RestartDelay()
        self._start_at_s = 0.0
        self._child: Child | None = None
        self._bundle: Ready | None = None
        self._was_ready = False

    def run(self) -> None:
        """Work until the stop, and leave no child behind.

        Raises ConfigurationRefused, and ChildEnded when not even the first child gets ready.
        """
        try:
            while not self._stop.is_set():
                try:
                    self._round()
                except ChildEnded as ended:
                    self._bury(ended)
        finally:
            self._let_go()

    def _round(self) -> None:
        child = self._ready_child()
        if child is None or self._bundle is None:
            return
        tell = partial(self._heart.beat, "ready", **self._bundle.facts)
        tell(stage="waits for a job")
        job = self._claim()
        if job is None:
            self._stop.wait(TICK_S)
            return
        log.info("job claimed", job_id=job.job_id, study=job.study_instance_uid, attempt=job.attempt)
        try:
            Attempt(job, child, self._settings, self._db, self._stop, tell).run()
        except LeaseLost as lost:
            log.warning("job dropped", job_id=job.job_id, reason=str(lost))
            self._let_go()  # it still works on what nobody wants

    def _ready_child(self) -> Child | None:
        """The child, once it can take a task; it is started when it is time to, and heard while it loads."""
        if self._child is None and time.monotonic() >= self._start_at_s:
            self._child = Child(self._settings, self._module)
        if self._child is None:
            self._heart.beat("starting", stage="waits before the worker process is started again")
            self._stop.wait(TICK_S)
            return None
        message = self._child.hear(0 if self._bundle else TICK_S)
        if isinstance(message, Ready):
            self._bundle, self._was_ready = message, True
            log.info("bundle loaded", **message.facts)
        if self._bundle is None:
            self._heart.beat("starting", stage="loads the bundle")
            return None
        return self._child

    def _bury(self, ended: ChildEnded) -> None:
        """The child is dead; a next one starts after a delay that grows while they do not live long."""
        if not self._was_ready:
            raise ended
        if self._stop.is_set():
            self._let_go()
            return
        lived_s = time.monotonic() - self._child.started_at_s if self._child else 0.0
        self._let_go()
        wait_s = self._delay.after(lived_s)
        self._start_at_s = time.monotonic() + wait_s
        log.error("worker process ended", reason=str(ended), restart_in_s=wait_s)

    def _let_go(self) -> None:
        if self._child is not None:
            self._child.kill()
        self._child = self._bundle = None

    def _claim(self) -> Job | None:
        try:
            return queue.claim(self._db, self._owner, self._settings.worker.lease_s, datetime.now(UTC))
        except (DatabaseBusy, StorageFull) as error:
            log.warning("no job can be claimed", reason=str(error))
            self._stop.wait(DATABASE_PAUSE_S)
            return None
