"""Commands of `neurossl`: the service and its parts, and what can be asked about them.

Exit codes: 0 stopped as asked, or all is well; 1 trouble, or the data folder is in use; 2 the configuration is wrong,
one line per error on standard error, and nothing was started.
"""

import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from node.errors import ConfigurationError, NodeError
from node.process.hardening import (
    CONFIGURATION_EXIT,
    end_with_parent,
    harden,
    reload_on_hangup,
    stop_on_signals,
    stop_or_exit,
)
from node.process.quarters import settle_in
from storage.errors import StorageError

if TYPE_CHECKING:
    from node.config import Settings

Config = Annotated[Path, typer.Option("--config", "-c", help="The settings; config.yaml explains every one.")]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable.")]
Supervised = Annotated[str | None, typer.Option(hidden=True)]
DEFAULT = Path("config.yaml")
WELL, SMALL_TROUBLE, TROUBLE = "[green]ok[/green]     ", "[yellow]warning[/yellow]", "[red]trouble[/red]"


def register(app: typer.Typer) -> None:
    """Put the commands on the app."""
    for command in (serve, listen, work, office, check, health, rebuild, version):
        app.command()(command)


def serve(config: Config = DEFAULT) -> None:
    """Run the node: listener, worker, office, pages: processes that are restarted when they die. SIGTERM stops it."""
    from node import logs
    from node.observe import health
    from node.service.supervisor import StartFailed
    from node.service.supervisor import serve as run
    from node.service.upkeep import Reload

    harden()
    stop = stop_on_signals()
    with one_line_errors():
        settings = load(config)
        logs.configure(settings.log, "service")
        health.refuse_to_start(settings)
        settle_in(settings.data_folder)
        try:
            run(settings, stop, Reload(settings, lambda: load(config), reload_on_hangup()))
        except StartFailed as failed:
            if failed.exit_code != CONFIGURATION_EXIT:  # then the process has said it all
                say(str(failed))
            raise typer.Exit(failed.exit_code) from None


def listen(config: Config = DEFAULT, supervised: Supervised = None) -> None:
    """Run the listener alone: it receives instances."""
    from node.service.listener import listen as run

    part(config, supervised, lambda settings, stop, _: run(settings, stop), "listener")


def work(config: Config = DEFAULT, supervised: Supervised = None) -> None:
    """Run one worker alone: it reads studies and makes results. Start it several times for several workers."""
    from node.work.watchdog import work as run

    part(config, supervised, run, "worker")


def office(config: Config = DEFAULT, supervised: Supervised = None) -> None:
    """Run the office alone: it says when studies are complete, delivers results and keeps house."""
    from node.service.office import run_office as run

    part(config, supervised, lambda settings, stop, _: run(settings, stop), "office")


def part(
    config: Path, supervised: str | None, run: "Callable[[Settings, threading.Event, str | None], None]", name: str
) -> None:
    """One process of the node; under the service its settings come on standard input."""
    from node import logs

    harden()
    with one_line_errors():
        settings = load(config) if supervised is None else _settings_of_parent()
        stop = stop_on_signals()  # not before: who still waits for its settings holds nothing, and a signal may end it
        if supervised is not None:
            end_with_parent(lambda: stop_or_exit(stop, settings.stop_timeout_s))
        logs.configure(settings.log, supervised or name)
        settle_in(settings.data_folder)
        run(settings, stop, supervised)


def _settings_of_parent() -> "Settings":
    from node.config import Settings

    line = sys.stdin.buffer.readline()
    if not line:  # the service ended before it came to this process
        raise typer.Exit(1)
    return Settings.model_validate_json(line)


def load(config: Path) -> "Settings":
    """The settings. Raises ConfigurationError."""
    from node import config as settings

    return settings.load(config)


def check(config: Config = DEFAULT, as_json: AsJson = False) -> None:
    """Check configuration, folders, free space, database, device, bundle and every peer; exit code 1 on trouble."""
    from node.observe import health

    facts = health.of_configuration(config)
    if as_json:
        sys.stdout.write(json.dumps([vars(fact) for fact in facts], indent=2) + "\n")
    else:
        for fact in facts:
            mark = {"ok": WELL, "warning": SMALL_TROUBLE, "trouble": TROUBLE}[fact.level]
            console = Console(highlight=False, soft_wrap=True)
            console.print(f"{mark}  [bold]{fact.name:<24}[/bold]  ", end="")
            console.print(fact.text, markup=False)
    if any(fact.level == "trouble" for fact in facts):
        raise typer.Exit(1)


def health(config: Config = DEFAULT, as_json: AsJson = False) -> None:
    """Whether the node does its work, for a container's health check; quick, and asks nobody but its own listener."""
    from node.observe.vital import of_node, remarks

    with one_line_errors():
        signs, troubles = of_node(load(config))
    if as_json:
        alive = [{**vars(sign), "facts": dict(sign.facts), "beats": sign.beats} for sign in signs]
        sys.stdout.write(json.dumps(alive, indent=2) + "\n")
    else:
        for sign in signs:
            state = sign.state if sign.beats else "no sign of life"
            Console(highlight=False).print(f"{sign.role:<12} {state}", markup=False)
            for what, words in sign.facts.get("held_up", {}).items():  # on purpose: no trouble
                Console(highlight=False, soft_wrap=True).print(f"{what} is held up {words}", markup=False)
    for line in (*troubles, *remarks(signs)):
        say(line)
    if troubles:
        raise typer.Exit(1)


def rebuild(config: Config = DEFAULT) -> None:
    """Put a damaged database aside and make a new one from the stored files. The node must not run."""
    from node import logs
    from node.receive import recovery
    from storage import DataFolder

    harden()
    with one_line_errors():
        settings = load(config)
        logs.configure(settings.log, "rebuild")
        aside, adopted = recovery.rebuild(
            DataFolder(settings.data_folder), datetime.now(UTC), settings.listener.archives
        )
        kept = f"; the old one is {aside}" if aside else ""
        Console(soft_wrap=True).print(f"a new database holds {adopted} stored instances{kept}", markup=False)


def version(as_json: AsJson = False) -> None:
    """The version of the node and of what it stands on."""
    from node.observe.versions import versions

    found = versions()
    if as_json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
        return
    for name, number in found.items():
        Console(highlight=False).print(f"{name:<16} {number}", markup=False)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """What the user can mend is said in one line each, without a traceback."""
    from node.errors import ConfigurationRefused

    try:
        yield
    except ConfigurationRefused:
        raise typer.Exit(CONFIGURATION_EXIT) from None
    except ConfigurationError as error:
        say(str(error))
        raise typer.Exit(CONFIGURATION_EXIT) from None
    except (NodeError, StorageError) as error:
        say(str(error))
        raise typer.Exit(1) from None


def say(text: str) -> None:
    """To standard error."""
    Console(stderr=True, soft_wrap=True, highlight=False).print(text, markup=False)
