"""What we ask of a peer: do you answer, take this (C-ECHO, C-STORE; PS3.4 A, B).

A file is sent as it is stored. Each SOP class and transfer syntax has a presentation context of its own, so that the
peer cannot choose another syntax for it; where it takes only the other uncompressed one, the data set is written anew
in that. Every step has a deadline, and every end has a type: accepted, to be tried again, or refused for good.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

from pydicom import dcmread
from pynetdicom.dsutils import encode

from node.dicom import part10
from node.dicom.syntaxes import EXPLICIT, IMPLICIT
from node.dimse.association import Association
from node.dimse.command import Command, Request
from node.dimse.contexts import VERIFICATION, Context, Proposed
from node.dimse.errors import (
    ConnectionLost,
    NotNegotiated,
    ProtocolViolation,
    RejectedForGood,
    RejectedForNow,
    TlsFailed,
    WrongAnswer,
)
from node.dimse.requestor import Peer, answer_to, associate, context_for
from node.dimse.status import Disposition, Status, disposition, status_text
from node.errors import NodeError, Transient, Unparsable

__all__ = ["EchoOutcome", "Peer", "SendOutcome", "echo", "send"]

MOST_CONTEXTS = 128  # odd numbers from 1 to 255, PS3.8 9.3.2.2


@dataclass(frozen=True)
class SendOutcome:
    """What became of one file."""

    path: Path
    sop_instance_uid: str  # "" when the file does not say
    status: int | None  # of the C-STORE response; None when there was none
    accepted: bool
    transient: bool  # not accepted, but may be later
    text: str
    rejected: bool = False  # it is the association that is refused, not the file
    wrong_answer: bool = False  # it was sent, and what came back is no answer to that


@dataclass(frozen=True)
class EchoOutcome:
    """What became of a C-ECHO."""

    answered: bool
    seconds: float | None  # between request and response; None without response
    status: int | None
    transient: bool
    text: str
    answers_otherwise: bool = False  # a listener is there: it rejects the association, or our certificate


@dataclass(frozen=True)
class _File:
    path: Path
    meta: part10.FileMeta

    @property
    def contexts(self) -> Iterator[tuple[str, str]]:
        """What is proposed for it, best first."""
        syntax = self.meta.transfer_syntax_uid
        yield self.meta.sop_class_uid, syntax
        if syntax in (EXPLICIT, IMPLICIT):
            yield self.meta.sop_class_uid, IMPLICIT if syntax == EXPLICIT else EXPLICIT

    def outcome(self, status: int | None, *, accepted: bool, transient: bool, text: str) -> SendOutcome:
        return SendOutcome(self.path, self.meta.sop_instance_uid, status, accepted, transient, text)


def echo(peer: Peer, timeout_s: float) -> EchoOutcome:
    """Ask whether the peer is there. Does not raise for what the peer or the network does."""
    try:
        with associate(peer, [Proposed(1, VERIFICATION, (IMPLICIT, EXPLICIT))], timeout_s) as association:
            command = Command(field=Request.C_ECHO, message_id=1, sop_class_uid=VERIFICATION)
            context = context_for(association, VERIFICATION)
            started = monotonic()
            association.send(context.context_id, command)
            status = answer_to(association, command, timeout_s).command.status
            seconds = monotonic() - started
    except NodeError as error:
        there = isinstance(error, RejectedForNow | RejectedForGood | TlsFailed)
        return EchoOutcome(False, None, None, isinstance(error, Transient), str(error), answers_otherwise=there)
    if status != Status.SUCCESS:
        return EchoOutcome(False, seconds, status, False, status_text(status or 0))
    return EchoOutcome(True, seconds, status, False, "answers")


def send(
    peer: Peer, files: Iterable[Path], timeout_s: float, progress: Callable[[int], None] | None = None
) -> Iterator[SendOutcome]:
    """Send files in this order over one association (more when 128 presentation contexts are not enough).

    Yields one outcome a file, and does not raise for what a file, the peer or the network does. `timeout_s` is for each
    step: connecting, each answer, each PDU that is sent. `progress` hears how many bytes went out each time.
    """
    readable: list[_File] = []
    for path in files:
        try:
            readable.append(_File(path, part10.read_meta(path)))
        except (Unparsable, OSError) as error:
            text = error.strerror or "cannot be read" if isinstance(error, OSError) else str(error)
            yield SendOutcome(path, "", None, accepted=False, transient=False, text=text)
    for batch in _batches(readable):
        yield from _send_batch(peer, batch, timeout_s, progress)


def _batches(files: Iterable[_File]) -> Iterator[list[_File]]:
    batch: list[_File] = []
    wanted: set[tuple[str, str]] = set()
    for file in files:
        more = wanted.union(file.contexts)
        if len(more) > MOST_CONTEXTS:
            yield batch
            batch, more = [], set(file.contexts)
        batch.append(file)
        wanted = more
    if batch:
        yield batch


def _send_batch(
    peer: Peer, batch: list[_File], timeout_s: float, progress: Callable[[int], None] | None
) -> Iterator[SendOutcome]:
    wanted = dict.fromkeys(context for file in batch for context in file.contexts)
    proposed = [Proposed(2 * index + 1, class_, (syntax,)) for index, (class_, syntax) in enumerate(wanted)]
    left = list(enumerate(batch, start=1))
    try:
        with associate(peer, proposed, timeout_s) as association:
            while left:
                number, file = left[0]
                try:
                    outcome = _send_one(association, number, file, timeout_s, progress)
                except WrongAnswer as error:
                    del left[0]
                    outcome = file.outcome(None, accepted=False, transient=True, text=str(error))
                    yield replace(outcome, wrong_answer=True)
                    raise ProtocolViolation("nothing more is sent after a wrong answer") from None
                del left[0]
                try:
                    yield outcome
                except GeneratorExit:  # nothing more is wanted: an end between two messages is a release
                    return
    except NodeError as error:
        for _, file in left:
            outcome = file.outcome(None, accepted=False, transient=isinstance(error, Transient), text=str(error))
            yield replace(outcome, rejected=isinstance(error, RejectedForGood))


def _send_one(
    association: Association, number: int, file: _File, timeout_s: float, progress: Callable[[int], None] | None
) -> SendOutcome:
    meta = file.meta
    try:
        context = context_for(association, meta.sop_class_uid, [syntax for _, syntax in file.contexts])
        data = _data_set(file, context)
    except NotNegotiated:
        text = f"the peer does not take SOP class {meta.sop_class_uid} in transfer syntax {meta.transfer_syntax_uid}"
        return file.outcome(None, accepted=False, transient=False, text=text)
    except Unparsable as error:
        return file.outcome(None, accepted=False, transient=False, text=str(error))
    command = Command(
        field=Request.C_STORE,
        message_id=number % 0x10000,
        sop_class_uid=meta.sop_class_uid,
        sop_instance_uid=meta.sop_instance_uid,
        has_data_set=True,
    )
    try:
        association.send(context.context_id, command, data, progress)
    except OSError as error:
        raise ConnectionLost(f"{file.path.name}: could not be read to its end: {error.strerror}") from None
    response = answer_to(association, command, timeout_s)
    try:
        response.discard()
    except NodeError:  # the answer counts: a C-STORE-RSP has no data set, whatever it says (PS3.7 9.3.1.2)
        association.close()
    status = response.command.status or 0
    answer = disposition(status)
    accepted, transient = answer is Disposition.ACCEPTED, answer is Disposition.TRANSIENT
    return file.outcome(status, accepted=accepted, transient=transient, text=status_text(status))


def _data_set(file: _File, context: Context) -> Iterable[bytes]:
    if context.transfer_syntax == file.meta.transfer_syntax_uid:
        return part10.data_set(file.path, file.meta.data_set_offset)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they quote values
        try:
            converted = encode(dcmread(file.path), context.transfer_syntax == IMPLICIT, True)
        except Exception as error:  # noqa: BLE001 - pydicom raises what its parsing happens to stumble on
            raise Unparsable(f"cannot be converted for the peer ({type(error).__name__})") from None
    if converted is None:
        raise Unparsable("cannot be converted for the peer")
    return [converted]
