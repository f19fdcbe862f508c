"""STOW-RS: what is called stored is stored, each instance has an end of its own, and senders may do what they like."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from node.access.users import users_of
from node.access.visitor import Role
from node.dicom.received import Receipt
from storage import DataFolder, instances, open_database
from tests import dicomweb, factories, peers
from tests.dicomweb import Node
from tests.web import quick_hashes

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, bytes]]:
    """UIDs and files of a series."""
    made = factories.mr_series()[:20]
    written = factories.write(made, tmp_path_factory.mktemp("series"))
    return [(str(each.SOPInstanceUID), path.read_bytes()) for each, path in zip(made, written, strict=True)]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with dicomweb.node(tmp_path / "data") as found:
        yield found


def basic(name: str, password: str) -> str:
    return "Basic " + b64encode(f"{name}:{password}".encode()).decode()


def opened(node: Node, headers: str, *, path: str = "/dicomweb/studies") -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", node.server.port), timeout=20)
    head = f"POST {path} HTTP/1.1\r\nHost: here\r\nContent-Type: {dicomweb.TYPE}\r\n{headers}\r\n"
    sock.sendall(head.encode())
    return sock


def row_comes(node: Node, uid: str) -> bool:
    return peers.eventually(lambda: instances.is_known(node.db, uid), "the row")


def test_what_is_stored_is_what_was_sent(node: Node, series: list[tuple[str, bytes]]) -> None:
    uid, file = series[0]
    answer = node.post(dicomweb.body(file))
    assert (answer.status, answer.stored) == (200, [uid])
    assert answer.headers["content-type"] == "application/dicom+json"
    row_comes(node, uid)
    stored = instances.find(node.db, uid)
    assert stored is not None
    assert stored.calling_ae_title == "TESTER"
    kept = node.folder.path(stored.path).read_bytes()
    begins = file.index(b"\x08\x00\x05\x00CS") if b"\x08\x00\x05\x00CS" in file else file.index(b"\x08\x00\x08\x00CS")
    assert kept.endswith(file[begins:])
    again = node.post(dicomweb.body(file))
    assert (again.status, again.stored) == (200, [uid])


def test_of_many_one_that_is_broken_fails_alone(node: Node, series: list[tuple[str, bytes]]) -> None:
    uids, sent = [uid for uid, _ in series], [file for _, file in series]
    sent[3] = b"no DICOM" * 1000
    sent[5] = sent[5].replace(b"1.2.840.10008.5.1.4.1.1.4\0", b"1.2.840.10008.5.1.4.1.1.9\0")
    other = uids[7][:-1] + str((int(uids[7][-1]) + 1) % 10)
    sent[7] = sent[7].replace(uids[7].encode(), other.encode(), 1)
    answer = node.post(dicomweb.body(*sent))
    assert answer.status == 202
    assert answer.failures == {uids[5]: 0x0122, other: 0xA900}
    assert answer.others == [0xC000]
    assert answer.stored == [uid for at, uid in enumerate(uids) if at not in (3, 5, 7)]
    none = node.post(dicomweb.body(sent[3], sent[5]))
    assert none.status == 409


def test_an_answer_comes_as_xml_to_who_wants_that(node: Node, series: list[tuple[str, bytes]]) -> None:
    uid, file = series[0]
    answer = node.post(dicomweb.body(file, b"x"), Accept="application/dicom+xml")
    assert (answer.status, answer.headers["content-type"]) == (202, "application/dicom+xml")
    model = ElementTree.fromstring(answer.content)  # noqa: S314 - our own
    space = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"
    found = {each.get("keyword"): each for each in model.iter(f"{space}DicomAttribute")}
    assert found["ReferencedSOPInstanceUID"].findtext(f"{space}Value") == uid
    assert found["FailureReason"].findtext(f"{space}Value") == str(0xC000)
    assert len(found["RetrieveURL"]) == 0


def test_all_instances_are_of_the_study_of_the_target(node: Node, series: list[tuple[str, bytes]]) -> None:
    uid, file = series[0]
    study = str(factories.mr_series()[0].StudyInstanceUID)
    assert node.post(dicomweb.body(file), "/dicomweb/studies/1.2.3").failures == {uid: 0xA900}
    assert node.post(dicomweb.body(file), f"/dicomweb/studies/{study}").stored == [uid]


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/dicomweb/studies", {"Content_Type": "application/dicom"}, 415),
        ("/dicomweb/studies", {"Content_Type": "multipart/related; type=image/jpeg; boundary=x"}, 415),
        ("/dicomweb/studies", {"Content_Type": 'multipart/related; type="application/dicom"'}, 400),
        ("/dicomweb/studies", {"Content_Type": 'multipart/related; boundary="other"'}, 400),
        ("/dicomweb/studies", {"Content_Encoding": "gzip"}, 415),
        ("/dicomweb/studies", {"Accept": "text/html"}, 406),
        ("/dicomweb/studies/../../etc", {}, 404),
        ("/dicomweb/series", {}, 404),
        ("/dicomweb/studies", {"Origin": "https://elsewhere.example"}, 401),
        ("/dicomweb/studies", {"X_Forwarded_For": "10.9.9.9"}, 200),
    ],
)
def test_what_is_no_store_request_is_refused_as_a_whole(
    node: Node, series: list[tuple[str, bytes]], path: str, headers: dict[str, str], status: int
) -> None:
    assert node.post(dicomweb.body(series[0][1]), path, **headers).status == status
    assert bool(node.stored()) is (status == 200)


def test_a_body_that_breaks_off_leaves_what_was_whole(node: Node, series: list[tuple[str, bytes]]) -> None:
    body = dicomweb.body(series[0][1], series[1][1])
    with opened(node, f"Content-Length: {len(body)}\r\n") as sock:
        sock.sendall(body[:-5000])
        row_comes(node, series[0][0])
    peers.eventually(lambda: not node.server.senders, "the end of the request")
    assert len(node.stored()) == 1
    assert not list(node.folder.path("tmp").iterdir())


def test_a_body_without_its_last_delimiter_fails_its_last_instance(node: Node, series: list[tuple[str, bytes]]) -> None:
    body = dicomweb.body(series[0][1], series[1][1])
    answer = node.post(body[: -len(dicomweb.BOUNDARY) - 8])
    assert (answer.status, answer.stored, answer.others) == (202, [series[0][0]], [0xC000])


@pytest.mark.parametrize("lie", ["Content-Length: 100\r\n", "Content-Length: 5\r\nContent-Length: 6\r\n", "X\r\n"])
def test_a_length_that_lies_stores_nothing(node: Node, series: list[tuple[str, bytes]], lie: str) -> None:
    with opened(node, lie) as sock:
        sock.sendall(dicomweb.body(series[0][1]))
        assert sock.recv(100).startswith(b"HTTP/1.1 4")
    assert node.stored() == set()


def test_one_connection_serves_request_after_request(node: Node, series: list[tuple[str, bytes]]) -> None:
    body = dicomweb.body(series[0][1])
    with opened(node, "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n") as sock:
        assert sock.recv(100).startswith(b"HTTP/1.1 100")
        for start in range(0, len(body), 5000):
            piece = body[start : start + 5000]
            sock.sendall(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        sock.sendall(b"0\r\n\r\n")
        assert sock.recv(4000).startswith(b"HTTP/1.1 200")
        sock.sendall(b"GET /dicomweb/studies HTTP/1.1\r\nHost: here\r\n\r\n")
        assert sock.recv(4000).startswith(b"HTTP/1.1 405")


def test_a_slow_sender_holds_nothing_for_ever(tmp_path: Path, series: list[tuple[str, bytes]]) -> None:
    settings = {"listener": {"pdu_timeout_s": 0.5}, "dicomweb": {"maximum_requests": 1}}
    with dicomweb.node(tmp_path / "data", **settings) as node:
        body = dicomweb.body(series[0][1])
        with opened(node, f"Content-Length: {len(body)}\r\n") as sock:
            peers.eventually(lambda: node.server.senders == ["TESTER"], "the request")
            refused = node.post(body)
            assert (refused.status, refused.headers["retry-after"]) == (503, "30")
            for at in range(40):
                try:
                    sock.sendall(body[at : at + 1])
                except OSError:
                    break
                time.sleep(0.05)
            assert sock.recv(100).startswith(b"HTTP/1.1 408")
        peers.eventually(lambda: not node.server.senders, "the end of the request")
        assert node.post(body).status == 200


def test_an_instance_that_is_too_long_fails_alone(tmp_path: Path, series: list[tuple[str, bytes]]) -> None:
    with dicomweb.node(tmp_path / "data", listener={"maximum_instance_mib": 1}) as node:
        answer = node.post(iter([dicomweb.body(series[0][1] + bytes(1 << 20), series[1][1])]))
        assert answer.failures == {series[0][0]: 0xA700}
        assert answer.stored == [series[1][0]]


def test_who_may_store_is_known_by_secret_address_or_role(
    tmp_path: Path, series: list[tuple[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_CT", "s3cret")
    allow = [{"ae_title": "CT", "secret": "env:SECRET_OF_CT"}, {"ae_title": "FAR", "host": "10.0.0.9"}]
    web = {"authentication": "users"}
    dicom = {"allow": allow, "visitors": "operate"}
    with quick_hashes(), dicomweb.node(tmp_path / "data", dicomweb=dicom, web=web) as node:
        users = users_of(node.settings)
        users.put("anna", Role.OPERATE, "long enough")
        users.put("eve", Role.READ, "long enough")
        body = dicomweb.body(series[0][1])
        tried = ["", "Bearer s3cret", "Bearer wrong", basic("CT", "s3cret"), basic("FAR", "s3cret")]
        tried += [basic("anna", "long enough"), basic("eve", "long enough"), basic("anna", "wrong enough")]
        statuses = [node.post(body, Authorization=each).status for each in tried]
        assert statuses == [401, 200, 401, 200, 401, 200, 403, 401]
        assert [title for title, _ in node.door.turned_away] == ["", "", "", "WEB eve", ""]
        row_comes(node, series[0][0])
        found = instances.find(node.db, series[0][0])
        assert found is not None
        assert found.calling_ae_title == "CT"


def test_the_same_instances_by_both_doors_are_stored_once(node: Node, series: list[tuple[str, bytes]]) -> None:
    """C-STORE takes the same way in, so its two threads are what a second door is here."""
    answers = []
    body = dicomweb.body(*(file for _, file in series))
    threads = [threading.Thread(target=lambda: answers.append(node.post(body))) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert [each.status for each in answers] == [200] * 4
    for uid, _ in series:
        row_comes(node, uid)
    peers.eventually(lambda: len(list(node.folder.path("instances").glob("*/*"))) == len(series), "one file each")


def test_a_request_that_is_under_way_ends_when_the_listener_stops(node: Node, series: list[tuple[str, bytes]]) -> None:
    body = dicomweb.body(series[0][1])
    with opened(node, f"Content-Length: {len(body)}\r\n") as sock:
        sock.sendall(body[:1000])
        peers.eventually(lambda: node.server.senders == ["TESTER"], "the request")
        stopping = threading.Thread(target=node.server.stop, args=(10,))
        stopping.start()
        sock.sendall(body[1000:])
        assert sock.recv(100).startswith(b"HTTP/1.1 200")
    stopping.join()


def test_a_kill_between_storing_and_answering_loses_nothing(tmp_path: Path, series: list[tuple[str, bytes]]) -> None:
    """The file is durable when the process dies; the sender, who heard nothing, sends it again."""
    folder = DataFolder(tmp_path / "data")
    command = [sys.executable, "-m", "tests.integration.stow_process", str(folder.root)]
    with subprocess.Popen([*command, "--die"], stdout=subprocess.PIPE, text=True, cwd=ROOT) as dying:
        assert dying.stdout is not None
        port = int(dying.stdout.readline())
        with pytest.raises((ConnectionError, OSError)):
            dicomweb.post(port, dicomweb.body(series[0][1]))
        assert dying.wait(20) == -signal.SIGKILL
    assert len(list(folder.path("instances").glob("*/*"))) == 1
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as living:
        try:
            assert living.stdout is not None
            answer = dicomweb.post(int(living.stdout.readline()), dicomweb.body(series[0][1]))
            assert (answer.status, answer.stored) == (200, [series[0][0]])
        finally:
            os.kill(living.pid, signal.SIGKILL)
    assert len(list(folder.path("instances").glob("*/*"))) == 1
    db = open_database(folder)
    assert instances.is_known(db, series[0][0])
    db.close()


@pytest.mark.peers
def test_orthanc_stores_a_study(tmp_path: Path) -> None:
    paths = factories.write(factories.mr_series()[:10], tmp_path / "sent")
    study = str(factories.mr_series()[0].StudyInstanceUID)
    with peers.loopback_only(), dicomweb.node(tmp_path / "data") as node:
        servers = {"Servers": {"node": {"Url": f"http://127.0.0.1:{node.server.port}/dicomweb/"}}}
        with peers.orthanc(tmp_path, dicomweb=True, DicomWeb={"Enable": True, **servers}) as pacs:
            pacs.upload(paths)
            resources = {"Resources": [pacs.study(study)], "Synchronous": True}
            pacs.ask("POST", "/dicom-web/servers/node/stow", resources)
        peers.eventually(lambda: len(instances.of_study(node.db, study)) == 10, "ten rows")


def test_nothing_is_called_stored_that_the_intake_did_not_take(tmp_path: Path, series: list[tuple[str, bytes]]) -> None:
    with dicomweb.node(tmp_path / "data") as node:
        node.server._store._on_store = lambda _: Receipt.NO_ROOM
        answer = node.post(dicomweb.body(series[0][1]))
        assert (answer.status, answer.failures) == (409, {series[0][0]: 0xA700})
