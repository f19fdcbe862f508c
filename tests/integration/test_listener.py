"""The listener as pynetdicom's users and a hand-written peer see it."""

import socket
import ssl
import subprocess
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
import structlog
from pydicom import Dataset, dcmread
from pydicom.uid import JPEG2000Lossless, RLELossless
from pynetdicom import AE, build_context, build_role
from pynetdicom.sop_class import (
    CTImageStorage,
    MRImageStorage,
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    Verification,
)

from node.config import AllowedPeer
from node.dicom.received import Receipt, Received
from node.dicom.syntaxes import TRANSFER_SYNTAXES
from node.dimse.commitment import CommitmentReport
from node.dimse.contexts import storage_classes
from node.dimse.status import Status
from node.errors import ConfigurationError
from node.receive import intake
from storage import Database, DataFolder, files, instances, studies
from tests import factories, peers, wire


def storing(folder: DataFolder, db: Database) -> Any:
    """What the listener process does with an instance."""
    return lambda received: intake.receive(folder, db, received, datetime.now(UTC), maximum_disk_use_percent=100)


def caller(*contexts: Any) -> AE:
    """pynetdicom, called TESTER."""
    ae = AE(ae_title="TESTER")
    ae.requested_contexts = list(contexts)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 10
    return ae


def test_pynetdicom_sends_a_series_and_every_instance_is_there(folder: DataFolder, db: Database) -> None:
    series = factories.mr_series(slices=20, rows=64, columns=64)
    with wire.listener(storing(folder, db)) as server:
        association = caller(build_context(MRImageStorage, wire.EXPLICIT), build_context(Verification)).associate(
            "127.0.0.1", server.port, ae_title="NEUROSSL"
        )
        assert association.is_established
        assert association.send_c_echo().Status == 0x0000
        encoded = [factories.encoded(each) for each in series]
        assert [association.send_c_store(each).Status for each in encoded] == [0x0000] * 20
        association.release()
        assert association.is_released
    rows = instances.of_study(db, series[0].StudyInstanceUID)
    assert {row.sop_instance_uid for row in rows} == {each.SOPInstanceUID for each in series}
    for row in rows:
        sent = next(each for each in series if each.SOPInstanceUID == row.sop_instance_uid)
        assert Dataset(dcmread(files.verify(folder, row.path, row.sha256))) == sent


def test_each_transfer_syntax_is_agreed_and_kept(folder: DataFolder, db: Database) -> None:
    (dataset,) = factories.mr_series(slices=1, rows=64, columns=64)
    with wire.listener(storing(folder, db)) as server:
        for number, syntax in enumerate((wire.IMPLICIT, wire.EXPLICIT, wire.BIG_ENDIAN, RLELossless, JPEG2000Lossless)):
            dataset.SOPInstanceUID = f"1.2.3.{number}"
            association = caller(build_context(MRImageStorage, syntax)).associate(
                "127.0.0.1", server.port, ae_title="NEUROSSL"
            )
            assert association.send_c_store(factories.encoded(dataset, syntax)).Status == 0x0000
            association.release()
            row = instances.find(db, dataset.SOPInstanceUID)
            assert row is not None
            assert row.transfer_syntax_uid == syntax
            stored = dcmread(folder.path(row.path))
            assert stored.file_meta.TransferSyntaxUID == syntax
            assert (stored.pixel_array == factories.encoded(dataset).pixel_array).all()


def test_contexts_are_answered_one_by_one() -> None:
    """F40, F41: what is not taken does not hold up what is."""
    with wire.listener() as server, wire.Peer(server.port) as peer:
        answers = peer.associate(
            [
                (1, wire.VERIFICATION, (wire.IMPLICIT,)),
                (3, CTImageStorage, (wire.EXPLICIT,)),
                (5, "1.2.840.113619.4.26", (wire.EXPLICIT,)),
                (7, wire.MR, ("1.2.840.10008.1.2.1.99",)),
                (9, wire.MR, ("1.2.3.4", wire.IMPLICIT)),
            ]
        )
        assert {number: result for number, (result, _) in answers.items()} == {1: 0, 3: 3, 5: 3, 7: 4, 9: 0}
        assert answers[9][1] == wire.IMPLICIT
        assert peer.echo() == 0
        peer.release()


def test_every_class_and_syntax_of_the_setting_is_taken() -> None:
    with wire.listener() as server:
        for class_uid in storage_classes("study"):
            with wire.Peer(server.port) as peer:
                proposed = [(2 * at + 1, class_uid, (syntax,)) for at, syntax in enumerate(sorted(TRANSFER_SYNTAXES))]
                assert {result for result, _ in peer.associate(proposed).values()} == {0}


def test_the_setting_says_what_is_taken() -> None:
    proposed = [(1, wire.MR, (wire.EXPLICIT,)), (3, "1.2.840.10008.5.1.4.1.1.88.33", (wire.EXPLICIT,))]
    proposed.append((5, CTImageStorage, (wire.EXPLICIT,)))
    for accept, results in (("mr", [0, 3, 3]), ("study", [0, 0, 3]), ("all", [0, 0, 0])):
        with wire.listener(accept=accept) as server, wire.Peer(server.port) as peer:
            assert [result for result, _ in peer.associate(proposed).values()] == results


@pytest.mark.parametrize(
    ("request_", "rejection"),
    [
        ({"calling": "STRANGER"}, (1, 1, 3)),
        ({"called": "OTHER"}, (1, 1, 7)),
        ({"application_context": "1.2.3"}, (1, 1, 2)),
        ({"version": 2}, (1, 2, 2)),
        ({}, None),
    ],
)
def test_who_may_not_hears_why(request_: dict[str, Any], rejection: tuple[int, int, int] | None) -> None:
    with wire.listener() as server, wire.Peer(server.port) as peer:
        assert peer.rejection(**request_) == rejection


def test_an_empty_list_lets_nobody_in() -> None:
    with wire.listener(allow=()) as server, wire.Peer(server.port) as peer:
        assert peer.rejection() == (1, 1, 3)


def test_an_address_in_the_list_must_be_the_callers() -> None:
    with wire.listener(allow=(AllowedPeer(ae_title="TESTER", host="127.0.0.9"),)) as server:
        with wire.Peer(server.port) as peer:
            assert peer.rejection() == (1, 1, 3)
        with wire.Peer(server.port, source="127.0.0.9") as peer:
            assert peer.rejection() is None


def test_ipv6_is_listened_to() -> None:
    with wire.listener(host="::1") as server, socket.create_connection(("::1", server.port), timeout=5) as peer:
        peer.sendall(wire.associate_rq())
        assert peer.recv(1)[0] == wire.ASSOCIATE_AC


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"host": "192.0.2.1"}, "listener.host"),
        ({"host": "no.such.host.invalid"}, "listener.host"),
        (
            {"tls": {"certificate": "/nowhere.pem", "key": "/nowhere.pem", "authorities": "/nowhere.pem"}},
            "listener.tls.certificate",
        ),
    ],
)
def test_settings_that_cannot_work_are_named(settings: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigurationError, match=key), wire.listener(**settings):
        pass


def test_a_port_in_use_is_named() -> None:
    with (
        wire.listener() as server,
        pytest.raises(ConfigurationError, match=r"listener\.port"),
        wire.listener(port=server.port),
    ):
        pass


def test_a_port_is_free_again_at_once() -> None:
    with wire.listener() as server, wire.Peer(server.port) as peer:
        port = server.port
        peer.associate()
        peer.echo()
    with wire.listener(port=port) as server, wire.Peer(server.port) as peer:
        peer.associate()


def commitment_of(server_port: int, information: Dataset, event_type: int) -> int:
    """A PACS brings its report on an association of its own, as SCP of storage commitment: our status."""
    ae = caller(build_context(StorageCommitmentPushModel))
    role = build_role(StorageCommitmentPushModel, scp_role=True)
    association = ae.associate("127.0.0.1", server_port, ae_title="NEUROSSL", ext_neg=[role])
    assert association.is_established
    assert association.accepted_contexts[0].as_scp
    status, _ = association.send_n_event_report(
        information, event_type, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
    )
    association.release()
    return int(status.Status)


def information(transaction: str, failed: bool = False) -> Dataset:
    """Event information about one instance."""
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = wire.MR, "1.2.3.4"
    dataset = Dataset()
    dataset.TransactionUID = transaction
    if failed:
        item.FailureReason = 0x0112
        dataset.FailedSOPSequence = [item]
    else:
        dataset.ReferencedSOPSequence = [item]
    return dataset


def test_a_commitment_report_is_taken_on_an_association_of_its_own() -> None:
    reports: list[CommitmentReport] = []
    with wire.listener(on_commitment=reports.append) as server:
        assert commitment_of(server.port, information("1.2.9.1"), 1) == 0x0000
        assert commitment_of(server.port, information("1.2.9.2", failed=True), 2) == 0x0000
    assert reports == [
        CommitmentReport("1.2.9.1", ("1.2.3.4",)),
        CommitmentReport("1.2.9.2", (), {"1.2.3.4": 0x0112}),
    ]


def test_a_report_that_could_not_be_noted_is_no_success() -> None:
    def fails(_report: CommitmentReport) -> None:
        raise RuntimeError("SECRET")

    with wire.listener(on_commitment=fails) as server:
        assert commitment_of(server.port, information("1.2.9.1"), 1) == Status.PROCESSING_FAILURE


def test_commitment_is_not_offered_where_nobody_wants_reports() -> None:
    with wire.listener() as server, wire.Peer(server.port) as peer:
        assert peer.associate([(1, wire.COMMITMENT, (wire.IMPLICIT,))])[1][0] == 3


def test_statuses_of_the_store_reach_the_sender() -> None:
    receipts = [Receipt.NO_ROOM, Receipt.MISMATCH, Receipt.UNPARSABLE, Receipt.OTHER_CONTENT, Receipt.OWN_RESULT]
    statuses, left = [0xA700, 0xA900, 0xC000, 0x0111, 0x0000], iter(receipts)
    with wire.listener(lambda received: next(left)) as server, wire.Peer(server.port) as peer:
        peer.associate()
        (dataset,) = factories.mr_series(slices=1, rows=256, columns=256)
        # nothing was read of the data set; the listener passes over it, and the association goes on
        assert [peer.store(dataset) for _ in statuses] == statuses
        assert peer.echo() == 0
        peer.release()


def test_an_error_in_the_store_is_a_failure_of_one_instance(folder: DataFolder, db: Database) -> None:
    (dataset,) = factories.mr_series(slices=1, rows=64, columns=64)
    store, calls = storing(folder, db), iter([RuntimeError("PATIENT^NAME"), None])

    def on_store(received: Received) -> Receipt:
        next(received.data)
        if error := next(calls):
            raise error
        received = Received(**{**vars(received), "data": iter([wire.encode(dataset)])})
        return store(received)

    with structlog.testing.capture_logs() as logs, wire.listener(on_store) as server, wire.Peer(server.port) as peer:
        peer.associate()
        assert [peer.store(dataset), peer.store(dataset)] == [Status.PROCESSING_FAILURE, Status.SUCCESS]
    assert "PATIENT" not in str(logs)


@pytest.mark.parametrize(
    ("message", "data", "status"),
    [
        (wire.command(1, e0002=wire.MR, e1000="1.2.3"), None, Status.CANNOT_UNDERSTAND),
        (wire.command(1, data_set=True, e0002="1.2.3.4", e1000="1.2.3"), b"x", Status.SOP_CLASS_NOT_SUPPORTED),
        (wire.command(1, data_set=True, e1000="1.2.3"), b"x", Status.SOP_CLASS_NOT_SUPPORTED),
        (wire.command(0x20, data_set=True, e0002=wire.MR), b"x", Status.UNRECOGNIZED_OPERATION),
        (wire.command(0x0130, e0003=wire.MR, e1001="1.2.3"), None, Status.UNRECOGNIZED_OPERATION),
        (wire.command(0x4242), None, Status.UNRECOGNIZED_OPERATION),
    ],
    ids=["no data set", "other class", "no class", "C-FIND", "N-ACTION", "unknown"],
)
def test_what_is_asked_wrongly_is_answered_and_the_association_lives_on(
    message: bytes, data: bytes | None, status: Status
) -> None:
    with wire.listener() as server, wire.Peer(server.port) as peer:
        peer.associate()
        assert peer.request(3, message, data) == status
        assert peer.echo() == 0


def test_a_cancel_is_passed_over() -> None:
    with wire.listener() as server, wire.Peer(server.port) as peer:
        peer.associate()
        peer.send(wire.pdu(wire.DATA, wire.pdv(1, 3, wire.command(0x0FFF, e0110=None, e0120=1))))
        assert peer.echo() == 0


def test_command_and_data_may_share_a_pdu_and_come_in_crumbs(folder: DataFolder, db: Database) -> None:
    """PS3.8 annex E: any cut of the fragments, any number of them in a PDU."""
    (dataset,) = factories.mr_series(slices=1, rows=16, columns=16)
    named = {"e0002": dataset.SOPClassUID, "e1000": dataset.SOPInstanceUID}
    message, data = wire.command(1, data_set=True, **named), wire.encode(dataset)
    with wire.listener(storing(folder, db)) as server, wire.Peer(server.port) as peer:
        peer.associate()
        middle = len(data) // 2
        peer.send(
            wire.pdu(
                wire.DATA,
                wire.pdv(3, 1, message[:7])
                + wire.pdv(3, 3, message[7:])
                + wire.pdv(3, 0, data[:middle])
                + wire.pdv(3, 2, data[middle:]),
            )
        )
        assert peer.status() == 0
        crumbs = [wire.pdv(3, 1, message[at : at + 1]) for at in range(len(message) - 1)]
        peer.send(b"".join(wire.pdu(wire.DATA, crumb) for crumb in crumbs))
        peer.send(wire.pdu(wire.DATA, wire.pdv(3, 3, message[-1:])))
        for at in range(0, len(data), 100):
            last = 2 if at + 100 >= len(data) else 0
            peer.send(wire.pdu(wire.DATA, wire.pdv(3, last, data[at : at + 100])))
        assert peer.status() == 0
        peer.send(wire.pdu(wire.DATA, wire.pdv(3, 3, message)))
        peer.send(wire.pdu(wire.DATA, wire.pdv(3, 0, data)))
        peer.send(wire.pdu(wire.DATA, wire.pdv(3, 2, b"")))  # the last fragment may be empty
        assert peer.status() == 0
        peer.release()
    assert instances.find(db, dataset.SOPInstanceUID) is not None


@pytest.mark.parametrize("longest", [64, 63, 25])
def test_a_small_peer_gets_small_pdus_of_even_fragments(longest: int) -> None:
    with wire.listener() as server, wire.Peer(server.port) as peer:
        peer.associate(maximum_length=longest)
        peer.send(wire.pdu(wire.DATA, wire.pdv(1, 3, wire.command(0x30, e0002=wire.VERIFICATION))))
        answer, last = b"", 0
        while not last & 2:
            received = peer.receive()
            assert received is not None
            assert len(received[1]) <= longest
            assert len(received[1]) % 2 == 0  # PS3.8 E.1
            last = received[1][5]
            answer += received[1][6:]
        assert wire.elements(answer)[0x0900] == 0


def test_many_associations_at_once_lose_nothing(folder: DataFolder, db: Database) -> None:
    """F35, F36: the same study in any order, from several at once, some of it twice."""
    series = factories.mr_series(slices=24, rows=32, columns=32)

    def send(port: int, start: int) -> list[int]:
        with wire.Peer(port) as peer:
            peer.associate()
            statuses = [peer.store(series[(start + 5 * at) % 24]) for at in range(24)]
            peer.release()
            return statuses

    with wire.listener(storing(folder, db)) as server, ThreadPoolExecutor(6) as pool:
        results = list(pool.map(partial(send, server.port), range(6)))
    assert {status for statuses in results for status in statuses} == {0}
    assert studies.get(db, series[0].StudyInstanceUID).instances == 24
    assert len([path for path in folder.root.glob("instances/*/*") if path.is_file()]) == 24


def test_stopping_lets_an_instance_end_and_turns_newcomers_away() -> None:
    """F10."""
    begun, go_on = threading.Event(), threading.Event()

    def slow(received: Received) -> Receipt:
        begun.set()
        assert go_on.wait(10)
        return wire.take(received)

    (dataset,) = factories.mr_series(slices=1, rows=32, columns=32)
    with wire.listener(slow) as server, wire.Peer(server.port) as busy, wire.Peer(server.port) as idle:
        busy.associate()
        idle.associate()
        with ThreadPoolExecutor(2) as pool:
            storing_ = pool.submit(busy.store, dataset)
            assert begun.wait(10)
            stopping = pool.submit(server.stop, 10)
            assert wire.eof(idle)  # nothing is under way there
            with wire.Peer(server.port) as newcomer:
                assert newcomer.rejection() == (2, 3, 1)
            go_on.set()
            assert storing_.result(10) == 0
            stopping.result(10)
        assert wire.eof(busy)
        with pytest.raises(ConnectionRefusedError):
            wire.Peer(server.port)


def test_stopping_does_not_wait_for_ever(folder: DataFolder, db: Database) -> None:
    (dataset,) = factories.mr_series(slices=1, rows=256, columns=256)
    with wire.listener(storing(folder, db)) as server, wire.Peer(server.port) as peer:
        peer.associate()
        named = {"e0002": dataset.SOPClassUID, "e1000": dataset.SOPInstanceUID}
        peer.send(wire.pdu(wire.DATA, wire.pdv(3, 3, wire.command(1, data_set=True, **named))))
        peer.send(wire.pdu(wire.DATA, wire.pdv(3, 0, wire.encode(dataset)[:16000])))
        sleep(0.2)
        started = monotonic()
        server.stop(timeout_s=0.5)
        assert monotonic() - started < 3
        assert wire.eof(peer)
    assert not list(folder.root.glob("tmp/*"))
    assert instances.find(db, dataset.SOPInstanceUID) is None


def test_the_log_tells_of_associations_and_nothing_of_patients(folder: DataFolder, db: Database) -> None:
    """F89, F90."""
    (dataset,) = factories.mr_series(slices=1, rows=32, columns=32)
    with structlog.testing.capture_logs() as logs, wire.listener(storing(folder, db)) as server:
        with wire.Peer(server.port) as peer:
            peer.associate()
            peer.store(dataset)
            peer.store(b"Muster^Erika", e0002=wire.MR, e1000="Muster^Erika\r\nforged")
            peer.release()
        with wire.Peer(server.port) as stranger:
            stranger.rejection(calling="Muster^Erika")
    text = str([line for line in logs if line["event"] != "association rejected"])
    assert "association accepted" in text
    assert "released" in text
    for secret in ("Muster", "TEST-0001", "forged", "MPRAGE"):
        assert secret not in text
    assert all("\n" not in str(value) for line in logs for value in line.values())


def certificate(folder: Path, name: str, signer: str = "authority") -> dict[str, str]:
    """A certificate made by openssl, signed by `signer`, as the TLS settings want it."""
    openssl = peers.program("openssl")

    def run(*arguments: str) -> None:
        subprocess.run([openssl, *arguments], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    if not (folder / f"{signer}.pem").exists():
        run("req", "-x509", *key, "-keyout", f"{signer}.key", "-out", f"{signer}.pem", "-subj", f"/CN={signer}")
    run("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
    signed_by = ("-CA", f"{signer}.pem", "-CAkey", f"{signer}.key", "-CAcreateserial", "-days", "2")
    run("x509", "-req", "-in", f"{name}.csr", *signed_by, "-out", f"{name}.pem")
    return {
        "certificate": str(folder / f"{name}.pem"),
        "key": str(folder / f"{name}.key"),
        "authorities": str(folder / "authority.pem"),
    }


def tls_of(files_: dict[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=files_["authorities"])
    context.check_hostname = False
    context.load_cert_chain(files_["certificate"], files_["key"])
    return context


def only_tls_1_1(context: ssl.SSLContext) -> ssl.SSLContext:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


def test_tls_asks_for_a_certificate_of_the_site(tmp_path: Path, folder: DataFolder, db: Database) -> None:
    """F69."""
    node, pacs = certificate(tmp_path, "node"), certificate(tmp_path, "pacs")
    stranger = certificate(tmp_path, "stranger", signer="somebody")
    (dataset,) = factories.mr_series(slices=1, rows=64, columns=64)
    old = tls_of(pacs)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with wire.listener(storing(folder, db), tls=node) as server:
        for context in (tls_of(pacs), old):
            with wire.Peer(server.port, tls=context) as peer:
                peer.associate()
                assert peer.store(dataset) == 0
                peer.release()
        for context in (tls_of({**stranger, "authorities": pacs["authorities"]}), only_tls_1_1(tls_of(pacs))):
            with pytest.raises(OSError), wire.Peer(server.port, tls=context) as peer:  # noqa: PT012
                peer.associate()
                raise AssertionError
        with wire.Peer(server.port) as plain:
            plain.send(wire.associate_rq())
            assert wire.eof(plain)
    assert instances.find(db, dataset.SOPInstanceUID) is not None
