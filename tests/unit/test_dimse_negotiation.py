"""Association PDUs, through pynetdicom, whose parts we rely on must behave as they do in the version that is pinned."""

import contextlib
from importlib.metadata import version
from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.dimse.connection import LONGEST_PDU_BYTES, MAXIMUM_PDU_BYTES, Pdu, PduType
from node.dimse.contexts import Context, Proposed
from node.dimse.errors import ProtocolViolation
from node.dimse.negotiation import (
    APPLICATION_CONTEXT,
    AssociationRequest,
    decode_answer,
    decode_request,
    encode_answer,
    encode_request,
)
from tests import wire

REQUEST = AssociationRequest(
    "CALLER",
    "CALLED",
    (Proposed(1, wire.VERIFICATION, (wire.IMPLICIT,)), Proposed(3, wire.MR, (wire.EXPLICIT, wire.IMPLICIT))),
    {wire.COMMITMENT: (False, True)},
    16384,
)


def received(encoded: bytes) -> Pdu:
    return Pdu(PduType(encoded[0]), memoryview(encoded)[6:])


def test_pynetdicom_is_the_version_that_this_was_tested_with() -> None:
    assert version("pynetdicom") == "3.0.4"


def test_a_request_comes_back_as_it_went() -> None:
    read = decode_request(received(encode_request(REQUEST)))
    assert (read.calling_ae_title, read.called_ae_title) == ("CALLER", "CALLED")
    assert (read.contexts, read.roles) == (REQUEST.contexts, REQUEST.roles)
    assert (read.application_context, read.protocol_version) == (APPLICATION_CONTEXT, 1)
    assert read.maximum_pdu_bytes == MAXIMUM_PDU_BYTES  # what we announce, whatever the value says


def test_a_request_written_by_hand_is_read() -> None:
    read = decode_request(received(wire.associate_rq(maximum_length=0)))
    assert read.contexts == tuple(Proposed(number, abstract, tuple(s)) for number, abstract, s in wire.STANDARD)
    assert read.maximum_pdu_bytes == 0


def test_an_answer_comes_back_with_the_classes_of_the_request() -> None:
    answers = [Context(1, wire.VERIFICATION, wire.IMPLICIT), Context(3, wire.MR, "no syntax", result=4)]
    read = decode_answer(received(encode_answer(REQUEST, answers, {})), REQUEST.contexts)
    assert [(each.context_id, each.abstract_syntax, each.result) for each in read.contexts] == [
        (1, wire.VERIFICATION, 0),
        (3, wire.MR, 4),
    ]
    assert read.maximum_pdu_bytes == MAXIMUM_PDU_BYTES


@pytest.mark.parametrize("numbers", [(1, 1), (2,), (0,)])
def test_context_numbers_are_odd_and_differ(numbers: tuple[int, ...]) -> None:
    request = wire.associate_rq([(number, wire.MR, (wire.EXPLICIT,)) for number in numbers])
    with pytest.raises(ProtocolViolation, match="numbers"):
        decode_request(received(request))


def test_another_pdu_is_no_request() -> None:
    with pytest.raises(ProtocolViolation):
        decode_request(received(wire.pdu(wire.RELEASE_RQ, bytes(4))))


@given(st.integers(74, 400), st.binary(min_size=1, max_size=6))
def test_no_damage_to_a_request_does_more_than_be_refused(place: int, damage: bytes) -> None:
    encoded = bytearray(wire.associate_rq())
    place %= len(encoded)
    encoded[max(place, 6) : max(place, 6) + len(damage)] = damage
    encoded[0] = wire.ASSOCIATE_RQ
    with contextlib.suppress(ProtocolViolation):
        decode_request(received(bytes(encoded)))


@given(st.integers(0, 400), st.binary(min_size=1, max_size=6))
def test_no_damage_to_an_answer_does_more_than_be_refused(place: int, damage: bytes) -> None:
    answers = [Context(1, wire.VERIFICATION, wire.IMPLICIT), Context(3, wire.MR, wire.EXPLICIT)]
    encoded = bytearray(encode_answer(REQUEST, answers, {wire.COMMITMENT: (False, True)}))
    place = max(place % len(encoded), 6)
    encoded[place : place + len(damage)] = damage
    with contextlib.suppress(ProtocolViolation):
        decode_answer(received(bytes(encoded)), REQUEST.contexts)


@given(st.binary(max_size=300))
def test_no_bytes_do_more_than_be_refused(data: bytes) -> None:
    with contextlib.suppress(ProtocolViolation):
        decode_request(Pdu(PduType.ASSOCIATE_RQ, memoryview(data)))


@pytest.mark.parametrize(
    "filler", [b"\x20\0\0\0", b"\x50\0\0\0", b"\x10\0\0\0", b"\x21\0\0\4\1\0\0\0"], ids=["20", "50", "10", "21"]
)
def test_the_longest_request_that_we_read_is_read_or_refused_soon(filler: bytes) -> None:
    body = wire.associate_rq()[6:74] + filler * ((LONGEST_PDU_BYTES - 68) // len(filler))
    started = monotonic()
    with contextlib.suppress(ProtocolViolation):
        decode_request(Pdu(PduType.ASSOCIATE_RQ, memoryview(body)))
    assert monotonic() - started < 10
