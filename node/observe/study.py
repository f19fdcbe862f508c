"""Everything that is known of one study: how it came, what was made of it, where that went, and what it stands on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from node.observe import jobs
from node.observe.jobs import JobFacts, plain
from node.work.outcome import SeriesOutcome
from storage import Database, DataFolder, events, instances, pages, priorities, readings, studies
from storage.pages import Order, Wanted
from storage.records import Event, Job, Reading, Study


@dataclass(frozen=True)
class Step:
    """One event, and how long it was until the next one; None after the last."""

    event: Event
    took_s: float | None


@dataclass(frozen=True)
class Refusal:
    """Series that were refused for the same reason, in the same words."""

    reason: str
    detail: str
    series: Sequence[SeriesOutcome]


@dataclass(frozen=True)
class StudyFacts:
    """A study at one time."""

    at: datetime
    study: Study
    priority: int
    jobs: Sequence[Job]  # of all its revisions, newest first; without their outcomes
    current: JobFacts | None  # of the newest job, or of the one that was asked for; None while there is none
    steps: Sequence[Step]
    readings: Sequence[Reading]  # oldest first

    @property
    def chosen(self) -> SeriesOutcome | None:
        """The series that was read."""
        selection = self._selection
        series = selection.series if selection else ()
        return next((each for each in series if selection and each.series_instance_uid == selection.chosen), None)

    @property
    def refusals(self) -> Sequence[Refusal]:
        """Every other series, those with equal words together, in the order of the series."""
        selection = self._selection
        return _grouped(selection.series, selection.chosen) if selection else ()

    @property
    def _selection(self) -> Any:
        outcome = self.current.outcome if self.current else None
        return outcome.selection if outcome else None

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        steps = [{**plain(each.event), "took_s": each.took_s} for each in self.steps]
        return {
            "study": {**plain(self.study), "priority": self.priority},
            "jobs": [jobs.job_json(each, self.at) for each in self.jobs],
            "current": self.current.as_json() if self.current else None,
            "steps": steps,
            "readings": [plain(each) for each in self.readings],
        }


def of_study(
    folder: DataFolder, db: Database, study_instance_uid: str, now: datetime, *, job_id: int | None = None
) -> StudyFacts:
    """The study, with its newest job or this one. Raises NotFound."""
    study = studies.get(db, study_instance_uid)
    rows = pages.page(db, Wanted(studies=[study_instance_uid], order=Order.NEWEST, limit=1000)).rows
    current = job_id or (rows[0].job.job_id if rows else None)
    found = events.of_study(db, study_instance_uid)
    return StudyFacts(
        at=now,
        study=study,
        priority=priorities.of_study(db, study_instance_uid),
        jobs=[each.job for each in rows],
        current=jobs.of_job(folder, db, current, now) if current else None,
        steps=_steps(found),
        readings=readings.of_study(db, study_instance_uid),
    )


def of_job(folder: DataFolder, db: Database, job_id: int, now: datetime) -> StudyFacts:
    """The study of a job, with this job. Raises NotFound."""
    return of_study(folder, db, jobs.of_job(folder, db, job_id, now).job.study_instance_uid, now, job_id=job_id)


def provenance(db: Database, found: StudyFacts) -> dict[str, Any]:
    """What the answer stands on, as JSON: software, settings, bundle and calibration, what was read, what was made."""
    current = found.current
    outcome = current.outcome if current else None
    prediction = outcome.prediction if outcome else None
    model = prediction.model if prediction else None
    chosen = found.chosen
    read = instances.of_study(db, found.study.study_instance_uid) if chosen else []
    return {
        "study_instance_uid": found.study.study_instance_uid,
        "job_id": current.job.job_id if current else None,
        "software": outcome.software if outcome else None,
        "configuration_sha256": outcome.configuration if outcome else None,
        "scanner": outcome.scanner.model_dump() if outcome and outcome.scanner else None,
        "bundle": {each: getattr(model, each) for each in ("name", "version", "sha256", "trained")} if model else None,
        "calibration": {
            "temperature": model.temperature,
            "thresholds": dict(model.thresholds),
            "dropout_samples": model.dropout_samples,
            "rollout_order": model.rollout_order,
        }
        if model
        else None,
        "answer": next((each.key for each in current.answers if each.job_id == current.job.job_id), None)
        if current
        else None,
        "input": {
            "series_instance_uid": chosen.series_instance_uid if chosen else None,
            "sop_instance_uids": [
                each.sop_instance_uid
                for each in read
                if chosen and each.series_instance_uid == chosen.series_instance_uid
            ],
        },
        "output": [
            {name: getattr(each, name) for name in ("kind", "series_instance_uid", "sop_instance_uid", "sha256")}
            for each in (current.results if current else ())
        ],
    }


def _steps(found: Sequence[Event]) -> list[Step]:
    later = [*found[1:], None]
    return [
        Step(event, (then.at - event.at).total_seconds() if then else None)
        for event, then in zip(found, later, strict=True)
    ]


def _grouped(series: Iterable[SeriesOutcome], chosen: str | None) -> list[Refusal]:
    groups: dict[tuple[str, str], list[SeriesOutcome]] = {}
    for each in series:
        if each.series_instance_uid != chosen:
            groups.setdefault((each.reason, each.detail), []).append(each)
    return [Refusal(reason, detail, members) for (reason, detail), members in groups.items()]
