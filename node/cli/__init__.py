"""The command line: parse, call, exit code. Each submodule puts its commands on the app."""

import io
import sys
from importlib import import_module

import typer

app = typer.Typer(
    name="neurossl",
    help="NeuroSSL Node: brain MR studies in by C-STORE, structured reports and heat maps back. Research use only.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

for _name in (
    "service",
    "web",
    "user",
    "keeping",
    "queue",
    "notify",
    "dicom",
    "fetch",
    "inspect",
    "model",
    "training",
    "conformance",
    "capacity",
    "demo",
):
    import_module(f"node.cli.{_name}").register(app)


def main() -> None:
    """Run the command line; a problem that the user can mend is one line on standard error and a non-zero exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without our letters gets question marks, no traceback
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
