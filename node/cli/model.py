"""Commands of `neurossl`: model."""

import typer


def register(app: typer.Typer) -> None:
    """Put the commands on the app."""
