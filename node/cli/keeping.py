"""Commands around what a node keeps: backup and restore, sample certificates, a bundle for support."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from node.cli.service import DEFAULT, Config, load, one_line_errors, say
from node.process.hardening import harden
from storage.errors import NotFound

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the files go; it is made where it is missing.")]
Target = Annotated[Path, typer.Argument(help="An empty folder, or one that is to be made.")]
Source = Annotated[Path, typer.Argument(help="The folder that `neurossl backup` wrote.")]
Zip = Annotated[Path, typer.Argument(metavar="OUT.zip", help="The file to write; it must not be there yet.")]
Host = Annotated[str, typer.Option(help="The name or address that the certificate is for.")]
DaysValid = Annotated[int, typer.Option(min=1, help="How many days they are valid.")]


def register(app: typer.Typer) -> None:
    """Put the commands on the app."""
    for command in (backup, restore, certificate, support_bundle):
        app.command()(command)


def backup(target: Target, config: Config = DEFAULT) -> None:
    """Back up database and files into an empty folder, while the node runs; hard links where it is on the same disk."""
    from storage import DataFolder
    from storage import backup as backups

    harden()
    with one_line_errors():
        folder = DataFolder(load(config).data_folder)
        if not folder.database.is_file():
            raise NotFound(f"{folder.database}: there is no database yet; `neurossl serve` makes it")
        made = backups.back_up(folder, target, datetime.now(UTC))
        _say(f"{target} holds the database and {made.files} files, {made.size_bytes / 2**20:.1f} MiB")


def restore(source: Source, config: Config = DEFAULT) -> None:
    """Read a whole backup through and put it into the data folder of these settings, which must be empty."""
    from storage import DataFolder
    from storage import backup as backups

    harden()
    with one_line_errors():
        folder = DataFolder(load(config).data_folder)
        found = backups.restore(source, folder)
        _say(f"{folder.root} holds the database and {found.files} files, as they were at {found.made_at}")


def certificate(
    folder: Folder, node_host: Host = "localhost", peer_host: Host = "localhost", days: DaysValid = 365
) -> None:
    """Make an authority, and certificates of it for node and peer, to try TLS with; needs the openssl program."""
    from node.offline import certificates

    harden()
    with one_line_errors():
        made = certificates.make(folder, node_host, peer_host, days)
        for side, (pem, key) in (("node", made.node), ("peer", made.peer)):
            _say(f"{side}: certificate {pem}, key {key}, authorities {made.authority}")
        _say(f"The key of the authority, {made.authority.with_suffix('.key')}, signs more; keep it elsewhere.")


def support_bundle(out: Zip, config: Config = DEFAULT) -> None:
    """Versions, configuration without secrets, health, queue, events and log as a zip for support; no patient data."""
    from node.observe import support

    harden()
    try:
        written = support.write(config, out, datetime.now(UTC))
    except OSError as error:
        say(f"{out}: {error.strerror}")
        raise typer.Exit(1) from None
    _say(f"{out} holds {', '.join(written)}")


def _say(text: str) -> None:
    Console(soft_wrap=True, highlight=False).print(text, markup=False)
