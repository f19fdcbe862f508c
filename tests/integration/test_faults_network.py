"""What a peer or the network can do to the listener, and that everybody else is served all the while.

Rows of tests/FAULTS.md: F1 to F3, F10, F21, F50 to F60, F80, F91. Deadlines are shortened; sizes are not.
"""

import os
import resource
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, sleep

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread

from node.config import AllowedPeer
from node.dicom.received import Receipt, Received
from node.dimse import scp
from node.dimse.connection import LONGEST_PDU_BYTES
from node.dimse.scp import Server
from node.dimse.status import Status
from node.receive import intake, recovery
from storage import Database, DataFolder, files, instances, open_database
from tests import factories, wire
from tests.unit.test_dimse_elements import nested

QUICK = {"pdu_timeout_s": 1.0}
FRIENDS = (AllowedPeer(ae_title="TESTER"), AllowedPeer(ae_title="FRIEND"))


@pytest.fixture
def dataset() -> Dataset:
    return factories.mr_series(slices=1, rows=64, columns=64)[0]


def store(folder: DataFolder, db: Database, received: Received) -> Receipt:
    return intake.receive(folder, db, received, datetime.now(UTC), maximum_disk_use_percent=100)


def is_served(server: Server, within_s: float = 5.0) -> bool:
    """Whether somebody else gets a C-ECHO through."""
    started = monotonic()
    with wire.Peer(server.port) as friend:
        friend.associate(calling="FRIEND")
        answered = friend.echo() == 0
        friend.release()
    return answered and monotonic() - started < within_s


def memory_mib() -> float:
    """What this process holds in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def settled(timeout_s: float = 5) -> bool:
    """Whether every association is over: each has a thread of its own."""
    deadline = monotonic() + timeout_s
    while associations() and monotonic() < deadline:
        sleep(0.02)
    return associations() == 0


def associations() -> int:
    return sum(thread.name.startswith("association ") for thread in threading.enumerate())


@pytest.mark.parametrize(
    "stall",
    [
        b"",
        b"\x01\x00\x00\x00\x01",
        wire.associate_rq()[:100],
        b"\x04\x00\x00\x00\xff\xff" + bytes(100),
        b"\x01\x00\x00\x03\x00\x00" + bytes(1000),
    ],
    ids=["silence", "half a header", "half a request", "half a P-DATA", "half a long request"],
)
def test_stalled_peers_take_no_place_and_are_dropped(stall: bytes) -> None:
    """F51, F52: sixty of them, with place for twenty."""
    with wire.listener(allow=FRIENDS, **QUICK) as server, ExitStack() as crowd:
        stalled = [crowd.enter_context(wire.Peer(server.port)) for _ in range(60)]
        for peer in stalled:
            peer.send(stall)
        assert is_served(server)
        started = monotonic()
        assert all(wire.eof(peer) for peer in stalled)
        assert monotonic() - started < 8


def test_peers_that_stall_within_an_association_are_dropped() -> None:
    """F51: as many as there are places."""
    named = {"e0002": wire.MR, "e1000": "1.2.3"}
    with wire.listener(allow=FRIENDS, maximum_associations_per_peer=19, **QUICK) as server, ExitStack() as crowd:
        stalled = [crowd.enter_context(wire.Peer(server.port)) for _ in range(19)]
        for peer in stalled:
            peer.associate()
            peer.send(wire.pdu(wire.DATA, wire.pdv(3, 3, wire.command(1, data_set=True, **named))))
            peer.send(wire.pdu(wire.DATA, wire.pdv(3, 0, bytes(100)))[:50])
        assert is_served(server)
        assert all(wire.eof(peer) for peer in stalled)
        assert settled()


def test_a_message_that_only_drips_is_cut_off() -> None:
    """F51: every PDU comes in time, the message never ends."""
    named = {"e0002": wire.MR, "e1000": "1.2.3"}
    with wire.listener(pdu_timeout_s=0.5) as server, wire.Peer(server.port) as peer:
        peer.associate()
        started = monotonic()
        peer.send(wire.pdu(wire.DATA, wire.pdv(3, 3, wire.command(1, data_set=True, **named))))
        with pytest.raises(OSError):  # noqa: PT012
            while monotonic() - started < 10:
                peer.send(wire.pdu(wire.DATA, wire.pdv(3, 0, b"x")))
                sleep(0.05)
        assert monotonic() - started < 5


def test_an_idle_association_is_ended() -> None:
    with wire.listener(idle_timeout_s=0.5) as server, wire.Peer(server.port) as peer:
        peer.associate()
        sleep(0.3)
        assert peer.echo() == 0
        started = monotonic()
        assert wire.eof(peer)
        assert monotonic() - started < 3


@pytest.mark.parametrize("established", [False, True])
@pytest.mark.parametrize("length", [LONGEST_PDU_BYTES + 1, 0x7FFFFFFF, 0xFFFFFFFF])
def test_an_oversize_pdu_is_refused_by_its_header(length: int, established: bool) -> None:
    """F55: A-ABORT, provider, invalid PDU parameter; and nothing of it is kept."""
    before = memory_mib()
    with wire.listener(allow=FRIENDS) as server, wire.Peer(server.port) as peer:
        if established:
            peer.associate()
        peer.send(struct.pack(">BxI", wire.DATA if established else wire.ASSOCIATE_RQ, length))
        sent = 0
        try:
            for _ in range(400):
                peer.send(bytes(1 << 20))
                sent += 1
        except OSError:
            pass
        assert sent < 40
        assert is_served(server)
    assert memory_mib() - before < 20


def test_the_abort_says_why() -> None:
    with wire.listener() as server, wire.Peer(server.port) as peer:
        peer.associate()
        peer.send(struct.pack(">BxI", wire.DATA, 0x7FFFFFFF))
        assert peer.receive() == (wire.ABORT, bytes([0, 0, 2, 6]))


def test_a_data_set_beyond_the_limit_is_cut_off_and_leaves_nothing(
    folder: DataFolder, db: Database, dataset: Dataset
) -> None:
    """F56: a stream without end, with a limit of 4 MiB."""
    del dataset.PixelData
    named = {"e0002": dataset.SOPClassUID, "e1000": dataset.SOPInstanceUID}
    before = memory_mib()
    with (
        wire.listener(lambda received: store(folder, db, received), allow=FRIENDS, maximum_instance_mib=4) as server,
        wire.Peer(server.port) as peer,
    ):
        peer.associate()
        peer.send(wire.pdu(wire.DATA, wire.pdv(3, 3, wire.command(1, data_set=True, **named))))
        head = wire.encode(dataset) + b"\xe0\x7f\x10\x00OW\0\0\xff\xff\xff\x7f"
        peer.send(wire.pdu(wire.DATA, wire.pdv(3, 0, head)))
        sent = 0
        try:
            for _ in range(20_000):
                peer.send(wire.pdu(wire.DATA, wire.pdv(3, 0, bytes(16_000))))
                sent += 16_000
        except OSError:
            pass
        assert sent < 20 << 20
        assert is_served(server)
        assert settled()
    assert memory_mib() - before < 30
    assert not list(folder.root.glob("tmp/*"))
    assert not list(folder.root.glob("instances/*/*"))


def test_a_large_instance_goes_through_in_little_memory(folder: DataFolder, db: Database, dataset: Dataset) -> None:
    """200 MB; held at once: one PDU."""
    del dataset.PixelData
    named = {"e0002": dataset.SOPClassUID, "e1000": dataset.SOPInstanceUID}
    with wire.listener(lambda received: store(folder, db, received)) as server, wire.Peer(server.port) as peer:
        peer.associate()
        before = memory_mib()
        most = before
        peer.send(wire.pdu(wire.DATA, wire.pdv(3, 3, wire.command(1, data_set=True, **named))))
        head = wire.encode(dataset) + b"\xe0\x7f\x10\x00OW\0\0" + (200 << 20).to_bytes(4, "little")
        peer.send(wire.pdu(wire.DATA, wire.pdv(3, 0, head)))
        piece = wire.pdu(wire.DATA, wire.pdv(3, 0, bytes(1 << 17)))
        for _ in range((200 << 20 >> 17) - 1):
            peer.send(piece)
            most = max(most, memory_mib())
        peer.send(wire.pdu(wire.DATA, wire.pdv(3, 2, bytes(1 << 17))))
        assert peer.status() == 0
    assert most - before < 20


def test_probes_that_connect_and_go_take_no_place() -> None:
    """F52: a load balancer's health check, three hundred times."""
    with wire.listener(allow=FRIENDS, maximum_associations=2) as server:
        for _ in range(300):
            wire.Peer(server.port).socket.close()
        assert is_served(server)
        reset = struct.pack("ii", 1, 0)
        for _ in range(50):
            with wire.Peer(server.port) as peer:
                peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        assert is_served(server)


@pytest.mark.slow
def test_a_thousand_associations_leave_nothing_behind() -> None:
    """Neither threads nor descriptors nor memory; every third ends without a word."""
    descriptors = Path("/proc/self/fd")
    (dataset,) = factories.mr_series(slices=1, rows=16, columns=16)

    def some(count: int) -> None:
        for number in range(count):
            with wire.Peer(server.port) as peer:
                peer.associate()
                assert peer.store(dataset) == 0
                if number % 3:
                    peer.release()
        assert settled()

    with wire.listener() as server:
        some(50)
        before = threading.active_count(), len(list(descriptors.iterdir())), memory_mib()
        some(1000)
        after = threading.active_count(), len(list(descriptors.iterdir())), memory_mib()
    assert after[0] <= before[0] + 2
    assert after[1] <= before[1] + 2
    assert after[2] - before[2] < 8


def test_two_hundred_requests_at_once_are_all_answered() -> None:
    """F53: those over the limit hear 2/3/2, those inside notice nothing, and afterwards there is place again."""

    def ask(port: int) -> tuple[int, int, int] | None:
        with wire.Peer(port, timeout_s=30) as peer:
            answer = peer.rejection()
            if answer is None:
                go_on.wait(30)
            return answer

    go_on = threading.Event()
    with wire.listener(allow=FRIENDS, maximum_associations=6, maximum_associations_per_peer=5) as server:
        with wire.Peer(server.port) as inside:
            inside.associate(calling="FRIEND")
            with ThreadPoolExecutor(200) as pool:
                asked = [pool.submit(ask, server.port) for _ in range(200)]
                while sum(each.done() for each in asked) < 195:
                    sleep(0.02)
                assert inside.echo() == 0
                go_on.set()
                answers = [each.result(30) for each in asked]
            assert answers.count(None) == 5
            assert answers.count((2, 3, 2)) == 195
            inside.release()
        assert settled()
        assert is_served(server)


def test_one_sender_cannot_keep_the_others_out() -> None:
    """F54."""
    limits = {"maximum_associations": 5, "maximum_associations_per_peer": 4}
    with wire.listener(allow=FRIENDS, **limits) as server, ExitStack() as crowd:
        greedy = [crowd.enter_context(wire.Peer(server.port)) for _ in range(8)]
        assert [peer.rejection() for peer in greedy].count((2, 3, 2)) == 4
        assert is_served(server)


def test_more_silent_connections_than_may_wait_make_room_for_who_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that waits longest is dropped, so that nobody can fill the waiting room."""
    monkeypatch.setattr(scp, "MOST_WAITING", 16)
    with wire.listener(allow=FRIENDS) as server, ExitStack() as crowd:
        silent = [crowd.enter_context(wire.Peer(server.port)) for _ in range(40)]
        assert is_served(server)
        assert wire.eof(silent[0])


def test_without_file_descriptors_callers_hear_so_and_who_is_inside_is_served() -> None:
    """F21, in a process of its own, since it uses up its descriptors."""
    script = Path(__file__).with_name("without_descriptors.py")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize(
    "end",
    ["reset", "close", "abort", "release"],
)
def test_a_transfer_that_breaks_off_leaves_nothing_but_what_was_acknowledged(
    folder: DataFolder, db: Database, dataset: Dataset, end: str
) -> None:
    """F1, F50."""
    first = factories.mr_series(slices=2, rows=16, columns=16)[1]
    named = {"e0002": dataset.SOPClassUID, "e1000": dataset.SOPInstanceUID}
    with wire.listener(lambda received: store(folder, db, received), allow=FRIENDS) as server:
        with wire.Peer(server.port) as peer:
            peer.associate()
            assert peer.store(first) == 0
            peer.send(wire.pdu(wire.DATA, wire.pdv(3, 3, wire.command(1, data_set=True, **named))))
            peer.send(wire.pdu(wire.DATA, wire.pdv(3, 0, wire.encode(dataset)[:5000])))
            if end == "reset":
                peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif end == "abort":
                peer.send(wire.pdu(wire.ABORT, bytes(4)))
            elif end == "release":
                peer.send(wire.pdu(wire.RELEASE_RQ, bytes(4)))
        assert settled()
        assert not list(folder.root.glob("tmp/*"))
        assert instances.find(db, dataset.SOPInstanceUID) is None
        row = instances.find(db, first.SOPInstanceUID)
        assert row is not None
        files.verify(folder, row.path, row.sha256)
        assert is_served(server)


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
        wire.pdu(wire.DATA, wire.pdv(1, 3, wire.command(0x30))),
        wire.pdu(wire.RELEASE_RQ, bytes(4)),
        wire.pdu(wire.ASSOCIATE_RQ, b""),
        wire.pdu(wire.ASSOCIATE_RQ, bytes(68)),
        wire.associate_rq()[:-20] + bytes(20),
        wire.pdu(wire.ASSOCIATE_AC, bytes(68)),
        wire.pdu(99, bytes(10)),
    ],
    ids=["HTTP", "TLS", "data", "release", "empty", "zeros", "cut items", "AC", "type 99"],
)
def test_what_is_no_association_request_ends_the_connection_alone(garbage: bytes) -> None:
    """F59."""
    with wire.listener(allow=FRIENDS, **QUICK) as server, wire.Peer(server.port) as peer:
        peer.send(garbage)
        assert wire.eof(peer)
        assert is_served(server)


@pytest.mark.parametrize(
    "message",
    [
        wire.pdv(3, 3, b"\xff" * 100),
        wire.pdv(3, 3, b""),
        wire.pdv(3, 3, wire.command(1, data_set=True)[:20]),
        wire.pdv(9, 3, wire.command(0x30)),
        wire.pdv(3, 2, b"data without a command"),
        wire.pdv(3, 3, wire.command(0x8001, e0900=0, e0120=1)),
        wire.pdv(3, 1, bytes(20_000)),
        b"\x00\x00\x00\x01\x03",
        b"\xff\xff\xff\xff\x03\x03" + bytes(50),
        b"",
        wire.pdv(1, 3, wire.command(0x30)) + b"\x00",
        wire.pdv(3, 1, wire.command(1)[:30]) + wire.pdv(1, 3, wire.command(1)[30:]),
        wire.pdv(3, 3, wire.command(1, data_set=True, e0002=wire.MR, e1000="1.2.3")) + wire.pdv(1, 3, b"x"),
    ],
    ids=[
        "garbage",
        "empty command",
        "command cut short",
        "unknown context",
        "data first",
        "response",
        "long command",
        "short PDV",
        "long PDV",
        "no PDV",
        "half a PDV",
        "two contexts",
        "command within data",
    ],
)
def test_a_malformed_message_ends_its_association_alone(message: bytes) -> None:
    """F59."""
    with wire.listener(allow=FRIENDS, **QUICK) as server, wire.Peer(server.port) as peer:
        peer.associate()
        peer.send(wire.pdu(wire.DATA, message))
        assert wire.eof(peer)
        assert is_served(server)
        peer.socket.close()
        assert settled()


def test_a_pdu_that_makes_no_sense_now_ends_the_association() -> None:
    with wire.listener(allow=FRIENDS) as server:
        for kind in (wire.ASSOCIATE_RQ, wire.ASSOCIATE_AC, wire.ASSOCIATE_RJ, wire.RELEASE_RP):
            with wire.Peer(server.port) as peer:
                peer.associate()
                peer.send(wire.pdu(kind, bytes(68)))
                assert peer.receive() == (wire.ABORT, bytes([0, 0, 2, 2]))
        assert is_served(server)


@pytest.fixture(scope="module")
def battered() -> Iterator[Server]:
    with wire.listener(allow=FRIENDS, pdu_timeout_s=0.3) as server:
        yield server


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, 2000), damage=st.binary(min_size=1, max_size=12), established=st.booleans())
def test_no_damage_to_a_conversation_stops_the_listener(
    battered: Server, at: int, damage: bytes, established: bool
) -> None:
    """F59: a request, a store and a release, with some bytes changed anywhere."""
    (dataset,) = factories.mr_series(slices=1, rows=4, columns=4)
    named = {"e0002": dataset.SOPClassUID, "e1000": dataset.SOPInstanceUID}
    rest = (
        wire.pdu(wire.DATA, wire.pdv(3, 3, wire.command(1, data_set=True, **named)))
        + wire.pdu(wire.DATA, wire.pdv(3, 2, wire.encode(dataset)))
        + wire.pdu(wire.RELEASE_RQ, bytes(4))
    )
    stream = bytearray(rest if established else wire.associate_rq() + rest)
    at %= len(stream)
    stream[at : at + len(damage)] = damage
    with wire.Peer(battered.port) as peer:
        if established:
            peer.associate()
        try:
            peer.send(bytes(stream))
            peer.socket.shutdown(socket.SHUT_WR)
            while peer.receive() is not None:
                pass
        except OSError:
            pass
    assert is_served(battered)


@pytest.mark.parametrize(
    "uid", ["../../../tmp/evil", "/etc/passwd", "..", ".", "1.2.3/../../x", "1.2.3\0x", "1.2.3\r\nforged", "$(reboot)"]
)
def test_a_uid_that_is_a_path_goes_nowhere(folder: DataFolder, db: Database, dataset: Dataset, uid: str) -> None:
    """F80: in the command, in the data set, and in both."""
    here = {path for path in folder.root.parent.rglob("*") if "neurossl.sqlite" not in path.name}
    data = wire.encode(dataset)
    place = data.index(b"\x08\x00\x18\x00UI")
    length = int.from_bytes(data[place + 6 : place + 8], "little")
    raw = uid.encode() + b"\0" * (len(uid) % 2)
    evil = data[: place + 6] + len(raw).to_bytes(2, "little") + raw + data[place + 8 + length :]
    with wire.listener(lambda received: store(folder, db, received)) as server, wire.Peer(server.port) as peer:
        peer.associate()
        for content, named in ((data, uid), (evil, uid), (evil, dataset.SOPInstanceUID)):
            status = peer.store(content, e0002=wire.MR, e1000=named)
            assert status in (Status.CANNOT_UNDERSTAND, Status.MISMATCH)
        assert peer.store(dataset, e1000="1.2.3") == Status.MISMATCH
        assert peer.store(dataset) == 0
    added = {path for path in folder.root.parent.rglob("*") if "neurossl.sqlite" not in path.name} - here
    assert sum(path.is_file() for path in added) == 1
    assert not Path("/tmp/evil").exists()  # noqa: S108


@pytest.mark.parametrize("length", [0xFFFFFFFF, None])
def test_a_nest_of_sequences_is_refused_in_no_time(
    folder: DataFolder, db: Database, dataset: Dataset, length: int | None
) -> None:
    """F58: ten thousand deep."""
    bomb = nested(10_000 if length else 4000, length) + wire.encode(dataset)
    with wire.listener(lambda received: store(folder, db, received)) as server, wire.Peer(server.port) as peer:
        peer.associate()
        started = monotonic()
        assert peer.store(bomb, e0002=wire.MR, e1000=dataset.SOPInstanceUID) == Status.CANNOT_UNDERSTAND
        assert monotonic() - started < 2
        assert peer.store(dataset) == 0


def test_a_header_without_end_is_refused_and_not_held(folder: DataFolder, db: Database) -> None:
    """F58: a hundred thousand items, then private elements, with no study in sight."""
    junk = struct.pack("<HH2sH", 0x0009, 0x1010, b"LO", 2) + b"XX"
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0)
    items = struct.pack("<HH2sxxI", 0x0008, 0x1140, b"SQ", 8 * 100_000) + item * 100_000
    with wire.listener(lambda received: store(folder, db, received)) as server, wire.Peer(server.port) as peer:
        peer.associate()
        for data in (items + junk * 1000, junk * 300_000):
            assert peer.store(data, e0002=wire.MR, e1000="1.2.3") == Status.CANNOT_UNDERSTAND
        assert peer.echo() == 0


def test_a_preamble_of_the_sender_is_never_kept(folder: DataFolder, db: Database, dataset: Dataset) -> None:
    """F91: a Part 10 file sent as a data set is none; what is stored begins with zeros."""
    polyglot = b"MZ" + bytes(126) + b"DICM" + wire.encode(dataset)
    with wire.listener(lambda received: store(folder, db, received)) as server, wire.Peer(server.port) as peer:
        peer.associate()
        status = peer.store(polyglot, e0002=wire.MR, e1000=dataset.SOPInstanceUID)
        assert status == Status.CANNOT_UNDERSTAND
        assert peer.store(dataset) == 0
    (stored,) = folder.root.glob("instances/*/*")
    assert stored.read_bytes()[:128] == bytes(128)


def test_lying_image_sizes_are_stored_as_they_are(folder: DataFolder, db: Database, dataset: Dataset) -> None:
    """F60: nobody decodes in the listener."""
    dataset.Rows = dataset.Columns = 65535
    dataset.NumberOfFrames = 2_000_000_000
    with wire.listener(lambda received: store(folder, db, received)) as server, wire.Peer(server.port) as peer:
        peer.associate()
        assert peer.store(dataset) == 0
    (stored,) = folder.root.glob("instances/*/*")
    assert dcmread(stored).Rows == 65535


def test_silent_tls_clients_do_not_stop_the_others(tmp_path: Path) -> None:
    """F69: fifty who never shake hands."""
    from tests.integration.test_listener import certificate, tls_of

    node, pacs = certificate(tmp_path, "node"), certificate(tmp_path, "pacs")
    with wire.listener(tls=node) as server, ExitStack() as crowd:
        for _ in range(50):
            crowd.enter_context(wire.Peer(server.port))
        started = monotonic()
        with wire.Peer(server.port, tls=tls_of(pacs)) as peer:
            peer.associate()
            assert peer.echo() == 0
        assert monotonic() - started < 3


@pytest.mark.slow
def test_a_killed_listener_loses_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    """F1 to F3: kill -9 at some moment, three times; what was acknowledged is there, and sending again is success."""
    series = factories.mr_series(slices=40, rows=32, columns=32)
    folder = DataFolder(tmp_path / "data")
    acknowledged: set[str] = set()
    for round_ in range(3):
        with subprocess.Popen(
            [sys.executable, Path(__file__).with_name("listener_process.py"), str(folder.root)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        ) as process:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            killer = threading.Timer(0.05 + 0.05 * round_, process.kill)
            with wire.Peer(port) as peer:
                peer.associate()
                killer.start()
                try:
                    for each in series:
                        assert peer.store(each) == 0
                        acknowledged.add(each.SOPInstanceUID)
                except (OSError, AssertionError):
                    pass
            killer.join()
            process.kill()
    assert acknowledged
    db = open_database(folder)
    recovery.adopt_orphans(folder, db, datetime.now(UTC))  # as at each start
    for uid in acknowledged:
        row = instances.find(db, uid)
        assert row is not None
        files.verify(folder, row.path, row.sha256)
    with wire.listener(lambda received: store(folder, db, received)) as server, wire.Peer(server.port) as peer:
        peer.associate()
        assert [peer.store(each) for each in series] == [0] * 40
    assert len(instances.of_study(db, series[0].StudyInstanceUID)) == 40
    db.close()
