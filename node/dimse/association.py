"""An established association, seen from either side: messages in, messages out (PS3.7 6.3, PS3.8 9.3.5 and annex E)."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from time import monotonic

from node.dimse.command import Command, decode, encode
from node.dimse.connection import MAXIMUM_PDU_BYTES, Connection, Pdu, PduType, abort_pdu, pdu
from node.dimse.contexts import Context
from node.dimse.errors import Aborted, DeadlinePassed, ProtocolViolation
from node.dimse.negotiation import release_pdu
from node.dimse.status import UNEXPECTED_PDU, Abort

LONGEST_COMMAND_BYTES = 16 * 1024
SLOWEST_BYTES_PER_S = 4096  # of a data set, after the first deadline: below it a peer only holds the slot
PDV_OVERHEAD_BYTES = 6
RELEASE_S = 5.0  # everything was said by then

COMMAND = 1  # bits of the message control header, PS3.8 annex E.2
LAST = 2


class Released(Enum):
    """The peer is done; said in place of a message."""

    RELEASED = "released"


@dataclass(frozen=True)
class Message:
    """A command and the fragments of its data set, which come from the network as they are taken."""

    context: Context
    command: Command
    data: Iterator[memoryview]

    def read(self, maximum_bytes: int) -> bytes:
        """The data set in one piece. Raises ProtocolViolation when it is longer, and what `receive` raises."""
        collected = bytearray()
        for fragment in self.data:
            collected += fragment
            if len(collected) > maximum_bytes:
                raise ProtocolViolation(f"a data set longer than {maximum_bytes} bytes where a short one belongs")
        return bytes(collected)

    def discard(self) -> None:
        """Read what is left of the data set, and forget it."""
        for _ in self.data:
            pass


@dataclass(frozen=True, slots=True)
class Pdv:
    """A presentation data value; `fragment` is valid until the next one is read."""

    context_id: int
    control: int
    fragment: memoryview


class Association:
    """Messages over the accepted contexts of one connection.

    contexts           accepted, by their id
    peer_maximum_bytes the longest PDU that the peer takes, 0 is no limit
    timeout_s          deadline of a PDU that has begun, and of each that must follow within a message
    """

    def __init__(
        self,
        connection: Connection,
        contexts: Mapping[int, Context],
        peer_maximum_bytes: int,
        timeout_s: float,
        maximum_data_bytes: int,
    ) -> None:
        self.contexts = contexts
        self._connection = connection
        connection.expect_much()
        limit = min(peer_maximum_bytes or MAXIMUM_PDU_BYTES, MAXIMUM_PDU_BYTES)
        self._fragment_bytes = max((limit - PDV_OVERHEAD_BYTES) & ~1, 2)  # even, PS3.8 E.1
        self._timeout_s = timeout_s
        self.maximum_data_bytes = maximum_data_bytes
        self._pdvs: deque[Pdv] = deque()

    def wait(self, seconds: float) -> bool:
        """Whether a message begins within these seconds. Raises ConnectionLost."""
        return bool(self._pdvs) or self._connection.wait(seconds)

    def receive(self) -> Message | Released:
        """The next message, or that the peer asks for release. The data of the message before must have been taken.

        Raises Aborted, ConnectionLost, DeadlinePassed, ProtocolViolation.
        """
        command = bytearray()
        context_id: int | None = None
        started = monotonic()
        while True:
            pdv = self.next_pdv()
            if pdv is None:
                return Released.RELEASED
            if not pdv.control & COMMAND or context_id not in (None, pdv.context_id):
                raise ProtocolViolation("a fragment of a data set where a command belongs")
            context_id = pdv.context_id
            command += pdv.fragment
            self.check_pace(started, len(command), LONGEST_COMMAND_BYTES)
            if pdv.control & LAST:
                break
        if context_id not in self.contexts:
            raise ProtocolViolation("a message in a presentation context that was not accepted")
        decoded = decode(bytes(command))
        data = _DataSet(self, context_id) if decoded.has_data_set else iter(())
        return Message(self.contexts[context_id], decoded, data)

    def check_pace(self, started: float, received: int, maximum: int) -> None:
        """Raises ProtocolViolation for a message that is too long, DeadlinePassed for one that only drips."""
        if received > maximum:
            raise ProtocolViolation(f"a message longer than {maximum} bytes")
        if monotonic() - started > self._timeout_s + received / SLOWEST_BYTES_PER_S:
            raise DeadlinePassed("the message comes too slowly")

    def next_pdv(self) -> Pdv | None:
        """The next PDV; None when the peer asks for release."""
        if self._pdvs:
            return self._pdvs.popleft()
        received = self._connection.receive(self._timeout_s)
        match received.type:
            case PduType.DATA_TF:
                self._pdvs.extend(_pdvs(received))
                return self._pdvs.popleft()
            case PduType.RELEASE_RQ:
                return None
            case PduType.ABORT:
                raise Aborted("the peer aborted the association")
            case _:
                raise ProtocolViolation(f"an unexpected {received.type.name} PDU", UNEXPECTED_PDU)

    def send(
        self,
        context_id: int,
        command: Command,
        data: Iterable[bytes | memoryview] = (),
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Send a message; `data` is cut anew into PDVs, and `progress` hears how many bytes of it went out each time.

        Raises ConnectionLost, DeadlinePassed.
        """
        for part in _cut([encode(command)], self._fragment_bytes):
            self._send_pdv(context_id, COMMAND | part.last, part.fragment)
        for part in _cut(data, self._fragment_bytes) if command.has_data_set else ():
            self._send_pdv(context_id, part.last, part.fragment)
            if progress:
                progress(len(part.fragment))

    def _send_pdv(self, context_id: int, control: int, fragment: bytes) -> None:
        head = (len(fragment) + 2).to_bytes(4, "big") + bytes([context_id, control])
        self._connection.send(pdu(PduType.DATA_TF, [head, fragment]), self._timeout_s)

    def respond(self, message: Message, status: int, comment: str = "") -> None:
        """Answer a request, without a data set."""
        self.send(message.context.context_id, message.command.response(status, comment))

    def release(self) -> None:
        """Ask for release, hear the answer, close (PS3.8 7.2). A peer that does not answer any more loses nothing."""
        deadline = monotonic() + min(self._timeout_s, RELEASE_S)
        self._connection.send(release_pdu(PduType.RELEASE_RQ), RELEASE_S)
        while self._connection.receive(max(deadline - monotonic(), 0)).type == PduType.DATA_TF:
            pass
        self._connection.close()

    def close(self) -> None:
        """Close at once, without a word."""
        self._connection.close()

    def abort(self, abort: Abort) -> None:
        """Say why, and close."""
        self._connection.close_after_last_word(abort_pdu(abort))

    def confirm_release(self) -> None:
        """Answer the peer's request for release, and close."""
        self._connection.close_after_last_word(bytes(release_pdu(PduType.RELEASE_RP)))


class _DataSet:
    """The fragments of one data set. No generator, which would be closed when whoever takes from it fails half-way."""

    def __init__(self, association: Association, context_id: int) -> None:
        self._association = association
        self._context_id = context_id
        self._started = monotonic()
        self._received = 0
        self._ended = False

    def __iter__(self) -> Iterator[memoryview]:
        return self

    def __next__(self) -> memoryview:
        if self._ended:
            raise StopIteration
        pdv = self._association.next_pdv()
        if pdv is None or pdv.control & COMMAND or pdv.context_id != self._context_id:
            raise ProtocolViolation("a data set that breaks off for something else")
        self._received += len(pdv.fragment)
        self._association.check_pace(self._started, self._received, self._association.maximum_data_bytes)
        self._ended = bool(pdv.control & LAST)
        return pdv.fragment


def _pdvs(received: Pdu) -> Iterator[Pdv]:
    body, position = received.body, 0
    if not body:
        raise ProtocolViolation("a P-DATA-TF PDU without a PDV")
    while position < len(body):
        if position + PDV_OVERHEAD_BYTES > len(body):
            raise ProtocolViolation("a PDV that is cut short")
        length = int.from_bytes(body[position : position + 4], "big")
        end = position + 4 + length
        if length < 2 or end > len(body):
            raise ProtocolViolation("a PDV longer than its PDU")
        yield Pdv(body[position + 4], body[position + 5], body[position + 6 : end])
        position = end


@dataclass(frozen=True, slots=True)
class _Part:
    fragment: bytes
    last: int


def _cut(data: Iterable[bytes | memoryview], size: int) -> Iterator[_Part]:
    """Pieces of `size` bytes, the last one marked and possibly shorter; no data is one empty last piece."""
    pending = bytearray()
    for part in data:
        pending += part
        while len(pending) > size:
            yield _Part(bytes(pending[:size]), 0)
            del pending[:size]
    yield _Part(bytes(pending), LAST)
