"""What `neurossl queue show` prints for people, and the parts that every table of the queue is made of."""

from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from node import verdict
from node.observe.jobs import JobFacts
from node.series.grouping import examples, grouped, why
from node.work.outcome import Outcome, PredictionOutcome, SelectionOutcome
from storage.records import Answer, Event, Job
from storage.states import JobState

WIDE = 250  # where the output is no terminal nothing is folded, so that it can be searched
COLOURS = {
    JobState.QUEUED: "cyan",
    JobState.RUNNING: "blue",
    JobState.KEPT: "cyan",
    JobState.REPORTED: "blue",
    JobState.DONE: "green",
    JobState.SKIPPED: "yellow",
    JobState.FAILED: "red",
    JobState.CANCELLED: "magenta",
}


def state(job: Job) -> None:
    """One line after an operator's command."""
    _console().print(f"job {job.job_id}: {coloured(job.state)}, {escape(job.reason)}")


def job(found: JobFacts) -> None:
    """Everything about a job."""
    console, job = _console(), found.job
    console.print(f"[bold]Job {job.job_id}[/bold]  {coloured(job.state)}  {escape(job.reason)}")
    facts = columned(None, "", "")
    for name, value in _facts(found):
        facts.add_row(*safe(name, value))
    console.print(facts)
    outcome = found.outcome or Outcome()
    tables = [_series(outcome.selection)] if outcome.selection else []
    tables += [_prediction(outcome.prediction), _slices(outcome.prediction)] if outcome.prediction else []
    for table in (*tables, _answers(found.answers), _deliveries(found), _events(found.events)):
        if table.row_count:
            console.print()
            console.print(table)


def _facts(found: JobFacts) -> list[tuple[str, str]]:
    job, study, outcome = found.job, found.study, found.outcome or Outcome()
    facts = [
        ("study", study.study_instance_uid),
        ("revision", f"{job.revision}, {study.instances} instances from {', '.join(study.calling_ae_titles)}"),
        ("attempt", f"{job.attempt} of {job.maximum_attempts}"),
        ("created", job.created_at.isoformat()),
    ]
    if job.state is JobState.QUEUED:
        facts.append(("not before", job.available_at.isoformat()))
    if found.progress:
        facts.append(("now", found.progress.words))
    facts += [("remark", each) for each in outcome.remarks or ()]
    if outcome.error:
        facts.append(("error", outcome.error))
    if outcome.timings_s:
        timings = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in outcome.timings_s.items())
        facts.append(("timings", timings))
    return facts


def _series(selection: SelectionOutcome) -> Table:
    table = columned("Series", "", ">number", "description", "modality", ">instances", "verdict", "why", "series UID")
    for group in grouped(selection.series):
        each = group[0]
        table.add_row(
            *safe(
                "read" if each.series_instance_uid == selection.chosen else "",
                examples(group),
                each.description if len(group) == 1 else f"{len(group)} series",
                each.modality,
                str(sum(one.instances for one in group)),
                each.reason,
                why(group),
                each.series_instance_uid if len(group) == 1 else "",
            )
        )
    for file in selection.unreadable:
        table.add_row(*safe("", "", "", "", "1", "unreadable", file.reason, file.path))
    return table


def _prediction(prediction: PredictionOutcome) -> Table:
    model = prediction.model
    trained = "" if model.trained else ", UNTRAINED"
    table = columned("Prediction", "", "")
    table.add_row(*safe("model", f"{model.name} {model.version}{trained}, sha256 {model.sha256[:16]}…"))
    table.add_row(*safe("scope", prediction.scope.reason))
    if prediction.probability is not None:
        table.add_row(*safe("band", prediction.band or ""))
        table.add_row(*safe("meaning", verdict.meaning(prediction)))
        if prediction.standing:
            table.add_row(*safe("", verdict.among(prediction)))
        table.add_row("probability", f"{prediction.probability:.1%}")
        table.add_row("spread", f"{prediction.spread:.1%}")
        table.add_row("predictive entropy", f"{prediction.predictive_entropy:.3f} nats")
        table.add_row("mutual information", f"{prediction.mutual_information:.3f} nats")
    return table


def _slices(prediction: PredictionOutcome) -> Table:
    table = columned("Slices", "plane", ">position mm", ">probability", ">spread", "source")
    for each in prediction.slices:
        position = "" if each.position_mm is None else f"{each.position_mm:.1f}"
        table.add_row(*safe(each.plane, position, f"{each.probability:.1%}", f"{each.spread:.1%}", each.source or ""))
    return table


def _answers(answers: Iterable[Answer]) -> Table:
    table = columned("Answers of the study", ">job", "kind", "state", "reason", "since", "key")
    for each in answers:
        kind = each.kind.replace("_", " ")
        table.add_row(
            *safe(str(each.job_id), kind, each.state, each.reason, each.updated_at.isoformat(), each.key[:16])
        )
    return table


def _deliveries(found: JobFacts) -> Table:
    kinds = {each.sop_instance_uid: each.kind for each in found.results}
    table = columned("Deliveries", "destination", "result", "state", ">attempt", "proof", "reason", "SOP Instance UID")
    for each in found.deliveries:
        table.add_row(
            *safe(
                each.destination,
                kinds.get(each.sop_instance_uid, ""),
                each.state,
                str(each.attempt),
                each.proof,
                each.reason,
                each.sop_instance_uid,
            )
        )
    return table


def events(found: Iterable[Event]) -> None:
    """What happened, a line each."""
    _console().print(_events(found))


def _events(events: Iterable[Event]) -> Table:
    table = columned("Events", "at", "what", ">job", ">delivery", "reason")
    for each in events:
        job, delivery = str(each.job_id or ""), str(each.delivery_id or "")
        table.add_row(*safe(each.at.isoformat(), each.name, job, delivery, each.reason))
    return table


def age(seconds: float) -> str:
    """A duration in its two largest units.

    >>> age(9.6), age(3700), age(200_000), age(-5)
    ('9 s', '1 h 1 min', '2 d 7 h', '0 s')
    """
    left = max(0, int(seconds))
    if left < 60:
        return f"{left} s"
    if left < 3600:
        return f"{left // 60} min {left % 60} s"
    if left < 86400:
        return f"{left // 3600} h {left % 3600 // 60} min"
    return f"{left // 86400} d {left % 86400 // 3600} h"


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDE)


def columned(title: str | None, *columns: str) -> Table:
    """A heading that begins with ">" is for numbers; UIDs are folded, never cut."""
    table = Table(
        title=title, title_justify="left", title_style="bold", show_header=any(columns), box=None, pad_edge=False
    )
    for column in columns:
        table.add_column(
            column.removeprefix(">"), justify="right" if column.startswith(">") else "left", overflow="fold"
        )
    return table


def safe(*cells: str) -> list[str]:
    """What came from outside is text, not markup, and drives no terminal."""
    return [escape("".join(c if c.isprintable() else "?" for c in cell)) for cell in cells]


def coloured(state: JobState) -> str:
    """In the colour of its kind."""
    return f"[{COLOURS[state]}]{state}[/]"
