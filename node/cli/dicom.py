"""Commands of `neurossl`: dicom."""

import typer


def register(app: typer.Typer) -> None:
    """Put the commands on the app."""
