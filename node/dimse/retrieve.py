"""What an archive has, brought to us: C-GET on our own association, or C-MOVE to our listener (PS3.4 C.4.2, C.4.3).

With C-GET the archive stores to us over the association that we opened, so it needs no address of ours; each MR class
is proposed in every transfer syntax by itself, so that nothing needs to be converted. C-MOVE is for archives that offer
no C-GET: what is moved comes to the listener, on an association of the archive, and we hear only the counts.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pydicom import Dataset
from pynetdicom.dsutils import encode

from node.dicom.received import Receipt, Received
from node.dicom.syntaxes import EXPLICIT, IMPLICIT, TRANSFER_SYNTAXES, UNCOMPRESSED
from node.dimse.association import Association, Message, Released
from node.dimse.command import Command, Request
from node.dimse.contexts import STUDY_ROOT_GET, STUDY_ROOT_MOVE, Proposed, storage_classes
from node.dimse.errors import ConnectionLost, DeadlinePassed, ProtocolViolation
from node.dimse.requestor import Peer, associate, context_for
from node.dimse.status import ANSWERS, Disposition, Status, disposition, status_text
from node.errors import Refused, Unreachable

LONGEST_INSTANCE_BYTES = 512 * 1024 * 1024
SOME_FAILED = range(0xB000, 0xC000)
MOST_UIDS = 500  # in one identifier

OnStore = Callable[[Received], Receipt]


@dataclass(frozen=True)
class Wanted:
    """A study, a series of it, or single instances of that series."""

    study_instance_uid: str
    series_instance_uid: str = ""
    sop_instance_uids: tuple[str, ...] = ()

    @property
    def identifier(self) -> Dataset:
        """The keys of the request at the lowest level that is named (PS3.4 C.4.2.2.1)."""
        keys = Dataset()
        below_study = "IMAGE" if self.sop_instance_uids else "SERIES"
        keys.QueryRetrieveLevel = below_study if self.series_instance_uid else "STUDY"
        keys.StudyInstanceUID = self.study_instance_uid
        if self.series_instance_uid:
            keys.SeriesInstanceUID = self.series_instance_uid
        if self.sop_instance_uids:
            keys.SOPInstanceUID = list(self.sop_instance_uids)
        return keys


@dataclass(frozen=True)
class Retrieved:
    """How it ended: sub-operations as the archive counts them, and its last status in words."""

    completed: int
    failed: int
    text: str


def get(peer: Peer, wanted: Wanted, on_store: OnStore, timeout_s: float = 30) -> Retrieved:
    """Have the peer store to us over our own association; `on_store` gets each instance.

    `timeout_s` is for each step. Raises NotNegotiated where the peer offers no C-GET, Unreachable and Refused and their
    kinds; what was stored until then stays stored.
    """
    classes = _proposals()
    roles = {each.abstract_syntax: (False, True) for each in classes}
    proposed = [Proposed(1, STUDY_ROOT_GET, (EXPLICIT, IMPLICIT)), *classes]
    with associate(peer, proposed, timeout_s, roles, LONGEST_INSTANCE_BYTES) as association:
        request = _ask(association, Request.C_GET, STUDY_ROOT_GET, wanted)
        for message in _messages(association, timeout_s):
            if message.command.field == Request.C_STORE:
                _store(association, message, peer, on_store)
            elif (ended := _ended(message, request)) is not None:
                return ended
    raise ConnectionLost("the peer released the association before everything was sent")


def move(peer: Peer, wanted: Wanted, to_ae_title: str, timeout_s: float = 30) -> Retrieved:
    """Have the peer send to `to_ae_title`, which it must know by address. `timeout_s` is for each response.

    Raises NotNegotiated where the peer offers no C-MOVE, Unreachable and Refused and their kinds.
    """
    with associate(peer, [Proposed(1, STUDY_ROOT_MOVE, (EXPLICIT, IMPLICIT))], timeout_s) as association:
        request = _ask(association, Request.C_MOVE, STUDY_ROOT_MOVE, wanted, to_ae_title)
        for message in _messages(association, timeout_s):
            if (ended := _ended(message, request)) is not None:
                return ended
    raise ConnectionLost("the peer released the association before it said how the move ended")


def _proposals() -> list[Proposed]:
    """Storage contexts with odd numbers from 3; an MR class once for each transfer syntax."""
    mr, every = storage_classes("mr"), storage_classes("study")
    compressed = sorted(TRANSFER_SYNTAXES.difference(UNCOMPRESSED))
    contexts: list[tuple[str, tuple[str, ...]]] = [
        (uid, (syntax,)) for uid in sorted(mr) for syntax in (*UNCOMPRESSED, *compressed)
    ]
    contexts += [(uid, (*UNCOMPRESSED, *compressed)) for uid in sorted(every - mr)]
    return [Proposed(2 * number + 3, uid, syntaxes) for number, (uid, syntaxes) in enumerate(contexts)]


def _ask(
    association: Association, operation: Request, sop_class_uid: str, wanted: Wanted, to_ae_title: str = ""
) -> Command:
    context = context_for(association, sop_class_uid)
    command = Command(
        field=operation,
        message_id=1,
        sop_class_uid=sop_class_uid,
        has_data_set=True,
        move_destination=to_ae_title,
    )
    encoded = encode(wanted.identifier, context.transfer_syntax == IMPLICIT, True) or b""
    association.send(context.context_id, command, [encoded])
    return command


def _messages(association: Association, timeout_s: float) -> Iterator[Message]:
    while True:
        if not association.wait(timeout_s):
            raise DeadlinePassed(f"nothing came within {timeout_s:g} s")
        message = association.receive()
        if isinstance(message, Released):
            association.confirm_release()
            return
        yield message


def _store(association: Association, message: Message, peer: Peer, on_store: OnStore) -> None:
    command, context = message.command, message.context
    status = Status.SOP_CLASS_NOT_SUPPORTED
    if command.sop_class_uid == context.abstract_syntax and command.has_data_set:
        received = Received(
            peer.ae_title,
            peer.host,
            command.sop_class_uid,
            command.sop_instance_uid,
            context.transfer_syntax,
            message.data,
        )
        status = ANSWERS[on_store(received)]
    message.discard()
    association.respond(message, status)


def _ended(message: Message, request: Command) -> Retrieved | None:
    """What the last response says; None for one that more will follow. Raises Unreachable, Refused."""
    command = message.command
    if not command.is_response or command.message_id != request.message_id:
        raise ProtocolViolation("a message that is no response to our request")
    message.discard()
    status = command.status or 0
    if status in (Status.PENDING, Status.PENDING_OPTIONAL_KEYS):
        return None
    _, completed, failed, warned = command.suboperations or (0, 0, 0, 0)
    if status == Status.SUCCESS or status in SOME_FAILED:
        return Retrieved(completed + warned, failed, status_text(status))
    if disposition(status) is Disposition.TRANSIENT:
        raise Unreachable(f"the peer cannot send it now: {status_text(status)}")
    raise Refused(f"the peer does not send it: {status_text(status)}")


def in_batches(wanted: Wanted) -> Sequence[Wanted]:
    """The same instances in identifiers of a bearable length."""
    uids = wanted.sop_instance_uids
    return [
        Wanted(wanted.study_instance_uid, wanted.series_instance_uid, uids[start : start + MOST_UIDS])
        for start in range(0, len(uids), MOST_UIDS)
    ] or [wanted]
