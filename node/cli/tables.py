"""What `neurossl queue` prints for people."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from storage.records import Job, Study
from storage.states import JobState

WIDE = 250  # where the output is no terminal nothing is folded, so that it can be searched
COLOURS = {
    JobState.QUEUED: "cyan",
    JobState.RUNNING: "blue",
    JobState.REPORTED: "blue",
    JobState.DONE: "green",
    JobState.SKIPPED: "yellow",
    JobState.FAILED: "red",
    JobState.CANCELLED: "magenta",
}


def overview(
    jobs: Sequence[Job],
    receiving: Sequence[Study],
    counts: Mapping[JobState, int],
    destinations: Mapping[str, str],
    now: datetime,
) -> None:
    """The queue. `destinations` is what the office says of each, where one runs."""
    console = _console()
    for name, trouble in destinations.items():
        if trouble:
            console.print(f"[yellow]destination {escape(name)}[/]: {_safe(trouble)[0]}")
    if receiving:
        table = _table("Studies being received", "study", ">instances", ">silent", "from")
        for study in receiving:
            expected = f" of {study.expected_instances}" if study.expected_instances else ""
            silent = age((now - study.last_received_at).total_seconds())
            table.add_row(
                *_safe(
                    study.study_instance_uid, f"{study.instances}{expected}", silent, ", ".join(study.calling_ae_titles)
                )
            )
        console.print(table)
    table = _table("Jobs", ">job", "study", ">revision", "state", ">attempt", ">age", "reason")
    for job in jobs:
        attempt = f"{job.attempt} of {job.maximum_attempts}"
        row = _safe(
            str(job.job_id),
            job.study_instance_uid,
            str(job.revision),
            job.state,
            attempt,
            age((now - job.created_at).total_seconds()),
            job.reason,
        )
        row[3] = _coloured(job.state)
        table.add_row(*row)
    console.print(table)
    console.print(", ".join(f"{count} {state}" for state, count in counts.items() if count) or "no jobs yet")


def state(job: Job) -> None:
    """One line after an operator's command."""
    _console().print(f"job {job.job_id}: {_coloured(job.state)}, {escape(job.reason)}")


def job(found: Mapping[str, Any]) -> None:
    """Everything about a job, as `queue.everything` gives it."""
    console = _console()
    head = found["job"]
    console.print(f"[bold]Job {head['job_id']}[/bold]  {_coloured(JobState(head['state']))}  {escape(head['reason'])}")
    facts = _table(None, "", "")
    for name, value in _facts(head, found["study"], found["outcome"] or {}):
        facts.add_row(*_safe(name, value))
    console.print(facts)
    for table in (_series(found), _prediction(found), _slices(found), _deliveries(found), _events(found)):
        if table is not None and table.row_count:
            console.print()
            console.print(table)


def _facts(head: Mapping[str, Any], study: Mapping[str, Any], outcome: Mapping[str, Any]) -> list[tuple[str, str]]:
    senders = ", ".join(study["calling_ae_titles"])
    facts = [
        ("study", study["study_instance_uid"]),
        ("revision", f"{head['revision']}, {study['instances']} instances from {senders}"),
        ("attempt", f"{head['attempt']} of {head['maximum_attempts']}"),
        ("created", head["created_at"]),
    ]
    if head["state"] == JobState.QUEUED:
        facts.append(("not before", head["available_at"]))
    if head["stage"]:
        facts.append(("now", head["stage"]))
    if "error" in outcome:
        facts.append(("error", outcome["error"]))
    if "timings_s" in outcome:
        timings = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in outcome["timings_s"].items())
        facts.append(("timings", timings))
    return facts


def _series(found: Mapping[str, Any]) -> Table | None:
    selection = (found["outcome"] or {}).get("selection")
    if selection is None:
        return None
    table = _table("Series", "", ">number", "description", "modality", ">instances", "verdict", "why", "series UID")
    for each in selection["series"]:
        chosen = "read" if each["series_instance_uid"] == selection["chosen"] else ""
        number = "" if each["series_number"] is None else str(each["series_number"])
        table.add_row(
            *_safe(
                chosen,
                number,
                each["description"],
                each["modality"],
                str(each["instances"]),
                each["reason"],
                each["detail"],
                each["series_instance_uid"],
            )
        )
    for each in selection["unreadable"]:
        table.add_row(*_safe("", "", "", "", "1", "unreadable", each["reason"], each["path"]))
    return table


def _prediction(found: Mapping[str, Any]) -> Table | None:
    prediction = (found["outcome"] or {}).get("prediction")
    if prediction is None:
        return None
    model, scope = prediction["model"], prediction["scope"]
    trained = "" if model["trained"] else ", UNTRAINED"
    table = _table("Prediction", "", "")
    table.add_row(*_safe("model", f"{model['name']} {model['version']}{trained}, sha256 {model['sha256'][:16]}…"))
    table.add_row(*_safe("scope", scope["reason"]))
    if prediction["probability"] is not None:
        table.add_row(*_safe("band", prediction["band"]))
        table.add_row("probability", f"{prediction['probability']:.1%}")
        table.add_row("spread", f"{prediction['spread']:.1%}")
        table.add_row("predictive entropy", f"{prediction['predictive_entropy']:.3f} nats")
        table.add_row("mutual information", f"{prediction['mutual_information']:.3f} nats")
    return table


def _slices(found: Mapping[str, Any]) -> Table | None:
    prediction = (found["outcome"] or {}).get("prediction")
    if prediction is None:
        return None
    table = _table("Slices", ">position mm", ">probability", ">spread", "source")
    for each in prediction["slices"]:
        position = "" if each["position_mm"] is None else f"{each['position_mm']:.1f}"
        table.add_row(*_safe(position, f"{each['probability']:.1%}", f"{each['spread']:.1%}", each["source"] or ""))
    return table


def _deliveries(found: Mapping[str, Any]) -> Table:
    kinds = {each["sop_instance_uid"]: each["kind"] for each in found["results"]}
    table = _table("Deliveries", "destination", "result", "state", ">attempt", "proof", "reason", "SOP Instance UID")
    for each in found["deliveries"]:
        kind = kinds.get(each["sop_instance_uid"], "")
        table.add_row(
            *_safe(
                each["destination"],
                kind,
                each["state"],
                str(each["attempt"]),
                each["proof"],
                each["reason"],
                each["sop_instance_uid"],
            )
        )
    return table


def _events(found: Mapping[str, Any]) -> Table:
    table = _table("Events", "at", "what", ">job", ">delivery", "reason")
    for each in found["events"]:
        table.add_row(
            *_safe(each["at"], each["name"], str(each["job_id"] or ""), str(each["delivery_id"] or ""), each["reason"])
        )
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


def _table(title: str | None, *columns: str) -> Table:
    """A heading that begins with ">" is for numbers; UIDs are folded, never cut."""
    table = Table(
        title=title, title_justify="left", title_style="bold", show_header=any(columns), box=None, pad_edge=False
    )
    for column in columns:
        table.add_column(
            column.removeprefix(">"), justify="right" if column.startswith(">") else "left", overflow="fold"
        )
    return table


def _safe(*cells: str) -> list[str]:
    """What came from outside is text, not markup, and drives no terminal."""
    return [escape("".join(c if c.isprintable() else "?" for c in cell)) for cell in cells]


def _coloured(state: JobState) -> str:
    return f"[{COLOURS[state]}]{state}[/]"
