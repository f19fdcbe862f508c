"""Commands of `neurossl queue`: what is worked on and why, and an operator's hand in it.

They read the database of the data folder, whether the service runs or not. The facts are those of node/observe/jobs.py.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.cli.service import DEFAULT, AsJson, Config, load, one_line_errors
from storage.errors import NotFound
from storage.states import JobState

if TYPE_CHECKING:
    from storage import Database, DataFolder
    from storage.records import Job

JobId = Annotated[int, typer.Argument(metavar="JOB", help="The number in the first column of `neurossl queue`.")]
Limit = Annotated[int, typer.Option(min=1, help="How many of the newest jobs.")]
States = Annotated[list[JobState] | None, typer.Option("--state", help="Only jobs in this state; may be repeated.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept with the job.")]
WhyWrong = Annotated[str, typer.Option("--reason", help="Why it is wrong; it is kept with the answer.")]


def register(app: typer.Typer) -> None:
    """Put the commands on the app."""
    group = typer.Typer(help="The job queue: what is worked on, why, and an operator's hand in it.")
    group.callback(invoke_without_command=True)(overview)
    group.command()(show)
    group.command()(retry)
    group.command()(cancel)
    group.command()(withdraw)
    app.add_typer(group, name="queue")


def overview(
    context: typer.Context, config: Config = DEFAULT, state: States = None, limit: Limit = 50, as_json: AsJson = False
) -> None:
    """List the jobs, newest first, and the studies that are still being received."""
    if context.invoked_subcommand is not None:
        return
    from node.cli import tables
    from node.observe import jobs

    with database(config) as (folder, db):
        found = jobs.of_queue(folder, db, datetime.now(UTC), jobs.Asked(states=state, limit=limit))
    if as_json:
        print_json(found.as_json())
    else:
        tables.overview(found)


def show(job_id: JobId, config: Config = DEFAULT, as_json: AsJson = False) -> None:
    """Everything about one job: series chosen and refused, timings, prediction, results, deliveries, events."""
    from node.cli import tables
    from node.observe import jobs

    with database(config) as (folder, db):
        found = jobs.of_job(folder, db, job_id, datetime.now(UTC))
    if as_json:
        print_json(found.as_json())
    else:
        tables.job(found)


def retry(job_id: JobId, config: Config = DEFAULT, as_json: AsJson = False) -> None:
    """Try a job that ended once more: what was refused is sent again, anything else is worked on from the start."""
    from storage import queue

    with database(config) as (folder, db):
        _say_state(queue.retry(db, folder, job_id, datetime.now(UTC)), as_json)


def cancel(
    job_id: JobId, config: Config = DEFAULT, reason: Reason = "cancelled by an operator", as_json: AsJson = False
) -> None:
    """End a job: a running worker drops it, and what was not sent stays here."""
    from node.observe import audit, audit_message
    from storage import queue

    with database(config) as (_, db), audit.Trail(load(config), "queue") as trail:
        job = queue.cancel(db, job_id, reason, datetime.now(UTC))
        trail.note(audit_message.withdrawn(trail.us, f"uid {os.getuid()}", job.study_instance_uid))
    _say_state(job, as_json)


def withdraw(job_id: JobId, reason: WhyWrong, config: Config = DEFAULT, as_json: AsJson = False) -> None:
    """Withdraw the answer of a job: it is wrong, and is not given again; a PACS that has it is not told."""
    from storage import queue

    with database(config) as (_, db):
        _say_state(queue.withdraw(db, job_id, reason, datetime.now(UTC)), as_json)


def _say_state(job: "Job", as_json: bool) -> None:
    if as_json:
        from node.observe import jobs

        print_json(jobs.job_json(job, datetime.now(UTC)))
    else:
        from node.cli import tables

        tables.state(job)


@contextmanager
def database(config: Path) -> "Iterator[tuple[DataFolder, Database]]":
    """Data folder and database of these settings; one that is not there is not made."""
    from storage import DataFolder, open_database

    with one_line_errors():
        folder = DataFolder(load(config).data_folder)
        if not folder.database.is_file():
            raise NotFound(f"{folder.database}: there is no database yet; `neurossl serve` makes it")
        db = open_database(folder)
        try:
            yield folder, db
        finally:
            db.close()


def print_json(content: Any) -> None:
    """To standard output."""
    sys.stdout.write(json.dumps(content, indent=2) + "\n")
