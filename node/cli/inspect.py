"""Commands of `neurossl`: inspect, the verdict on every series of a folder, and what the model would see."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from node.errors import ConfigurationError

if TYPE_CHECKING:
    from node.offline.inspection import Closer, Inspection, StudyInspection
    from node.series.choice import Limits

WIDE = 250
MOST_LINES = 20
CONFIG = Path("config.yaml")

out, err = Console(), Console(stderr=True)


def register(app: typer.Typer) -> None:
    """Put the commands on the app."""
    app.command()(inspect)


def inspect(
    folder: Annotated[Path, typer.Argument(exists=True, help="A folder, searched to its depths, or one file.")],
    sheet: Annotated[Path | None, typer.Option(help="Write the slices, as the model sees them, to this PNG.")] = None,
    series: Annotated[int | None, typer.Option(help="Look closer at the series of this number, chosen or not.")] = None,
    bundle: Annotated[Path | None, typer.Option(help="Take the model's limits from this bundle.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="The site's rules and bundle; none: config.yaml where there is one.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say which series of a folder would be read, and why not the others. Nothing is stored, nothing is sent.

    Each study is judged by itself, as in service. Exit code 0 when in every one a series can be read, 1 when in one
    there is none, 2 when the command is wrong.
    """
    from node.offline import inspection

    limits, origin = _limits(config, bundle)
    paths = [folder] if folder.is_file() else sorted(path for path in folder.rglob("*") if path.is_file())
    found = inspection.inspect(paths, limits, series)
    if series is not None and found.closer is None:
        raise typer.BadParameter(f"there is no series {series} in {folder}")
    if as_json:
        held = {"limits": {"of": origin, **inspection.limits_facts(limits)}}
        out.print_json(json.dumps(inspection.facts(found) | held))
    else:
        _show(found, origin)
    if sheet is not None:
        _write(sheet, found)
    raise typer.Exit(0 if found.whole else 1)


def _limits(config: Path | None, bundle: Path | None) -> "tuple[Limits, str]":
    """What the service would hold a series against, and whose numbers of the model these are."""
    from model.errors import BundleError
    from model.manifest import Manifest
    from node import charge
    from node.config import Settings, load
    from node.series.choice import Limits

    try:
        named = config or (CONFIG if CONFIG.is_file() else None)
        settings = Settings() if named is None else load(named)
        folder = bundle or charge.serving(settings).worker.bundle
        manifest = Manifest(trained=False) if folder is None else Manifest.read(folder / "manifest.json")
    except (ConfigurationError, BundleError) as error:
        err.print(f"[red]✗[/] {escape(str(error))}", highlight=False)
        raise typer.Exit(2) from None
    model = (
        "the defaults, as no bundle is named" if folder is None else f"{manifest.name} {manifest.version} ({folder})"
    )
    return Limits.of(settings, manifest), f"{model}; site: {named or 'the environment, the rest as by default'}"


def _show(found: "Inspection", origin: str) -> None:
    console = out if out.is_terminal else Console(width=WIDE)
    for study in found.studies:
        _show_study(console, study, len(found.studies) > 1)
    for each in found.unreadable[:MOST_LINES]:
        console.print(f"[yellow]✗[/] {escape(str(each.path))}: {escape(each.reason)}", highlight=False)
    if len(found.unreadable) > MOST_LINES:
        console.print(f"… and {len(found.unreadable) - MOST_LINES} more files that are not read")
    if not found.studies:
        console.print("no series that the model can read")
    console.print(f"limits: {escape(origin)}", style="dim", highlight=False)
    console.print(", ".join(f"{name} {seconds:.2f} s" for name, seconds in found.took_s.items()), style="dim")


def _show_study(console: Console, study: "StudyInspection", titled: bool) -> None:
    from node.series.grouping import examples, grouped, why

    titles = ("", "number", "description", "modality", "instances", "columns x rows x slices", "verdict", "why")
    table = Table(title=f"Study {study.study_instance_uid}" if titled else "Series", title_justify="left")
    for title in titles:
        table.add_column(title, justify="right" if title in ("number", "instances") else "left")
    shapes = {each.series_instance_uid: shape for each, shape in zip(study.choice.verdicts, study.shapes, strict=True)}
    for group in grouped(study.choice.verdicts):
        verdict, several = group[0], len(group) > 1
        chosen = verdict.series_instance_uid == study.choice.chosen
        style = "bold green" if chosen else "green" if verdict.eligible else "yellow"
        score = f", score {verdict.score:g}" if verdict.eligible else ""
        tried = "tried" if verdict.series_instance_uid in study.choice.tried else ""
        cells = (
            "read" if chosen else tried,
            examples(group),
            f"{len(group)} series" if several else verdict.description,
            verdict.modality,
            str(sum(each.instances for each in group)),
            "" if several else shapes[verdict.series_instance_uid],
        )
        table.add_row(*map(escape, cells), f"[{style}]{escape(verdict.reason)}[/]", escape(why(group) + score))
    console.print(table)
    if study.closer is not None:
        _show_closer(console, study.closer)
    if study.choice.look is None:
        console.print("no series that the model can read")


def _show_closer(console: Console, closer: "Closer") -> None:
    from node.offline import inspection
    from node.offline.contact_sheet import AXES

    look = closer.look
    if look is None:
        console.print(f"[red]✗[/] the series cannot be read: {escape(closer.trouble)}", highlight=False)
        return
    table = Table(show_header=False, title="Closer look", title_justify="left")
    for name, value in inspection.volume_facts(look).items():
        table.add_row(name, str(value))
    for plane in dict.fromkeys(each.plane for each in look.slices):
        own = [each for each in look.slices if each.plane == plane]
        where = f"from {AXES[plane]} {own[0].position_mm:.1f} to {own[-1].position_mm:.1f} mm"
        table.add_row("slices" if plane == "axial" else f"{plane} slices", f"{len(own)}, {where}")
    colour = "green" if look.scope.inside else "red"
    table.add_row("scope", f"[{colour}]{'inside' if look.scope.inside else 'outside'}[/]: {escape(look.scope.reason)}")
    for remark in look.scope.remarks:
        table.add_row("", escape(remark))
    for name, measured in look.scope.measurements.items():
        table.add_row(f"  {name}", f"{measured:.4g}")
    console.print(table)


def _write(path: Path, found: "Inspection") -> None:
    from node.offline.contact_sheet import contact_sheet

    if found.closer is None or found.closer.look is None:
        err.print("no contact sheet: no series was read")
        return
    try:
        contact_sheet(found.closer.look.slices).save(path)
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{path}: cannot be written: {error}") from None
    err.print(f"contact sheet: {escape(str(path))}", highlight=False)
