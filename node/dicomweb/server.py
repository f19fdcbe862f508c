"""The door for STOW-RS: a thread for each connection, as for associations, and what of HTTP is refused at once.

accept loop ──► thread: TLS ─► head ─► who? ─► room? ─► instance after instance ─► answer ─► next request
"""

import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from time import monotonic
from types import TracebackType
from typing import Self

import structlog

from node.config import Settings
from node.config_dicomweb import DicomWeb, DoorTls
from node.dicomweb import answers, stow
from node.dicomweb.conversation import Conversation, NotHttp, Request
from node.dicomweb.multipart import media_type
from node.dicomweb.senders import NotLetIn, Sender, Senders
from node.dicomweb.stow import NotTaken
from node.dimse.errors import DeadlinePassed
from node.dimse.witness import Witness
from node.errors import ConfigurationError, Unreachable
from node.logs import safe_text

log = structlog.get_logger(__name__)

CONNECTIONS_FOR_EACH_REQUEST = 4  # that may be open, beside each request that is served
BACKLOG = 128
TICK_S = 0.2
HANDSHAKE_S = 10.0
COME_AGAIN_S = 30
LONGEST_EPILOGUE_BYTES = 64 * 1024

IsShut = Callable[[], bool]


def start(
    settings: Settings, dicomweb: DicomWeb, on_store: stow.OnStore, witness: Witness, is_shut: IsShut = lambda: False
) -> "Server":
    """Listen, and call `on_store` with each instance in the thread of its connection; what it returns is the answer.

    While `is_shut`, and when too many store, a request is told to come again (503).
    Raises ConfigurationError, naming the key, when the address cannot be used or a TLS file is wrong.
    """
    return Server(settings, dicomweb, on_store, witness, is_shut)


class Server:
    """A running door; `port` is where, also when any free port was asked for."""

    def __init__(
        self, settings: Settings, dicomweb: DicomWeb, on_store: stow.OnStore, witness: Witness, is_shut: IsShut
    ) -> None:
        self._timeout_s, self._idle_s = settings.listener.pdu_timeout_s, settings.listener.idle_timeout_s
        self._most = dicomweb.maximum_requests
        self._senders = Senders(settings, dicomweb)
        self._store = stow.Store(settings.listener, on_store)
        self._witness, self._is_shut = witness, is_shut
        self._storing: Counter[str] = Counter()  # requests under way, by the AE title of their sender
        self._open: dict[threading.Thread, socket.socket] = {}
        self._lock = threading.Lock()
        self._stopping, self._done = threading.Event(), threading.Event()
        self._tls = None if dicomweb.tls is None else server_context(dicomweb.tls)
        self._listening = _bind(dicomweb)
        self.port: int = self._listening.getsockname()[1]
        self.address = {"host": dicomweb.host, "port": self.port}
        self._thread = threading.Thread(target=self._accept_forever, name="dicomweb", daemon=True)
        self._thread.start()
        log.info("listening for STOW-RS", host=dicomweb.host, port=self.port, tls=bool(self._tls))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self.stop(timeout_s=5)

    @property
    def senders(self) -> list[str]:
        """The AE titles of those whose requests are under way: their studies are waited for (fault F34)."""
        with self._lock:
            return sorted(self._storing)

    def stop(self, timeout_s: float) -> None:
        """Take nobody new, let each request that is under way end, and cut off what is not over after `timeout_s`."""
        deadline = monotonic() + timeout_s
        self._stopping.set()
        for thread in self._threads():
            thread.join(max(0.0, deadline - monotonic()))
        self._done.set()
        self._thread.join()
        self._listening.close()
        with self._lock:
            for sock in self._open.values():
                _cut_off(sock)
        for thread in self._threads():
            thread.join(1)

    def _threads(self) -> list[threading.Thread]:
        with self._lock:
            return list(self._open)

    def _accept_forever(self) -> None:
        while not self._done.is_set():
            try:
                sock, address = self._listening.accept()
            except TimeoutError:
                continue
            except OSError:  # out of file descriptors, or a caller that has gone
                self._done.wait(TICK_S)
                continue
            self._welcome(sock, str(address[0]))

    def _welcome(self, sock: socket.socket, host: str) -> None:
        thread = threading.Thread(target=self._serve, args=(sock, host), name=f"dicomweb {host}", daemon=True)
        with self._lock:
            full = self._stopping.is_set() or len(self._open) >= CONNECTIONS_FOR_EACH_REQUEST * self._most
            if not full:
                self._open[thread] = sock
        try:
            if full:
                sock.close()
            else:
                thread.start()
        except RuntimeError:  # the system has no more threads
            with self._lock:
                del self._open[thread]
            sock.close()

    def _serve(self, sock: socket.socket, host: str) -> None:
        thread = threading.current_thread()
        try:
            with suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls:
                sock = self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
                with self._lock:
                    self._open[thread] = sock
                sock.settimeout(HANDSHAKE_S)
                sock.do_handshake()
            self._hold(Conversation(sock, self._timeout_s), host)
        except OSError as error:
            log.warning("no TLS", host=host, reason=getattr(error, "reason", None) or type(error).__name__)
        except Exception as error:  # noqa: BLE001 - one connection must not end the others
            log.error("a connection failed", host=host, error=safe_text(error))  # noqa: TRY400
        finally:
            with self._lock:
                self._open.pop(thread, None)
            sock.close()

    def _hold(self, conversation: Conversation, host: str) -> None:
        """Serve request after request until the peer or the listener ends."""
        try:
            while self._awaits(conversation) and (request := conversation.request()) is not None:
                if not _Served(conversation, request, host).by(self._answer):
                    return
        except NotHttp as error:
            log.warning("a request not understood", host=host, reason=str(error))
            if conversation.may_answer:
                with suppress(Unreachable):
                    conversation.answer(error.status, PLAIN, b"this is no HTTP that is understood here")
        except Unreachable as error:
            log.warning("a request broke off", host=host, reason=str(error))

    def _awaits(self, conversation: Conversation) -> bool:
        """Until a request begins; False when the listener stops."""
        until = monotonic() + self._idle_s
        while not self._stopping.is_set() and monotonic() < until:
            if conversation.wait(TICK_S):
                return True
        return False

    def _answer(self, served: "_Served") -> bool:
        request = served.request
        study = stow.study_of(request.path)
        if request.method != "POST":
            raise NotTaken(405, "instances are stored by POST; nothing is retrieved from here")
        sender = self._senders.who(request.headers, served.host)
        if isinstance(sender, NotLetIn):
            self._witness.refused(sender.ae_title, sender.host, sender.words)
            raise NotTaken(sender.status, sender.words)
        accepted = answers.acceptable(request.headers.get("accept", ""))
        if accepted is None:
            raise NotTaken(406, f"the answer is {answers.JSON} or {answers.XML}")
        kind = media_type(request.headers.get("content-type", ""))
        boundary = stow.boundary_of(kind, request.headers.get("content-encoding", ""))
        with self._storing_for(sender):
            body = served.conversation.body()
            outcomes = list(self._store.take(body, boundary, sender, study))
            _to_its_end(body)
            if not outcomes:
                raise NotTaken(400, "there is no instance in the body that can be found by its boundary")
            status = answers.status(outcomes)
            stored = sum(not each.reason for each in outcomes)
            log.info("stored by STOW-RS", calling=sender.ae_title, host=sender.host, status=status, stored=stored,
                     failed=len(outcomes) - stored)  # fmt: skip
            content = answers.encoded(answers.model(outcomes), accepted)
            return served.conversation.answer(status, [("Content-Type", accepted)], content)

    @contextmanager
    def _storing_for(self, sender: Sender) -> Iterator[None]:
        """One of those that may store at the same time. Raises NotTaken."""
        with self._lock:
            full = self._storing.total() >= self._most
            if full or self._is_shut() or self._stopping.is_set():
                raise NotTaken(503, "too many store at this time" if full else "nothing is taken at this time")
            self._storing[sender.ae_title] += 1
        with ExitStack() as after:
            after.callback(self._witness.ended)
            after.callback(self._over, sender)
            self._witness.accepted(sender.ae_title, sender.host)
            yield

    def _over(self, sender: Sender) -> None:
        with self._lock:
            self._storing[sender.ae_title] -= 1
            self._storing = +self._storing


PLAIN = (("Content-Type", "text/plain; charset=utf-8"),)


class _Served:
    """One request, and where it came from."""

    def __init__(self, conversation: Conversation, request: Request, host: str) -> None:
        self.conversation, self.request, self.host = conversation, request, host

    def by(self, answer: Callable[["_Served"], bool]) -> bool:
        """Whether the connection may be used on."""
        try:
            return answer(self)
        except NotTaken as refusal:
            log.warning("a request refused", host=self.host, status=refusal.status, reason=str(refusal))
            fields = [*PLAIN]
            if refusal.status == 401:
                fields.append(("WWW-Authenticate", 'Basic realm="NeuroSSL Node", charset="UTF-8"'))
            if refusal.status == 405:
                fields.append(("Allow", "POST"))
            if refusal.status == 503:
                fields.append(("Retry-After", str(COME_AGAIN_S)))
            return self.conversation.answer(refusal.status, fields, str(refusal).encode())
        except DeadlinePassed:
            if self.conversation.may_answer:
                self.conversation.answer(408, PLAIN, b"the body came too slowly")
            raise


def _to_its_end(body: Iterator[bytes]) -> None:
    """What follows the last part says nothing; when it does not end, the connection is not used again."""
    left = LONGEST_EPILOGUE_BYTES
    for piece in body:
        left -= len(piece)
        if left < 0:
            return


def server_context(tls: DoorTls) -> ssl.SSLContext:
    """TLS 1.2 or newer. Raises ConfigurationError."""

    def no_pass_phrase() -> str:
        raise ConfigurationError(f"dicomweb.tls.key: {tls.key} is encrypted: nobody is there to type its pass phrase")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(tls.certificate, tls.key, password=no_pass_phrase)
        if tls.authorities is not None:
            context.load_verify_locations(cafile=tls.authorities)
            context.verify_mode = ssl.CERT_REQUIRED
    except ssl.SSLError as error:
        raise ConfigurationError(f"dicomweb.tls: the certificate does not fit its key: {error.reason}") from error
    except OSError as error:
        raise ConfigurationError(f"dicomweb.tls: cannot be read: {error.strerror}") from error
    return context


def _cut_off(sock: socket.socket) -> None:
    """Wake the thread that reads from it; that thread closes it."""
    with suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _bind(dicomweb: DicomWeb) -> socket.socket:
    where = f"{dicomweb.host}:{dicomweb.port}"
    try:
        found = socket.getaddrinfo(dicomweb.host, dicomweb.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(BACKLOG)
        except OSError:
            listening.close()
            raise
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "no such address"
        raise ConfigurationError(f"dicomweb.port: cannot listen on {where}: {reason}") from error
    listening.settimeout(TICK_S)
    return listening
