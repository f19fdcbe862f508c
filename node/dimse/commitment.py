"""Storage commitment, push model, as SCU (PS3.4 annex J): will you keep what I sent?

The request is answered at once; the report comes later, on the same association or on one that the peer opens to our
listener, sometimes before the answer to the request was read. So the caller notes the transaction UID before it asks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Literal

from pydicom import Dataset
from pynetdicom.dsutils import encode

from node.dicom.syntaxes import BIG_ENDIAN, EXPLICIT, IMPLICIT
from node.dicom.uids import is_uid
from node.dicom.walker import ITEM, walk
from node.dimse.association import Association, Message, Released
from node.dimse.command import Command, Request
from node.dimse.contexts import STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE, Proposed
from node.dimse.errors import ConnectionLost, DeadlinePassed, ProtocolViolation
from node.dimse.requestor import Peer, associate, check_answer, context_for
from node.dimse.status import Disposition, Status, disposition, status_text
from node.errors import NodeError, Transient, Unparsable

REQUEST_COMMITMENT = 1  # action type, PS3.4 J.3.2
LONGEST_REPORT_BYTES = 16 * 1024 * 1024
LINGER_S = 2.0


@dataclass(frozen=True)
class CommitmentReport:
    """What the peer says of one transaction (PS3.4 J.3.3)."""

    transaction_uid: str
    committed: tuple[str, ...] = ()  # SOP Instance UIDs
    failed: Mapping[str, int] = field(default_factory=dict)  # SOP Instance UID -> FailureReason (PS3.3 C.14)


@dataclass(frozen=True)
class CommitmentOutcome:
    """What became of a request, and what reports came on the same association, on this transaction or on others."""

    accepted: bool
    transient: bool
    status: int | None
    text: str
    reports: tuple[CommitmentReport, ...] = ()


def request(
    peer: Peer,
    transaction_uid: str,
    references: Sequence[tuple[str, str]],
    timeout_s: float,
    linger_s: float = LINGER_S,
) -> CommitmentOutcome:
    """Ask the peer to commit to these (SOP class, SOP instance) UIDs.

    The association stays open for `linger_s`, or until the report came, for a peer that answers on it.
    """
    reports: list[CommitmentReport] = []
    outcome = CommitmentOutcome(False, False, None, "not requested")
    try:
        with associate(peer, [Proposed(1, STORAGE_COMMITMENT, (EXPLICIT, IMPLICIT))], timeout_s) as association:
            outcome = _ask(association, transaction_uid, references, timeout_s, reports)
            if outcome.accepted:
                _linger(association, transaction_uid, timeout_s, linger_s, reports)
    except NodeError as error:
        if not outcome.accepted:  # what was accepted stands, however the association ends
            outcome = CommitmentOutcome(False, isinstance(error, Transient), None, str(error))
    return replace(outcome, reports=tuple(reports))


def _ask(
    association: Association,
    transaction_uid: str,
    references: Sequence[tuple[str, str]],
    timeout_s: float,
    reports: list[CommitmentReport],
) -> CommitmentOutcome:
    context = context_for(association, STORAGE_COMMITMENT)
    action = Command(
        field=Request.N_ACTION,
        message_id=1,
        sop_class_uid=STORAGE_COMMITMENT,
        sop_instance_uid=STORAGE_COMMITMENT_INSTANCE,
        has_data_set=True,
        type_id=REQUEST_COMMITMENT,
    )
    association.send(
        context.context_id, action, [_action_information(transaction_uid, references, context.transfer_syntax)]
    )
    answer = _next(association, timeout_s, reports)
    while answer is None:
        answer = _next(association, timeout_s, reports)
    check_answer(answer, action)
    status = answer.status if answer.status is not None else Status.PROCESSING_FAILURE
    if status != Status.SUCCESS:
        return CommitmentOutcome(False, disposition(status) is Disposition.TRANSIENT, status, status_text(status))
    return CommitmentOutcome(True, False, status, "requested")


def _linger(
    association: Association,
    transaction_uid: str,
    timeout_s: float,
    linger_s: float,
    reports: list[CommitmentReport],
) -> None:
    """Wait a little for a report on this association."""
    deadline = monotonic() + linger_s
    while all(each.transaction_uid != transaction_uid for each in reports):
        left = deadline - monotonic()
        if left <= 0 or not association.wait(left):
            return
        if _next(association, timeout_s, reports) is not None:
            raise ProtocolViolation("a second answer to one request")


def _next(association: Association, timeout_s: float, reports: list[CommitmentReport]) -> Command | None:
    """The answer to our request; None when it was a report instead, which is answered and added to `reports`."""
    if not association.wait(timeout_s):
        raise DeadlinePassed(f"no answer to the commitment request within {timeout_s:g} s")
    message = association.receive()
    if isinstance(message, Released):
        association.confirm_release()
        raise ConnectionLost("the peer released the association before it answered")
    if message.command.is_response:
        message.discard()
        return message.command
    reports.append(_take_report(association, message))
    return None


def _take_report(association: Association, message: Message) -> CommitmentReport:
    if message.command.field != Request.N_EVENT_REPORT:
        raise ProtocolViolation("a request that we do not serve here")
    try:
        report = read_report(message.read(LONGEST_REPORT_BYTES), message.context.transfer_syntax)
    except Unparsable:
        association.respond(message, Status.PROCESSING_FAILURE)
        raise
    association.respond(message, Status.SUCCESS)
    return report


def _action_information(transaction_uid: str, references: Sequence[tuple[str, str]], transfer_syntax: str) -> bytes:
    """PS3.4 table J.3-1."""
    information = Dataset()
    information.TransactionUID = transaction_uid
    information.ReferencedSOPSequence = [Dataset() for _ in references]
    for item, (sop_class_uid, sop_instance_uid) in zip(information.ReferencedSOPSequence, references, strict=True):
        item.ReferencedSOPClassUID = sop_class_uid
        item.ReferencedSOPInstanceUID = sop_instance_uid
    return encode(information, transfer_syntax == IMPLICIT, True) or b""


TRANSACTION_UID = 0x00081195
COMMITTED, FAILED = 0x00081199, 0x00081198  # ReferencedSOPSequence, FailedSOPSequence
REFERENCED_INSTANCE, FAILURE_REASON = 0x00081155, 0x00081197


def read_report(data: bytes, transfer_syntax: str) -> CommitmentReport:
    """The event information of a report (PS3.4 tables J.3-2 and J.3-3). Raises Unparsable."""
    transaction_uid = ""
    items: list[tuple[int, dict[int, bytes]]] = []  # the sequence that it stands in, and its elements
    sequence = 0
    for depth, tag, start, end in walk(data, transfer_syntax):
        if end > len(data):
            raise Unparsable("the report is cut short")
        if depth == 0:
            sequence = tag
            transaction_uid = _uid(data[start:end]) if tag == TRANSACTION_UID else transaction_uid
        elif depth == 1 and tag == ITEM:
            items.append((sequence, {}))
        elif depth == 1:
            items[-1][1][tag] = data[start:end]
    if not transaction_uid:
        raise Unparsable("a commitment report without a transaction UID")
    order: Literal["big", "little"] = "big" if transfer_syntax == BIG_ENDIAN else "little"
    return CommitmentReport(
        transaction_uid,
        tuple(_uid(item[REFERENCED_INSTANCE]) for sequence, item in items if _names_one(sequence, COMMITTED, item)),
        {
            _uid(item[REFERENCED_INSTANCE]): int.from_bytes(item.get(FAILURE_REASON, b"")[:2], order)
            for sequence, item in items
            if _names_one(sequence, FAILED, item)
        },
    )


def _names_one(sequence: int, wanted: int, item: Mapping[int, bytes]) -> bool:
    return sequence == wanted and REFERENCED_INSTANCE in item


def _uid(value: bytes) -> str:
    text = value.decode("ascii", errors="replace").rstrip("\0 ")
    if not is_uid(text):
        raise Unparsable("a UID that is none")
    return text
