"""A peer that speaks the DICOM upper layer byte by byte, so that a test can also speak it wrongly.

Written from PS3.8 and PS3.7 alone; it shares no code with the node or with pynetdicom, and so finds where both err.

    with wire.listener(on_store) as server, wire.Peer(server.port) as peer:
        peer.associate()
        assert peer.store(dataset) == 0
"""

import socket
import ssl
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BytesIO
from types import TracebackType
from typing import Any, Self

from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import UID

from node.config import AllowedPeer, Listener
from node.dicom.received import Receipt, Received
from node.dimse.commitment import CommitmentReport
from node.dimse.scp import Server, start_listener

VERIFICATION = "1.2.840.10008.1.1"
MR = "1.2.840.10008.5.1.4.1.1.4"
COMMITMENT = "1.2.840.10008.1.20.1"
IMPLICIT, EXPLICIT, BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)

Contexts = Sequence[tuple[int, str, Sequence[str]]]  # id, abstract syntax, transfer syntaxes
STANDARD: Contexts = ((1, VERIFICATION, (IMPLICIT,)), (3, MR, (EXPLICIT,)), (5, MR, (IMPLICIT,)))


@contextmanager
def listener(
    on_store: Callable[[Received], Receipt] | None = None,
    on_commitment: Callable[[CommitmentReport], None] | None = None,
    **settings: Any,
) -> Iterator[Server]:
    """Our listener on a free port; anybody called TESTER may send, and what comes is dropped with success."""
    chosen = {"port": 0, "allow": (AllowedPeer(ae_title="TESTER"),), **settings}
    with start_listener(Listener(**chosen), on_store or take, on_commitment) as server:
        yield server


def take(received: Received) -> Receipt:
    """Read an instance to its end and forget it."""
    for _ in received.data:
        pass
    return Receipt.STORED


def item(kind: int, body: bytes) -> bytes:
    """A variable item of an association PDU."""
    return struct.pack(">BxH", kind, len(body)) + body


def pdu(kind: int, body: bytes) -> bytes:
    """A protocol data unit."""
    return struct.pack(">BxI", kind, len(body)) + body


def associate_rq(
    contexts: Contexts = STANDARD,
    calling: str = "TESTER",
    called: str = "NEUROSSL",
    *,
    maximum_length: int = 16384,
    application_context: str = "1.2.840.10008.3.1.1.1",
    version: int = 1,
    user_items: bytes = b"",
) -> bytes:
    """A-ASSOCIATE-RQ (PS3.8 9.3.2)."""
    proposed = b"".join(
        item(
            0x20,
            bytes([number, 0, 0, 0])
            + item(0x30, abstract.encode())
            + b"".join(item(0x40, syntax.encode()) for syntax in syntaxes),
        )
        for number, abstract, syntaxes in contexts
    )
    user = item(0x51, struct.pack(">I", maximum_length)) + item(0x52, b"1.2.826.0.1.1") + user_items
    head = struct.pack(">H2x16s16s32x", version, called.ljust(16).encode(), calling.ljust(16).encode())
    return pdu(ASSOCIATE_RQ, head + item(0x10, application_context.encode()) + proposed + item(0x50, user))


def command(field: int, *, data_set: bool = False, message_id: int = 1, **elements: Any) -> bytes:
    """A command set; keyword arguments are `eXXXX=value` (text for UIDs, numbers for US)."""
    values = {0x0100: field, 0x0110: message_id, 0x0800: 0x0001 if data_set else 0x0101}
    values |= {int(name[1:], 16): value for name, value in elements.items()}
    body = b""
    for element, value in sorted(values.items()):
        if value is None:
            continue
        raw = struct.pack("<H", value) if isinstance(value, int) else str(value).encode("latin-1")
        raw += b"\0" * (len(raw) % 2)
        body += struct.pack("<HHI", 0, element, len(raw)) + raw
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body


def pdv(context: int, control: int, fragment: bytes) -> bytes:
    """A presentation data value item; control: 1 command, 2 last fragment."""
    return struct.pack(">IBB", len(fragment) + 2, context, control) + fragment


def encode(dataset: Dataset, transfer_syntax: str = EXPLICIT) -> bytes:
    """The bytes of a data set."""
    syntax = UID(transfer_syntax)
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = syntax.is_little_endian, syntax.is_implicit_VR
    write_dataset(buffer, dataset)
    return buffer.getvalue()


class Peer:
    """One connection to a listener."""

    def __init__(
        self, port: int, *, timeout_s: float = 10, source: str = "127.0.0.1", tls: ssl.SSLContext | None = None
    ) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_s, source_address=(source, 0))
        if tls:
            try:
                self.socket = tls.wrap_socket(self.socket)
            except OSError:
                self.socket.close()
                raise
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._message_id = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Any bytes."""
        self.socket.sendall(data)

    def receive(self) -> tuple[int, bytes] | None:
        """The next PDU, its type and body; None when the connection is over."""
        with suppress(ConnectionError):
            head = self._exactly(6)
            if len(head) == 6:
                kind, length = struct.unpack(">BxI", head)
                return kind, self._exactly(length)
        return None

    def _exactly(self, count: int) -> bytes:
        got = BytesIO()
        while got.tell() < count and (piece := self.socket.recv(count - got.tell())):
            got.write(piece)
        return got.getvalue()

    def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send a PDU and get the answer; it must not be the end of the connection."""
        self.send(request)
        answer = self.receive()
        assert answer is not None, "the connection is over"
        return answer

    def associate(self, contexts: Contexts = STANDARD, **request: Any) -> dict[int, tuple[int, str]]:
        """Open an association: result and transfer syntax of each context; fails when it is rejected."""
        kind, body = self.ask(associate_rq(contexts, **request))
        assert kind == ASSOCIATE_AC, (kind, body)
        answers, position = {}, 68
        while position < len(body):
            (length,) = struct.unpack_from(">H", body, position + 2)
            if body[position] == 0x21:
                part = body[position + 4 : position + 4 + length]
                answers[part[0]] = part[2], part[8:].decode().rstrip("\0")
            position += 4 + length
        return answers

    def rejection(self, **request: Any) -> tuple[int, int, int] | None:
        """Ask for an association: result, source and reason of the rejection; None when it is accepted."""
        kind, body = self.ask(associate_rq(**request))
        return (body[1], body[2], body[3]) if kind == ASSOCIATE_RJ else None

    def release(self) -> None:
        """Ask for release and hear the answer."""
        assert self.ask(pdu(RELEASE_RQ, bytes(4)))[0] == RELEASE_RP

    def request(self, context: int, message: bytes, data: bytes | None = None, *, piece: int = 16000) -> int:
        """A message, its data set in pieces, and the status of the response."""
        self.send(pdu(DATA, pdv(context, 3, message)))
        for start in range(0, len(data or b"") or (0 if data is None else 1), piece):
            part = (data or b"")[start : start + piece]
            self.send(pdu(DATA, pdv(context, 2 if start + piece >= len(data or b"") else 0, part)))
        return self.status()

    def status(self) -> int:
        """The status in the response that comes next."""
        answer = self.receive()
        assert answer is not None, "the connection is over"
        kind, body = answer
        assert kind == DATA, (kind, body)
        return int(elements(body[6:])[0x0900])

    def echo(self, context: int = 1) -> int:
        """The status of a C-ECHO."""
        return self.request(context, command(0x30, e0002=VERIFICATION))

    def store(
        self, dataset: Dataset | bytes, *, context: int = 3, syntax: str = EXPLICIT, piece: int = 16000, **elements: Any
    ) -> int:
        """The status of a C-STORE; `eXXXX=` changes an element of its command set."""
        self._message_id += 1
        named: dict[str, Any] = {"e0700": 0}
        if isinstance(dataset, Dataset):
            named |= {"e0002": dataset.get("SOPClassUID", MR), "e1000": dataset.get("SOPInstanceUID", "1.2.3")}
        message = command(1, data_set=True, message_id=self._message_id, **(named | elements))
        data = dataset if isinstance(dataset, bytes) else encode(dataset, syntax)
        return self.request(context, message, data, piece=piece)


def elements(data: bytes) -> dict[int, Any]:
    """The command set in these bytes: numbers for two-byte values, text otherwise."""
    found: dict[int, Any] = {}
    position = 0
    while position < len(data):
        _, element, length = struct.unpack_from("<HHI", data, position)
        raw = data[position + 8 : position + 8 + length]
        found[element] = struct.unpack("<H", raw)[0] if length == 2 else raw.decode("latin-1").rstrip("\0 ")
        position += 8 + length
    return found


def eof(peer: Peer) -> bool:
    """Whether the other side has closed, perhaps after an A-ABORT."""
    answer = peer.receive()
    return answer is None or answer[0] == ABORT
