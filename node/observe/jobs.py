"""Facts about studies and jobs: the whole queue, and everything about one job.

Values come as records; `as_json` gives the JSON of `neurossl queue … --json`, of which the keys are promised and new
ones may come.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from node.process.heartbeat import pulse, pulses
from node.work.messages import Progress
from node.work.outcome import Outcome
from storage import Database, DataFolder, outbox, queue, studies
from storage import events as events_table
from storage.records import Delivery, Event, Job, Result, Study
from storage.states import JobState


@dataclass(frozen=True)
class QueueFacts:
    """The queue at one time."""

    at: datetime
    jobs: Sequence[Job]  # newest first
    receiving: Sequence[Study]
    counts: Mapping[JobState, int]
    destinations: Mapping[str, str]  # why nothing goes there at the moment, "" when nothing stands in the way

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        receiving = [{**plain(each), "age_s": age_s(each.first_received_at, self.at)} for each in self.receiving]
        return {
            "jobs": [job_json(each, self.at) for each in self.jobs],
            "receiving": receiving,
            "counts": {str(each): count for each, count in self.counts.items()},
            "destinations": dict(self.destinations),
        }


@dataclass(frozen=True)
class JobFacts:
    """Everything that is known of one job at one time."""

    at: datetime
    job: Job
    progress: Progress | None  # None when nobody works on it
    study: Study
    outcome: Outcome | None  # None before the first attempt has ended
    results: Sequence[Result]
    deliveries: Sequence[Delivery]
    events: Sequence[Event]  # of its study

    def as_json(self) -> dict[str, Any]:
        """For machines; the progress in words as well."""
        stage = {
            "stage": self.progress.words if self.progress else None,
            "progress": self.progress.facts if self.progress else None,
        }
        return {
            "job": {**job_json(self.job, self.at), **stage},
            "study": plain(self.study),
            "outcome": self.outcome.as_row() if self.outcome else None,
            "results": [plain(each) for each in self.results],
            "deliveries": [plain(each) for each in self.deliveries],
            "events": [plain(each) for each in self.events],
        }


def of_queue(
    folder: DataFolder, db: Database, now: datetime, *, states: Collection[JobState] | None, limit: int
) -> QueueFacts:
    """The newest jobs, only those in `states` where given; then without the studies that are still received."""
    return QueueFacts(
        at=now,
        jobs=queue.listing(db, states=states, limit=limit),
        receiving=[] if states else studies.receiving(db),
        counts=queue.counts(db),
        destinations=destinations(folder),
    )


def of_job(folder: DataFolder, db: Database, job_id: int, now: datetime) -> JobFacts:
    """Raises NotFound."""
    job = queue.get(db, job_id)
    return JobFacts(
        at=now,
        job=job,
        progress=progress(folder, job),
        study=studies.get(db, job.study_instance_uid),
        outcome=Outcome.from_row(job.outcome),
        results=outbox.results_of_job(db, job_id),
        deliveries=outbox.of_job(db, job_id),
        events=events_table.of_study(db, job.study_instance_uid),
    )


def progress(folder: DataFolder, job: Job) -> Progress | None:
    """How far its worker is; None when the job does not run, or its worker gives no sign of life."""
    if job.state is not JobState.RUNNING:
        return None
    signs = (each for each in pulses(folder.path("locks")) if each.beats)
    facts = next((each.facts for each in signs if each.facts.get("job") == job.job_id), None)
    if facts is None or "stage" not in facts:
        return None
    return Progress(stage=facts["stage"], done=facts.get("done", 0), of=facts.get("of", 0))


def destinations(folder: DataFolder) -> dict[str, str]:
    """Why nothing goes to each destination at the moment, "" when nothing stands in the way; empty with no office."""
    office = pulse(folder.path("locks"), "office")
    return dict(office.facts.get("destinations", {})) if office and office.beats else {}


def job_json(job: Job, now: datetime) -> dict[str, Any]:
    """A job without its outcome."""
    found = plain(job)
    del found["outcome"]
    return {**found, "age_s": age_s(job.created_at, now)}


def plain(record: Any) -> dict[str, Any]:
    """A record as JSON: times in ISO 8601, states as their text."""
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in vars(record).items()}


def age_s(since: datetime, now: datetime) -> float:
    """Seconds, not below 0."""
    return round(max(0.0, (now - since).total_seconds()), 1)
