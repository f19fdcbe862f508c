"""An instance on its way in, and what became of it, through whichever door: each has its own words for a receipt."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class Received:
    """An instance that is coming in.

    Its data set comes from the network as `data` is taken, once; a piece is valid until the next one is taken.
    """

    calling_ae_title: str
    host: str
    sop_class_uid: str  # of the command, like the next
    sop_instance_uid: str
    transfer_syntax_uid: str
    data: Iterator[bytes | memoryview]


class Receipt(StrEnum):
    """What became of an instance; the first four tell its sender that it need not send it again."""

    STORED = "its file is durable, its row is written or about to be"
    REPLACED = "it took the place of another version, which its archive had sent or corrected"
    HERE_ALREADY = "it is here already, with the same content"
    OWN_RESULT = "it is a result of this node, and left out"
    OTHER_CONTENT = "its UID is here already, with other content: the first is kept"
    NO_ROOM = "no room, or the database is busy"
    MISMATCH = "it is not what its sender says it is"
    UNPARSABLE = "no data set that can be read, or without the UIDs that it needs"
