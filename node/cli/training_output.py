"""What the training commands print: errors in one line, progress, tables."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    from model.training.datasets import Dataset
    from model.training.evaluate import Evaluation

out, err = Console(), Console(stderr=True)

Advance = Callable[[int, int, str], None]


@contextmanager
def problems() -> Iterator[None]:
    """What the user can mend is one line on standard error and exit code 1."""
    from model.errors import ModelError

    try:
        yield
    except (ModelError, OSError) as error:
        err.print(f"[bold red]error[/] {error}", highlight=False, soft_wrap=True)
        sys.exit(1)


@contextmanager
def progress_bar(what: str) -> Iterator[Advance]:
    """A bar on standard error that is told what is done, of how many, and which."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(what)

        def advance(done: int, total: int, name: str) -> None:
            bar.update(task, completed=done, total=total, description=f"{what} {name}")

        yield advance


def as_report(advance: Advance) -> Callable[[str, int, int, dict[str, float]], None]:
    """The bar as a listener of a training stage."""
    return lambda stage, done, total, numbers: advance(done, total, "")


def print_epoch(stage: str, epoch: int, epochs: int, numbers: dict[str, float]) -> None:
    """One line an epoch."""
    if stage != "predicting":
        told = "  ".join(f"{name} {value:.4f}" for name, value in numbers.items())
        err.print(f"{stage}  epoch {epoch}/{epochs}  {told}", highlight=False)


def print_facts(facts: Mapping[str, object]) -> None:
    """Names and values, one a line."""
    table = Table(show_header=False, box=None)
    for name, value in facts.items():
        shown = ", ".join(f"{key}: {each}" for key, each in value.items()) if isinstance(value, dict) else str(value)
        table.add_row(name.replace("_", " "), shown)
    out.print(table)


def print_skipped(dataset: "Dataset") -> None:
    """Every file that is not used, and why."""
    for each in dataset.skipped:
        err.print(f"[yellow]skipped[/] {each.path}: {each.reason}", highlight=False, soft_wrap=True)


def print_evaluation(result: "Evaluation") -> None:
    """The table of numbers with their intervals."""
    from model.training.evaluate import read_by_node, words

    table = Table("", f"by subject (n = {result.subjects})", f"by slice (n = {result.slices})")
    for name, value in result.by_subject.items():
        table.add_row(name, str(value), str(result.by_slice[name]))
    for view, value in result.by_view.items():
        table.add_row(f"auroc, {words(view)}", str(value), "")
    out.print(table)
    if len(result.by_view) > 1:
        of = read_by_node(result.planes)
        out.print(f"Of the {of}; the last lines of the table tell of each view alone.")
    for bound, values in result.at_bounds.items():
        told = f"at {bound}: sensitivity {values['sensitivity']}, specificity {values['specificity']}"
        out.print(told, highlight=False, soft_wrap=True)
    if result.coverage is not None:
        for label, held in result.coverage.held.items():
            sets = ", ".join(f"{count} {name}" for name, count in result.coverage.sets[label].items())
            out.print(f"sets of label {label}: hold it {held}; {sets}", highlight=False, soft_wrap=True)
