"""Commands of `neurossl notify`: whether people would be told."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console

from node.cli.service import DEFAULT, SMALL_TROUBLE, TROUBLE, WELL, Config, load, one_line_errors

ChannelName = Annotated[str | None, typer.Argument(metavar="[CHANNEL]", help="Only this one; all where none is named.")]
TRIAL = "This is a test: whoever reads it will hear when something happens to the node."


def register(app: typer.Typer) -> None:
    """Put the commands on the app."""
    group = typer.Typer(help="Notices to people: e-mail, webhooks, and other services.", no_args_is_help=True)
    group.callback()(_group)
    group.command("test")(try_out)
    app.add_typer(group, name="notify")


def _group() -> None:
    """Notices to people: e-mail, webhooks, and other services."""


def try_out(channel: ChannelName = None, config: Config = DEFAULT) -> None:
    """Send a test notice to each channel, or to one; exit code 1 when one does not take it."""
    from node.errors import ConfigurationError, NodeError
    from node.notify.notice import message, notice
    from node.notify.post import way_of

    with one_line_errors():
        settings = load(config)
        channels = [each for each in settings.notifications.channels if channel in (None, each.name)]
        if channel is not None and not channels:
            raise ConfigurationError(f"notifications.channels: there is none that is called {channel}")
    console, failed = Console(highlight=False, soft_wrap=True), False
    if not channels:
        console.print(f"{SMALL_TROUBLE}  notifications.channels is empty: nobody is told")
    trial = message(settings.listener.ae_title, [notice("test", TRIAL, datetime.now(UTC))])
    for each in channels:
        try:
            way_of(each).tell(trial)
        except NodeError as error:
            failed = True
            console.print(f"{TROUBLE}  {each.name}: ", end="")
            console.print(str(error), markup=False)
        else:
            console.print(f"{WELL}  {each.name}: has taken a test notice")
    if failed:
        raise typer.Exit(1)
