"""PDUs over a real socket: every wait ends, and nothing too long is read."""

import socket
import threading
from collections.abc import Iterator
from time import monotonic, sleep

import pytest

from node.dimse.connection import (
    LONGEST_PDU_BYTES,
    Connection,
    PduType,
    abort_pdu,
    pdu,
    reject_pdu,
)
from node.dimse.errors import ConnectionLost, DeadlinePassed, ProtocolViolation
from node.dimse.status import INVALID_PDU_PARAMETER, LOCAL_LIMIT_EXCEEDED, UNRECOGNIZED_PDU


@pytest.fixture
def ends() -> Iterator[tuple[Connection, socket.socket]]:
    """Our connection, and the peer's socket, over loopback TCP."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        theirs = socket.create_connection(server.getsockname(), timeout=10)
        ours, _ = server.accept()
    connection = Connection(ours)
    yield connection, theirs
    connection.close()
    theirs.close()


def test_pdus_come_one_by_one_however_they_are_cut(ends: tuple[Connection, socket.socket]) -> None:
    ours, theirs = ends
    sent = [pdu(PduType.DATA_TF, [bytes([number]) * (number * 37_000 + 1)]) for number in range(7)]
    threading.Thread(target=lambda: [theirs.sendall(each) for each in sent]).start()
    for number in range(7):
        received = ours.receive(10)
        assert (received.type, bytes(received.body)) == (PduType.DATA_TF, bytes([number]) * (number * 37_000 + 1))
    stream = b"".join(sent[:4])
    threading.Thread(
        target=lambda: [theirs.sendall(stream[at : at + 997]) for at in range(0, len(stream), 997)]
    ).start()
    assert [len(ours.receive(10).body) for _ in range(4)] == [1, 37_001, 74_001, 111_001]


def test_a_dripping_pdu_has_one_deadline(ends: tuple[Connection, socket.socket]) -> None:
    ours, theirs = ends

    def drip() -> None:
        for _ in range(12):
            theirs.sendall(b"\4")
            sleep(0.05)

    dripping = threading.Thread(target=drip)
    dripping.start()
    started = monotonic()
    with pytest.raises(DeadlinePassed):
        ours.receive(0.2)
    assert monotonic() - started < 0.5
    dripping.join()


def test_a_pdu_too_long_is_refused_by_its_header(ends: tuple[Connection, socket.socket]) -> None:
    ours, theirs = ends
    theirs.sendall(b"\4\0" + (LONGEST_PDU_BYTES + 1).to_bytes(4, "big"))
    with pytest.raises(ProtocolViolation) as caught:
        ours.receive(10)
    assert caught.value.abort == INVALID_PDU_PARAMETER


def test_a_pdu_of_an_unknown_type_is_refused(ends: tuple[Connection, socket.socket]) -> None:
    ours, theirs = ends
    theirs.sendall(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(ProtocolViolation) as caught:
        ours.receive(10)
    assert caught.value.abort == UNRECOGNIZED_PDU


def test_a_peer_that_goes_is_noticed(ends: tuple[Connection, socket.socket]) -> None:
    ours, theirs = ends
    theirs.sendall(b"\4\0\0\0\0\x10half")
    theirs.close()
    with pytest.raises(ConnectionLost):
        ours.receive(10)


def test_a_peer_that_reads_no_more_does_not_hold_us(ends: tuple[Connection, socket.socket]) -> None:
    ours, _ = ends
    with pytest.raises(DeadlinePassed):
        ours.send(bytes(64 << 20), 0.2)


def test_waiting_tells_whether_something_came(ends: tuple[Connection, socket.socket]) -> None:
    ours, theirs = ends
    assert not ours.wait(0.05)
    theirs.sendall(b"\5\0\0\0\0\4\0\0\0\0")
    assert ours.wait(5)
    assert ours.receive(5).type is PduType.RELEASE_RQ


def test_the_last_word_arrives_though_the_peer_was_still_talking(ends: tuple[Connection, socket.socket]) -> None:
    ours, theirs = ends
    theirs.sendall(bytes(100_000))
    closing = threading.Thread(target=ours.close_after_last_word, args=(reject_pdu(LOCAL_LIMIT_EXCEEDED),))
    closing.start()
    assert theirs.recv(100) == b"\3\0\0\0\0\4\0\2\3\2"
    theirs.close()
    closing.join(5)
    assert not closing.is_alive()


def test_an_abort_is_encoded_as_the_standard_says() -> None:
    assert abort_pdu(INVALID_PDU_PARAMETER) == b"\7\0\0\0\0\4\0\0\2\6"


def test_small_messages_leave_at_once(ends: tuple[Connection, socket.socket]) -> None:
    ours, _ = ends
    assert ours._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
