"""Commands of `neurossl`: fetch, which brings studies from the archive, as if it had sent them."""

import json
import sys
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from node.cli.service import DEFAULT, AsJson, Config, one_line_errors, say

if TYPE_CHECKING:
    from rich.status import Status

    from node.archive.fetching import Fetched
    from node.config import Settings
    from node.dimse.requestor import Peer

Study = Annotated[list[str] | None, typer.Option("--study", help="A Study Instance UID; may be repeated.")]
Accession = Annotated[str | None, typer.Option("--accession", help="All studies of this accession number.")]
From = Annotated[str, typer.Option("--from", help="archive (of the settings), or AE@HOST:PORT.")]


def register(app: typer.Typer) -> None:
    """Put the commands on the app."""
    app.command()(fetch)


def fetch(
    study: Study = None,
    accession: Accession = None,
    source: From = "archive",
    config: Config = DEFAULT,
    as_json: AsJson = False,
) -> None:
    """Bring studies from the archive and have them worked on; what is here already is not fetched again.

    Exit code 1 when something could not be got.
    """
    from node import logs
    from node.config import load
    from storage.errors import NotFound

    if bool(study) == bool(accession):
        raise typer.BadParameter("name studies by --study, or by --accession")
    with one_line_errors():
        settings = load(config)
        logs.configure(settings.log, "fetch")
        found = _fetch(settings, _peer(source, settings), study or [], accession)
        if not found:
            raise NotFound(f"the archive has no study of accession number {accession}")
    for uid, fetched in found.items():
        _show(uid, fetched, as_json)
    if any(fetched.trouble for fetched in found.values()):
        raise typer.Exit(1)


def _fetch(settings: "Settings", peer: "Peer", studies: list[str], accession: str | None) -> "dict[str, Fetched]":
    from node.archive.fetching import Fetcher
    from node.service.listener import on_store
    from storage import DataFolder, open_database

    folder, archive = DataFolder(settings.data_folder), settings.archive
    with closing(open_database(folder)) as db:
        method = archive.fetch if archive is not None and archive.fetch != "never" else "auto"
        fetcher = Fetcher(
            peer,
            db,
            partial(on_store, folder, db, settings),
            method=method,
            own_ae_title=settings.listener.ae_title,
            timeout_s=settings.delivery.timeout_s,
            pause_s=archive.pause_s if archive else 0,
        )
        uids = [*studies, *(fetcher.studies_of(accession) if accession else [])]
        with Console(stderr=True).status("asks the archive") as status:
            return {uid: fetcher.fetch(uid, partial(_tell, status, uid)) for uid in uids}


def _tell(status: "Status", uid: str, words: str) -> None:
    status.update(f"{uid}: {words}")


def _peer(source: str, settings: "Settings") -> "Peer":
    from node.cli.dicom import peer_at
    from node.dimse.requestor import peer_of
    from node.errors import ConfigurationError

    if source != "archive":
        return peer_at(source, settings.listener.ae_title, (None, None, None))
    if settings.archive is None:
        raise ConfigurationError("archive: is not set; name one in the settings, or by --from AE@HOST:PORT")
    return peer_of(settings.archive, settings)


def _show(uid: str, fetched: "Fetched", as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps({"study": uid, **vars(fetched)}) + "\n")
        return
    of = "" if fetched.wanted is None else f" of {fetched.wanted}"
    Console(soft_wrap=True, highlight=False).print(f"{uid}: {fetched.came}{of} missing instances came", markup=False)
    if fetched.trouble:
        say(f"{uid}: {fetched.trouble}")
