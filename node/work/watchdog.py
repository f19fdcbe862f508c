"""`neurossl work`: claims one job at a time and sees to it that it ends, whatever it does to the process it runs in.

The watchdog here is small, knows no torch and decodes nothing. Its child (`inference`) does the work: one that
crashes, hangs over `job_timeout_s` or takes too much memory is killed and replaced, the attempt stays counted, and a
job that kills its worker again and again runs out of attempts. Only the watchdog writes to the database
(`attempt`). Between two jobs it looks which bundle is in charge (node/charge.py): a child that serves another one gives
way to a new one.
"""

import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

import structlog

from node import charge
from node.charge import Charge
from node.config import Settings
from node.patience import StoppedWaiting, patiently
from node.process.hardening import RestartDelay
from node.process.role import ProcessRole, take_role
from node.work.attempt import Attempt
from node.work.child import ChildEnded, InferenceChild
from node.work.messages import Ready
from storage import queue
from storage.errors import FolderInUse, LeaseLost
from storage.records import Job

log = structlog.get_logger()

TICK_S = 0.1
MAXIMUM_WORKERS = 64


def work(settings: Settings, stop: threading.Event, name: str | None = None) -> None:
    """Work until `stop`. The name is "worker-1" and so on; by default the first that is free.

    Whoever holds the role of this name knows that a lease under it is a dead worker's, and gives it back at once.

    Raises ConfigurationRefused when the bundle or the device is not what the settings say, ChildEnded when the process
    that loads them dies of it, FolderInUse when the role is taken.
    """
    with ExitStack() as held:
        role = held.enter_context(take_role(settings, name)) if name else _first_free(held, settings)
        queue.release(role.db, f"{role.name}:", datetime.now(UTC))
        Watchdog(settings, role, stop).run()


def _first_free(held: ExitStack, settings: Settings) -> ProcessRole:
    for number in range(1, MAXIMUM_WORKERS + 1):
        with suppress(FolderInUse):
            return held.enter_context(take_role(settings, f"worker-{number}", wait_s=0))
    raise FolderInUse(f"{settings.data_folder}: {MAXIMUM_WORKERS} workers run already")


class Watchdog:
    """Keeps one child ready, claims jobs and sees each through."""

    def __init__(
        self, settings: Settings, role: ProcessRole, stop: threading.Event, module: str = "node.work.inference"
    ) -> None:
        """`module` is what the child runs."""
        self._settings = settings
        self._db = role.db
        self._heart = role.heart
        self._owner = f"{role.name}:{os.getpid()}"
        self._stop = stop
        self._module = module
        self._delay = RestartDelay()
        self._start_at_s = 0.0
        self._promoted: Charge | None = None
        self._child: InferenceChild | None = None
        self._bundle: Ready | None = None
        self._was_ready = False

    def run(self) -> None:
        """Work until the stop, and leave no child behind.

        Raises ConfigurationError, ConfigurationRefused, and ChildEnded when not even the first child gets ready.
        """
        try:
            while not self._stop.is_set():
                try:
                    self._round()
                except ChildEnded as ended:
                    self._plan_restart(ended)
                except StoppedWaiting as stopped:
                    log.warning("stopped", reason=str(stopped))
        finally:
            self._end_child()

    def _round(self) -> None:
        self._follow_promotions()
        child = self._ready_child()
        if child is None or self._bundle is None:
            return
        tell = partial(self._tell, child, self._bundle)
        tell(stage="waits for a job")
        job = self._claim(child, tell)
        if job is None:
            self._stop.wait(TICK_S)
            return
        log.info("job claimed", job_id=job.job_id, study=job.study_instance_uid, attempt=job.attempt)
        try:
            Attempt(job, child, self._settings, self._db, self._stop, tell).run()
        except LeaseLost as lost:
            log.warning("job dropped", job_id=job.job_id, reason=str(lost))
            self._end_child()  # it still works on what nobody wants

    def _follow_promotions(self) -> None:
        """Where another bundle is in charge than the child has, its time is over: it is between two jobs."""
        promoted = charge.of(self._settings)
        if promoted == self._promoted:
            return
        self._promoted = promoted
        if self._child is not None:
            log.info("another bundle is in charge", bundle=str(charge.put(self._settings, promoted).worker.bundle))
            self._end_child()

    def _tell(self, child: InferenceChild, bundle: Ready, **facts: Any) -> None:
        device = child.device_facts
        self._heart.beat("ready", **bundle.facts, **device, memory_mib=round(child.memory_mib), **facts)

    def _ready_child(self) -> InferenceChild | None:
        """The child, once it can take a task; it is started when it is time to, and heard while it loads."""
        if self._child is None and time.monotonic() >= self._start_at_s:
            self._child = InferenceChild(charge.put(self._settings, self._promoted), self._module)
        if self._child is None:
            self._heart.beat("starting", stage="waits before the worker process is started again")
            self._stop.wait(TICK_S)
            return None
        message = self._child.hear(0 if self._bundle else TICK_S)
        if isinstance(message, Ready):
            charge.refuse_another(self._promoted, message.sha256)
            self._bundle, self._was_ready = message, True
            log.info("bundle loaded", **message.facts)
        if self._bundle is None:
            self._heart.beat("starting", stage="loads the bundle")
            return None
        return self._child

    def _plan_restart(self, ended: ChildEnded) -> None:
        """The child is dead; a next one starts after a delay that grows while they do not live long."""
        if not self._was_ready:
            raise ended
        if self._stop.is_set():
            self._end_child()
            return
        lived_s = time.monotonic() - self._child.started_at_s if self._child else 0.0
        self._end_child()
        wait_s = self._delay.after(lived_s)
        self._start_at_s = time.monotonic() + wait_s
        log.error("worker process ended", reason=str(ended), restart_in_s=wait_s)

    def _end_child(self) -> None:
        if self._child is not None:
            self._child.kill()
        self._child = self._bundle = None

    def _claim(self, child: InferenceChild, tell: Callable[..., None]) -> Job | None:
        """The next job. A child that ends while the database is busy raises ChildEnded, and costs no job an attempt."""

        def waits(reason: str) -> None:
            tell(stage=f"waits: {reason}")
            child.hear(0)

        lease_s = self._settings.worker.lease_s
        return patiently(
            lambda: queue.claim(self._db, self._owner, lease_s, datetime.now(UTC)),
            self._stop,
            "no job can be claimed",
            waits,
        )
