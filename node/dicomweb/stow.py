"""STOW-RS, the Store transaction (PS3.18 10.5): a request, instance by instance, each with an end of its own.

Each part is a file of PS3.10. What stands before its data set is read and left out; the data set goes to the intake as
it comes, exactly as from C-STORE, and the intake's receipt becomes the same status. What one instance does wrong does
not reach the next. Where the connection ends in the middle, what was stored stays, nobody is told so, and the sender
sends it again.
"""

import re
from collections.abc import Callable, Iterator
from itertools import chain

import structlog

from node.config import Listener
from node.dicom import part10
from node.dicom.header import read_header
from node.dicom.received import Receipt, Received
from node.dicom.syntaxes import TRANSFER_SYNTAXES
from node.dicom.uids import is_uid
from node.dicomweb.answers import TRANSFER_SYNTAX_NOT_SUPPORTED, Outcome
from node.dicomweb.multipart import CutShort, MediaType, Part, parts
from node.dicomweb.senders import Sender
from node.dimse.contexts import storage_classes
from node.dimse.status import ANSWERS, Status
from node.errors import Permanent, Unparsable, Unreachable
from node.logs import safe_text

log = structlog.get_logger()

DICOM = "application/dicom"
TARGET = re.compile(r"/dicomweb/studies(/(?P<study>[0-9.]+))?/?")
OnStore = Callable[[Received], Receipt]


class NotTaken(Permanent):
    """A request that is refused as a whole; `status` is its HTTP status."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


class TooLong(Permanent):
    """An instance is longer than the listener takes."""


def boundary_of(kind: MediaType, encoding: str) -> str:
    """The boundary of a body of this type. Raises NotTaken."""
    if kind.name != "multipart/related" or kind.parameters.get("type", DICOM).lower() != DICOM:
        raise NotTaken(415, 'the body must be multipart/related; type="application/dicom"')
    if encoding.lower() not in ("", "identity"):
        raise NotTaken(415, "the body must not be compressed as a whole")
    if not kind.boundary:
        raise NotTaken(400, "the media type names no boundary (RFC 2046 5.1.1)")
    return kind.boundary


class Store:
    """Takes the instances of requests, as the listener's settings allow."""

    def __init__(self, listener: Listener, on_store: OnStore) -> None:
        """`on_store` is what C-STORE calls."""
        self._classes = storage_classes(listener.accept)
        self._longest_bytes = listener.maximum_instance_mib << 20
        self._on_store = on_store

    def take(self, body: Iterator[bytes], boundary: str, sender: Sender, study: str) -> Iterator[Outcome]:
        """What becomes of each instance, as it comes; all must be of `study`, where it is not "".

        Raises what reading from the connection raises.
        """
        try:
            for part in parts(body, boundary):
                yield self._one(part, sender, study)
        except Unparsable as error:
            log.warning("the rest of a request not understood", reason=str(error), calling=sender.ae_title)
            if not isinstance(error, CutShort):
                yield Outcome("", "", Status.CANNOT_UNDERSTAND)

    def _one(self, part: Part, sender: Sender, study: str) -> Outcome:
        try:
            meta, data = part10.split(_instance(part))
        except Unparsable as error:
            log.warning("instance not understood", reason=str(error), calling=sender.ae_title)
            return Outcome("", "", Status.CANNOT_UNDERSTAND)
        reason = self._stored(meta, self._bounded(data), sender, study)
        if reason:
            uid = meta.sop_instance_uid
            log.warning("instance refused", sop_instance_uid=uid, status=f"{reason:04X}", calling=sender.ae_title)
        return Outcome(meta.sop_class_uid, meta.sop_instance_uid, reason)

    def _stored(self, meta: part10.FileMeta, data: Iterator[bytes], sender: Sender, study: str) -> int:
        """The Failure Reason, 0 for none."""
        syntax = meta.transfer_syntax_uid
        if meta.sop_class_uid not in self._classes:
            return Status.SOP_CLASS_NOT_SUPPORTED
        if syntax not in TRANSFER_SYNTAXES:
            return TRANSFER_SYNTAX_NOT_SUPPORTED
        try:
            if study:
                header, beginning = read_header(data, syntax)
                if header.study_instance_uid != study:
                    return Status.MISMATCH
                data = chain((beginning,), data)
            received = Received(sender.ae_title, sender.host, meta.sop_class_uid, meta.sop_instance_uid, syntax, data)
            return ANSWERS[self._on_store(received)]
        except Unparsable:
            return Status.CANNOT_UNDERSTAND
        except TooLong:
            return Status.OUT_OF_RESOURCES
        except Unreachable:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the sender hears of it and the others live on
            log.error("instance not stored", error=safe_text(error))  # noqa: TRY400
            return Status.PROCESSING_FAILURE

    def _bounded(self, data: Iterator[bytes]) -> Iterator[bytes]:
        taken = 0
        for piece in data:
            taken += len(piece)
            if taken > self._longest_bytes:
                raise TooLong(f"longer than {self._longest_bytes} bytes")
            yield piece


def study_of(path: str) -> str:
    """The study of a target (PS3.18 10.5.1.1), "" where it names none. Raises NotTaken.

    >>> study_of("/dicomweb/studies"), study_of("/dicomweb/studies/1.2.3")
    ('', '1.2.3')
    """
    found = TARGET.fullmatch(path)
    if found is None or not is_uid(found["study"] or "0"):
        raise NotTaken(404, "instances are stored at /dicomweb/studies and /dicomweb/studies/{study}")
    return found["study"] or ""


def _instance(part: Part) -> Iterator[bytes]:
    """Raises Unparsable."""
    if part.media_type not in ("", DICOM):
        raise Unparsable("a part that is no application/dicom")
    return part.data
