"""`neurossl web`: the pages for the browser alone."""

import typer

from node.cli.service import DEFAULT, Config, Supervised, part


def register(app: typer.Typer) -> None:
    """Put the command on the app."""
    app.command()(web)


def web(config: Config = DEFAULT, supervised: Supervised = None) -> None:
    """Serve the pages for the browser alone: queue, studies, peers, health, statistics."""
    from node.web.server import run_web as run

    part(config, supervised, lambda settings, stop, _: run(settings, stop), "web")
