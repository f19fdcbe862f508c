"""Results to a destination by STOW-RS (PS3.18 10.5): one request an instance, its file read as it is sent.

The proof of delivery is the answer, which has to name the instance among those stored; a status alone proves nothing.
No redirection is followed: the secret is for the configured address.
"""

import http.client
import json
import ssl
import uuid
from base64 import b64encode
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from node.access.secrets import secret
from node.config import Destination
from node.dicom import part10
from node.dicomweb.answers import FAILED_SEQUENCE, FAILURE_REASON, JSON, SOP_INSTANCE, STORED_SEQUENCE
from node.dimse.scu import SendOutcome
from node.dimse.status import Disposition, disposition, status_text
from node.dimse.tls import client_context
from node.errors import ConfigurationError, Unparsable, Unreachable

CHUNK_BYTES = 256 * 1024
LONGEST_ANSWER_BYTES = 1024 * 1024
ANSWERED = (200, 202, 409)  # with a Store Instances Response (PS3.18 table 10.5.3-1)
LATER = (408, 429)  # as every 5xx
CUT = (BrokenPipeError, ConnectionResetError)  # the answer may have come before the end of the request
NO_JSON = (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError)


class ByWeb:
    """Stores at the address of one destination."""

    trouble = ""  # what is acknowledged is proved

    def __init__(self, destination: Destination, timeout_s: float) -> None:
        """Nothing is sent yet; `timeout_s` is for connecting, and for each step of sending and hearing."""
        self._destination = destination
        self._timeout_s = timeout_s

    def send(self, plan: Sequence[tuple[object, Path]]) -> Generator[SendOutcome]:
        """One outcome for each file, in this order, as it comes."""
        try:
            connection, fields = connection_to(self._destination, self._timeout_s), headers(self._destination)
        except ConfigurationError as error:
            yield from (SendOutcome(path, "", None, False, False, str(error), rejected=True) for _, path in plan)
            return
        with closing(connection):
            for _, path in plan:
                yield self._one(connection, fields, path)

    def prove(self, now: object, now_s: float) -> None:
        """There is nothing to ask."""

    def _one(self, connection: http.client.HTTPConnection, fields: dict[str, str], path: Path) -> SendOutcome:
        try:
            uid = part10.read_meta(path).sop_instance_uid
            return outcome(path, uid, *self._post(connection, fields, path))
        except Unparsable as error:
            return SendOutcome(path, "", None, False, False, str(error))
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            return SendOutcome(path, "", None, False, True, f"{self._destination.url}: {_words(error)}")

    def _post(self, connection: http.client.HTTPConnection, fields: dict[str, str], path: Path) -> tuple[int, bytes]:
        boundary = uuid.uuid4().hex
        head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        tail = f"\r\n--{boundary}--\r\n".encode()
        length = len(head) + path.stat().st_size + len(tail)
        described = {
            **fields,
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
            "Content-Length": str(length),
        }
        target = urlsplit(self._destination.url or "").path.rstrip("/") + "/studies"
        try:
            connection.request("POST", target, _body(head, path, tail), described)
        except CUT:
            if connection.sock is None:
                raise
        response = connection.getresponse()
        content = response.read(LONGEST_ANSWER_BYTES)
        if not response.isclosed():
            connection.close()
        return response.status, content


def _body(head: bytes, path: Path, tail: bytes) -> Iterator[bytes]:
    yield head
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
    yield tail


def outcome(path: Path, uid: str, status: int, content: bytes) -> SendOutcome:
    """What an answer says of the one instance that was sent.

    >>> outcome(Path("x"), "1.2", 503, b"").transient, outcome(Path("x"), "1.2", 401, b"").rejected
    (True, True)
    """
    if status not in ANSWERED:
        later = status in LATER or status >= 500
        repaired = 300 <= status < 400 or status in (401, 403, 404, 405)
        return SendOutcome(path, uid, None, False, later, f"the server answers {status}", rejected=repaired)
    try:
        stored, failed = _told(content)
    except NO_JSON:
        return SendOutcome(path, uid, None, False, True, f"{status} without DICOM JSON", wrong_answer=True)
    if uid in failed:
        found = disposition(failed[uid])
        later = found is Disposition.TRANSIENT
        text = status_text(failed[uid])
        return SendOutcome(path, uid, failed[uid], found is Disposition.ACCEPTED, later, text)
    if uid not in stored:
        return SendOutcome(path, uid, None, False, True, f"{status}, but not of this instance", wrong_answer=True)
    return SendOutcome(path, uid, 0x0000, True, False, "stored by STOW-RS")


def _told(content: bytes) -> tuple[set[str], dict[str, int]]:
    """UIDs of what is stored, and Failure Reasons by UID."""
    model = json.loads(content)
    stored = {str(each[SOP_INSTANCE]["Value"][0]) for each in _items(model, STORED_SEQUENCE)}
    failed = _items(model, FAILED_SEQUENCE)
    return stored, {str(each[SOP_INSTANCE]["Value"][0]): int(each[FAILURE_REASON]["Value"][0]) for each in failed}


def _items(model: dict[str, Any], sequence: str) -> list[dict[str, Any]]:
    return list(model.get(sequence, {}).get("Value", ()))


def headers(destination: Destination) -> dict[str, str]:
    """What every request says. Raises ConfigurationError where the secret cannot be read."""
    found = {"Accept": JSON, "User-Agent": "neurossl-node"}
    if destination.secret is None:
        return found
    key = secret(destination.secret, f"destinations.{destination.name}.secret")
    if not (key.isascii() and key.isprintable()):
        raise ConfigurationError(f"destinations.{destination.name}.secret: is no line of printable ASCII")
    if destination.authentication == "basic":
        return {**found, "Authorization": f"Basic {b64encode(key.encode()).decode()}"}
    return {**found, "Authorization": f"Bearer {key}"}


def connection_to(destination: Destination, timeout_s: float) -> http.client.HTTPConnection:
    """Not open yet. The host name has to be in the server's certificate. Raises ConfigurationError."""
    host, port = destination.host, destination.port
    if not (destination.url or "").startswith("https:"):
        return http.client.HTTPConnection(host, port, timeout=timeout_s)
    if destination.tls is None:
        context = ssl.create_default_context()
    else:
        context = client_context(destination.tls, f"destinations.{destination.name}.tls")
        context.check_hostname = True
    return http.client.HTTPSConnection(host, port, timeout=timeout_s, context=context)


def connects(destination: Destination, timeout_s: float) -> None:
    """Whether the server takes connections, and the secret is there. Raises ConfigurationError, Unreachable."""
    headers(destination)
    with closing(connection_to(destination, timeout_s)) as connection:
        try:
            connection.connect()
        except OSError as error:
            raise Unreachable(_words(error)) from None


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
