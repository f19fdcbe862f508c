"""Results by STOW-RS: real files, a real database, a server that answers as told, and Orthanc."""

import ssl
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from node.config import DeliverySettings, Settings, Tls
from node.config import Destination as Configured
from node.deliver.courier import Courier
from node.dicomweb import answers, store
from node.dicomweb.answers import Outcome
from node.dicomweb.multipart import media_type, parts
from node.service.office import run_office
from storage import Database, files, outbox, queue
from storage.records import Job
from storage.states import DeliveryState, JobState
from tests import certificates, peers, stored
from tests.destination import wait_until
from tests.integration.test_delivery import CAPTURES, reported, states

pytestmark = pytest.mark.slow

Reply = tuple[int, bytes]


@dataclass
class Pacs:
    """What came, and what is answered: `answer` gives status and content for the SOP Instance UID."""

    port: int
    url: str
    answer: Callable[[str], Reply]
    came: list[tuple[str, bytes]] = field(default_factory=list)
    authorizations: set[str] = field(default_factory=set)
    targets: set[str] = field(default_factory=set)


def taken(uid: str) -> Reply:
    return 200, answers.encoded(answers.model([Outcome("1.2", uid)]), answers.JSON)


@contextmanager
def server(answer: Callable[[str], Reply] = taken, tls: Tls | None = None) -> Iterator[Pacs]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            pacs.targets.add(self.path)
            pacs.authorizations.add(self.headers.get("Authorization", ""))
            boundary = media_type(self.headers["Content-Type"]).boundary
            body = iter([self.rfile.read(int(self.headers["Content-Length"]))])
            (file,) = [b"".join(part.data) for part in parts(body, boundary)]
            uid = uid_of(file)
            pacs.came.append((uid, file))
            status, content = pacs.answer(uid)
            if status == 0:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls.certificate, tls.key)
            http.socket = context.wrap_socket(http.socket, server_side=True)
        pacs = Pacs(http.server_port, f"http://127.0.0.1:{http.server_port}/dicom-web/", answer)
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield pacs
        finally:
            http.shutdown()
            thread.join()


def uid_of(file: bytes) -> str:
    at = file.index(b"\x02\x00\x03\x00UI") + 6
    length = int.from_bytes(file[at : at + 2], "little")
    return file[at + 2 : at + 2 + length].rstrip(b"\0").decode()


def courier(db: Database, url: str, **configured: Any) -> Courier:
    destination = Configured(name="pacs", ae_title="PACS", url=url, **configured)
    delivery = DeliverySettings(backoff_s=0.05, maximum_backoff_s=0.2, timeout_s=2.0, attempts_when_refused=2)
    settings = Settings(data_folder=stored.folder(db).root, delivery=delivery, destinations=(destination,))
    way = store.ByWeb(destination, delivery.timeout_s)
    return Courier(destination, way, settings, stored.folder(db), db, threading.Event())


def is_in_trouble(carrier: Courier) -> bool:
    carrier.round()
    return bool(carrier.trouble)


def carry(carrier: Courier, db: Database, job: Job, until: JobState) -> None:
    def ended() -> bool:
        carrier.round()
        return queue.get(db, job.job_id).state is until

    wait_until(ended, f"the job to be {until}", timeout_s=10)


def test_the_stored_bytes_go_captures_first_and_the_answer_ends_the_job(db: Database, tmp_path: Path) -> None:
    job = reported(db)
    token = tmp_path / "token"
    token.write_text("abc\n")
    with server() as pacs:
        courier(db, pacs.url, authentication="bearer", secret=f"file:{token}").round()
    results = [outbox.result(db, f"2.25.{job.job_id}.{ordinal}") for ordinal in range(CAPTURES + 1)]
    kept = [(each.sop_instance_uid, stored.folder(db).path(each.path).read_bytes()) for each in results if each]
    assert pacs.came == kept
    assert (pacs.targets, pacs.authorizations) == ({"/dicom-web/studies"}, {"Bearer abc"})
    assert queue.get(db, job.job_id).state is JobState.DONE


def test_the_office_sends_to_a_url(db: Database) -> None:
    job = reported(db)
    with server() as pacs:
        destination = Configured(name="pacs", ae_title="PACS", url=pacs.url)  # type: ignore[call-arg]
        settings = Settings(data_folder=stored.folder(db).root, destinations=(destination,))
        stop = threading.Event()
        office = threading.Thread(target=run_office, args=(settings, stop))
        office.start()
        try:
            wait_until(lambda: queue.get(db, job.job_id).state is JobState.DONE, "the job to be done")
        finally:
            stop.set()
            office.join()
    assert len(pacs.came) == CAPTURES + 1


@pytest.mark.parametrize("reply", [(503, b""), (429, b""), (401, b""), (302, b""), (0, b"")])
def test_what_is_not_taken_for_now_goes_later_by_itself(db: Database, reply: Reply) -> None:
    job, carrier = reported(db), None
    with server(lambda _: reply) as pacs:
        carrier = courier(db, pacs.url)
        carrier.round()
        assert carrier.trouble
        assert states(db, job) == [DeliveryState.PENDING] * (CAPTURES + 1)
        pacs.answer = taken
        carry(carrier, db, job, JobState.DONE)
    assert len({content for _, content in pacs.came}) == CAPTURES + 1
    assert pacs.targets == {"/dicom-web/studies"}


@pytest.mark.parametrize(
    "reply",
    [
        (200, b""),
        (200, b"[]"),
        (200, b"[" * 100_000),
        (200, answers.encoded(answers.model([Outcome("1.2", "9.9")]), answers.JSON)),
        (415, b""),
        (409, answers.encoded(answers.model([Outcome("", "", 0xC000)]), answers.JSON)),
    ],
    ids=["nothing", "list", "deep", "another", "415", "unnamed"],
)
def test_an_answer_that_does_not_name_the_instance_as_stored_proves_nothing(db: Database, reply: Reply) -> None:
    job = reported(db)
    with server(lambda _: reply) as pacs:
        carry(courier(db, pacs.url), db, job, JobState.FAILED)
    assert DeliveryState.SENT not in states(db, job)
    assert DeliveryState.COMMITTED not in states(db, job)


def test_a_missing_secret_holds_the_results_back_until_it_is_there(db: Database, tmp_path: Path) -> None:
    job, token = reported(db), tmp_path / "token"
    with server() as pacs:
        carrier = courier(db, pacs.url, authentication="basic", secret=f"file:{token}")
        carrier.round()
        assert "cannot be read" in carrier.trouble
        assert pacs.came == []
        token.write_text("node:word")
        carry(carrier, db, job, JobState.DONE)
    assert pacs.authorizations == {"Basic bm9kZTp3b3Jk"}


def test_over_tls_only_a_server_of_these_authorities_and_of_this_name_gets_anything(
    db: Database, tmp_path: Path
) -> None:
    job = reported(db)
    node, peer = certificates.site(tmp_path / "site")
    stranger, _ = certificates.site(tmp_path / "elsewhere")
    with server(tls=peer) as pacs:
        by_name = f"https://localhost:{pacs.port}/dicom-web"
        by_address = f"https://127.0.0.1:{pacs.port}/dicom-web"
        for url, tls in ((by_address, stranger), (by_address, None), (by_name, node)):
            carrier = courier(db, url, tls=tls)
            wait_until(partial(is_in_trouble, carrier), "a try")
            assert "certificate" in carrier.trouble.lower()
            assert pacs.came == []
        carry(courier(db, by_address, tls=node), db, job, JobState.DONE)


def test_a_file_is_read_as_it_is_sent(db: Database) -> None:
    job = reported(db)
    result = outbox.result(db, f"2.25.{job.job_id}.0")
    assert result is not None
    path = stored.folder(db).path(result.path)
    long = path.with_name("long.dcm")
    long.write_bytes(path.read_bytes())
    with long.open("r+b") as file:
        file.truncate(64 * 1024 * 1024)
    with server() as pacs:
        body = store._body(b"", long, b"")
        tracemalloc.start()
        sent = sum(len(chunk) for chunk in body)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert (sent, peak < 4 * store.CHUNK_BYTES) == (64 * 1024 * 1024, True)
        (outcome,) = store.ByWeb(Configured(name="pacs", ae_title="PACS", url=pacs.url), 10).send([(None, long)])
    assert outcome.accepted
    assert len(pacs.came[0][1]) == 64 * 1024 * 1024


@pytest.mark.peers
def test_orthanc_takes_the_results_of_a_study(db: Database, tmp_path: Path) -> None:
    job = reported(db)
    with peers.orthanc(tmp_path, dicomweb=True, DicomWeb={"Enable": True}) as pacs:
        url = f"http://127.0.0.1:{pacs.http_port}/dicom-web"
        carry(courier(db, url), db, job, JobState.DONE)
        kept = pacs.instances("1.2.3")
        sent = {files.verify(stored.folder(db), each.path, each.sha256).read_bytes() for each in _results(db, job)}
        assert {pacs.file(each) for each in kept} == sent


def _results(db: Database, job: Job) -> list[Any]:
    return list(outbox.results_of_job(db, job.job_id))
