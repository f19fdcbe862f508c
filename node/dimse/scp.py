"""The listener: Verification and Storage SCP, and taker of the storage commitment reports that peers bring.

pynetdicom 3.0.4 gives the association PDUs, the SOP classes and their UIDs. Its association threads are not used, for
what was measured on them: a peer that sends half a PDU holds a slot for ever, the PDU length is trusted up to 4 GiB
before anybody is known, a data set grows in memory without end, the TLS handshake of one silent client stops all
others, and two polling sleeps cost 2 ms an instance. Each of those is a private part that would have to be replaced;
one thread an association with a blocking, bounded read is less code than the replacements, and several times as fast.

    accept loop ──► thread: TLS handshake ─► A-ASSOCIATE-RQ ─► admission ─► acceptor: messages ─► release
                    └── at most 256 before admission; the one that waits longest makes room ──┘
"""

import contextlib
import errno
import os
import socket
import threading
from time import monotonic
from types import TracebackType
from typing import Self

import structlog

from node.config import Listener
from node.dicom.received import Received
from node.dimse.acceptor import Acceptor, OnCommitment, OnStore
from node.dimse.admission import Admission
from node.dimse.connection import LONGEST_PDU_BYTES, Connection, reject_pdu
from node.dimse.status import LOCAL_LIMIT_EXCEEDED
from node.dimse.tls import HANDSHAKE_S, server_context
from node.errors import ConfigurationError

__all__ = ["Received", "Server", "start_listener"]

log = structlog.get_logger(__name__)

MOST_WAITING = 256  # connections that are not associations (yet)
BACKLOG = 128
TICK_S = 0.2


def start_listener(settings: Listener, on_store: OnStore, on_commitment: OnCommitment | None = None) -> "Server":
    """Listen, and call `on_store` with each instance in the thread of its association; what it returns is the answer.

    `on_commitment` gets each storage commitment report; without it, that service is not offered.
    Raises ConfigurationError, naming the key, when the address cannot be used or a TLS file is wrong.
    """
    return Server(settings, Acceptor(settings, Admission(settings), on_store, on_commitment))


class Server:
    """A running listener; `port` is where, also when any free port was asked for."""

    def __init__(self, settings: Listener, acceptor: Acceptor) -> None:
        self._acceptor = acceptor
        self._tls = server_context(settings.tls) if settings.tls else None
        self._listening = _bind(settings)
        self.port: int = self._listening.getsockname()[1]
        self._lock = threading.Lock()
        self._waiting: dict[threading.Thread, socket.socket] = {}  # in the order in which they came
        self._associated: dict[threading.Thread, socket.socket] = {}
        self._spare: int | None = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._accept_forever, name="listener", daemon=True)
        self._thread.start()
        log.info("listening", ae_title=settings.ae_title, host=settings.host, port=self.port, tls=bool(self._tls))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.stop(timeout_s=5)

    def stop(self, timeout_s: float) -> None:
        """Reject newcomers with 2/3/1, let each association finish the instance that it is sending, then abort it.

        What is not finished after `timeout_s` is cut off; its sender has no success, and sends it again.
        """
        deadline = monotonic() + timeout_s
        self._acceptor.admission.close()
        self._acceptor.stopping.set()
        for thread in self._threads():
            thread.join(max(0, deadline - monotonic()))
        self._done.set()
        self._thread.join()
        self._listening.close()
        with self._lock:
            for sock in (*self._associated.values(), *self._waiting.values()):
                _cut_off(sock)
        for thread in self._threads():
            thread.join(1)
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None
        log.info("stopped listening", port=self.port)

    def _threads(self) -> list[threading.Thread]:
        with self._lock:
            return list(self._associated)

    def _accept_forever(self) -> None:
        while not self._done.is_set():
            try:
                sock, address = self._listening.accept()
            except TimeoutError:
                continue
            except OSError as error:
                self._accept_failed(error)
                continue
            self._welcome(sock, str(address[0]))

    def _accept_failed(self, error: OSError) -> None:
        """Out of file descriptors: one is kept to tell the caller so (2/3/2), and those who are here are served on."""
        if error.errno in (errno.ECONNABORTED, errno.EINTR):
            return
        if error.errno not in (errno.EMFILE, errno.ENFILE) or self._spare is None:
            self._done.wait(TICK_S)
            return
        log.error("no file descriptor for another connection")
        os.close(self._spare)
        self._spare = None
        with contextlib.suppress(OSError):
            sock, _ = self._listening.accept()
            with sock:
                sock.settimeout(TICK_S)
                if sock.recv(LONGEST_PDU_BYTES) and not self._tls:
                    sock.sendall(reject_pdu(LOCAL_LIMIT_EXCEEDED))
        with contextlib.suppress(OSError):
            self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def _welcome(self, sock: socket.socket, host: str) -> None:
        thread = threading.Thread(target=self._serve, args=(sock, host), name=f"association {host}", daemon=True)
        with self._lock:
            if len(self._waiting) >= MOST_WAITING:
                _cut_off(self._waiting.pop(next(iter(self._waiting))))
            self._waiting[thread] = sock
        try:
            thread.start()
        except RuntimeError:  # the system has no more threads
            with self._lock:
                del self._waiting[thread]
            sock.close()

    def _serve(self, sock: socket.socket, host: str) -> None:
        thread = threading.current_thread()
        try:
            if self._tls:
                sock = self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
                with self._lock:
                    self._waiting[thread] = sock
                sock.settimeout(HANDSHAKE_S)
                sock.do_handshake()
        except OSError as error:
            log.warning("no TLS", host=host, reason=getattr(error, "reason", None) or type(error).__name__)
            self._acceptor.witness.refused("", host, "no TLS")
        else:
            self._acceptor.serve(Connection(sock), host, lambda: self._admit(thread))
        finally:
            with self._lock:
                self._waiting.pop(thread, None)
                self._associated.pop(thread, None)
            sock.close()

    def _admit(self, thread: threading.Thread) -> None:
        with self._lock:
            if thread in self._waiting:
                self._associated[thread] = self._waiting.pop(thread)


def _cut_off(sock: socket.socket) -> None:
    """Wake the thread that reads from it; that thread closes it."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _bind(settings: Listener) -> socket.socket:
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise ConfigurationError(f"listener.host: {settings.host!r} is no address of this machine") from None
    family, kind, protocol, _, address = found[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        key = "host" if error.errno == errno.EADDRNOTAVAIL else "port"
        value = settings.host if key == "host" else settings.port
        raise ConfigurationError(f"listener.{key}: cannot listen on {value}: {error.strerror}") from None
    listening.settimeout(TICK_S)
    return listening
