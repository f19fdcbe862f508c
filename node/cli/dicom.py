"""Commands of `neurossl`: send and echo, for trying the node and its peers from a shell."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

if TYPE_CHECKING:
    from node.config import Tls
    from node.dimse.scu import Peer, SendOutcome

ADDRESS = re.compile(r"(?P<title>[^@]+)@(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<host>[^:@\[\]\s]+)):(?P<port>[0-9]{1,5})")
MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"  # a DICOMDIR: about files, and not to be sent
MOST_LINES = 20  # of files that were not taken, one by one

out, err = Console(), Console(stderr=True)

To = Annotated[str, typer.Option("--to", metavar="AE@HOST:PORT", help="Where to, such as PACS@10.0.0.5:104.")]
Whom = Annotated[str, typer.Argument(metavar="AE@HOST:PORT", help="Whom to ask, such as PACS@10.0.0.5:104.")]
Calling = Annotated[str, typer.Option("--calling", help="Our AE title; the other side must know it.")]
Timeout = Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds that each step may take.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Certificate = Annotated[Path | None, typer.Option("--tls-certificate", help="PEM file; with it TLS is used.")]
Key = Annotated[Path | None, typer.Option("--tls-key", help="PEM file of its key.")]
Authorities = Annotated[Path | None, typer.Option("--tls-authorities", help="PEM file of who signs for the peer.")]


def register(app: typer.Typer) -> None:
    """Put the commands on the app."""
    app.command()(send)
    app.command()(echo)


def send(
    folder: Annotated[Path, typer.Argument(exists=True, help="A folder, searched to its depths, or one file.")],
    to: To,
    calling: Calling = "NEUROSSL",
    timeout: Timeout = 30.0,
    tls_certificate: Certificate = None,
    tls_key: Key = None,
    tls_authorities: Authorities = None,
    as_json: AsJson = False,
) -> None:
    """Send the DICOM files of a folder by C-STORE, as they are. Exit code 1 when one of them was not taken."""
    from node.dimse import scu

    peer = peer_at(to, calling, (tls_certificate, tls_key, tls_authorities))
    files, others = _files(folder)
    outcomes = []
    with _progress() as progress:
        bar = progress.add_task(f"0/{len(files)}", total=sum(path.stat().st_size for path in files))
        for outcome in scu.send(peer, files, timeout, lambda sent: progress.advance(bar, sent)):
            outcomes.append(outcome)
            progress.update(bar, description=f"{len(outcomes)}/{len(files)}")
    summary = Summary(str(peer), outcomes, others)
    if as_json:
        out.print_json(json.dumps(summary.as_dict()))
    else:
        summary.show(out)
    raise typer.Exit(0 if outcomes and not summary.refused else 1)


def echo(
    whom: Whom,
    calling: Calling = "NEUROSSL",
    timeout: Timeout = 10.0,
    tls_certificate: Certificate = None,
    tls_key: Key = None,
    tls_authorities: Authorities = None,
    as_json: AsJson = False,
) -> None:
    """Ask a peer by C-ECHO whether it is there. Exit code 1 when it does not answer."""
    from node.dimse import scu

    peer = peer_at(whom, calling, (tls_certificate, tls_key, tls_authorities))
    outcome = scu.echo(peer, timeout)
    milliseconds = None if outcome.seconds is None else round(1000 * outcome.seconds, 2)
    if as_json:
        facts = {"peer": str(peer), "answered": outcome.answered, "milliseconds": milliseconds, "text": outcome.text}
        out.print_json(json.dumps(facts))
    elif outcome.answered:
        out.print(f"[green]✓[/] {escape(str(peer))} answers in {milliseconds} ms")
    else:
        out.print(f"[red]✗[/] {escape(str(peer))}: {escape(outcome.text)}")
    raise typer.Exit(0 if outcome.answered else 1)


@dataclass(frozen=True)
class Summary:
    """What became of all files."""

    peer: str
    outcomes: Sequence["SendOutcome"]
    others: Sequence[Path]  # what is no DICOM instance

    @property
    def refused(self) -> "list[SendOutcome]":
        """What the peer did not take."""
        return [outcome for outcome in self.outcomes if not outcome.accepted]

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "peer": self.peer,
            "instances": len(self.outcomes),
            "accepted": len(self.outcomes) - len(self.refused),
            "outcomes": dict(Counter(outcome.text for outcome in self.outcomes)),
            "refused": [
                {
                    "path": str(outcome.path),
                    "sop_instance_uid": outcome.sop_instance_uid,
                    "status": outcome.status,
                    "transient": outcome.transient,
                    "text": outcome.text,
                }
                for outcome in self.refused
            ],
            "skipped": [str(path) for path in self.others],
        }

    def show(self, console: Console) -> None:
        """For people."""
        table = Table("instances", "outcome", "", title=f"to {escape(self.peer)}", title_justify="left")
        groups = Counter((each.accepted, each.transient, each.text) for each in self.outcomes)
        for (accepted, transient, text), count in groups.most_common():
            hint = "" if accepted else "try again later" if transient else "will be refused again"
            table.add_row(str(count), f"[{'green' if accepted else 'red'}]{escape(text)}[/]", hint)
        if groups:
            console.print(table)
        for outcome in self.refused[:MOST_LINES]:
            console.print(f"[red]✗[/] {escape(str(outcome.path))}: {escape(outcome.text)}", highlight=False)
        if len(self.refused) > MOST_LINES:
            console.print(f"… and {len(self.refused) - MOST_LINES} more")
        if self.others:
            console.print(f"{len(self.others)} files that are no DICOM instance were skipped", style="dim")
        if not self.outcomes:
            console.print("no DICOM instance was found")


def peer_at(address: str, calling: str, tls: tuple[Path | None, Path | None, Path | None]) -> "Peer":
    """The application entity of an address such as PACS@10.0.0.5:104. Raises BadParameter."""
    from node.config import ae_title
    from node.dimse.scu import Peer

    found = ADDRESS.fullmatch(address)
    if found is None or not 0 < int(found["port"]) < 0x10000:
        raise typer.BadParameter(f"{address!r} is not of the form AE@host:port")
    try:
        called, ours = ae_title(found["title"]), ae_title(calling)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return Peer(called, found["ipv6"] or found["host"], int(found["port"]), ours, _tls(tls))


def _tls(paths: tuple[Path | None, Path | None, Path | None]) -> "Tls | None":
    from node.config import Tls

    certificate, key, authorities = paths
    if certificate and key and authorities:
        return Tls(certificate=certificate, key=key, authorities=authorities)
    if any(paths):
        raise typer.BadParameter("TLS needs --tls-certificate, --tls-key and --tls-authorities")
    return None


def _files(folder: Path) -> tuple[list[Path], list[Path]]:
    """The DICOM instances under a folder, and the other files, both sorted."""
    from node.dicom.part10 import read_meta
    from node.errors import Unparsable

    instances: list[Path] = []
    others: list[Path] = []
    for path in [folder] if folder.is_file() else sorted(each for each in folder.rglob("*") if each.is_file()):
        try:
            is_instance = read_meta(path).sop_class_uid != MEDIA_STORAGE_DIRECTORY
        except (Unparsable, OSError):
            is_instance = False
        (instances if is_instance else others).append(path)
    return instances, others


def _progress() -> Progress:
    columns = (TextColumn("{task.description} instances"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, console=err, transient=True)
