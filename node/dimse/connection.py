"""One TCP or TLS connection that frames PDUs (PS3.8 9.3.1) and never waits without a deadline.

pynetdicom 3.0.4 reads with a blocking `recv` and trusts the PDU length up to 4 GiB, so one silent peer can hold a slot
for ever. Here every wait has an end, a PDU is refused by its header when it is too long, and its bytes land in one
buffer that is used again and again.

TCP: Nagle's algorithm is off, and the acknowledgement of what we read goes out at once, because a sender that has Nagle
on (DCMTK's and Orthanc's default) waits for it before its next small PDU: 45 ms an instance if the kernel delays it.
"""

import contextlib
import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from time import monotonic

from node.dimse.errors import ConnectionLost, DeadlinePassed, ProtocolViolation
from node.dimse.status import UNRECOGNIZED_PDU, Abort, Rejection

MAXIMUM_PDU_BYTES = 128 * 1024  # what we announce: longer PDUs gain nothing
LONGEST_PDU_BYTES = 2 * MAXIMUM_PDU_BYTES  # what we bear, also before the association
BUFFER_BYTES = LONGEST_PDU_BYTES + 128 * 1024
FIRST_BUFFER_BYTES = 16 * 1024  # of a connection that is no association yet: strangers get no more than they use
LINGER_S = 1.0  # for the peer to read our last word and to close
LINGER_BYTES = 1024 * 1024  # that it may still be sending meanwhile
QUICKACK: int | None = getattr(socket, "TCP_QUICKACK", None)  # Linux only

_HEADER = Struct(">BxI")
_NUMBERS = Struct(">BxIxBBB")


class PduType(IntEnum):
    """PS3.8 9.3.1."""

    ASSOCIATE_RQ = 1
    ASSOCIATE_AC = 2
    ASSOCIATE_RJ = 3
    DATA_TF = 4
    RELEASE_RQ = 5
    RELEASE_RP = 6
    ABORT = 7


@dataclass(frozen=True, slots=True)
class Pdu:
    """A protocol data unit; `body` (after the six bytes of header) is valid until the next one is read."""

    type: PduType
    body: memoryview


class Connection:
    """PDUs in, PDUs out, over one socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        with contextlib.suppress(OSError):  # not a TCP socket, or gone already: the first read tells
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = memoryview(bytearray(FIRST_BUFFER_BYTES))
        self._start = self._end = 0

    def expect_much(self) -> None:
        """From now on read in large pieces."""
        if len(self._buffer) < BUFFER_BYTES:
            self._move_to(memoryview(bytearray(BUFFER_BYTES)))

    def wait(self, seconds: float) -> bool:
        """Whether there is anything to read within these seconds. Raises ConnectionLost."""
        if self._end > self._start:
            return True
        try:
            self._fill(monotonic() + seconds)
        except DeadlinePassed:
            return False
        return True

    def receive(self, within_s: float) -> Pdu:
        """The next PDU, whole, within one deadline however slowly its bytes drip.

        Raises ConnectionLost, DeadlinePassed, ProtocolViolation.
        """
        deadline = monotonic() + within_s
        self._need(_HEADER.size, deadline)
        number, length = _HEADER.unpack_from(self._buffer, self._start)
        try:
            type_ = PduType(number)
        except ValueError:
            raise ProtocolViolation(f"PDU type {number} does not exist", UNRECOGNIZED_PDU) from None
        if length > LONGEST_PDU_BYTES:
            raise ProtocolViolation(f"a PDU of {length} bytes is longer than {LONGEST_PDU_BYTES}")
        self._need(_HEADER.size + length, deadline)
        begin = self._start + _HEADER.size
        self._start = begin + length
        return Pdu(type_, self._buffer[begin : self._start])

    def _need(self, count: int, deadline: float) -> None:
        """Have `count` bytes in one piece from `_start` on."""
        if self._start == self._end:
            self._start = self._end = 0
        if count > len(self._buffer):
            self.expect_much()
        if self._start + count > len(self._buffer):
            self._move_to(self._buffer)
        while self._end - self._start < count:
            self._fill(deadline)

    def _move_to(self, buffer: memoryview) -> None:
        """Have what was not taken yet at the beginning of this buffer."""
        rest = bytes(self._buffer[self._start : self._end])
        buffer[: len(rest)] = rest
        self._buffer, self._start, self._end = buffer, 0, len(rest)

    def _fill(self, deadline: float) -> None:
        left = deadline - monotonic()
        if left <= 0:
            raise DeadlinePassed("the peer fell silent")
        if self._start == self._end:
            self._start = self._end = 0
        try:
            self._socket.settimeout(left)
            if QUICKACK is not None:
                self._socket.setsockopt(socket.IPPROTO_TCP, QUICKACK, 1)  # the kernel forgets it after each burst
            count = self._socket.recv_into(self._buffer[self._end :])
        except TimeoutError:
            raise DeadlinePassed("the peer fell silent") from None
        except OSError as error:
            raise ConnectionLost(f"the connection broke: {error.strerror or type(error).__name__}") from None
        if count == 0:
            raise ConnectionLost("the peer closed the connection")
        self._end += count

    def send(self, data: bytes | bytearray, within_s: float) -> None:
        """Send all of it. Raises ConnectionLost, DeadlinePassed."""
        try:
            self._socket.settimeout(within_s)
            self._socket.sendall(data)
        except TimeoutError:
            raise DeadlinePassed("the peer takes no more data") from None
        except OSError as error:
            raise ConnectionLost(f"the connection broke: {error.strerror or type(error).__name__}") from None

    def close(self) -> None:
        """Close at once."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def close_after_last_word(self, last_word: bytes = b"") -> None:
        """Send this, and give the peer a moment to close (PS3.8 9.2, Sta13): a reset must not overtake it."""
        deadline = monotonic() + LINGER_S
        with contextlib.suppress(ConnectionLost, DeadlinePassed, OSError):
            if last_word:
                self.send(last_word, LINGER_S)
            self._end_writing()
            passed_over = 0
            while passed_over < LINGER_BYTES:
                self._start = self._end = 0
                self._fill(deadline)
                passed_over += self._end
        self.close()

    def _end_writing(self) -> None:
        if not isinstance(self._socket, ssl.SSLSocket):
            self._socket.shutdown(socket.SHUT_WR)


def pdu(type_: PduType, parts: Iterable[bytes | memoryview] = ()) -> bytearray:
    """Encode a PDU from the parts of its body."""
    encoded = bytearray(_HEADER.size)
    for part in parts:
        encoded += part
    _HEADER.pack_into(encoded, 0, type_, len(encoded) - _HEADER.size)
    return encoded


def reject_pdu(rejection: Rejection) -> bytes:
    """A-ASSOCIATE-RJ (PS3.8 9.3.4)."""
    return _NUMBERS.pack(PduType.ASSOCIATE_RJ, 4, *rejection)


def abort_pdu(abort: Abort) -> bytes:
    """A-ABORT (PS3.8 9.3.8)."""
    return _NUMBERS.pack(PduType.ABORT, 4, 0, *abort)
