"""What the commands of the model print: tables for people, plain values for programs."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from node import verdict

if TYPE_CHECKING:
    from model.benchmark import Report
    from model.bundle import Bundle
    from model.types import Prediction
    from node.offline.predictions import Answered

Tell = Callable[[str, int, int], None]
WIDE = 180  # columns where no terminal says how many there are
err = Console(stderr=True, highlight=False)
UNTRAINED = "[bold yellow]UNTRAINED weights: these numbers mean nothing.[/]"


@contextmanager
def progress() -> Iterator[Tell]:
    """A bar on standard error; gives the function that hears what is done, how far, and of how much."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda what, done, of: bar.update(task, description=escape(what), completed=done, total=of or None)


def answers(results: Sequence["Answered"], trained: bool, how: str) -> None:
    """One row per picture, volume and study."""
    rows = table("input", ">slices", ">probability", ">spread", ">entropy", ">mutual inf.", "what it means")
    for each in results:
        prediction = each.prediction
        if prediction is None or prediction.probability is None:
            rows.add_row(escape(each.name), "", "", "", "", "", f"not classified: {escape(each.reason)}")
            continue
        numbers = (prediction.spread, prediction.predictive_entropy, prediction.mutual_information)
        rows.add_row(
            escape(each.name),
            _counted(prediction),
            f"{prediction.probability:.4f}",
            *(f"{number:.4f}" for number in numbers if number is not None),
            f"{prediction.band}: {escape(verdict.meaning(prediction))}",
        )
    out = console()
    if not trained:
        out.print(UNTRAINED)
    out.print(rows)
    for each in results:
        for remark in each.remarks:
            out.print(f"[yellow]![/] {escape(each.name)}: {escape(remark)}", soft_wrap=True)
    out.print(f"[dim]Probability of dementia-related changes, calibrated. {how}. Research use only.[/]")


def _counted(prediction: "Prediction") -> str:
    """How many slices there are, and of which planes unless all are axial; without pictures or reports loaded."""
    planes = Counter(each.slice.plane for each in prediction.slices)
    named = [f"{count} {plane}" for plane, count in planes.items()]
    return str(planes.total()) if [*planes] == ["axial"] else ", ".join(named)


def plain(answered: "Answered") -> dict[str, Any]:
    """One input's answer as plain values."""
    values: dict[str, Any] = {"input": answered.name, "kind": answered.kind, "reason": answered.reason or None}
    values |= _plain_prediction(answered.prediction) if answered.prediction else {"probability": None}
    values["remarks"] = list(answered.remarks)
    if answered.kind == "DICOM":
        values["series_instance_uid"] = answered.series_instance_uid or None
        values["refused"] = dict(answered.refused)
    return values


def _plain_prediction(prediction: "Prediction") -> dict[str, Any]:
    names = ("probability", "spread", "predictive_entropy", "mutual_information", "band")
    slices = [
        {
            "plane": item.slice.plane,
            "position_mm": item.slice.position_mm,
            "logits": [float(logit) for logit in item.logits],
            **{name: getattr(item, name) for name in names[:4]},
            "rollout": item.rollout.round(4).tolist(),
        }
        for item in prediction.slices
    ]
    scope = {**vars(prediction.scope), "measurements": dict(prediction.scope.measurements)}
    model = {**vars(prediction.model), "thresholds": dict(prediction.model.thresholds)}
    said = {
        "meaning": verdict.meaning(prediction),
        "standing": [vars(each) for each in prediction.standing],
    }
    numbers = {name: getattr(prediction, name) for name in names}
    return numbers | said | {"scope": scope, "model": model, "slices": slices}


def bundle(made: "Bundle", folder: Path) -> None:
    """What a bundle's manifest says."""
    manifest = made.manifest
    parameters = sum(prod(shape) for shape in made.weights.shapes.values())
    facts: dict[str, Any] = {
        "bundle": folder,
        "model": f"{manifest.name} {manifest.version}",
        "sha256": made.model_id.sha256,
        "weights": f"{parameters:,} parameters, sha256 {manifest.sha256}",
        "architecture": _words(manifest.architecture.model_dump()),
        "preprocessing": _words(manifest.preprocessing.to_dict()),
        "temperature": manifest.temperature,
        "dropout samples": manifest.dropout_samples,
        "rollout order": manifest.rollout_order,
        "decision bands": _words(manifest.bands.limits),
        "scope": _words(manifest.scope),
        **{f"provenance, {name}": text for name, text in manifest.provenance.items()},
    }
    rows = table("", "")
    rows.show_header = False
    for name, value in facts.items():
        rows.add_row(name, escape(str(value)))
    out = console()
    if not manifest.trained:
        out.print(UNTRAINED)
    out.print(rows)


def report(found: "Report") -> None:
    """The table of the benchmark."""
    rows = table(
        "what", "engine", "precision", ">ms / slice", ">slices / s", ">faster", ">peak MiB", ">of peak", ">largest Δp"
    )
    for row in found.rows:
        measured, way = row.measured, row.measured.way
        rows.add_row(
            way.kind,
            way.engine,
            way.precision,
            f"{measured.ms:.1f}" if measured.ms >= 1 else f"{measured.ms:.3f}",
            f"{1e3 / measured.ms:.1f}",
            f"{row.speedup:.1f} x",
            f"{measured.memory_mib:.0f}",
            f"{100 * row.share:.0f} %",
            f"{row.difference:.1e}",
        )
    peaks = ", ".join(f"{flops / 1e9:,.0f} GFLOP/s {precision}" for precision, flops in found.peak.flops.items())
    out = console()
    out.print(rows)
    out.print(f"[dim]Matrix peak measured here: {peaks}; one slice is {found.gflop:.1f} GFLOP.[/]")


def console() -> Console:
    """Standard output, wide enough for a table where no terminal says how wide it is."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=WIDE)


def table(*columns: str) -> Table:
    """A heading that begins with ">" is for numbers."""
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(
            column.removeprefix(">"), justify="right" if column.startswith(">") else "left", overflow="fold"
        )
    return table


def _words(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
