"""The door for STOW-RS as the listener opens it, over a real data folder, and bodies to send to it."""

import http.client
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from node.config import Settings
from node.dicomweb.server import Server, start
from node.dimse.witness import Witness
from node.receive.registrar import Registrar
from node.service.listener import on_store
from storage import Database, DataFolder, files, open_database

BOUNDARY = "of-the-tests"
TYPE = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
FROM_HERE = {"ae_title": "TESTER", "host": "127.0.0.1"}


@dataclass
class Door(Witness):
    """Hears who is not let in."""

    turned_away: list[tuple[str, str]] = field(default_factory=list)

    def refused(self, calling_ae_title: str, host: str, reason: str) -> None:
        """As `Witness`."""
        self.turned_away.append((calling_ae_title, reason))


@dataclass(frozen=True)
class Node:
    """A node whose door for STOW-RS is open."""

    server: Server
    folder: DataFolder
    db: Database
    settings: Settings
    door: Door
    registrar: Registrar

    def post(self, body: bytes | Iterable[bytes], path: str = "/dicomweb/studies", **headers: str) -> "Answer":
        """Send a body, and hear the answer."""
        return post(self.server.port, body, path, **headers)

    def stored(self) -> set[str]:
        """UIDs of what is stored."""
        return {path.name.partition(".")[0] for path in self.folder.path("instances").glob("*/*")}


@dataclass(frozen=True)
class Answer:
    """Status, headers and content."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def failures(self) -> dict[str, int]:
        """Failure Reason by SOP Instance UID."""
        items = json.loads(self.content).get("00081198", {}).get("Value", [])
        return {each["00081155"]["Value"][0]: each["00081197"]["Value"][0] for each in items}

    @property
    def stored(self) -> list[str]:
        """SOP Instance UIDs that it calls stored, in its order."""
        items = json.loads(self.content).get("00081199", {}).get("Value", [])
        return [each["00081155"]["Value"][0] for each in items]

    @property
    def others(self) -> list[int]:
        """Failure Reasons of what nobody could name."""
        items = json.loads(self.content).get("0008119A", {}).get("Value", [])
        return [each["00081197"]["Value"][0] for each in items]


@contextmanager
def node(root: Path, **sections: Any) -> Iterator[Node]:
    """A node with this data folder that TESTER may store at, from this machine; `sections` are those of config.yaml."""
    dicomweb = {"port": 0, "allow": [FROM_HERE], **sections.pop("dicomweb", {})}
    listener = {"maximum_disk_use_percent": 100, **sections.pop("listener", {})}
    values = {"data_folder": str(root), "dicomweb": dicomweb, "listener": listener, **sections}
    settings, folder, door = Settings.model_validate(values), DataFolder(root), Door()
    folder.create()
    files.make_room(folder)
    db = open_database(folder)
    assert settings.dicomweb is not None
    try:
        with Registrar(db, folder) as registrar:
            store = partial(on_store, folder, db, settings, note=registrar.note)
            with start(settings, settings.dicomweb, store, door) as server:
                yield Node(server, folder, db, settings, door, registrar)
    finally:
        db.close()


def body(*parts: bytes, media_type: str = "application/dicom", boundary: str = BOUNDARY) -> bytes:
    """A multipart body of these files."""
    head = f"--{boundary}\r\nContent-Type: {media_type}\r\n\r\n".encode()
    return b"".join(head + part + b"\r\n" for part in parts) + f"--{boundary}--\r\n".encode()


def post(port: int, content: bytes | Iterable[bytes], path: str = "/dicomweb/studies", **headers: str) -> Answer:
    """One request on a connection of its own; names of headers with _ for -."""
    fields = {"Content-Type": TYPE, **{name.replace("_", "-"): value for name, value in headers.items()}}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("POST", path, content, fields)
        response = connection.getresponse()
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()
