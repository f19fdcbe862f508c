"""Commands of `neurossl queue`: what is worked on and why, and an operator's hand in it.

They read the database of the data folder, whether the service runs or not.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from node.cli.service import DEFAULT, AsJson, Config, one_line_errors
from node.config import load
from node.process.heartbeat import pulse, pulses
from storage import Database, DataFolder, open_database, outbox, queue, studies
from storage import events as events_table
from storage.errors import NotFound
from storage.records import Job
from storage.states import JobState

JobId = Annotated[int, typer.Argument(metavar="JOB", help="The number in the first column of `neurossl queue`.")]
Limit = Annotated[int, typer.Option(min=1, help="How many of the newest jobs.")]
States = Annotated[list[JobState] | None, typer.Option("--state", help="Only jobs in this state; may be repeated.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept with the job.")]


def register(app: typer.Typer) -> None:
    """Put the commands on the app."""
    group = typer.Typer(help="The job queue: what is worked on, why, and an operator's hand in it.")
    group.callback(invoke_without_command=True)(overview)
    group.command()(show)
    group.command()(retry)
    group.command()(cancel)
    app.add_typer(group, name="queue")


def overview(
    context: typer.Context, config: Config = DEFAULT, state: States = None, limit: Limit = 50, as_json: AsJson = False
) -> None:
    """List the jobs, newest first, and the studies that are still being received."""
    if context.invoked_subcommand is not None:
        return
    from node.cli import tables

    with database(config) as (folder, db):
        jobs = queue.listing(db, states=state, limit=limit)
        receiving = [] if state else studies.receiving(db)
        counts = queue.counts(db)
        destinations = _destinations(folder)
    now = datetime.now(UTC)
    if as_json:
        print_json(
            {
                "jobs": [job_json(job, now) for job in jobs],
                "receiving": [{**plain(study), "age_s": age_s(study.first_received_at, now)} for study in receiving],
                "counts": {str(each): count for each, count in counts.items()},
                "destinations": destinations,
            }
        )
        return
    tables.overview(jobs, receiving, counts, destinations, now)


def show(job_id: JobId, config: Config = DEFAULT, as_json: AsJson = False) -> None:
    """Everything about one job: series chosen and refused, timings, prediction, results, deliveries, events."""
    from node.cli import tables

    with database(config) as (folder, db):
        found = everything(folder, db, job_id)
    if as_json:
        print_json(found)
    else:
        tables.job(found)


def retry(job_id: JobId, config: Config = DEFAULT, as_json: AsJson = False) -> None:
    """Try a job that ended once more: what was refused is sent again, anything else is worked on from the start."""
    with database(config) as (folder, db):
        _say_state(queue.retry(db, folder, job_id, datetime.now(UTC)), as_json)


def cancel(
    job_id: JobId, config: Config = DEFAULT, reason: Reason = "cancelled by an operator", as_json: AsJson = False
) -> None:
    """End a job: a running worker drops it, and what was not sent stays here."""
    with database(config) as (_, db):
        _say_state(queue.cancel(db, job_id, reason, datetime.now(UTC)), as_json)


def _say_state(job: Job, as_json: bool) -> None:
    if as_json:
        print_json(job_json(job, datetime.now(UTC)))
    else:
        from node.cli import tables

        tables.state(job)


@contextmanager
def database(config: Path) -> Iterator[tuple[DataFolder, Database]]:
    """Data folder and database of these settings; one that is not there is not made."""
    with one_line_errors():
        folder = DataFolder(load(config).data_folder)
        if not folder.database.is_file():
            raise NotFound(f"{folder.database}: there is no database yet; `neurossl serve` makes it")
        db = open_database(folder)
        try:
            yield folder, db
        finally:
            db.close()


def everything(folder: DataFolder, db: Database, job_id: int) -> dict[str, Any]:
    """What is known of a job, as JSON: the keys are promised, new ones may come. Raises NotFound."""
    now = datetime.now(UTC)
    job = queue.get(db, job_id)
    workers = (each for each in pulses(folder.path("locks")) if each.beats and each.facts.get("job") == job_id)
    stage = next((each.facts.get("stage") for each in workers), None)
    return {
        "job": {**job_json(job, now), "stage": stage if job.state is JobState.RUNNING else None},
        "study": plain(studies.get(db, job.study_instance_uid)),
        "outcome": dict(job.outcome) if job.outcome else None,
        "results": [plain(each) for each in outbox.results_of_job(db, job_id)],
        "deliveries": [plain(each) for each in outbox.of_job(db, job_id)],
        "events": [plain(each) for each in events_table.of_study(db, job.study_instance_uid)],
    }


def _destinations(folder: DataFolder) -> dict[str, str]:
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


def print_json(content: Any) -> None:
    """To standard output."""
    sys.stdout.write(json.dumps(content, indent=2) + "\n")
