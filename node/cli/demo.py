"""Commands of `neurossl`: demo."""

import typer


def register(app: typer.Typer) -> None:
    """Put the commands on the app."""
