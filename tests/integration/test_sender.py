"""What we ask of peers: files go as they are, every wait ends, and every end has a type (faults F63 to F66)."""

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import RLELossless
from pynetdicom import AE, evt
from pynetdicom.sop_class import (
    ComprehensiveSRStorage,
    MRImageStorage,
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

from node.config import Tls
from node.dimse import commitment
from node.dimse.commitment import CommitmentReport
from node.dimse.query import count_instances, find_instances
from node.dimse.scu import Peer, SendOutcome, echo, send
from node.errors import Refused, Unreachable
from tests import factories, wire
from tests.integration.test_listener import certificate, information

Script = Callable[[wire.Peer], None]
SHORT_S = 1.0


@contextmanager
def pacs(*handlers: Any, contexts: Sequence[tuple[str, Any]] = (), **settings: Any) -> Iterator[Peer]:
    """A peer made of pynetdicom."""
    ae = AE("PACS")
    for name, value in settings.items():
        setattr(ae, name, value)
    ae.add_supported_context(Verification)
    for abstract, syntaxes in contexts:
        ae.add_supported_context(abstract, syntaxes)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=list(handlers))
    assert server is not None
    try:
        yield Peer("PACS", "127.0.0.1", server.server_address[1])
    finally:
        server.shutdown()
        for thread in threading.enumerate():
            if thread.name.startswith("AcceptorThread"):
                thread.join(5)


@contextmanager
def scripted(*scripts: Script) -> Iterator[Peer]:
    """A peer that does as it is told with each connection in turn, and then leaves it open until the end."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        connections: list[wire.Peer] = []

        def run() -> None:
            for script in scripts:
                sock, _ = server.accept()
                sock.settimeout(20)
                connection = wire.Peer.__new__(wire.Peer)
                connection.socket = sock
                connections.append(connection)
                with suppress(OSError):
                    script(connection)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield Peer("PACS", "127.0.0.1", server.getsockname()[1])
        finally:
            for connection in connections:
                connection.socket.close()
            thread.join(5)


def accepting(connection: wire.Peer) -> None:
    """Accept every context of the request in its first transfer syntax."""
    request = connection.receive()
    assert request is not None
    body, position, answers = request[1], 68, b""
    while position < len(body):
        (length,) = struct.unpack_from(">H", body, position + 2)
        if body[position] == 0x20:
            part = body[position + 4 : position + 4 + length]
            (abstract,) = struct.unpack_from(">H", part, 6)
            answers += wire.item(0x21, bytes([part[0], 0, 0, 0]) + part[8 + abstract :])
        position += 4 + length
    user = wire.item(0x50, wire.item(0x51, struct.pack(">I", 16384)) + wire.item(0x52, b"1.2.3"))
    connection.send(wire.pdu(wire.ASSOCIATE_AC, body[:68] + wire.item(0x10, b"1.2.840.10008.3.1.1.1") + answers + user))


def message(connection: wire.Peer) -> tuple[int, dict[int, Any], bytes]:
    """The next message: context, command, data set."""
    command, data, context = b"", b"", 0
    while True:
        received = connection.receive()
        assert received is not None
        kind, body = received
        assert kind == wire.DATA, kind
        context, control = body[4], body[5]
        if control & 1:
            command += body[6:]
        else:
            data += body[6:]
        if control & 2 and (not control & 1 or wire.elements(command)[0x0800] == 0x0101):
            return context, wire.elements(command), data


def respond(connection: wire.Peer, context: int, field: int, status: int | None, message_id: int = 1) -> None:
    response = wire.command(field, e0110=None, e0120=message_id, e0900=status)
    connection.send(wire.pdu(wire.DATA, wire.pdv(context, 3, response)))


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return factories.write(factories.mr_series(slices=4, rows=64, columns=64), tmp_path / "in")


def sent(peer: Peer, files: Sequence[Path], timeout_s: float = 10) -> list[SendOutcome]:
    return list(send(peer, files, timeout_s))


def kinds(outcomes: Sequence[SendOutcome]) -> set[str]:
    """accepted, transient or permanent."""
    return {"accepted" if each.accepted else "transient" if each.transient else "permanent" for each in outcomes}


def test_files_arrive_in_order_and_as_they_are(files: list[Path]) -> None:
    got: list[tuple[str, bytes]] = []

    def store(event: evt.Event) -> int:
        got.append((event.request.AffectedSOPInstanceUID, event.encoded_dataset(include_meta=False)))
        return 0

    progress: list[int] = []
    with pacs((evt.EVT_C_STORE, store), contexts=[(MRImageStorage, [wire.EXPLICIT, wire.IMPLICIT])]) as peer:
        outcomes = list(send(peer, files, 10, progress.append))
    assert [each.path for each in outcomes] == files
    assert [(each.status, each.accepted, each.text) for each in outcomes] == [(0, True, "success (0x0000)")] * 4
    assert [uid for uid, _ in got] == [dcmread(path).SOPInstanceUID for path in files]
    assert all(path.read_bytes().endswith(data) for path, (_, data) in zip(files, got, strict=True))
    assert sum(progress) == sum(len(data) for _, data in got)


def test_each_syntax_has_a_context_of_its_own_so_that_nothing_is_converted(files: list[Path], tmp_path: Path) -> None:
    (dataset,) = factories.mr_series(slices=1, rows=64, columns=64, SOPInstanceUID="1.2.3.4")
    (coded,) = factories.write([dataset], tmp_path / "rle", transfer_syntax=RLELossless)
    got: list[str] = []
    handler = (evt.EVT_C_STORE, lambda event: got.append(str(event.context.transfer_syntax)) or 0)
    with pacs(handler, contexts=[(MRImageStorage, [wire.IMPLICIT, wire.EXPLICIT, RLELossless])]) as peer:
        assert kinds(sent(peer, [files[0], coded, files[1]])) == {"accepted"}
    assert got == [wire.EXPLICIT, RLELossless, wire.EXPLICIT]


def test_what_the_peer_takes_only_in_the_other_uncompressed_syntax_is_converted(files: list[Path]) -> None:
    got: list[Dataset] = []
    handler = (evt.EVT_C_STORE, lambda event: got.append(event.dataset) or 0)
    with pacs(handler, contexts=[(MRImageStorage, [wire.IMPLICIT])]) as peer:
        assert kinds(sent(peer, files)) == {"accepted"}
    assert [Dataset(each) for each in got] == [Dataset(dcmread(path)) for path in files]


def test_what_the_peer_does_not_take_is_refused_alone(files: list[Path], tmp_path: Path) -> None:
    """F64: a class or a syntax that was not accepted; the rest of the association is served."""
    (dataset,) = factories.mr_series(slices=1, rows=64, columns=64, SOPInstanceUID="1.2.3.4")
    (coded,) = factories.write([dataset], tmp_path / "rle", transfer_syntax=RLELossless)
    (report,) = factories.write([information_sr()], tmp_path / "sr")
    with pacs((evt.EVT_C_STORE, lambda _event: 0), contexts=[(MRImageStorage, [wire.EXPLICIT])]) as peer:
        outcomes = sent(peer, [coded, report, files[0]])
    assert [kinds([each]) for each in outcomes] == [{"permanent"}, {"permanent"}, {"accepted"}]
    assert RLELossless in outcomes[0].text
    assert ComprehensiveSRStorage in outcomes[1].text


def information_sr() -> Dataset:
    dataset = factories.mr_series(slices=1, rows=4, columns=4, SOPClassUID=ComprehensiveSRStorage)[0]
    del dataset.PixelData
    return dataset


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (0x0000, "accepted"),
        (0xB000, "accepted"),
        (0xB007, "accepted"),
        (0x0111, "accepted"),
        (0xA700, "transient"),
        (0x0110, "transient"),
        (0x0213, "transient"),
        (0xA900, "permanent"),
        (0xC000, "permanent"),
        (0x0117, "permanent"),
        (0x0122, "permanent"),
        (0x0124, "permanent"),
    ],
)
def test_every_status_has_its_kind(files: list[Path], status: int, kind: str) -> None:
    """F63 to F65."""
    with pacs((evt.EVT_C_STORE, lambda _event: status), contexts=[(MRImageStorage, [wire.EXPLICIT])]) as peer:
        outcomes = sent(peer, files)
    assert kinds(outcomes) == {kind}
    assert {each.status for each in outcomes} == {status}
    assert f"0x{status:04X}" in outcomes[0].text


@pytest.mark.parametrize(
    ("numbers", "kind"),
    [((1, 1, 3), "permanent"), ((1, 1, 7), "permanent"), ((2, 3, 2), "transient"), ((2, 3, 1), "transient")],
)
def test_a_rejection_has_its_kind_and_its_reason(files: list[Path], numbers: tuple[int, int, int], kind: str) -> None:
    def reject(connection: wire.Peer) -> None:
        connection.receive()
        connection.send(wire.pdu(wire.ASSOCIATE_RJ, bytes([0, *numbers])))

    with scripted(reject) as peer:
        outcomes = sent(peer, files)
    assert kinds(outcomes) == {kind}
    assert "/".join(map(str, numbers)) in outcomes[0].text


def test_a_peer_of_pynetdicom_that_does_not_know_us_is_permanent(files: list[Path]) -> None:
    with pacs(require_calling_aet=["SOMEBODY"], contexts=[(MRImageStorage, [wire.EXPLICIT])]) as peer:
        assert kinds(sent(peer, files)) == {"permanent"}


def silent(connection: wire.Peer) -> None:
    """Accepts the connection, and that is all."""


def half_an_answer(connection: wire.Peer) -> None:
    connection.receive()
    connection.send(b"\2\0\0\0\1")


def silent_after_acceptance(connection: wire.Peer) -> None:
    accepting(connection)


def half_a_response(connection: wire.Peer) -> None:
    accepting(connection)
    message(connection)
    connection.send(b"\4\0\0\0\1\0" + bytes(20))


def aborts(connection: wire.Peer) -> None:
    accepting(connection)
    message(connection)
    connection.send(wire.pdu(wire.ABORT, bytes(4)))


def hangs_up(connection: wire.Peer) -> None:
    accepting(connection)
    message(connection)
    connection.socket.close()


def speaks_http(connection: wire.Peer) -> None:
    connection.receive()
    connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def answers_something_else(connection: wire.Peer) -> None:
    accepting(connection)
    context, _, _ = message(connection)
    respond(connection, context, 0x8001, 0, message_id=4242)


def answers_without_status(connection: wire.Peer) -> None:
    accepting(connection)
    context, _, _ = message(connection)
    respond(connection, context, 0x8001, None)


def releases(connection: wire.Peer) -> None:
    accepting(connection)
    message(connection)
    connection.send(wire.pdu(wire.RELEASE_RQ, bytes(4)))


def sends_without_end(connection: wire.Peer) -> None:
    connection.receive()
    connection.send(b"\2\0\x7f\xff\xff\xff")
    while True:
        connection.send(bytes(1 << 16))


@pytest.mark.parametrize(
    "script",
    [
        silent,
        half_an_answer,
        silent_after_acceptance,
        half_a_response,
        aborts,
        hangs_up,
        speaks_http,
        answers_something_else,
        answers_without_status,
        releases,
        sends_without_end,
    ],
    ids=lambda script: script.__name__,
)
def test_a_peer_that_misbehaves_holds_nobody_and_is_tried_again(files: list[Path], script: Script) -> None:
    """F66: whatever it does or does not do, every file has an outcome soon."""
    started = monotonic()
    with scripted(script) as peer:
        outcomes = sent(peer, files, SHORT_S)
    assert monotonic() - started < 5 * SHORT_S
    assert [each.path for each in outcomes] == files
    assert kinds(outcomes) == {"transient"}
    assert all(each.status is None and each.text for each in outcomes)


def test_a_peer_that_stops_reading_does_not_hold_us(tmp_path: Path) -> None:
    """F66: its window closes in the middle of a large object."""
    (dataset,) = factories.mr_series(slices=1, rows=4, columns=4)
    dataset.PixelData = bytes(64 << 20)
    paths = factories.write([dataset], tmp_path)
    started = monotonic()
    with scripted(accepting) as peer:
        outcomes = sent(peer, paths, SHORT_S)
    assert kinds(outcomes) == {"transient"}
    assert monotonic() - started < 5 * SHORT_S


def test_what_was_acknowledged_before_the_end_stays_acknowledged(files: list[Path]) -> None:
    def two_and_no_more(connection: wire.Peer) -> None:
        accepting(connection)
        for number in (1, 2):
            context, _, _ = message(connection)
            respond(connection, context, 0x8001, 0, message_id=number)
        connection.socket.close()

    with scripted(two_and_no_more) as peer:
        outcomes = sent(peer, files)
    assert [each.accepted for each in outcomes] == [True, True, False, False]


def test_nobody_there_is_told_as_such(files: list[Path], free_port: Callable[[], int]) -> None:
    outcomes = sent(Peer("PACS", "127.0.0.1", free_port()), files, SHORT_S)
    assert kinds(outcomes) == {"transient"}
    assert "refused" in outcomes[0].text.lower()
    assert kinds(sent(Peer("PACS", "no.such.host.invalid", 104), files, SHORT_S)) == {"transient"}


def test_what_is_no_dicom_is_told_and_the_rest_is_sent(files: list[Path], tmp_path: Path) -> None:
    text = tmp_path / "readme.txt"
    text.write_text("hello")
    with pacs((evt.EVT_C_STORE, lambda _event: 0), contexts=[(MRImageStorage, [wire.EXPLICIT])]) as peer:
        outcomes = sent(peer, [text, tmp_path / "gone.dcm", *files])
    assert [kinds([each]) for each in outcomes] == [{"permanent"}] * 2 + [{"accepted"}] * 4


def test_more_classes_than_an_association_holds_go_over_several(tmp_path: Path) -> None:
    datasets = [
        factories.mr_series(slices=1, rows=4, columns=4, SOPClassUID=f"1.2.3.{number}")[0] for number in range(100)
    ]
    paths = factories.write(datasets, tmp_path)

    def take_all(connection: wire.Peer) -> None:
        accepting(connection)
        number = 0
        while True:
            received = connection.receive()
            if received is None or received[0] == wire.RELEASE_RQ:
                connection.send(wire.pdu(wire.RELEASE_RP, bytes(4)))
                return
            if received[1][5] == 2:  # last fragment of a data set
                number += 1
                respond(connection, received[1][4], 0x8001, 0, message_id=number)

    with scripted(take_all, take_all) as peer:
        assert kinds(sent(peer, paths)) == {"accepted"}


def test_an_echo_has_a_time_or_a_reason(free_port: Callable[[], int]) -> None:
    with pacs() as peer:
        outcome = echo(peer, 5)
        assert outcome.answered
        assert outcome.seconds is not None
        assert 0 < outcome.seconds < 5
    gone = echo(Peer("PACS", "127.0.0.1", free_port()), SHORT_S)
    assert (gone.answered, gone.transient, gone.seconds) == (False, True, None)
    with pacs(require_called_aet=True, ae_title="OTHER") as peer:
        refused = echo(peer, 5)
    assert (refused.answered, refused.transient) == (False, False)
    assert "1/1/7" in refused.text
    with scripted(silent) as peer:
        assert not echo(peer, 0.3).answered


def match(**values: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


FIND = [(StudyRootQueryRetrieveInformationModelFind, [wire.IMPLICIT, wire.EXPLICIT])]


def test_a_read_back_tells_what_the_peer_has() -> None:
    asked: list[Dataset] = []

    def find(event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        asked.append(event.identifier)
        for uid in ("1.2.3.1", "1.2.3.2", "1.2.3.99"):
            yield 0xFF00, match(SOPInstanceUID=uid, QueryRetrieveLevel="IMAGE")

    with pacs((evt.EVT_C_FIND, find), contexts=FIND) as peer:
        assert find_instances(peer, "1.2", "1.2.3") == {"1.2.3.1", "1.2.3.2", "1.2.3.99"}
    (identifier,) = asked
    assert (identifier.QueryRetrieveLevel, identifier.StudyInstanceUID) == ("IMAGE", "1.2")
    assert identifier.SeriesInstanceUID == "1.2.3"


@pytest.mark.parametrize(("answer", "count"), [("170", 170), ("", None), (None, None), ("0", None)])
def test_a_count_is_a_number_or_nothing(answer: str | None, count: int | None) -> None:
    def find(_event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        if answer is not None:
            yield 0xFF00, match(StudyInstanceUID="1.2", NumberOfStudyRelatedInstances=answer)

    with pacs((evt.EVT_C_FIND, find), contexts=FIND) as peer:
        assert count_instances(peer, "1.2") == count


def test_a_search_that_fails_says_whether_to_come_back() -> None:
    def full(_event: evt.Event) -> Iterator[tuple[int, None]]:
        yield 0xA700, None

    def broken(_event: evt.Event) -> Iterator[tuple[int, None]]:
        yield 0xC000, None

    with pacs((evt.EVT_C_FIND, full), contexts=FIND) as peer, pytest.raises(Unreachable):
        count_instances(peer, "1.2")
    with pacs((evt.EVT_C_FIND, broken), contexts=FIND) as peer, pytest.raises(Refused):
        count_instances(peer, "1.2")
    with pacs() as peer, pytest.raises(Refused):
        count_instances(peer, "1.2")
    with scripted(silent_after_acceptance) as peer, pytest.raises(Unreachable):
        find_instances(peer, "1.2", "1.2.3", timeout_s=0.5)


COMMITMENT = [(StorageCommitmentPushModel, [wire.IMPLICIT, wire.EXPLICIT])]
REFERENCES = [(wire.MR, "1.2.3.4"), (wire.MR, "1.2.3.5")]


def test_a_commitment_request_names_what_it_is_about() -> None:
    asked: list[Dataset] = []
    handler = (evt.EVT_N_ACTION, lambda event: (asked.append(event.action_information) or 0x0000, None))
    with pacs(handler, contexts=COMMITMENT) as peer:
        outcome = commitment.request(peer, "1.2.9", REFERENCES, 5, linger_s=0)
    assert (outcome.accepted, outcome.status, outcome.reports) == (True, 0, ())
    (information_,) = asked
    assert information_.TransactionUID == "1.2.9"
    assert [
        (item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID) for item in information_.ReferencedSOPSequence
    ] == REFERENCES


@pytest.mark.parametrize("early", [False, True], ids=["after the response", "before the response"])
def test_a_report_on_the_same_association_is_read_and_answered(early: bool) -> None:
    statuses: list[int] = []

    def report(connection: wire.Peer) -> None:
        accepting(connection)
        context, command, _ = message(connection)
        assert command[0x0100] == 0x0130
        event = wire.command(0x0100, data_set=True, message_id=7, e0002=wire.COMMITMENT, e1000="1.2", e1002=1)
        data = wire.encode(information("1.2.9"))
        if not early:
            respond(connection, context, 0x8130, 0)
        connection.send(wire.pdu(wire.DATA, wire.pdv(context, 3, event)))
        connection.send(wire.pdu(wire.DATA, wire.pdv(context, 2, data)))
        statuses.append(message(connection)[1][0x0900])
        if early:
            respond(connection, context, 0x8130, 0)
        connection.receive()
        connection.send(wire.pdu(wire.RELEASE_RP, bytes(4)))

    with scripted(report) as peer:
        outcome = commitment.request(peer, "1.2.9", REFERENCES, 5, linger_s=5)
    assert outcome.accepted
    assert outcome.reports == (CommitmentReport("1.2.9", ("1.2.3.4",)),)
    assert statuses == [0]


def test_a_peer_that_drops_the_association_has_accepted_nothing() -> None:
    """Orthanc does so when it does not know us; the empty answer is no success."""

    def drop(connection: wire.Peer) -> None:
        accepting(connection)
        message(connection)
        connection.socket.close()

    with scripted(drop) as peer:
        outcome = commitment.request(peer, "1.2.9", REFERENCES, 5)
    assert (outcome.accepted, outcome.transient, outcome.status) == (False, True, None)


@pytest.mark.parametrize(("status", "transient"), [(0x0110, True), (0x0213, True), (0x0122, False), (0x0124, False)])
def test_a_commitment_request_may_be_refused(status: int, transient: bool) -> None:
    with pacs((evt.EVT_N_ACTION, lambda _event: (status, None)), contexts=COMMITMENT) as peer:
        outcome = commitment.request(peer, "1.2.9", REFERENCES, 5)
    assert (outcome.accepted, outcome.transient, outcome.status) == (False, transient, status)


def test_a_peer_without_commitment_is_told_as_such() -> None:
    with pacs() as peer:
        outcome = commitment.request(peer, "1.2.9", REFERENCES, 5)
    assert (outcome.accepted, outcome.transient) == (False, False)


def test_tls_is_spoken_where_it_is_configured(tmp_path: Path) -> None:
    node, ours = certificate(tmp_path, "node"), certificate(tmp_path, "pacs")
    stranger = certificate(tmp_path, "stranger", signer="somebody")
    with wire.listener(tls=node) as server:

        def asked(files_: dict[str, str] | None) -> bool:
            tls = Tls(**{name: Path(path) for name, path in files_.items()}) if files_ else None
            return echo(Peer("NEUROSSL", "127.0.0.1", server.port, "TESTER", tls), 3).answered

        assert asked(ours)
        assert not asked(stranger)
        assert not asked({**ours, "authorities": str(tmp_path / "somebody.pem")})
        assert not asked(None)


def test_our_sender_and_our_listener_understand_each_other(files: list[Path]) -> None:
    with wire.listener() as server:
        peer = Peer("NEUROSSL", "127.0.0.1", server.port, "TESTER")
        assert kinds(sent(peer, files)) == {"accepted"}
        assert echo(peer, 5).answered
        assert kinds(sent(Peer("NEUROSSL", "127.0.0.1", server.port, "STRANGER"), files)) == {"permanent"}


def answering(field: int, *, data_set_type: bool = True, uid: str | None = None, data_set: bool = False) -> Script:
    """A peer that answers the first C-STORE so, and waits; `data_set` announces one that never comes."""

    def script(connection: wire.Peer) -> None:
        accepting(connection)
        context, command, _ = message(connection)
        extra = {} if data_set_type else {"e0800": None}
        named = uid or str(command[0x1000])
        answer = wire.command(field, data_set=data_set, e0110=None, e0120=1, e0900=0, e1000=named, **extra)
        connection.send(wire.pdu(wire.DATA, wire.pdv(context, 3, answer)))
        connection.receive()

    return script


@pytest.mark.parametrize("script", [answering(0x8030), answering(0x8001, uid="1.2.3.4.5")], ids=["echo", "another"])
def test_a_response_to_something_else_is_no_success_and_is_told_from_a_peer_that_is_away(
    files: list[Path], script: Script
) -> None:
    with scripted(script) as peer:
        outcomes = sent(peer, files, SHORT_S)
    assert not any(each.accepted for each in outcomes)
    assert [each.wrong_answer for each in outcomes] == [True] + [False] * (len(files) - 1)


def test_a_response_without_its_data_set_type_is_a_response(files: list[Path]) -> None:
    with scripted(answering(0x8001, data_set_type=False)) as peer:
        outcomes = sent(peer, files[:1], SHORT_S)
    assert [(each.accepted, each.status) for each in outcomes] == [(True, 0)]


def test_a_response_that_announces_a_data_set_which_never_comes_is_a_response(files: list[Path]) -> None:
    with scripted(answering(0x8001, data_set=True)) as peer:
        outcomes = sent(peer, files[:2], SHORT_S)
    assert [(each.accepted, each.status) for each in outcomes] == [(True, 0), (False, None)]
    assert outcomes[1].transient


@pytest.mark.parametrize(("host", "named"), [("localhost", ["localhost"]), ("127.0.0.1", [None])])
def test_a_destination_with_a_name_is_named_in_the_handshake(
    tmp_path: Path, host: str, named: list[str | None]
) -> None:
    heard: list[str | None] = []
    node, ours = certificate(tmp_path, "node"), certificate(tmp_path, "pacs")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(node["certificate"], node["key"])
    context.sni_callback = lambda _socket, name, _context: heard.append(name)
    tls = Tls(**{name: Path(path) for name, path in ours.items()})
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError), context.wrap_socket(server.accept()[0], server_side=True) as connection:
                connection.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        assert not echo(Peer("PACS", host, server.getsockname()[1], "NEUROSSL", tls), 3).answered
        thread.join()
    assert heard == named


def test_an_accepted_commitment_request_stands_however_its_association_ends() -> None:
    def accept_and_break(connection: wire.Peer) -> None:
        accepting(connection)
        context, _, _ = message(connection)
        respond(connection, context, 0x8130, 0)
        connection.send(wire.pdu(wire.ABORT, bytes(4)))

    with scripted(accept_and_break) as peer:
        outcome = commitment.request(peer, "1.2.9", REFERENCES, 5, linger_s=2)
    assert (outcome.accepted, outcome.reports) == (True, ())
