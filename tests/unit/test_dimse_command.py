"""Command sets go there and back, agree with pynetdicom's, and nothing that a peer sends does more than be refused."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pynetdicom.dsutils import decode as pynetdicom_decode
from pynetdicom.dsutils import encode as pynetdicom_encode

from node.dicom.uids import is_uid
from node.dimse.command import Command, Request, decode, encode
from node.dimse.errors import ProtocolViolation
from node.dimse.status import Status
from tests import wire

COMMANDS = [
    Command(Request.C_ECHO, 1, "1.2.840.10008.1.1"),
    Command(Request.C_STORE, 65535, "1.2.840.10008.5.1.4.1.1.4", "1.2.3", has_data_set=True),
    Command(Request.C_FIND, 3, "1.2.840.10008.5.1.4.1.2.2.1", has_data_set=True),
    Command(Request.C_MOVE, 6, "1.2.840.10008.5.1.4.1.2.2.2", has_data_set=True, move_destination="NEUROSSL"),
    Command(Request.C_GET, 7, "1.2.840.10008.5.1.4.1.2.2.3", has_data_set=True),
    Command(0x8010, 7, "1.2.840.10008.5.1.4.1.2.2.3", status=0xFF00, suboperations=(5, 3, 1, 0)),
    Command(Request.N_ACTION, 4, "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1", has_data_set=True, type_id=1),
    Command(Request.N_EVENT_REPORT, 5, "1.2.840.10008.1.20.1", "1.2.3", has_data_set=True, type_id=2),
    Command(Request.C_STORE, 65535, "1.2.3.4", "1.2.3").response(Status.OUT_OF_RESOURCES, "disk full"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda each: f"{each.field:04X}")
def test_a_command_comes_back_as_it_went(command: Command) -> None:
    assert decode(encode(command)) == command


@pytest.mark.parametrize("command", COMMANDS, ids=lambda each: f"{each.field:04X}")
def test_pynetdicom_reads_the_same_command(command: Command) -> None:
    from io import BytesIO

    read = pynetdicom_decode(BytesIO(encode(command)), True, True)
    assert read.CommandField == command.field
    assert read.CommandGroupLength == len(encode(command)) - 12
    uids = (read.get("AffectedSOPClassUID") or read.get("RequestedSOPClassUID") or "",)
    assert uids == (command.sop_class_uid,)
    assert [element.tag for element in read] == sorted(element.tag for element in read)


def test_a_command_of_pynetdicom_is_read() -> None:
    sent = Dataset()
    sent.CommandField, sent.MessageID, sent.Priority, sent.CommandDataSetType = 1, 7, 2, 0
    sent.AffectedSOPClassUID, sent.AffectedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.4", "1.2.3.45"
    sent.MoveOriginatorApplicationEntityTitle = "MOVER"
    command = decode(pynetdicom_encode(sent, True, True) or b"")
    assert command == Command(Request.C_STORE, 7, "1.2.840.10008.5.1.4.1.1.4", "1.2.3.45", has_data_set=True)


def test_what_is_no_uid_is_not_echoed() -> None:
    answer = Command(Request.C_STORE, 1, "../../etc", "1.2\n3").response(Status.CANNOT_UNDERSTAND)
    assert (answer.sop_class_uid, answer.sop_instance_uid) == ("", "")


def test_a_uid_with_leading_zeros_is_echoed_as_it_came() -> None:
    answer = Command(Request.C_STORE, 1, "1.2.840.10008.5.1.4.1.1.4", "1.2.0045.007").response(Status.SUCCESS)
    assert decode(encode(answer)).sop_instance_uid == "1.2.0045.007"


@pytest.mark.parametrize(
    "uid", ["", ".", "..", "1.", ".1", "1..2", "1.2.3\n", "1.2.3\0x", "١.٢", "1" * 65, "1.2/3", "a.b", "-1.2"]
)
def test_what_is_no_uid_is_known(uid: str) -> None:
    assert not is_uid(uid)


@pytest.mark.parametrize(
    "uid", ["1.2", "0.0", "1.02", "00.1", "2.25." + "9" * 39, "1" * 64, "1.2.840.10008.5.1.4.1.1.4"]
)
def test_what_is_a_uid_is_known(uid: str) -> None:
    assert is_uid(uid)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        encode(COMMANDS[0])[:-1],
        b"\x08\0" + encode(COMMANDS[0])[2:],
        wire.command(0x30)[:12],
        wire.command(1, e0800=None),
        wire.command(0x8001),
        wire.command(1, e0110="12345"),
    ],
    ids=["empty", "one byte", "cut short", "other group", "only a length", "no type", "no status", "long number"],
)
def test_a_malformed_command_set_is_a_violation(data: bytes) -> None:
    with pytest.raises(ProtocolViolation):
        decode(data)


@given(st.binary(max_size=300))
def test_no_bytes_do_more_than_be_refused(data: bytes) -> None:
    with contextlib.suppress(ProtocolViolation):
        decode(data)
