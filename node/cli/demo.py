"""Commands of `neurossl`: demo."""

import json
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from node import verdict
from node.errors import ConfigurationError, NodeError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from node.demo import DemoFolder, DemoRun
    from node.observe.jobs import JobFacts
    from node.work.outcome import SelectionOutcome

NOT_CLASSIFIED, WRONG_USE = 1, 2


def register(app: typer.Typer) -> None:
    """Put the commands on the app."""
    app.command()(demo)


def demo(
    study: Annotated[
        Path | None, typer.Option(help="A folder of DICOM to send; by default the MNI152 template as an MR series.")
    ] = None,
    keep: Annotated[
        Path | None, typer.Option(help="Run in this new folder and leave everything there to look at.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="The result as JSON on standard output.")] = False,
) -> None:
    """Send a brain study through a real node on this machine, and show what comes back. Needs no network.

    Exit code 0: classified and delivered. 1: not classified, or not delivered; the reason is shown. 2: nothing to send.
    """
    from node import logs
    from node.config import Log
    from node.demo import demo_folder, run

    errors = Console(stderr=True, soft_wrap=True, highlight=False)
    logs.configure(Log(level="warning", format="console"), "demo")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with demo_folder(keep) as folder:
            with _progress(errors) as progress:
                done = run(folder, study, device, progress)
            shown = _pictures(folder, done)
            _show_json(folder, done) if as_json else _show(folder, done, shown, kept=keep is not None)
    except ConfigurationError as error:
        errors.print(f"[red]neurossl demo:[/red] {escape(str(error))}")
        raise typer.Exit(WRONG_USE) from None
    except (NodeError, OSError) as error:
        errors.print(f"[red]neurossl demo:[/red] {escape(str(error))}")
        raise typer.Exit(NOT_CLASSIFIED) from None
    except KeyboardInterrupt:
        errors.print("stopped; nothing is left running")
        raise typer.Exit(130) from None
    if not _all_delivered(done):
        raise typer.Exit(NOT_CLASSIFIED)


class _Stages:
    """One line of progress for each stage; how far it is, where that can be counted."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._words = ""
        self._task: TaskID | None = None

    def __call__(self, words: str, done: int, of: int) -> None:
        if words != self._words:
            self.finish()
            self._words, self._task = words, self._progress.add_task(words, total=None, count="")
        if self._task is not None and of:
            self._progress.update(self._task, completed=done, total=of, count=f"{done} of {of}")

    def finish(self) -> None:
        if self._task is not None:
            total = self._progress.tasks[self._task].total or 1
            counted = f"{total:g} of {total:g}" if total > 1 else ""
            self._progress.update(self._task, completed=total, total=total, count=counted)


@contextmanager
def _progress(console: Console) -> Iterator[_Stages]:
    columns = (
        SpinnerColumn(finished_text="[green]✓[/green]"),
        TextColumn("{task.description}"),
        TextColumn("{task.fields[count]}", style="dim"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        stages = _Stages(progress)
        yield stages
        stages.finish()


def _read(done: "DemoRun") -> "list[tuple[Path, Dataset]]":
    import pydicom

    return [(path, pydicom.dcmread(path)) for path in done.received]


def _pictures(folder: "DemoFolder", done: "DemoRun") -> "list[tuple[Path, Dataset]]":
    """Read what was received; write the report as text and the captures as one picture beside it."""
    from node.demo.montage import write_montage
    from node.dicom.content_tree import as_text

    objects = _read(done)
    reports = [as_text(each) for _, each in objects if each.Modality == "SR"]
    if reports:
        folder.report.write_text("\n\n".join(reports) + "\n", encoding="utf-8")
    captures = [each for _, each in objects if each.Modality == "OT"]
    if captures:
        write_montage(captures, folder.montage)
    return objects


def _show(folder: "DemoFolder", done: "DemoRun", objects: "Sequence[tuple[Path, Dataset]]", *, kept: bool) -> None:
    console = Console(highlight=False)

    def line(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True)

    if folder.report.exists():
        console.rule("The structured report, as text")
        line(folder.report.read_text(encoding="utf-8").strip())
    console.rule("What the destination received")
    for path, each in objects:
        line(f"{'structured report' if each.Modality == 'SR' else 'secondary capture'}  {path}")
    for name, path in (("report as text", folder.report), ("montage", folder.montage)):
        if path.exists():
            line(f"{name:<17}  {path}")
    if kept:
        line(f"{'everything':<17}  {folder.root}")
    for refused in done.refused:
        line(f"not taken by the node: {refused}")
    console.rule("Result")
    for uid, ending in done.endings.items():
        console.print(_result(uid, ending))
    console.print(", ".join(f"{name} {seconds:.1f} s" for name, seconds in done.took_s.items()), style="dim")
    console.print("[bold]RESEARCH USE ONLY. Not for diagnosis.[/bold]")


def _result(uid: str, ending: "JobFacts") -> Table:
    selection = ending.outcome.selection if ending.outcome else None
    prediction = ending.outcome.prediction if ending.outcome else None
    table = Table.grid(padding=(0, 2))
    table.add_row("study", uid)
    for line in _series(selection) if selection else ():
        table.add_row("series", escape(line))
    if prediction and prediction.probability is not None:
        table.add_row("probability", f"[bold]{prediction.probability:.1%}[/bold]")
        table.add_row("uncertainty", f"± {prediction.spread:.1%} (standard deviation over dropout samples)")
        table.add_row("band", f"[bold]{prediction.band}[/bold]")
        table.add_row("", escape(f"{verdict.meaning(prediction)} {verdict.among(prediction)}".strip()))
    table.add_row("job", f"[bold]{ending.job.state}[/bold]: {escape(ending.job.reason)}")
    states = [str(each.state) for each in ending.deliveries]
    table.add_row("results", ", ".join(f"{states.count(each)} {each}" for each in dict.fromkeys(states)) or "none")
    if prediction:
        model = prediction.model
        table.add_row("model", f"{model.name} {model.version}, {model.sha256[:12]}")
        table.add_row("", "[yellow]small demonstration weights: they show how a result looks, no more[/yellow]")
    return table


def _series(selection: "SelectionOutcome") -> Iterator[str]:
    from node.series.grouping import examples, grouped, why

    for group in grouped(selection.series):
        each = group[0]
        words = "not needed" if each.eligible else f"not read, {each.reason}"
        read = "read" if each.series_instance_uid == selection.chosen else words
        name = f"{each.series_number} {each.description}" if len(group) == 1 else f"{len(group)} ({examples(group)})"
        yield f"{name}: {read}; {why(group)}"


def _show_json(folder: "DemoFolder", done: "DemoRun") -> None:
    studies = {
        uid: {
            "state": ending.job.state,
            "reason": ending.job.reason,
            "outcome": ending.outcome.as_row() if ending.outcome else None,
            "deliveries": [each.state for each in ending.deliveries],
        }
        for uid, ending in done.endings.items()
    }
    answer = {
        "studies": studies,
        "received": [str(path) for path in done.received],
        "refused": done.refused,
        "report": str(folder.report),
        "montage": str(folder.montage),
        "took_s": done.took_s,
    }
    typer.echo(json.dumps(answer, indent=2))


def _all_delivered(done: "DemoRun") -> bool:
    return all(ending.job.state == "done" for ending in done.endings.values())
