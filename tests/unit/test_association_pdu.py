"""The door takes the association requests that every archive takes, and refuses what cannot be read."""

import struct

import pytest

from node.dimse.association_pdu import MOST_ITEMS
from node.dimse.connection import Pdu, PduType
from node.dimse.contexts import Context
from node.dimse.errors import ProtocolViolation
from node.dimse.negotiation import AssociationRequest, decode_request, encode_answer
from tests import wire

USER = wire.item(0x51, struct.pack(">I", 16384)) + wire.item(0x52, b"1.2.3")


def request(
    *,
    calling: bytes = b"TESTER".ljust(16),
    called: bytes = b"NEUROSSL".ljust(16),
    user: bytes | None = USER,
    extra: bytes = b"",
) -> AssociationRequest:
    context = bytes([1, 0, 0, 0]) + wire.item(0x30, b"1.2.840.10008.1.1\0") + wire.item(0x40, b"1.2.840.10008.1.2 ")
    body = struct.pack(">H2x16s16s32x", 1, called, calling) + wire.item(0x10, b"1.2.840.10008.3.1.1.1\0")
    body += extra + wire.item(0x20, context) + (b"" if user is None else wire.item(0x50, user))
    return decode_request(Pdu(PduType.ASSOCIATE_RQ, memoryview(body)))


@pytest.mark.parametrize("calling", [b"TESTER".ljust(16, b"\0"), b" TESTER\0 garbage ", b"TESTER\0\0\0\0      "])
def test_a_title_padded_with_nul_is_the_title(calling: bytes) -> None:
    read = request(calling=calling, called=b"NEUROSSL".ljust(16, b"\0"))
    assert (read.calling_ae_title, read.called_ae_title) == ("TESTER", "NEUROSSL")


def test_an_answer_gives_the_titles_back_as_they_came() -> None:
    calling, called = b"T\xe9STER".ljust(16, b"\0"), bytes(16)
    read = request(calling=calling, called=called)
    answer = encode_answer(read, [Context(1, wire.VERIFICATION, wire.IMPLICIT)], {})
    assert answer[10:26] == called
    assert answer[26:42] == calling


def test_uids_padded_with_nul_or_blanks_are_the_uids() -> None:
    read = request()
    assert read.application_context == "1.2.840.10008.3.1.1.1"
    assert (read.contexts[0].abstract_syntax, read.contexts[0].transfer_syntaxes) == (
        "1.2.840.10008.1.1",
        ("1.2.840.10008.1.2",),
    )


@pytest.mark.parametrize(
    "sub_item",
    [
        wire.item(0x60, b"abcd"),
        wire.item(0xFF, b""),
        wire.item(0x55, b"A VERSION NAME OF MORE THAN SIXTEEN CHARACTERS"),
        wire.item(0x55, b"V\xe9rsion 2"),
        wire.item(0x55, b""),
        wire.item(0x52, b"no uid at all"),
        wire.item(0x58, bytes([9, 1, 0, 3]) + b"who" + bytes(2)),
        wire.item(0x56, b"\xff\xff"),
        wire.item(0x53, b"\0"),
    ],
    ids=["0x60", "0xff", "long name", "latin-1 name", "empty name", "no uid", "identity", "extended", "window"],
)
def test_what_has_no_say_in_the_association_is_passed_over(sub_item: bytes) -> None:
    assert request(user=USER + sub_item).maximum_pdu_bytes == 16384
    assert request(user=sub_item + USER).maximum_pdu_bytes == 16384


def test_an_item_of_an_unknown_type_is_passed_over() -> None:
    assert len(request(extra=wire.item(0x99, b"who knows")).contexts) == 1


@pytest.mark.parametrize(
    ("user", "why"),
    [
        (None, "without user information"),
        (wire.item(0x51, b"\0\0\1"), "maximum length"),
        (USER + b"\x54\0\0\x05\0\x40abc", "a role"),
        (USER + b"\x52\0\xff\xff", "longer than what holds it"),
        (USER + b"\x52\0", "cut short"),
        (wire.item(0x60, b"") * MOST_ITEMS, f"more than {MOST_ITEMS}"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(user: bytes | None, why: str) -> None:
    with pytest.raises(ProtocolViolation, match=why):
        request(user=user)
