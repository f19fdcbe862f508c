"""Commands of `neurossl`: capacity, how many nodes a demand needs."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from node.cli.service import say


def register(app: typer.Typer) -> None:
    """Put the commands on the app."""
    app.command()(capacity)


def capacity(
    studies: Annotated[int, typer.Option(min=1, help="Studies a day at one hospital.")] = 1500,
    hospitals: Annotated[int, typer.Option(min=1, help="Hospitals of a region that share the nodes.")] = 20,
    backlog: Annotated[int, typer.Option(min=1, help="Studies of an archive that come at once.")] = 1_000_000,
    backlog_nodes: Annotated[int, typer.Option(min=1, help="Nodes for the backlog.")] = 20,
    within: Annotated[float, typer.Option(min=1, help="Seconds within which 95 % are delivered.")] = 60.0,
    gpus: Annotated[int, typer.Option(min=0, help="GPUs that nodes share, in a second answer to each.")] = 1,
    times: Annotated[Path | None, typer.Option(help="JSON file of measured times; none: those of two cores.")] = None,
    node_price: Annotated[float | None, typer.Option(min=0, help="Price of a node for an hour.")] = None,
    gpu_price: Annotated[float | None, typer.Option(min=0, help="Price of a GPU for an hour.")] = None,
    page: Annotated[Path | None, typer.Option(help="Write a page with a picture into this folder.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Simulate a hospital's day, a region's and a backlog: nodes, waiting, what saturates first, what a study costs.

    It asks no node. Needs the extra `capacity`. Exit code 1 when the demand cannot be met, 2 when times are wrong.
    """
    try:
        from node.capacity import measured, plan
        from node.capacity import page as pages
        from node.capacity.arrivals import Demand
    except ModuleNotFoundError as error:
        say(f"{error.name} is not installed: pip install -c constraints.txt '.[capacity]'")
        raise typer.Exit(1) from None
    from node.errors import ConfigurationError

    prices = plan.Prices(node_price, gpu_price)
    days = [Demand(f"{studies:,} a day", studies)]
    days += (
        [Demand(f"{hospitals} hospitals, {hospitals * studies:,} a day", hospitals * studies, hospitals)]
        if hospitals > 1
        else []
    )
    all_at_once = Demand(f"{backlog:,} at once", backlog, at_once=True)
    try:
        taken = measured.load(times) if times else measured.Times()
        shared = sorted({0, gpus})
        answers = [plan.nodes_for(each, taken, count, within, prices) for each in days for count in shared]
    except ConfigurationError as error:
        say(str(error))
        raise typer.Exit(2) from None
    except ValueError as error:
        say(str(error))
        raise typer.Exit(1) from None
    answers += [plan.fleet(all_at_once, taken, backlog_nodes, count, prices) for count in shared]
    if as_json:
        Console().print_json(json.dumps([asdict(each) for each in answers]))
    else:
        _print(pages.HEADINGS, [pages.row(each) for each in answers])
    if page is not None:
        say(f"page: {pages.write(page, answers, taken, within)}")


def _print(headings: tuple[str, ...], rows: list[list[str]]) -> None:
    table = Table(*headings, title="Simulated, not measured")
    for row in rows:
        table.add_row(*row)
    Console().print(table)
