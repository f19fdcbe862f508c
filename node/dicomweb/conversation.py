"""One HTTP connection of a sender (RFC 9110, 9112), which never waits without a deadline.

h11 says what the bytes mean; the socket is ours. A body has no limit as a whole, and is read as it is taken. What a
sender may not do is be slow: each 16 KiB has to come within the time-out, our own work not counted.
"""

import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from urllib.parse import urlsplit

import h11

from node.dimse.errors import ConnectionLost, DeadlinePassed, ProtocolViolation

READ_BYTES = 256 * 1024
PACE_BYTES = 16 * 1024
LINGER_S = 1.0  # for the peer to read our last word and to close
LINGER_BYTES = 1024 * 1024  # that it may still be sending meanwhile

Fields = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Request:
    """The head of a request; names of headers in lower case, the first of each."""

    method: str
    path: str
    headers: Mapping[str, str]


class Conversation:
    """Requests in, answers out, over one socket."""

    def __init__(self, sock: socket.socket, timeout_s: float) -> None:
        """`timeout_s` is for a head, for each 16 KiB of a body, and for each answer."""
        self._socket = sock
        self._timeout_s = timeout_s
        self._http = h11.Connection(h11.SERVER)

    def wait(self, seconds: float) -> bool:
        """Whether something of the next request comes within these seconds. Raises ConnectionLost."""
        if self._http.trailing_data[0]:
            return True
        try:
            self._receive(seconds)
        except DeadlinePassed:
            return False
        return True

    def request(self) -> Request | None:
        """The head of the next request; None when the peer is done. Raises ConnectionLost, DeadlinePassed, NotHttp."""
        deadline = monotonic() + self._timeout_s
        while True:
            event = self._next()
            if event is h11.NEED_DATA:
                self._receive(deadline - monotonic())
            elif isinstance(event, h11.Request):
                fields: dict[str, str] = {}
                for name, value in event.headers:
                    fields.setdefault(name.decode("latin-1"), value.decode("latin-1"))
                path = urlsplit(event.target.decode("latin-1")).path
                return Request(event.method.decode("latin-1"), path, fields)
            else:
                return None

    def body(self) -> Iterator[bytes]:
        """The body as it comes. Raises ConnectionLost, DeadlinePassed, NotHttp."""
        if self._http.they_are_waiting_for_100_continue:
            self._send(self._http.send(h11.InformationalResponse(status_code=100, headers=[])))
        waited_s, came = 0.0, 0
        while True:
            event = self._next()
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif event is h11.NEED_DATA:
                began_s = monotonic()
                came += self._receive(self._timeout_s - waited_s)
                waited_s += monotonic() - began_s
                if came >= PACE_BYTES:
                    waited_s, came = 0.0, 0
            elif isinstance(event, h11.EndOfMessage):
                return
            else:
                raise ConnectionLost("the sender closed the connection within a request")

    def answer(self, status: int, fields: Fields, content: bytes) -> bool:
        """Send an answer; whether the connection may be used on. Raises ConnectionLost."""
        is_whole = self._http.their_state is not h11.SEND_BODY
        every = [*fields, ("Content-Length", str(len(content))), ("Cache-Control", "no-store")]
        if not is_whole:
            every.append(("Connection", "close"))
        head = self._http.send(h11.Response(status_code=status, headers=every))
        self._send(head, self._http.send(h11.Data(data=content)), self._http.send(h11.EndOfMessage()))
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            return True
        self._close_after_last_word()
        return False

    @property
    def may_answer(self) -> bool:
        """Whether an answer to the request under way, or to what cannot be understood, can be sent."""
        return self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE)

    def _next(self) -> object:
        try:
            return self._http.next_event()
        except h11.RemoteProtocolError as error:
            if self._http.trailing_data[1]:  # the peer has closed its side
                raise ConnectionLost("the sender closed the connection within a request") from None
            raise NotHttp(str(error), error.error_status_hint) from None

    def _receive(self, within_s: float) -> int:
        """Read what comes; how many bytes."""
        if within_s <= 0:
            raise DeadlinePassed("the sender fell silent")
        try:
            self._socket.settimeout(within_s)
            data = self._socket.recv(READ_BYTES)
        except TimeoutError:
            raise DeadlinePassed("the sender fell silent") from None
        except OSError as error:
            raise ConnectionLost(f"the connection is lost: {error.strerror or type(error).__name__}") from None
        self._http.receive_data(data)
        return len(data)

    def _send(self, *pieces: bytes | None) -> None:
        try:
            self._socket.settimeout(self._timeout_s)
            self._socket.sendall(b"".join(piece for piece in pieces if piece))
        except OSError as error:
            raise ConnectionLost(f"the connection is lost: {error.strerror or type(error).__name__}") from None

    def _close_after_last_word(self) -> None:
        """Let the peer read it, whatever it is still sending."""
        deadline, left = monotonic() + LINGER_S, LINGER_BYTES
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
            while left > 0 and (within_s := deadline - monotonic()) > 0:
                self._socket.settimeout(within_s)
                came = len(self._socket.recv(READ_BYTES))
                if not came:
                    return
                left -= came


class NotHttp(ProtocolViolation):
    """What came is no HTTP that we understand."""

    def __init__(self, words: str, status: int) -> None:
        """`status` is the answer to it."""
        super().__init__(words)
        self.status = status
