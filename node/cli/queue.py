"""Commands of `neurossl`: queue."""

import typer


def register(app: typer.Typer) -> None:
    """Put the commands on the app."""
