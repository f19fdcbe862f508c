"""Associations that we open (PS3.8 7.1): connect, propose, hear the answer; each step has a deadline."""

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from node.config import Archive, Destination, Settings, Tls
from node.dimse.association import Association, Message, Released
from node.dimse.command import RESPONSE, Command
from node.dimse.connection import Connection, Pdu, PduType, abort_pdu
from node.dimse.contexts import Context, Proposed
from node.dimse.errors import (
    Aborted,
    ConnectionLost,
    DeadlinePassed,
    NotNegotiated,
    ProtocolViolation,
    RejectedForGood,
    RejectedForNow,
    TlsFailed,
    WrongAnswer,
)
from node.dimse.negotiation import AssociationAnswer, AssociationRequest, Roles, decode_answer, encode_request
from node.dimse.status import ABORTED_BY_USER, UNEXPECTED_PDU, Rejection
from node.dimse.tls import client_context, server_name
from node.errors import NodeError

LONGEST_ANSWER_BYTES = 64 * 1024 * 1024  # of a data set that answers us


@dataclass(frozen=True)
class Peer:
    """An application entity that we call."""

    ae_title: str
    host: str
    port: int
    calling_ae_title: str = "NEUROSSL"
    tls: Tls | None = None

    def __str__(self) -> str:
        return f"{self.ae_title}@{self.host}:{self.port}"


def peer_of(configured: Destination | Archive, settings: Settings) -> Peer:
    """The application entity that the settings name, and who we are to it."""
    calling = configured.calling_ae_title or settings.listener.ae_title
    return Peer(configured.ae_title, configured.host, configured.port, calling, configured.tls)


@contextmanager
def associate(
    peer: Peer,
    proposed: Sequence[Proposed],
    timeout_s: float,
    roles: Roles | None = None,
    longest_data_set_bytes: int = LONGEST_ANSWER_BYTES,
) -> Iterator[Association]:
    """An association with the peer, released at the end of the context, and aborted when the context fails.

    Raises ConnectionLost, DeadlinePassed, Aborted, RejectedForNow, ProtocolViolation (all Unreachable),
    RejectedForGood, ConfigurationError.
    """
    connection = _connect(peer, timeout_s)
    request = AssociationRequest(peer.calling_ae_title, peer.ae_title, tuple(proposed), roles or {})
    try:
        connection.send(encode_request(request), timeout_s)
        answer = _answer(connection.receive(timeout_s), request)
    except ProtocolViolation as violation:
        connection.close_after_last_word(abort_pdu(violation.abort))
        raise
    except NodeError:
        connection.close()
        raise
    accepted = {each.context_id: each for each in answer.contexts if each.result == 0}
    association = Association(connection, accepted, answer.maximum_pdu_bytes, timeout_s, longest_data_set_bytes)
    try:
        yield association
    except (ConnectionLost, Aborted):
        association.close()
        raise
    except BaseException:
        association.abort(ABORTED_BY_USER)
        raise
    with suppress(NodeError):  # everything was said; a peer that is gone now has it all
        association.release()
    association.close()


def _connect(peer: Peer, timeout_s: float) -> Connection:
    context = client_context(peer.tls) if peer.tls else None
    try:
        sock = socket.create_connection((peer.host, peer.port), timeout=timeout_s)
    except TimeoutError:
        raise DeadlinePassed(f"no connection within {timeout_s:g} s") from None
    except (OSError, UnicodeError) as error:
        raise ConnectionLost(f"no connection: {getattr(error, 'strerror', None) or error}") from None
    if context is None:
        return Connection(sock)
    try:
        return Connection(context.wrap_socket(sock, server_hostname=server_name(peer.host)))
    except OSError as error:
        sock.close()
        reason = getattr(error, "verify_message", None) or getattr(error, "reason", None) or type(error).__name__
        raise TlsFailed(f"no TLS: {reason}") from None


def _answer(received: Pdu, request: AssociationRequest) -> AssociationAnswer:
    match received.type:
        case PduType.ASSOCIATE_AC:
            return decode_answer(received, request.contexts)
        case PduType.ASSOCIATE_RJ:
            rejection = Rejection(*received.body[1:4]) if len(received.body) >= 4 else Rejection(1, 1, 1)
            kind = RejectedForNow if rejection.transient else RejectedForGood
            raise kind(f"the peer rejects the association: {rejection}")
        case PduType.ABORT:
            raise Aborted("the peer aborted instead of answering the association request")
        case _:
            raise ProtocolViolation(f"a {received.type.name} PDU answers the association request", UNEXPECTED_PDU)


def context_for(association: Association, abstract_syntax: str, transfer_syntaxes: Sequence[str] = ()) -> Context:
    """The accepted context of this class, in the first of these transfer syntaxes that was accepted, or in any.

    Raises NotNegotiated.
    """
    accepted = [each for each in association.contexts.values() if each.abstract_syntax == abstract_syntax]
    for syntax in transfer_syntaxes or [each.transfer_syntax for each in accepted]:
        for each in accepted:
            if each.transfer_syntax == syntax:
                return each
    raise NotNegotiated("the peer accepts no presentation context for this")


def answer_to(association: Association, command: Command, timeout_s: float) -> Message:
    """The response to this request. Raises WrongAnswer, and what `Association.receive` raises."""
    if not association.wait(timeout_s):
        raise DeadlinePassed(f"no response within {timeout_s:g} s")
    try:
        message = association.receive()
    except ProtocolViolation as violation:
        raise WrongAnswer(str(violation)) from None
    if isinstance(message, Released):
        association.confirm_release()
        raise ConnectionLost("the peer released the association instead of answering")
    check_answer(message.command, command)
    return message


def check_answer(answer: Command, command: Command) -> None:
    """Whether this is the response to that request, about the same instance where it names one. Raises WrongAnswer."""
    if answer.field != command.field | RESPONSE or answer.message_id != command.message_id:
        raise WrongAnswer("a message that is no response to our request")
    if answer.sop_instance_uid and command.sop_instance_uid and answer.sop_instance_uid != command.sop_instance_uid:
        raise WrongAnswer("a response that names another instance")
