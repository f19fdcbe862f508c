"""The office as a whole: what it puts right at its start, and when it gives up."""

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from node.config import Destination, Settings
from node.deliver import courier
from node.process import role
from node.process.heartbeat import pulse
from node.service.office import CourierLost, run_office
from storage import Database, files, instances, outbox, queue, studies
from storage.errors import FolderInUse
from storage.states import DeliveryState, JobState
from tests import factories, stored
from tests.destination import destination, wait_until
from tests.integration.test_delivery import reported


def settings(db: Database, port: int = 1) -> Settings:
    pacs = Destination(name="pacs", ae_title="PACS", host="127.0.0.1", port=port)
    return Settings(data_folder=stored.folder(db).root, destinations=(pacs,), delivery={"backoff_s": 0.05})


class Running:
    """An office in a thread."""

    def __init__(self, configured: Settings) -> None:
        self.error: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(configured,), daemon=True)
        self._thread.start()

    def _run(self, configured: Settings) -> None:
        try:
            run_office(configured, self._stop)
        except Exception as error:  # noqa: BLE001 (handed to the test)
            self.error = error

    def end(self) -> None:
        self._stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive()

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()


def test_what_a_dead_office_was_sending_goes_again(db: Database) -> None:
    job = reported(db)
    claimed = outbox.claim(db, "pacs", datetime.now(UTC))
    assert claimed is not None
    with destination() as pacs:
        running = Running(settings(db, pacs.port))
        wait_until(lambda: queue.get(db, job.job_id).state is JobState.DONE, "the job to be done", 20)
        running.end()
    assert running.error is None


def test_a_file_that_a_crash_left_without_a_row_is_registered_at_the_start(db: Database, tmp_path: Path) -> None:
    series = factories.mr_series(slices=1)
    (path,) = factories.write(series, tmp_path / "made")
    file = files.write(stored.folder(db), series[0].SOPInstanceUID, [path.read_bytes()])
    junk = files.write(stored.folder(db), "1.2.3", [b"no instance"])
    running = Running(settings(db))
    wait_until(lambda: instances.find(db, series[0].SOPInstanceUID) is not None, "the row", 20)
    running.end()
    found = instances.find(db, series[0].SOPInstanceUID)
    assert found is not None
    assert (found.path, found.sha256, found.modality) == (file.path, file.sha256, "MR")
    assert studies.get(db, series[0].StudyInstanceUID).instances == 1
    assert stored.folder(db).path(junk.path).exists()


def test_one_office_at_a_time(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(role, "HOLDER_LEAVES_WITHIN_S", 0.1)
    with stored.folder(db).lock("office"), pytest.raises(FolderInUse):
        run_office(settings(db), threading.Event())


def test_an_office_says_how_its_destinations_and_acts_are(db: Database) -> None:
    reported(db)
    running = Running(settings(db))

    def trouble() -> str:
        sign = pulse(stored.folder(db).path("locks"), "office")
        return str(sign.facts.get("destinations", {}).get("pacs")) if sign else ""

    wait_until(lambda: "Connection refused" in trouble(), "the trouble to be told", 20)
    sign = pulse(stored.folder(db).path("locks"), "office")
    assert sign is not None
    assert {"completeness", "retention", "sweep"} <= set(sign.facts["acts"])
    running.end()


def test_a_courier_that_hangs_ends_the_office(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(courier.Courier, "patience_s", 0.5)
    monkeypatch.setattr(courier.Courier, "round", lambda self: over.wait(5))
    running = Running(settings(db))
    wait_until(lambda: running.ended, "the office to give up", 20)
    assert isinstance(running.error, CourierLost)
    running.end()  # the courier outlives its office, and would go on beside the other tests
    over.set()


def test_an_error_that_nobody_foresaw_refuses_one_result_and_stops_no_other(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = reported(db, "1.2.1"), reported(db, "1.2.2")
    send = courier.scu.send

    def fails(peer: object, paths: object, timeout_s: float) -> object:
        listed = list(paths)  # type: ignore[call-overload]
        if any(path == stored.folder(db).path(outbox.results_of_job(db, bad.job_id)[1].path) for path in listed[:1]):
            raise TypeError("Doe^Jane")
        return send(peer, listed[:1], timeout_s)  # type: ignore[arg-type]

    monkeypatch.setattr(courier.scu, "send", fails)
    with destination() as pacs:
        running = Running(settings(db, pacs.port))
        wait_until(lambda: queue.get(db, good.job_id).state is JobState.DONE, "the other job to be done", 30)
        wait_until(lambda: queue.get(db, bad.job_id).state is JobState.FAILED, "the bad one to be given up", 30)
        running.end()
    states = [each.state for each in outbox.of_job(db, bad.job_id)]
    assert states == [DeliveryState.SENT, DeliveryState.REFUSED, DeliveryState.SENT, DeliveryState.SENT]
    assert "TypeError" in queue.get(db, bad.job_id).reason
    assert "Doe" not in queue.get(db, bad.job_id).reason
