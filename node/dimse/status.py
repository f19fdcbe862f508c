"""Every number that we answer a peer with, or that a peer answers us with, by its name.

C-STORE answers of the listener, and what each asks of the sender:

    SUCCESS               file and row are durable
    DUPLICATE_INSTANCE    the UID is here already, with other content: the first is kept
    OUT_OF_RESOURCES      no room, or the database is busy: send it again later
    MISMATCH              data set and command disagree about what this is
    CANNOT_UNDERSTAND     no data set that can be read, or without the UIDs that it needs
"""

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import NamedTuple

from node.dicom.received import Receipt


class Status(IntEnum):
    """DIMSE status (0000,0900)."""

    SUCCESS = 0x0000  # PS3.7 C.1.1
    PROCESSING_FAILURE = 0x0110  # PS3.7 C.5.9
    DUPLICATE_INSTANCE = 0x0111  # PS3.7 C.5.5
    NO_SUCH_INSTANCE = 0x0112  # PS3.7 C.5.6
    INVALID_INSTANCE = 0x0117  # PS3.7 C.5.8
    MISSING_ATTRIBUTE = 0x0120  # PS3.7 C.5.11
    SOP_CLASS_NOT_SUPPORTED = 0x0122  # PS3.7 C.5.20
    NOT_AUTHORIZED = 0x0124  # PS3.7 C.5.24
    UNRECOGNIZED_OPERATION = 0x0211  # PS3.7 C.5.22
    RESOURCE_LIMITATION = 0x0213  # PS3.7 C.5.23
    OUT_OF_RESOURCES = 0xA700  # PS3.4 B.2.3
    MISMATCH = 0xA900  # PS3.4 B.2.3: data set does not match SOP class
    COERCED = 0xB000  # PS3.4 B.2.3, a warning
    ELEMENTS_DISCARDED = 0xB006  # PS3.4 B.2.3, a warning
    MISMATCH_WARNING = 0xB007  # PS3.4 B.2.3, a warning
    CANNOT_UNDERSTAND = 0xC000  # PS3.4 B.2.3
    CANCEL = 0xFE00  # PS3.7 C.3.1
    PENDING = 0xFF00  # PS3.4 C.4.1.1.4: a C-FIND match, more may follow
    PENDING_OPTIONAL_KEYS = 0xFF01  # PS3.4 C.4.1.1.4: the same, some optional keys were not supported


ANSWERS: Mapping[Receipt, Status] = MappingProxyType(
    {
        Receipt.STORED: Status.SUCCESS,
        Receipt.REPLACED: Status.SUCCESS,
        Receipt.HERE_ALREADY: Status.SUCCESS,
        Receipt.OWN_RESULT: Status.SUCCESS,
        Receipt.OTHER_CONTENT: Status.DUPLICATE_INSTANCE,
        Receipt.NO_ROOM: Status.OUT_OF_RESOURCES,
        Receipt.MISMATCH: Status.MISMATCH,
        Receipt.UNPARSABLE: Status.CANNOT_UNDERSTAND,
    }
)


class Disposition(StrEnum):
    """What an answer to our C-STORE means for the object that we sent."""

    ACCEPTED = "accepted"
    TRANSIENT = "transient"  # the same object may be taken later
    PERMANENT = "permanent"  # the same object will be refused again


TRANSIENT_STATUS = frozenset({Status.PROCESSING_FAILURE, Status.RESOURCE_LIMITATION, Status.CANCEL})
ACCEPTED_STATUS = frozenset({Status.SUCCESS, Status.DUPLICATE_INSTANCE, 0x0001, 0x0107, 0x0116})  # PS3.7 C.1, C.4


def disposition(status: int) -> Disposition:
    """What to do after this C-STORE status (PS3.4 B.2.3, PS3.7 annex C).

    A duplicate counts as accepted: one of our UIDs never has two contents, so it answers our own earlier send.

    >>> disposition(0xB000), disposition(0xA7FF), disposition(0xC123)
    (<Disposition.ACCEPTED: 'accepted'>, <Disposition.TRANSIENT: 'transient'>, <Disposition.PERMANENT: 'permanent'>)
    """
    if status in ACCEPTED_STATUS or 0xB000 <= status <= 0xBFFF:
        return Disposition.ACCEPTED
    if status in TRANSIENT_STATUS or 0xA700 <= status <= 0xA7FF:
        return Disposition.TRANSIENT
    return Disposition.PERMANENT


def status_text(status: int) -> str:
    """The status in words and digits.

    >>> status_text(0xA702)
    'out of resources (0xA702)'
    """
    return f"{_words(status)} (0x{status:04X})"


def _words(status: int) -> str:
    if status in set(Status):
        return Status(status).name.lower().replace("_", " ")
    for first, last, words in (
        (0xA700, 0xA7FF, "out of resources"),
        (0xA900, 0xA9FF, "data set does not match SOP class"),
        (0xB000, 0xBFFF, "warning"),
        (0xC000, 0xCFFF, "cannot understand"),
    ):
        if first <= status <= last:
            return words
    return "unknown status"


class Rejection(NamedTuple):
    """The three numbers of an A-ASSOCIATE-RJ (PS3.8 9.3.4)."""

    result: int  # 1 permanent, 2 transient
    source: int
    reason: int

    @property
    def transient(self) -> bool:
        """Whether asking again later may help."""
        return self.result == 2

    def __str__(self) -> str:
        words = _REJECTIONS.get((self.source, self.reason), "no reason that we know")
        return f"{words} ({self.result}/{self.source}/{self.reason})"


_REJECTIONS = {
    (1, 1): "no reason given",
    (1, 2): "application context name not supported",
    (1, 3): "calling AE title not recognized",
    (1, 7): "called AE title not recognized",
    (2, 1): "no reason given by the provider",
    (2, 2): "protocol version not supported",
    (3, 1): "temporary congestion",
    (3, 2): "local limit exceeded",
}

APPLICATION_CONTEXT_NOT_SUPPORTED = Rejection(1, 1, 2)
CALLING_AE_NOT_RECOGNIZED = Rejection(1, 1, 3)
CALLED_AE_NOT_RECOGNIZED = Rejection(1, 1, 7)
PROTOCOL_VERSION_NOT_SUPPORTED = Rejection(1, 2, 2)
TEMPORARY_CONGESTION = Rejection(2, 3, 1)
LOCAL_LIMIT_EXCEEDED = Rejection(2, 3, 2)


class Abort(NamedTuple):
    """The two numbers of an A-ABORT (PS3.8 9.3.8)."""

    source: int  # 0 service user, 2 service provider
    reason: int


ABORTED_BY_USER = Abort(0, 0)
UNEXPECTED_PDU = Abort(2, 2)
UNRECOGNIZED_PDU = Abort(2, 1)
INVALID_PDU_PARAMETER = Abort(2, 6)
