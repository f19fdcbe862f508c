"""`neurossl model drift`: whether the last week that is over was as usual.

Exit codes: 0 as usual, or too little is known, which is said; 1 something has drifted; 2 a setting is wrong.
"""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer
from rich.markup import escape

from node.cli import model_tables as tables
from node.cli.queue import database, print_json
from node.cli.service import DEFAULT, AsJson, Config

if TYPE_CHECKING:
    from node.observe.drift import DriftFacts


def register(group: typer.Typer) -> None:
    """Put the command into the group `model`."""
    group.command()(drift)


def drift(config: Config = DEFAULT, as_json: AsJson = False) -> None:
    """Compare the last week that is over with what is usual: scores, bands, scope, grey values, by scanner.

    Exit code 1 when something has drifted.
    """
    from node.observe import drift as facts

    with database(config) as (folder, db):
        found = facts.of_node(db, folder, datetime.now(UTC))
    if as_json:
        print_json(asdict(found) | {"at": found.at.isoformat(), "week": found.week.isoformat()})
    else:
        _show(found)
    if found.drifted:
        raise typer.Exit(1)


def _show(found: "DriftFacts") -> None:
    from node.observe.comparing import figure

    out = tables.console()
    if found.lacking:
        out.print(f"week of {found.week}: nothing is compared: {escape(found.lacking)}")
        return
    rows = tables.table("what", "scanner", ">week", ">usual", ">studies", ">of usual", ">p", "", "baseline")
    for each in found.comparisons:
        kind = each.what if each.what in ("useless", "silent") else ""
        what = "flagged" if kind else each.what
        rows.add_row(
            f"{what} ({kind})" if kind else what,
            escape(each.scanner or "all"),
            figure(what, each.now),
            figure(what, each.usual),
            str(each.studies),
            str(each.usual_studies),
            f"{each.p:.2g}",
            "[bold red]drifted[/]" if each.drifted else "",
            each.source,
        )
    out.print(f"week of {found.week}")
    out.print(rows)
