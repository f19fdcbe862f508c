"""The PDUs that open an association, through pynetdicom: A-ASSOCIATE-RQ and -AC into frozen values and back.

Source: PS3.8 9.3.2 and 9.3.3, PS3.7 annex D.3.3.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_items import UserInformationItem
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
from node.dimse.connection import MAXIMUM_PDU_BYTES, Pdu, PduType, pdu
from node.dimse.contexts import Context, Proposed
from node.dimse.errors import ProtocolViolation
from node.dimse.status import UNEXPECTED_PDU

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"  # PS3.7 A.2.1
PROTOCOL_VERSION = 1  # PS3.8 9.3.2: bit 0

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


@dataclass(frozen=True)
class AssociationAnswer:
    """An A-ASSOCIATE-AC."""

    contexts: tuple[Context, ...]
    maximum_pdu_bytes: int  # that the acceptor takes; 0 is no limit


def decode_request(received: Pdu) -> AssociationRequest:
    """The association that a peer asks for. Raises ProtocolViolation."""
    if received.type is not PduType.ASSOCIATE_RQ:
        raise ProtocolViolation("a first PDU that is no A-ASSOCIATE-RQ", UNEXPECTED_PDU)
    decoded = _decode(A_ASSOCIATE_RQ(), received)
    ids = [item.context_id for item in decoded.presentation_context]
    if len(set(ids)) != len(ids) or any(not each % 2 for each in ids):
        raise ProtocolViolation("presentation contexts whose numbers are even or the same")
    return AssociationRequest(
        calling_ae_title=decoded.calling_ae_title.strip(" "),
        called_ae_title=decoded.called_ae_title.strip(" "),
        contexts=tuple(
            Proposed(item.context_id, str(item.abstract_syntax or ""), tuple(map(str, item.transfer_syntax)))
            for item in decoded.presentation_context
        ),
        roles=_roles(decoded.user_information),
        maximum_pdu_bytes=_maximum_length(decoded.user_information),
        application_context=str(decoded.application_context_name or ""),
        protocol_version=decoded.protocol_version,
    )


def decode_answer(received: Pdu, proposed: Iterable[Proposed]) -> AssociationAnswer:
    """What a peer accepts of what we proposed. Raises ProtocolViolation."""
    decoded = _decode(A_ASSOCIATE_AC(), received)
    abstract_syntax = {each.context_id: each.abstract_syntax for each in proposed}
    return AssociationAnswer(
        contexts=tuple(
            Context(item.context_id, abstract_syntax[item.context_id], str(item.transfer_syntax or ""), item.result)
            for item in decoded.presentation_context
            if item.context_id in abstract_syntax
        ),
        maximum_pdu_bytes=_maximum_length(decoded.user_information),
    )


def _decode(kind: Any, received: Pdu) -> Any:
    header = bytes([received.type, 0]) + len(received.body).to_bytes(4, "big")
    try:
        kind.decode(header + bytes(received.body))
    except Exception as error:  # noqa: BLE001 - pynetdicom raises what its parsing happens to stumble on
        raise ProtocolViolation(f"an association PDU that cannot be read ({type(error).__name__})") from None
    if not isinstance(kind.user_information, UserInformationItem):
        raise ProtocolViolation("an association without user information")
    return kind


def _roles(information: UserInformationItem) -> Roles:
    return {str(uid): (bool(item.scu), bool(item.scp)) for uid, item in information.role_selection.items()}


def _maximum_length(information: UserInformationItem) -> int:
    return int(information.maximum_length or 0)


def encode_request(request: AssociationRequest) -> bytes:
    """The A-ASSOCIATE-RQ that opens an association of ours."""
    primitive = _primitive(request, request.roles)
    primitive.presentation_context_definition_list = [_proposal(each) for each in request.contexts]
    encoded = A_ASSOCIATE_RQ()
    encoded.from_primitive(primitive)
    return bytes(encoded.encode())


def encode_answer(request: AssociationRequest, contexts: Sequence[Context], roles: Roles) -> bytes:
    """The A-ASSOCIATE-AC to a request; its contexts stand in the order of the request."""
    primitive = _primitive(request, roles)
    primitive.presentation_context_definition_results_list = [_result(each) for each in contexts]
    encoded = A_ASSOCIATE_AC()
    encoded.from_primitive(primitive)
    return bytes(encoded.encode())


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
