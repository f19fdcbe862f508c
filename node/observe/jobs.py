"""Facts about studies and jobs: the whole queue, and everything about one job.

Values come as records; `as_json` gives the JSON of `neurossl queue … --json`, of which the keys are promised and new
ones may come.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from node import verdict
from node.process.heartbeat import pulse, pulses
from node.work.messages import Progress
from node.work.outcome import Outcome
from storage import Database, DataFolder, accessions, answers, outbox, pages, queue, studies, switches
from storage import events as events_table
from storage.pages import Order, Place, Row, Wanted
from storage.records import Answer, Delivery, Event, Job, Result, Study, Switch, SwitchName
from storage.states import JobState


class BadCursor(ValueError):
    """A cursor that no page ended with."""


@dataclass(frozen=True)
class JobRow(Row):
    """A job on a page, and how far its worker is; None when nobody works on it."""

    progress: Progress | None = None


@dataclass(frozen=True)
class Asked:
    """Which jobs somebody wants to see: a page of those in `states` (None: all) that `search` means."""

    states: Collection[JobState] | None = None
    search: str = ""  # a UID of study, series or instance, how a study's begins, a job, or an accession number
    order: Order = Order.NEWEST
    cursor: str = ""  # of the page before; "" is the first page
    limit: int = 50


@dataclass(frozen=True)
class QueueFacts:
    """One page of the queue at one time."""

    at: datetime
    asked: Asked
    rows: Sequence[JobRow]
    next: str  # the cursor of the next page, "" on the last one
    receiving: Sequence[Study]  # on the first page of all states
    counts: Mapping[JobState, int]  # of all jobs
    destinations: Mapping[str, str]  # why nothing goes there at the moment, "" when nothing stands in the way
    switches: Mapping[SwitchName, Switch]  # what an operator holds up

    @property
    def jobs(self) -> Sequence[Job]:
        """Those of the rows."""
        return [each.job for each in self.rows]

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        receiving = [{**plain(each), "age_s": age_s(each.first_received_at, self.at)} for each in self.receiving]
        return {
            "jobs": [row_json(each, self.at) for each in self.rows],
            "receiving": receiving,
            "counts": {str(each): count for each, count in self.counts.items()},
            "destinations": dict(self.destinations),
            "held_up": {str(name): plain(each) for name, each in self.switches.items()},
            "next": self.next or None,
        }


@dataclass(frozen=True)
class JobFacts:
    """Everything that is known of one job at one time."""

    at: datetime
    job: Job
    progress: Progress | None  # None when nobody works on it
    study: Study
    outcome: Outcome | None  # None before the first attempt has ended
    answers: Sequence[Answer]  # that its study had, oldest first
    results: Sequence[Result]
    deliveries: Sequence[Delivery]
    events: Sequence[Event]  # of its study

    def as_json(self) -> dict[str, Any]:
        """For machines; the progress and the verdict in words as well."""
        stage = {
            "stage": self.progress.words if self.progress else None,
            "progress": self.progress.facts if self.progress else None,
        }
        return {
            "job": {**job_json(self.job, self.at), **stage},
            "study": plain(self.study),
            "outcome": self.outcome.as_row() if self.outcome else None,
            "verdict": _verdict(self.outcome),
            "answers": [plain(each) for each in self.answers],
            "results": [plain(each) for each in self.results],
            "deliveries": [plain(each) for each in self.deliveries],
            "events": [plain(each) for each in self.events],
        }


def _verdict(outcome: Outcome | None) -> dict[str, str] | None:
    if outcome is None or outcome.prediction is None:
        return None
    found = outcome.prediction
    return {
        "headline": verdict.headline(found),
        "meaning": verdict.meaning(found),
        "among": verdict.among(found),
    }


def of_queue(folder: DataFolder, db: Database, now: datetime, asked: Asked) -> QueueFacts:
    """A page of jobs, and on the first one of all states the studies that are still received.

    Raises BadCursor.
    """
    text = asked.search.strip()
    found = pages.matching(db, text, accessions.keyed_hash(folder, text)) if text else None
    wanted = Wanted(asked.states, found, asked.order, _place(asked), asked.limit)
    page, stages = pages.page(db, wanted), _stages(folder)
    receiving = [] if asked.states is not None or asked.cursor else studies.receiving(db)
    return QueueFacts(
        at=now,
        asked=asked,
        rows=[JobRow(progress=_running(each.job, stages), **vars(each)) for each in page.rows],
        next=f"{asked.order}.{page.next[0]}.{page.next[1]}" if page.next else "",
        receiving=[each for each in receiving if found is None or each.study_instance_uid in found],
        counts=queue.counts(db),
        destinations=destinations(folder),
        switches=switches.on(db),
    )


def _place(asked: Asked) -> Place | None:
    """What the cursor stands for: it is of a page in the same order."""
    if not asked.cursor:
        return None
    found = re.fullmatch(rf"{asked.order}\.(-?[0-9]{{1,18}})\.([0-9]{{1,18}})", asked.cursor)
    if found is None:
        raise BadCursor(f"{asked.cursor!r} is no cursor of a page that is ordered by {asked.order}")
    return int(found[1]), int(found[2])


def of_job(folder: DataFolder, db: Database, job_id: int, now: datetime) -> JobFacts:
    """Raises NotFound."""
    job = queue.get(db, job_id)
    return JobFacts(
        at=now,
        job=job,
        progress=progress(folder, job),
        study=studies.get(db, job.study_instance_uid),
        outcome=Outcome.from_row(job.outcome),
        answers=answers.of_study(db, job.study_instance_uid),
        results=outbox.results_of_job(db, job_id),
        deliveries=outbox.of_job(db, job_id),
        events=events_table.of_study(db, job.study_instance_uid),
    )


def progress(folder: DataFolder, job: Job) -> Progress | None:
    """How far its worker is; None when the job does not run, or its worker gives no sign of life."""
    return _running(job, _stages(folder))


def _running(job: Job, stages: Mapping[int, Progress]) -> Progress | None:
    return stages.get(job.job_id) if job.state is JobState.RUNNING else None


def _stages(folder: DataFolder) -> dict[int, Progress]:
    """How far each job is that a living worker has."""
    signs = (each.facts for each in pulses(folder.path("locks")) if each.beats)
    return {
        facts["job"]: Progress(stage=facts["stage"], done=facts.get("done", 0), of=facts.get("of", 0))
        for facts in signs
        if "job" in facts and "stage" in facts
    }


def destinations(folder: DataFolder) -> dict[str, str]:
    """Why nothing goes to each destination at the moment, "" when nothing stands in the way; empty with no office."""
    return said_by_office(folder, "destinations")


def said_by_office(folder: DataFolder, what: str) -> dict[str, str]:
    """What the office says of each destination; empty when it gives no sign of life."""
    office = pulse(folder.path("locks"), "office")
    return dict(office.facts.get(what, {})) if office and office.beats else {}


def job_json(job: Job, now: datetime) -> dict[str, Any]:
    """A job without its outcome."""
    found = plain(job)
    del found["outcome"]
    return {**found, "age_s": age_s(job.created_at, now)}


def row_json(row: JobRow, now: datetime) -> dict[str, Any]:
    """A job of a page."""
    return {
        **job_json(row.job, now),
        "priority": row.priority,
        "instances": row.instances,
        "calling_ae_titles": list(row.calling_ae_titles),
        "stage": row.progress.words if row.progress else None,
    }


def plain(record: Any) -> dict[str, Any]:
    """A record as JSON: times in ISO 8601, states as their text."""
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in vars(record).items()}


def age_s(since: datetime, now: datetime) -> float:
    """Seconds, not below 0."""
    return round(max(0.0, (now - since).total_seconds()), 1)
