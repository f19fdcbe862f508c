"""An HL7 receiver on loopback, which keeps what it gets and answers as told.

with receiver("AE", "AA") as ris:     # the first message, and every later one
    ...
    assert ris.messages == [...]
"""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import hl7

NOTHING, CUT, NONSENSE, OTHER = "nothing", "cut", "nonsense", "other"


@dataclass
class Receiver:
    """Every message that came; `answers` are used one after the other, the last one for ever."""

    answers: list[str]
    port: int = 0
    raw: list[bytes] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    @property
    def messages(self) -> list[hl7.Message]:
        """Parsed."""
        return [hl7.parse(each.decode("utf-8")) for each in self.raw]

    @property
    def control_ids(self) -> list[str]:
        """MSH-10 of each."""
        return [str(each.segment("MSH")(10)) for each in self.messages]

    def serve(self, sock: socket.socket) -> None:
        """One connection."""
        kept = b""
        sock.settimeout(5)
        while more := sock.recv(4096):
            kept += more
            while b"\x1c\r" in kept:
                message, _, kept = kept.partition(b"\x1c\r")
                self.raw.append(message.removeprefix(b"\x0b"))
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if answer == CUT:
                    return
                if answer == NOTHING:
                    self.closing.wait(5)
                    return
                sock.sendall(self._answer(answer))

    def _answer(self, answer: str) -> bytes:
        if answer == NONSENSE:
            return b"\x0bHTTP/1.1 400 Muster^Erika\r\x1c\r"
        mine = self.control_ids[-1]
        head = "MSH|^~\\&|RIS|H|NEUROSSL||20260101||ACK^R01|1|P|2.5.1\r"
        stale = f"\x0b{head}MSA|AA|another\r\x1c\r" if answer == OTHER else ""
        code = "AA" if answer == OTHER else answer
        return f"{stale}\x0b{head}MSA|{code}|{mine}|Muster^Erika is unknown\r\x1c\r".encode()


@contextmanager
def receiver(*answers: str, port: int = 0, context: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """Takes connections, with TLS where there is a context."""
    kept = Receiver(list(answers or ("AA",)))
    server = socket.create_server(("127.0.0.1", port))
    server.settimeout(0.05)
    kept.port = server.getsockname()[1]
    threads: list[threading.Thread] = []

    def accept() -> None:
        while not kept.closing.is_set():
            try:
                sock, _ = server.accept()
            except TimeoutError:
                continue
            threads.append(threading.Thread(target=_serve, args=(kept.serve, sock, context), daemon=True))
            threads[-1].start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield kept
    finally:
        kept.closing.set()
        acceptor.join(5)
        for thread in threads:
            thread.join(6)
        server.close()


def _serve(serve: Callable[[socket.socket], None], sock: socket.socket, context: ssl.SSLContext | None) -> None:
    try:
        with context.wrap_socket(sock, server_side=True) if context else sock as wrapped:
            serve(wrapped)
    except OSError:
        sock.close()
