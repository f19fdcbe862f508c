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
    from model.manifest import Manifest
    from node.config import Settings
    from node.offline.inspection import Inspection, Looked

WIDE = 250
MOST_LINES = 20
MIB = 2**20

out, err = Console(), Console(stderr=True)


def register(app: typer.Typer) -> None:
    """Put the commands on the app."""
    app.command()(inspect)


def inspect(
    folder: Annotated[Path, typer.Argument(exists=True, help="A folder, searched to its depths, or one file.")],
    sheet: Annotated[Path | None, typer.Option(help="Write the slices, as the model sees them, to this PNG.")] = None,
    series: Annotated[int | None, typer.Option(help="Look closer at the series of this number, chosen or not.")] = None,
    config: Annotated[Path | None, typer.Option(help="Take the site's selection rules and bundle from here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say which series of a folder would be read, and why not the others. Nothing is stored, nothing is sent.

    Exit code 0 when a series is chosen and can be read, 1 when none is, 2 when the command is wrong.
    """
    from node.offline import inspection

    settings, manifest = _settings(config)
    paths = [folder] if folder.is_file() else sorted(path for path in folder.rglob("*") if path.is_file())
    limit = settings.worker.maximum_volume_mib * MIB
    found = inspection.inspect(
        paths, settings.selection, limit, manifest.preprocessing, manifest.scope, series, manifest.subjects
    )
    if series is not None and found.looked is None:
        raise typer.BadParameter(f"there is no series {series} in {folder}")
    if as_json:
        out.print_json(json.dumps(inspection.facts(found)))
    else:
        _show(found)
    if sheet is not None:
        _write(sheet, found)
    raise typer.Exit(0 if found.chosen and not found.trouble else 1)


def _settings(config: Path | None) -> "tuple[Settings, Manifest]":
    """The site's settings, and the bundle's numbers where the settings name one, else the defaults."""
    from model.errors import BundleError
    from model.manifest import Manifest
    from node.config import Settings, load

    try:
        settings = Settings() if config is None else load(config)
        bundle = settings.worker.bundle
        manifest = Manifest(trained=False) if bundle is None else Manifest.read(bundle / "manifest.json")
    except (ConfigurationError, BundleError) as error:
        err.print(f"[red]✗[/] {escape(str(error))}", highlight=False)
        raise typer.Exit(2) from None
    return settings, manifest


def _show(found: "Inspection") -> None:
    console = out if out.is_terminal else Console(width=WIDE)
    titles = ("", "number", "description", "modality", "instances", "columns x rows x slices", "verdict", "why")
    table = Table(title="Series", title_justify="left")
    for title in titles:
        table.add_column(title, justify="right" if title in ("number", "instances") else "left")
    for verdict, shape in zip(found.verdicts, found.shapes, strict=True):
        chosen = verdict.series_instance_uid == found.chosen
        style = "bold green" if chosen else "green" if verdict.eligible else "yellow"
        score = f", score {verdict.score:g}" if verdict.eligible else ""
        cells = (
            "read" if chosen else "",
            "" if verdict.series_number is None else str(verdict.series_number),
            verdict.description,
            verdict.modality,
            str(verdict.instances),
            shape,
        )
        table.add_row(*map(escape, cells), f"[{style}]{escape(verdict.reason)}[/]", escape(verdict.detail + score))
    console.print(table)
    for each in found.unreadable[:MOST_LINES]:
        console.print(f"[yellow]✗[/] {escape(str(each.path))}: {escape(each.reason)}", highlight=False)
    if len(found.unreadable) > MOST_LINES:
        console.print(f"… and {len(found.unreadable) - MOST_LINES} more files that are not read")
    if found.looked is not None:
        _show_closer(console, found.looked)
    if found.chosen is None:
        console.print("no series that the model can read")
    console.print(", ".join(f"{name} {seconds:.2f} s" for name, seconds in found.took_s.items()), style="dim")


def _show_closer(console: Console, looked: "Looked") -> None:
    from node.offline import inspection

    if looked.volume is None or looked.scope is None:
        console.print(f"[red]✗[/] the series cannot be read: {escape(looked.trouble)}", highlight=False)
        return
    table = Table(show_header=False, title="Closer look", title_justify="left")
    for name, value in inspection.volume_facts(looked.volume).items():
        table.add_row(name, str(value))
    first, last = looked.slices[0], looked.slices[-1]
    table.add_row("slices", f"{len(looked.slices)}, from z {first.position_mm:.1f} to {last.position_mm:.1f} mm")
    colour = "green" if looked.scope.inside else "red"
    table.add_row(
        "scope", f"[{colour}]{'inside' if looked.scope.inside else 'outside'}[/]: {escape(looked.scope.reason)}"
    )
    for name, measured in looked.scope.measurements.items():
        table.add_row(f"  {name}", f"{measured:.4g}")
    console.print(table)


def _write(path: Path, found: "Inspection") -> None:
    from node.offline.contact_sheet import contact_sheet

    if found.looked is None or not found.looked.slices:
        err.print("no contact sheet: no series was read")
        return
    try:
        contact_sheet(found.looked.slices).save(path)
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{path}: cannot be written: {error}") from None
    err.print(f"contact sheet: {escape(str(path))}", highlight=False)
