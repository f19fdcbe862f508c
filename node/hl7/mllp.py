"""One message over MLLP (HL7 minimal lower layer protocol, release 1), and what the receiver answers, each in time."""

import socket
import time
from dataclasses import dataclass

import hl7

from node.config_telling import Hl7Receiver
from node.dimse.tls import client_context, server_name
from node.errors import Refused, Unreachable

START, END = b"\x0b", b"\x1c\r"
LONGEST_ANSWER_BYTES = 64 * 1024
ACCEPTED = ("AA", "CA")
REFUSALS = {  # HL7 table 0008
    "AE": "an error in the message or at the receiver",
    "AR": "rejected",
    "CE": "an error in the message or at the receiver",
    "CR": "rejected",
}


@dataclass(frozen=True)
class Acknowledgement:
    """MSA-1 and MSA-2; what else a receiver says may quote the patient, and is not read."""

    code: str
    control_id: str


def send(receiver: Hl7Receiver, message: bytes, control_id: str, timeout_s: float) -> str:
    """The code of the acknowledgement. Raises Refused, Unreachable, ConfigurationError."""
    deadline_s = time.monotonic() + timeout_s
    with _connect(receiver, timeout_s) as sock:
        try:
            sock.sendall(START + message + END)
            found = _answer(sock, control_id, deadline_s)
        except TimeoutError:
            raise Unreachable(f"no acknowledgement within {timeout_s:g} s") from None
        except OSError as error:
            raise Unreachable(f"the connection broke: {error.strerror or type(error).__name__}") from None
    if found.code in ACCEPTED:
        return found.code
    raise Refused(f"{found.code}: {REFUSALS.get(found.code, 'no acknowledgement that HL7 knows')}")


def connects(receiver: Hl7Receiver, timeout_s: float) -> None:
    """Whether it can be reached; nothing is sent. Raises Unreachable, ConfigurationError."""
    _connect(receiver, timeout_s).close()


def acknowledgement(content: bytes) -> Acknowledgement:
    """What one answer says. Raises Refused for what is no acknowledgement."""
    try:
        segment = hl7.parse(content.decode("utf-8", "replace").strip("\r\n") + "\r").segment("MSA")
        return Acknowledgement(str(segment(1)).strip().upper(), str(segment(2)).strip())
    except (hl7.HL7Exception, KeyError, IndexError, ValueError, AttributeError):
        raise Refused("the receiver answers with something that is no acknowledgement") from None


def _connect(receiver: Hl7Receiver, timeout_s: float) -> socket.socket:
    context = client_context(receiver.tls, f"hl7.{receiver.name}.tls") if receiver.tls else None
    try:
        sock = socket.create_connection((receiver.host, receiver.port), timeout=timeout_s)
    except (OSError, UnicodeError) as error:
        raise Unreachable(f"no connection: {getattr(error, 'strerror', None) or type(error).__name__}") from None
    if context is None:
        return sock
    try:
        return context.wrap_socket(sock, server_hostname=server_name(receiver.host))
    except OSError as error:
        sock.close()
        raise Unreachable(f"no TLS: {getattr(error, 'verify_message', None) or type(error).__name__}") from None


def _answer(sock: socket.socket, control_id: str, deadline_s: float) -> Acknowledgement:
    """The acknowledgement of this message; one of another message is passed over."""
    kept = b""
    while True:
        content, found, rest = kept.partition(END)
        if found:
            kept = rest
            answer = acknowledgement(content.partition(START)[2] or content)
            if answer.control_id == control_id:
                return answer
            continue
        if len(kept) > LONGEST_ANSWER_BYTES:
            raise Refused("the receiver answers without an end")
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        sock.settimeout(left_s)
        more = sock.recv(4096)
        if not more:
            raise ConnectionResetError(104, "closed before the acknowledgement")
        kept += more
