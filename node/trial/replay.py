"""Answers that stand, beside what another bundle or other rules make of the same studies; nothing is sent or changed.

`replay` asks about stored studies once. `shadow` goes on for ever: it looks for the newest answer that the bundle was
not asked about, on spare time only, and keeps what it says; what was kept outlives every restart.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from model import Predictor
from node.config import Settings
from node.trial import answering
from node.trial.answering import Said, Tell
from node.work.outcome import Outcome
from storage import Database, DataFolder, trials
from storage.errors import DatabaseBusy
from storage.records import Answer, Job

log = structlog.get_logger()

IDLE_S = 1.0  # between two looks for something to do
LOOK_EVERY_S = 0.25  # whether a job has come, while a study is worked on


class JobWaits(Exception):
    """A job has come, or the stop: the spare time is over."""


@dataclass(frozen=True)
class Pair:
    """What stands for a study, and what another bundle or other rules make of it."""

    study_instance_uid: str
    job_id: int
    old: Said
    new: Said


def standing(job: Job) -> Said:
    """What stands, by the job of its answer."""
    outcome = Outcome.from_row(job.outcome)
    return Said.of(outcome or Outcome(), "", job.reason)  # that of the answer says why it was published


def replay(
    db: Database,
    folder: DataFolder,
    settings: Settings,
    predictor: Predictor,
    found: Sequence[tuple[Answer, Job]],
    tell: Tell,
) -> Iterator[Pair]:
    """Work out each of these answers again, one study after the other."""
    for number, (_, job) in enumerate(found):
        tell(f"study {number + 1} of {len(found)}", number, len(found))
        tried = answering.of_job(db, folder, settings, predictor, job, lambda *_: None)
        yield Pair(job.study_instance_uid, job.job_id, standing(job), tried.said)


class Shadow:
    """Asks a bundle about the newest studies whenever no job waits, and keeps what it says."""

    def __init__(
        self, db: Database, folder: DataFolder, settings: Settings, predictor: Predictor, stop: threading.Event
    ) -> None:
        """Nothing is asked before `step`."""
        self._db = db
        self._folder = folder
        self._settings = settings
        self._predictor = predictor
        self._stop = stop
        self._looked_at_s = 0.0

    @property
    def bundle(self) -> str:
        """Its identity, under which its answers are kept."""
        return self._predictor.model_id.sha256

    def run(self, since: datetime | None, *, once: bool) -> None:
        """Until the stop; `once`: until the bundle was asked about every answer that stands."""
        while not self._stop.is_set():
            try:
                if self.step(since):
                    continue
                if once and trials.unheard(self._db, self.bundle, since) is None:
                    return
            except (JobWaits, DatabaseBusy) as waits:
                log.debug("shadow waits", reason=str(waits))
            self._stop.wait(IDLE_S)

    def step(self, since: datetime | None = None) -> bool:
        """One study; False when there was none, or no time. Raises JobWaits when the time was over before its end."""
        found = trials.unheard(self._db, self.bundle, since) if trials.is_idle(self._db, _now()) else None
        if found is None:
            return False
        answer, job = found
        tried = answering.of_job(self._db, self._folder, self._settings, self._predictor, job, self._give_way)
        trials.keep(self._db, self.bundle, answer.answer_id, tried.said.as_row(), _now())
        log.info("shadow", study=job.study_instance_uid, job_id=job.job_id, said=tried.said.words)
        return True

    def _give_way(self, _stage: str, _done: int, _of: int) -> None:
        now_s = time.monotonic()
        if now_s - self._looked_at_s < LOOK_EVERY_S and not self._stop.is_set():
            return
        self._looked_at_s = now_s
        if self._stop.is_set() or not trials.is_idle(self._db, _now()):
            raise JobWaits


def kept(db: Database, bundle: str) -> list[Pair]:
    """All that a shadow was asked about, newest first."""
    return [
        Pair(job.study_instance_uid, job.job_id, standing(job), Said(**each.said))
        for _, job, each in trials.said(db, bundle)
    ]


def _now() -> datetime:
    return datetime.now(UTC)
