"""What can go wrong between us and a peer, sorted by what to do next.

    Unreachable (node.errors, transient)
    ├── ConnectionLost      refused, reset or closed
    │   └── TlsFailed       a certificate, or a version, that one side does not take
    ├── DeadlinePassed      the peer did not answer in time
    ├── Aborted             the peer sent an A-ABORT
    ├── RejectedForNow      A-ASSOCIATE-RJ, result 2
    └── ProtocolViolation   the peer does not speak DICOM; knows the A-ABORT that tells it so
        └── WrongAnswer     what comes back is no answer to what was asked
    Refused (node.errors, permanent)
    ├── RejectedForGood     A-ASSOCIATE-RJ, result 1: titles or addresses are configured wrongly
    └── NotNegotiated       the peer accepted no presentation context for this

No message quotes what a peer sent, other than UIDs, numbers and our own words.
"""

from node.dimse.status import INVALID_PDU_PARAMETER, Abort
from node.errors import Refused, Unreachable


class ConnectionLost(Unreachable):
    """Refused, reset, closed, or TLS failed."""


class TlsFailed(ConnectionLost):
    """The peer and we do not agree on TLS."""


class DeadlinePassed(Unreachable):
    """The peer did not answer in time."""


class Aborted(Unreachable):
    """The peer sent an A-ABORT."""


class RejectedForNow(Unreachable):
    """The peer rejects the association for now."""


class ProtocolViolation(Unreachable):
    """The peer does not speak DICOM."""

    def __init__(self, message: str, abort: Abort = INVALID_PDU_PARAMETER) -> None:
        super().__init__(message)
        self.abort = abort


class WrongAnswer(ProtocolViolation):
    """What comes back is no answer to what was asked: to ask again may bring the same, so it is not done for ever."""


class RejectedForGood(Refused):
    """The peer rejects the association, and will again."""


class NotNegotiated(Refused):
    """The peer accepted no presentation context for this."""
