"""The PDUs that open an association: A-ASSOCIATE-RQ and -AC into frozen values and back.

Our own are written through pynetdicom. Those of peers are read by `association_pdu`, which takes what archives take:
pynetdicom refuses titles padded with NUL, sub-items that it does not know and version names out of the ordinary.

Source: PS3.8 9.3.2 and 9.3.3, PS3.7 annex D.3.3.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
)
from pynetdicom.presentation import PresentationContext

from node.dicom.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from node.dicom.syntaxes import IMPLICIT
from node.dimse import association_pdu
from node.dimse.connection import MAXIMUM_PDU_BYTES, Pdu, PduType, pdu
from node.dimse.contexts import Context, Proposed
from node.dimse.errors import ProtocolViolation
from node.dimse.status import UNEXPECTED_PDU

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"  # PS3.7 A.2.1
PROTOCOL_VERSION = 1  # PS3.8 9.3.2: bit 0
TITLES_AT = 10  # in an encoded PDU: after type, reserved, length, protocol version and reserved

Roles = Mapping[str, tuple[bool, bool]]  # SOP class -> (SCU, SCP), as the requestor's roles


@dataclass(frozen=True)
class AssociationRequest:
    """An A-ASSOCIATE-RQ."""

    calling_ae_title: str
    called_ae_title: str
    contexts: tuple[Proposed, ...]
    roles: Roles = field(default_factory=dict)
    maximum_pdu_bytes: int = MAXIMUM_PDU_BYTES  # that the requestor takes; 0 is no limit
    application_context: str = APPLICATION_CONTEXT
    protocol_version: int = PROTOCOL_VERSION
    titles: bytes = b""  # both as they came, for the answer to give back


@dataclass(frozen=True)
class AssociationAnswer:
    """An A-ASSOCIATE-AC."""

    contexts: tuple[Context, ...]
    maximum_pdu_bytes: int  # that the acceptor takes; 0 is no limit


def decode_request(received: Pdu) -> AssociationRequest:
    """The association that a peer asks for. Raises ProtocolViolation."""
    if received.type is not PduType.ASSOCIATE_RQ:
        raise ProtocolViolation("a first PDU that is no A-ASSOCIATE-RQ", UNEXPECTED_PDU)
    read = association_pdu.read(received.body)
    ids = [item.context_id for item in read.contexts]
    if len(set(ids)) != len(ids) or any(not each % 2 for each in ids):
        raise ProtocolViolation("presentation contexts whose numbers are even or the same")
    return AssociationRequest(
        calling_ae_title=read.calling_ae_title,
        called_ae_title=read.called_ae_title,
        contexts=tuple(
            Proposed(item.context_id, item.abstract_syntax, item.transfer_syntaxes) for item in read.contexts
        ),
        roles=read.user_information.roles,
        maximum_pdu_bytes=read.user_information.maximum_pdu_bytes,
        application_context=read.application_context,
        protocol_version=read.protocol_version,
        titles=read.titles,
    )


def decode_answer(received: Pdu, proposed: Iterable[Proposed]) -> AssociationAnswer:
    """What a peer accepts of what we proposed. Raises ProtocolViolation."""
    read = association_pdu.read(received.body)
    abstract_syntax = {each.context_id: each.abstract_syntax for each in proposed}
    return AssociationAnswer(
        contexts=tuple(
            Context(item.context_id, abstract_syntax[item.context_id], _first(item.transfer_syntaxes), item.result)
            for item in read.contexts
            if item.context_id in abstract_syntax
        ),
        maximum_pdu_bytes=read.user_information.maximum_pdu_bytes,
    )


def _first(syntaxes: Sequence[str]) -> str:
    return syntaxes[0] if syntaxes else ""


def encode_request(request: AssociationRequest) -> bytes:
    """The A-ASSOCIATE-RQ that opens an association of ours."""
    primitive = _primitive(request, request.roles)
    primitive.presentation_context_definition_list = [_proposal(each) for each in request.contexts]
    encoded = A_ASSOCIATE_RQ()
    encoded.from_primitive(primitive)
    return bytes(encoded.encode())


def encode_answer(request: AssociationRequest, contexts: Sequence[Context], roles: Roles) -> bytes:
    """The A-ASSOCIATE-AC to a request; its contexts stand in the order of the request, its titles as they came."""
    named = replace(request, calling_ae_title="PEER", called_ae_title="NODE") if request.titles else request
    primitive = _primitive(named, roles)  # which would refuse the titles of some peers
    primitive.presentation_context_definition_results_list = [_result(each) for each in contexts]
    encoded = A_ASSOCIATE_AC()
    encoded.from_primitive(primitive)
    answer = bytes(encoded.encode())
    return answer[:TITLES_AT] + request.titles + answer[TITLES_AT + len(request.titles) :]


def release_pdu(type_: PduType) -> bytearray:
    """A-RELEASE-RQ or -RP (PS3.8 9.3.6, 9.3.7)."""
    return pdu(type_, [bytes(4)])


def _primitive(request: AssociationRequest, roles: Roles) -> Any:
    primitive = A_ASSOCIATE()
    primitive.application_context_name = APPLICATION_CONTEXT
    primitive.calling_ae_title = request.calling_ae_title
    primitive.called_ae_title = request.called_ae_title
    length = MaximumLengthNotification()
    length.maximum_length_received = MAXIMUM_PDU_BYTES
    implementation = ImplementationClassUIDNotification()
    implementation.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    name = ImplementationVersionNameNotification()
    name.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    primitive.user_information = [length, implementation, name, *map(_role, roles.items())]
    return primitive


def _role(role: tuple[str, tuple[bool, bool]]) -> Any:
    item = SCP_SCU_RoleSelectionNegotiation()
    item.sop_class_uid, (item.scu_role, item.scp_role) = role
    return item


def _proposal(proposed: Proposed) -> Any:
    context = PresentationContext()
    context.context_id = proposed.context_id
    context.abstract_syntax = proposed.abstract_syntax
    context.transfer_syntax = list(proposed.transfer_syntaxes)
    return context


def _result(answer: Context) -> Any:
    context = PresentationContext()
    context.context_id = answer.context_id
    context.transfer_syntax = [
        answer.transfer_syntax if answer.result == 0 else IMPLICIT
    ]  # not to be read when refused
    context.result = answer.result
    return context
