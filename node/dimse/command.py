"""DIMSE command sets (PS3.7 6.3.1, annex E): group 0000 in implicit VR little endian, into frozen values and back.

Small and strict, because every byte of it comes from a peer: no lengths beyond the command set, no UID that is not one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from struct import error as struct_error

from node.dicom.uids import is_uid
from node.dimse.errors import ProtocolViolation

NO_DATA_SET = 0x0101  # PS3.7 E.1: any other CommandDataSetType says that a data set follows

_ELEMENT = Struct("<HHI")
_US = Struct("<H")
_US_ELEMENT = Struct("<HHIH")


class Request(IntEnum):
    """CommandField of the requests; the response to each has bit 15 set (PS3.7 E.1)."""

    C_STORE = 0x0001
    C_GET = 0x0010
    C_FIND = 0x0020
    C_MOVE = 0x0021
    C_ECHO = 0x0030
    C_CANCEL = 0x0FFF
    N_EVENT_REPORT = 0x0100
    N_GET = 0x0110
    N_SET = 0x0120
    N_ACTION = 0x0130
    N_CREATE = 0x0140
    N_DELETE = 0x0150


RESPONSE = 0x8000
WITH_PRIORITY = {Request.C_STORE, Request.C_FIND, Request.C_GET, Request.C_MOVE}
SUBOPERATIONS = {0x1020, 0x1021, 0x1022, 0x1023}  # PS3.7 E.1
NAMES_REQUESTED_INSTANCE = {Request.N_GET, Request.N_SET, Request.N_ACTION, Request.N_DELETE}


@dataclass(frozen=True, slots=True)
class Command:
    """A command set; what the element of a request is called "affected" or "requested" has one name here."""

    field: int
    message_id: int = 0  # of a request: its own; of a response: that of its request
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    has_data_set: bool = False
    status: int | None = None
    type_id: int | None = None  # EventTypeID or ActionTypeID
    comment: str = ""
    move_destination: str = ""  # AE title, of a C-MOVE request
    suboperations: tuple[int, int, int, int] | None = None  # remaining, completed, failed, with a warning

    @property
    def is_response(self) -> bool:
        """Whether this answers a request."""
        return bool(self.field & RESPONSE)

    def response(self, status: int, comment: str = "") -> "Command":
        """The answer to this request, without a data set; what was no UID is not echoed."""
        return Command(
            field=self.field | RESPONSE,
            message_id=self.message_id,
            sop_class_uid=self.sop_class_uid if is_uid(self.sop_class_uid) else "",
            sop_instance_uid=self.sop_instance_uid if is_uid(self.sop_instance_uid) else "",
            status=status,
            type_id=self.type_id,
            comment=comment,
        )


def decode(data: bytes) -> Command:
    """The command set in these bytes. Raises ProtocolViolation."""
    try:
        values = dict(_elements(data))
        field, data_set_type = values[0x0100], values[0x0800]
        is_response = bool(_number(field) & RESPONSE)
        return Command(
            field=_number(field),
            message_id=_number(values[0x0120 if is_response or _number(field) == Request.C_CANCEL else 0x0110]),
            sop_class_uid=_text(values.get(0x0002) or values.get(0x0003)),
            sop_instance_uid=_text(values.get(0x1000) or values.get(0x1001)),
            has_data_set=_number(data_set_type) != NO_DATA_SET,
            status=_number(values[0x0900]) if is_response else None,
            type_id=_optional(values.get(0x1002) or values.get(0x1008)),
            comment=_text(values.get(0x0902)),
            move_destination=_text(values.get(0x0600)),
            suboperations=_suboperations(values),
        )
    except (KeyError, struct_error) as error:
        raise ProtocolViolation(f"a command set that cannot be read ({error})") from None


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(data):
        group, element, length = _ELEMENT.unpack_from(data, position)
        position += _ELEMENT.size
        if group != 0 or position + length > len(data):
            raise ProtocolViolation("a command set that cannot be read")
        yield element, data[position : position + length]
        position += length


def _number(value: bytes) -> int:
    return int(_US.unpack(value)[0])


def _suboperations(values: Mapping[int, bytes]) -> tuple[int, int, int, int] | None:
    """Of a C-GET or C-MOVE response; what it does not count is 0."""
    if not SUBOPERATIONS.intersection(values):
        return None
    remaining, completed, failed, warned = (_optional(values.get(element)) or 0 for element in sorted(SUBOPERATIONS))
    return remaining, completed, failed, warned


def _optional(value: bytes | None) -> int | None:
    return None if value is None else _number(value)


def _text(value: bytes | None) -> str:
    return (value or b"").decode("ascii", errors="replace").rstrip("\0 ")


def encode(command: Command) -> bytes:
    """The bytes of a command set, elements in ascending order."""
    request = command.field & ~RESPONSE
    requested = not command.is_response and request in NAMES_REQUESTED_INSTANCE
    parts = [
        _uid(0x0003 if requested else 0x0002, command.sop_class_uid),
        _short(0x0100, command.field),
        _short(0x0120 if command.is_response or request == Request.C_CANCEL else 0x0110, command.message_id),
        _string(0x0600, command.move_destination, b" "),
        _short(0x0700, 0 if command.field in WITH_PRIORITY else None),
        _short(0x0800, 0x0001 if command.has_data_set else NO_DATA_SET),
        _short(0x0900, command.status),
        _string(0x0902, command.comment[:64], b" "),
        _uid(0x1001 if requested else 0x1000, command.sop_instance_uid),
        _short(0x1002, command.type_id if request == Request.N_EVENT_REPORT else None),
        _short(0x1008, command.type_id if request == Request.N_ACTION else None),
        *map(_short, sorted(SUBOPERATIONS), command.suboperations or (None,) * len(SUBOPERATIONS)),
    ]
    body = b"".join(parts)
    return _ELEMENT.pack(0, 0, 4) + len(body).to_bytes(4, "little") + body


def _short(element: int, value: int | None) -> bytes:
    return b"" if value is None else _US_ELEMENT.pack(0, element, 2, value)


def _uid(element: int, value: str) -> bytes:
    return _string(element, value, b"\0")


def _string(element: int, value: str, padding: bytes) -> bytes:
    if not value:
        return b""
    encoded = value.encode("ascii")
    encoded += padding * (len(encoded) % 2)
    return _ELEMENT.pack(0, element, len(encoded)) + encoded
