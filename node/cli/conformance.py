"""Commands of `neurossl`: conformance, the DICOM Conformance Statement of a configuration."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

out, err = Console(), Console(stderr=True)


def register(app: typer.Typer) -> None:
    """Put the commands on the app."""
    app.command()(conformance)


def conformance(
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="The settings; without it, the defaults.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write to this file.")] = None,
) -> None:
    """Print the DICOM Conformance Statement (PS3.2) of a configuration, as Markdown.

    Exit code 2 when the configuration is wrong.
    """
    from node.config import Settings, load
    from node.conformance.statement import statement
    from node.errors import ConfigurationError

    try:
        settings, origin = (load(config), config.name) if config else (Settings(), "the default settings")
    except ConfigurationError as error:
        err.print(str(error), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2) from None
    text = statement(settings, origin)
    if output is None:
        out.out(text, highlight=False, end="")
    else:
        output.write_text(text, encoding="utf-8")
