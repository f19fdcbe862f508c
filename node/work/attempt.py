"""One attempt at one job: the child works, the watchdog keeps the lease, watches the limits, and writes down the end.

analysed        results, deliveries and state in one transaction
failed          given back with a delay, or given up, as node/retry.py decided
hold            the disk is full: nothing is wrong with the job, so the same attempt waits and goes on
child ended     given back; the attempt stays counted
over a limit    child killed, then as above
stop            the job may end within the grace, else it is given back
"""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar

import structlog

from node.config import Settings
from node.patience import PASSING, patiently
from node.retry import delay_s, spread
from node.work import planning
from node.work.child import ChildEnded
from node.work.messages import Analysed, Failed, Progress, Said, StoredInstance, Task
from node.work.outcome import Outcome
from storage import Database, DataFolder, answers, instances, outbox, queue
from storage.errors import ResultConflict
from storage.records import Job

log = structlog.get_logger()

TICK_S = 0.25
STOP_SHARE = 0.7  # of the stop timeout; the rest is for giving back

Answer = TypeVar("Answer")


class Child(Protocol):
    """Who works on the task, as an attempt sees it."""

    def say(self, task: Task) -> None:
        """Give it the task."""

    def hear(self, within_s: float) -> Said | None:
        """The next thing it says; None when it says nothing in time. Raises ChildEnded."""

    def kill(self) -> None:
        """End it at once, whatever it does."""

    @property
    def memory_mib(self) -> float:
        """Its resident memory."""


class Attempt:
    """One claimed job and the child that works on it."""

    def __init__(
        self,
        job: Job,
        child: Child,
        settings: Settings,
        db: Database,
        stop: threading.Event,
        tell: Callable[..., None],
    ) -> None:
        """`tell` gives a sign of life with the facts that it is called with."""
        self._job = job
        self._child = child
        self._settings = settings
        self._db = db
        self._stop = stop
        self._tell = tell
        self._progress = Progress(stage="starts")
        self._renewed_at_s = self._began_at_s = time.monotonic()
        self._stop_at_s = float("inf")

    def run(self) -> None:
        """Until the job ended, one way or the other.

        Raises ChildEnded when the child is gone, LeaseLost when the job is, both after what there was to write down;
        and StoppedWaiting when the database did not take the end of the job before the stop.
        """
        task = task_of(self._db, self._job)
        self._child.say(task)
        while True:
            try:
                heard = self._child.hear(TICK_S)
            except ChildEnded as ended:
                self._give_back(str(ended), spread(delay_s(self._job.attempt, self._settings.worker)))
                raise
            match heard:
                case Progress():
                    self._progress = heard
                case Analysed():
                    return self._complete(heard)
                case Failed(decision="hold"):
                    self._hold(heard)
                    self._child.say(task)
                case Failed():
                    return self._fail(heard)
            self._look_around()

    def _look_around(self) -> None:
        """Keep heart and lease beating; end the child when it is over a limit."""
        now_s = time.monotonic()
        self._show()
        self._keep_lease(now_s)
        if self._stop.is_set():
            self._stop_at_s = min(self._stop_at_s, now_s + STOP_SHARE * self._settings.stop_timeout_s)
        if now_s > self._stop_at_s:
            self._kill("the service stopped", 0.0)
        over = self._over_a_limit(now_s)
        if over is not None:
            reason = f"worker killed while it {self._progress.words}: {over}"
            self._kill(reason, delay_s(self._job.attempt, self._settings.worker))

    def _show(self) -> None:
        self._tell(job=self._job.job_id, **self._progress.facts)

    def _over_a_limit(self, now_s: float) -> str | None:
        limits = self._settings.worker
        if now_s - self._began_at_s > limits.job_timeout_s:
            return f"over {limits.job_timeout_s:g} s"
        if limits.maximum_memory_mib and self._child.memory_mib > limits.maximum_memory_mib:
            return f"over {limits.maximum_memory_mib} MiB of memory"
        return None

    def _kill(self, reason: str, wait_s: float) -> None:
        self._child.kill()
        self._give_back(reason, wait_s)
        raise ChildEnded(reason)

    def _keep_lease(self, now_s: float) -> None:
        """Tried again at the next look around, not waited for: the limits are watched meanwhile."""
        lease_s = self._settings.worker.lease_s
        if now_s - self._renewed_at_s < lease_s / 3:
            return
        try:
            self._job = queue.renew(self._db, self._job, lease_s, _now())
            self._renewed_at_s = now_s
        except PASSING as error:
            log.warning("lease not renewed", job_id=self._job.job_id, reason=str(error))

    def _hold(self, failed: Failed) -> None:
        """Wait with the lease held; what is waited for costs the job neither attempts nor time."""
        self._progress = Progress(stage=f"waits: {failed.reason}")
        log.warning("job waits", job_id=self._job.job_id, reason=failed.reason, wait_s=failed.delay_s)
        until_s = time.monotonic() + failed.delay_s
        while time.monotonic() < until_s:
            self._began_at_s = time.monotonic()
            self._look_around()
            time.sleep(TICK_S)

    def _complete(self, analysed: Analysed) -> None:
        job, results = self._job, [each.result for each in analysed.results]
        deliveries = planning.deliveries(analysed, self._settings)
        row, folder = self._row(analysed.outcome), DataFolder(self._settings.data_folder)
        at_once = self._settings.completeness.publish == "at_once"
        try:
            ended = self._persist(
                lambda: outbox.complete(
                    self._db, folder, job, analysed.answer, results, deliveries, row, _now(), at_once=at_once
                )
            )
        except ResultConflict as conflict:
            reason = str(conflict)
            self._persist(lambda: queue.fail(self._db, job, reason, row, _now()))
            log.error("job failed", job_id=job.job_id, reason=reason)  # noqa: TRY400 (the reason is the whole story)
        else:
            log.info("job ended", job_id=job.job_id, state=ended.state, results=len(results), reason=ended.reason)

    def _row(self, outcome: Outcome) -> dict[str, Any]:
        """The outcome as the job keeps it, with the attempt that the claim counted."""
        return outcome.model_copy(update={"attempt": self._job.attempt}).as_row()

    def _fail(self, failed: Failed) -> None:
        if failed.decision == "retry":
            self._give_back(failed.reason, failed.delay_s)
            return
        log.error("job failed", job_id=self._job.job_id, reason=failed.reason)
        row = self._row(failed.outcome) if failed.outcome else None
        self._persist(lambda: queue.fail(self._db, self._job, failed.reason, row, _now()))

    def _give_back(self, reason: str, wait_s: float) -> None:
        now = _now()
        after = self._persist(
            lambda: queue.give_back(self._db, self._job, reason, now + timedelta(seconds=wait_s), now)
        )
        log.warning(
            "job given back", job_id=self._job.job_id, state=after.state, reason=reason, wait_s=round(wait_s, 1)
        )

    def _persist(self, write: Callable[[], Answer]) -> Answer:
        """Write the end of the job, however long it takes; give up only at the stop."""

        def waits(reason: str) -> None:
            self._progress = Progress(stage=f"waits: {reason}")
            self._show()

        words = "the database does not take the end of a job"
        return patiently(write, self._stop, words, waits, job_id=self._job.job_id)


def task_of(db: Database, job: Job) -> Task:
    """What the child needs to know of the job."""
    return Task(
        job_id=job.job_id,
        study_instance_uid=job.study_instance_uid,
        revision=job.revision,
        attempt=job.attempt,
        created_at=job.created_at,
        instances=tuple(
            StoredInstance(sop_instance_uid=each.sop_instance_uid, path=each.path, sha256=each.sha256)
            for each in instances.readable(db, job.study_instance_uid, job.revision)
        ),
        predecessors=tuple(outbox.standing_report(db, job)),
        answers=tuple(answers.of_study(db, job.study_instance_uid)),
    )


def _now() -> datetime:
    return datetime.now(UTC)
