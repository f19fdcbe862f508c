"""Reads the PDUs that open an association, as patiently as an archive (PS3.8 9.3.2 and 9.3.3, PS3.7 annex D.3).

What has a say in the association is read strictly: lengths, titles, contexts, roles, the longest PDU. What has none is
passed over, whatever it holds: items and sub-items of a type that we do not know (PS3.8 9.3.1), implementation UID and
version name, extended negotiation, user identity. Titles and UIDs may be padded with NUL or spaces.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from struct import Struct

from node.dimse.errors import ProtocolViolation

FIXED_BYTES = 68  # protocol version, titles, reserved: before the first item
APPLICATION_CONTEXT, PROPOSED, ANSWERED, USER_INFORMATION = 0x10, 0x20, 0x21, 0x50  # items, PS3.8 9.3.2, 9.3.3
ABSTRACT_SYNTAX, TRANSFER_SYNTAX = 0x30, 0x40
MAXIMUM_LENGTH, ROLE_SELECTION = 0x51, 0x54  # PS3.8 D.1, PS3.7 D.3.3.4
MOST_ITEMS = 8192  # in one PDU, sub-items included: 128 contexts with 60 transfer syntaxes each

_ITEM = Struct(">BxH")
_VERSION = Struct(">H")
_LENGTH = Struct(">I")


@dataclass(frozen=True, slots=True)
class ContextItem:
    """A presentation context, proposed or answered."""

    context_id: int
    result: int  # of an answer; of a proposal it is reserved
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UserInformation:
    """What the user information says that has a say."""

    maximum_pdu_bytes: int = 0  # 0 is no limit
    roles: dict[str, tuple[bool, bool]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AssociationPdu:
    """An A-ASSOCIATE-RQ or -AC."""

    protocol_version: int
    called_ae_title: str
    calling_ae_title: str
    titles: bytes  # both, as they stand in the PDU: an answer gives them back (PS3.8 9.3.3)
    application_context: str
    contexts: tuple[ContextItem, ...]
    user_information: UserInformation


def read(body: memoryview) -> AssociationPdu:
    """The PDU whose body (without the six bytes of its header) this is. Raises ProtocolViolation."""
    data = bytes(body)
    if len(data) < FIXED_BYTES:
        raise ProtocolViolation("an association PDU that cannot be read (cut short)")
    application_context, user_information = "", None
    contexts: list[ContextItem] = []
    counted = _Count()
    for kind, content in _items(data[FIXED_BYTES:], counted):
        if kind == APPLICATION_CONTEXT:
            application_context = _uid(content)
        elif kind in (PROPOSED, ANSWERED):
            contexts.append(_context(content, counted))
        elif kind == USER_INFORMATION:
            user_information = _user_information(content, counted)
    if user_information is None:
        raise ProtocolViolation("an association without user information")
    return AssociationPdu(
        protocol_version=_VERSION.unpack_from(data)[0],
        called_ae_title=_title(data[4:20]),
        calling_ae_title=_title(data[20:36]),
        titles=data[4:36],
        application_context=application_context,
        contexts=tuple(contexts),
        user_information=user_information,
    )


class _Count:
    """How many items were read: their heads cost time, and a stranger may send many."""

    def __init__(self) -> None:
        self.items = 0

    def one_more(self) -> None:
        self.items += 1
        if self.items > MOST_ITEMS:
            raise ProtocolViolation(f"an association PDU with more than {MOST_ITEMS} items")


def _items(data: bytes, counted: _Count) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(data):
        if position + _ITEM.size > len(data):
            raise ProtocolViolation("an association PDU that cannot be read (an item is cut short)")
        counted.one_more()
        kind, length = _ITEM.unpack_from(data, position)
        position += _ITEM.size
        if position + length > len(data):
            raise ProtocolViolation("an association PDU that cannot be read (an item is longer than what holds it)")
        yield kind, data[position : position + length]
        position += length


def _context(content: bytes, counted: _Count) -> ContextItem:
    if len(content) < 4:
        raise ProtocolViolation("an association PDU that cannot be read (a presentation context is cut short)")
    abstract, transfer = "", []
    for kind, value in _items(content[4:], counted):
        if kind == ABSTRACT_SYNTAX:
            abstract = _uid(value)
        elif kind == TRANSFER_SYNTAX:
            transfer.append(_uid(value))
    return ContextItem(content[0], content[2], abstract, tuple(transfer))


def _user_information(content: bytes, counted: _Count) -> UserInformation:
    maximum, roles = 0, {}
    for kind, value in _items(content, counted):
        if kind == MAXIMUM_LENGTH:
            if len(value) != _LENGTH.size:
                raise ProtocolViolation("an association PDU that cannot be read (the maximum length)")
            maximum = _LENGTH.unpack(value)[0]
        elif kind == ROLE_SELECTION:
            length = int.from_bytes(value[:2], "big")
            if len(value) < length + 4:
                raise ProtocolViolation("an association PDU that cannot be read (a role)")
            roles[_uid(value[2 : 2 + length])] = (bool(value[2 + length]), bool(value[3 + length]))
    return UserInformation(int(maximum), roles)


def _title(value: bytes) -> str:
    """PS3.8 9.3.2: outer spaces mean nothing; some peers pad with NUL, and what follows one is padding too."""
    return value.partition(b"\0")[0].decode("ascii", errors="replace").strip(" ")


def _uid(value: bytes) -> str:
    return value.decode("ascii", errors="replace").strip("\0 ")
