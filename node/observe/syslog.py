"""Syslog messages (RFC 5424), and the ways to a receiver: UDP (RFC 5426), TCP (RFC 6587), TLS (RFC 5425), a file.

Each way sends one message or raises OSError; it connects again by itself the next time.
"""

import os
import select
import socket
import ssl
from datetime import UTC, datetime
from typing import Protocol

from node.config import Audit
from node.dimse.tls import client_context

FACILITY = 10  # security and authorization
NOTICE, WARNING, ERROR = 5, 4, 3
MESSAGE_ID = "DICOM+RFC3881"  # PS3.15 A.6
BOM = b"\xef\xbb\xbf"
TIMEOUT_S = 5.0


class Way(Protocol):
    """To a receiver."""

    def send(self, message: bytes) -> None:
        """One message, whole. Raises OSError."""

    def close(self) -> None:
        """Let go of it."""


def message(body: bytes, severity: int, process: str, at: datetime) -> bytes:
    """RFC 5424: header, no structured data, body as UTF-8."""
    stamp = at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    host = "".join(each for each in socket.gethostname() if each.isascii() and each.isprintable()) or "-"
    header = f"<{8 * FACILITY + severity}>1 {stamp} {host[:255]} neurossl-{process} {os.getpid()} {MESSAGE_ID} - "
    return header.encode("ascii") + BOM + body


def way_to(settings: Audit) -> Way | None:
    """As configured; None when nothing is to be sent. Raises ConfigurationError when the TLS files are wrong."""
    if settings.transport == "none":
        return None
    if settings.transport == "file":
        assert settings.file is not None  # noqa: S101 - the settings see to it
        return File(str(settings.file))
    assert settings.host is not None  # noqa: S101
    if settings.transport == "udp":
        return Datagrams(settings.host, settings.port)
    context = None
    if settings.transport == "tls":
        assert settings.tls is not None  # noqa: S101
        context = client_context(settings.tls, "audit.tls")
    return Stream(settings.host, settings.port, context)


class Datagrams:
    """One message a datagram. Nobody says whether it arrived."""

    def __init__(self, host: str, port: int) -> None:
        """Nothing is looked up before the first message."""
        self._receiver = (host, port)
        self._socket: socket.socket | None = None

    def send(self, message: bytes) -> None:
        """As `Way`."""
        if self._socket is None:
            family, kind, protocol, _, address = socket.getaddrinfo(*self._receiver, type=socket.SOCK_DGRAM)[0]
            self._socket = socket.socket(family, kind, protocol)
            self._socket.settimeout(TIMEOUT_S)
            self._socket.connect(address)
        self._socket.send(message)

    def close(self) -> None:
        """As `Way`."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class Stream:
    """One connection, each message with its length before it (octet counting)."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None) -> None:
        """Nothing is connected before the first message."""
        self._receiver = (host, port)
        self._context = context
        self._socket: socket.socket | None = None

    def send(self, message: bytes) -> None:
        """As `Way`."""
        if self._socket is not None and self._has_gone(self._socket):
            self.close()
        if self._socket is None:
            self._socket = self._connected()
        self._socket.sendall(f"{len(message)} ".encode("ascii") + message)

    def close(self) -> None:
        """As `Way`."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _connected(self) -> socket.socket:
        plain = socket.create_connection(self._receiver, TIMEOUT_S)
        if self._context is None:
            return plain
        try:
            return self._context.wrap_socket(plain, server_hostname=self._receiver[0])
        except OSError:
            plain.close()
            raise

    def _has_gone(self, connected: socket.socket) -> bool:
        """A receiver says nothing; what can be read is its end, or a TLS session ticket."""
        if not select.select([connected], [], [], 0)[0]:
            return False
        connected.settimeout(0)
        try:
            return not connected.recv(4096)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except OSError:
            return True
        finally:
            connected.settimeout(TIMEOUT_S)


class File:
    """One message a line, at the end of a file; it is opened each time, so that it may be rotated."""

    def __init__(self, path: str) -> None:
        """Nothing is opened before the first message."""
        self._path = path

    def send(self, message: bytes) -> None:
        """As `Way`."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._path, flags, 0o600)
        try:
            os.write(descriptor, message + b"\n")
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """As `Way`."""
