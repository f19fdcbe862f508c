"""Commands of `neurossl queue`: what is worked on and why, and an operator's hand in it.

They read the database of the data folder, whether the service runs or not. The facts are those of node/observe/jobs.py.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.cli.service import DEFAULT, AsJson, Config, load, one_line_errors
from storage.errors import NotFound
from storage.records import SwitchName
from storage.states import JobState

if TYPE_CHECKING:
    from node.observe.actions import Operator
    from storage import Database, DataFolder
    from storage.records import Job


class Said(StrEnum):
    """A reader's word, as it is typed."""

    AGREE = "agree"
    DISAGREE = "disagree"
    NOT_USABLE = "not-usable"


class Pausable(StrEnum):
    """What can be held up by itself."""

    INTAKE = "intake"
    SENDING = "sending"


JobId = Annotated[int, typer.Argument(metavar="JOB", help="The number in the first column of `neurossl queue`.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="How many jobs.")]
Search = Annotated[str, typer.Option(help="A UID, how a study's begins, a job, or an accession number.")]
After = Annotated[str, typer.Option(help="The jobs after those that were shown: the word that stood below them.")]
Watch = Annotated[bool, typer.Option("--watch", help="Show it live, until Ctrl-C.")]
WholeStudy = Annotated[bool, typer.Option("--study", help="Everything of its study, other jobs too.")]
What = Annotated[SwitchName, typer.Argument(metavar="WHAT", help="intake, sending, or drain.")]
WhatPauses = Annotated[Pausable, typer.Argument(metavar="WHAT", help="intake (nothing is taken) or sending.")]
Priority = Annotated[int, typer.Argument(min=-10, max=10, help="10 is worked on first, -10 last, 0 as any other.")]
WhyHeldUp = Annotated[str, typer.Option("--reason", help="Why; it is said wherever the state is shown.")]
States = Annotated[list[JobState] | None, typer.Option("--state", help="Only jobs in this state; may be repeated.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept with the job.")]
WhatIsSaid = Annotated[Said, typer.Argument(metavar="WORD", help="agree, disagree, or not-usable.")]
WhyItIsSaid = Annotated[str, typer.Option("--reason", help="Why, in a few words; name no patient.")]
WhyWrong = Annotated[str, typer.Option("--reason", help="Why it is wrong; it is kept with the answer.")]


def register(app: typer.Typer) -> None:
    """Put the commands on the app."""
    group = typer.Typer(help="The job queue: what is worked on, why, and an operator's hand in it.")
    group.callback(invoke_without_command=True)(overview)
    group.command()(show)
    group.command()(retry)
    group.command()(cancel)
    group.command()(withdraw)
    group.command()(word)
    group.command(context_settings={"ignore_unknown_options": True})(priority)
    group.command()(pause)
    group.command()(drain)
    group.command()(resume)
    app.add_typer(group, name="queue")
    app.command()(logs)


def overview(
    context: typer.Context,
    config: Config = DEFAULT,
    state: States = None,
    search: Search = "",
    limit: Limit = 50,
    after: After = "",
    live: Watch = False,
    as_json: AsJson = False,
) -> None:
    """List the jobs, newest first, and the studies that are still being received."""
    if context.invoked_subcommand is not None:
        return
    from node.cli import overview as drawing
    from node.observe import jobs

    asked = jobs.Asked(states=state, search=search, cursor=after, limit=limit)
    with database(config) as (folder, db):

        def look() -> jobs.QueueFacts:
            return jobs.of_queue(folder, db, datetime.now(UTC), asked)

        try:
            if live:
                drawing.watch(look)
            elif as_json:
                print_json(look().as_json())
            else:
                drawing.show(look())
        except jobs.BadCursor as error:
            raise typer.BadParameter(str(error), param_hint="--after") from None


def logs(job_id: JobId, config: Config = DEFAULT, study: WholeStudy = False, as_json: AsJson = False) -> None:
    """What happened to a job, oldest first: its events, and those of its results on their way."""
    from node.cli import tables
    from node.observe import jobs

    with database(config) as (folder, db):
        found = jobs.of_job(folder, db, job_id, datetime.now(UTC)).events
    found = [each for each in found if study or each.job_id == job_id]
    if as_json:
        print_json([jobs.plain(each) for each in found])
    else:
        tables.events(found)


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
    with operator(config) as acts:
        _say_state(acts.retry(job_id), as_json)


def cancel(
    job_id: JobId, config: Config = DEFAULT, reason: Reason = "cancelled by an operator", as_json: AsJson = False
) -> None:
    """End a job: a running worker drops it, and what was not sent stays here."""
    with operator(config) as acts:
        _say_state(acts.cancel(job_id, reason), as_json)


def withdraw(job_id: JobId, reason: WhyWrong, config: Config = DEFAULT, as_json: AsJson = False) -> None:
    """Withdraw the answer of a job: it is wrong, and is not given again.

    A destination with `supersede: rejection_note` that has its results is told to hide them, once the service runs.
    """
    with operator(config) as acts:
        _say_state(acts.withdraw(job_id, reason), as_json)


def word(
    job_id: JobId, said: WhatIsSaid, config: Config = DEFAULT, reason: WhyItIsSaid = "", as_json: AsJson = False
) -> None:
    """A reader's word on the answer of a job: is it right, for all that is known of the patient?

    It is kept with the answer, and counted for its bundle. It may be said again: the newest of a reader counts.
    """
    from node.observe.jobs import plain
    from storage import queue
    from storage.records import Word

    with operator(config) as acts:
        answer = queue.get(acts.db, job_id).answer_id
        if answer is None:
            raise NotFound(f"job {job_id} has no answer")
        reading = acts.say(answer, Word(said.replace("-", " ")), reason)
    if as_json:
        print_json(plain(reading))
    else:
        typer.echo(f"job {job_id}: {reading.word}, by {reading.who}")


def priority(job_id: JobId, number: Priority, config: Config = DEFAULT) -> None:
    """How urgent the study of a job is: the most urgent is worked on first, in all its revisions."""
    from storage import queue

    with operator(config) as acts:
        acts.prioritise(queue.get(acts.db, job_id).study_instance_uid, number)
    typer.echo(f"the study of job {job_id} has priority {number}")


def pause(what: WhatPauses, config: Config = DEFAULT, reason: WhyHeldUp = "paused by an operator") -> None:
    """Hold up the intake (senders hear 0xA700 and come again) or the sending, until `resume`; also over restarts."""
    _hold_up(SwitchName(what), config, reason)


def drain(config: Config = DEFAULT, reason: WhyHeldUp = "maintenance") -> None:
    """Begin nothing new: no association, no job, no delivery. What is under way ends; then the node can be stopped."""
    _hold_up(SwitchName.DRAIN, config, reason)


def resume(what: What, config: Config = DEFAULT) -> None:
    """Go on with what was paused or drained."""
    with operator(config) as acts:
        was_on = acts.let_go(what)
    typer.echo(f"{what} goes on" if was_on else f"{what} was not held up")


def _hold_up(name: SwitchName, config: Path, reason: str) -> None:
    with operator(config) as acts:
        switch = acts.hold_up(name, reason)
    typer.echo(f"{name} is held up {switch.words}")


def _say_state(job: "Job", as_json: bool) -> None:
    if as_json:
        from node.observe import jobs

        print_json(jobs.job_json(job, datetime.now(UTC)))
    else:
        from node.cli import tables

        tables.state(job)


@contextmanager
def operator(config: Path, *, make: bool = False) -> "Iterator[Operator]":
    """The user of this command line, as one who acts on the node. `make`: its data folder, where there is none yet."""
    from node.observe.actions import Operator
    from node.observe.audit import Trail

    with database(config, make=make) as (folder, db), Trail(load(config), "queue") as trail:
        yield Operator(f"uid {os.getuid()}", folder, db, trail)


@contextmanager
def database(config: Path, *, make: bool = False) -> "Iterator[tuple[DataFolder, Database]]":
    """Data folder and database of these settings; one that is not there is made only when asked for."""
    from storage import DataFolder, open_database

    with one_line_errors():
        folder = DataFolder(load(config).data_folder)
        if not make and not folder.database.is_file():
            raise NotFound(f"{folder.database}: there is no database yet; `neurossl serve` makes it")
        db = open_database(folder)
        try:
            yield folder, db
        finally:
            db.close()


def print_json(content: Any) -> None:
    """To standard output."""
    sys.stdout.write(json.dumps(content, indent=2) + "\n")
