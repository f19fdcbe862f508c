"""Rows behind the answers: in time, together, once; and what is told when they cannot be written."""

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from itertools import count

import pytest
from pydicom import Dataset
from structlog.testing import capture_logs

from node.dicom.received import Receipt
from node.receive import intake, recovery, registrar
from node.receive.registrar import Registrar
from storage import Database, DataFolder, files, instances, studies
from storage.errors import DatabaseBusy, StorageError
from storage.instances import Arrival
from storage.records import Registration
from tests import factories, rejection_notes, stored
from tests.unit.test_intake import received

NOW = stored.NOW
STUDY = stored.STUDY


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registrar, "GATHER_S", 0.0)
    monkeypatch.setattr(registrar, "RETRY_S", 0.01)
    monkeypatch.setattr(registrar, "PATIENCE_S", 5.0)


def arrival(folder: DataFolder, number: int = 1, content: bytes = b"content", sender: str = "MODALITY") -> Arrival:
    """An instance with its file."""
    file = files.write(folder, f"{STUDY}.1.{number}", [content])
    return Arrival(stored.instance(number, path=file.path, sha256=file.sha256, size_bytes=len(content), sender=sender))


def noted(rows: Registrar, db: Database, new: Arrival) -> Registration:
    """As the listener notes an instance."""
    at_once = partial(
        instances.register, db, stored.folder(db), new.instance, expected_instances=new.expected_instances, now=NOW
    )
    return rows.note(new, at_once)


class Gate:
    """The database takes rows only while it is open; it counts the transactions."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.may_pass = threading.Event()
        self.asked = threading.Event()
        self.error: StorageError | None = None
        self.batches: list[int] = []
        self._real: Callable[..., list[Arrival]] = instances.register_all
        patch.setattr(instances, "register_all", self._register_all)

    def _register_all(self, db: Database, arrivals: Sequence[Arrival], now: datetime) -> list[Arrival]:
        self.asked.set()
        if self.error is not None:
            raise self.error
        assert self.may_pass.wait(10)
        self.batches.append(len(arrivals))
        return self._real(db, arrivals, now)


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    closed = Gate(monkeypatch)
    yield closed
    closed.may_pass.set()


def test_a_new_instance_is_noted_before_its_row_is_written(folder: DataFolder, db: Database, gate: Gate) -> None:
    with Registrar(db, folder) as rows:
        assert noted(rows, db, arrival(folder)) is Registration.NEW
        assert gate.asked.wait(10)
        assert instances.of_study(db, STUDY) == []
        assert rows.senders == {"MODALITY"}
        gate.may_pass.set()
    assert len(instances.of_study(db, STUDY)) == 1
    assert rows.senders == set()


def test_those_that_come_meanwhile_are_one_transaction(folder: DataFolder, db: Database, gate: Gate) -> None:
    with Registrar(db, folder) as rows:
        noted(rows, db, arrival(folder, 1))
        assert gate.asked.wait(10)
        for number in range(2, 31):
            noted(rows, db, arrival(folder, number))
        gate.may_pass.set()
    assert gate.batches == [1, 29]
    assert studies.get(db, STUDY).instances == 30


def test_the_same_instance_again_waits_for_the_row_and_is_one_row(folder: DataFolder, db: Database, gate: Gate) -> None:
    answers: list[Registration] = []
    with Registrar(db, folder) as rows:
        first = arrival(folder)
        noted(rows, db, first)
        again = threading.Thread(target=lambda: answers.append(noted(rows, db, arrival(folder))))
        other = threading.Thread(target=lambda: answers.append(noted(rows, db, arrival(folder, content=b"other"))))
        again.start()
        other.start()
        assert gate.asked.wait(10)
        assert answers == []
        gate.may_pass.set()
        again.join(10)
        other.join(10)
    assert sorted(answers) == [Registration.CONFLICT, Registration.DUPLICATE]
    assert [row.path for row in instances.of_study(db, STUDY)] == [first.instance.path]


def test_two_at_the_same_moment_are_one_row(folder: DataFolder, db: Database) -> None:
    both = [arrival(folder), arrival(folder)]
    answers: list[Registration] = []
    with Registrar(db, folder) as rows:
        threads = [
            threading.Thread(target=lambda each=each: answers.append(noted(rows, db, each)))  # type: ignore[misc]
            for each in both
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert sorted(answers) == [Registration.DUPLICATE, Registration.NEW]
    assert studies.get(db, STUDY).instances == 1


def test_while_rows_cannot_be_written_nothing_more_is_taken_and_nothing_is_lost(
    folder: DataFolder, db: Database, gate: Gate
) -> None:
    gate.error = DatabaseBusy("held by a test")
    with Registrar(db, folder) as rows, capture_logs() as logs:
        noted(rows, db, arrival(folder, 1))
        while not rows.trouble:
            time.sleep(0.002)
        with pytest.raises(DatabaseBusy, match="held by a test"):
            noted(rows, db, arrival(folder, 2))
        gate.error = None
        gate.may_pass.set()
        while rows.trouble:
            time.sleep(0.002)
        assert noted(rows, db, arrival(folder, 3)) is Registration.NEW
    assert [row.sop_instance_uid for row in instances.of_study(db, STUDY)] == [f"{STUDY}.1.1", f"{STUDY}.1.3"]
    assert [line["event"] for line in logs] == ["rows are not written", "rows are written again"]


def test_what_has_no_row_at_the_end_gets_it_at_the_next_start(folder: DataFolder, db: Database, gate: Gate) -> None:
    mr = factories.mr_series(slices=1, rows=16, columns=16)[0]
    gate.error = DatabaseBusy("held by a test")
    with Registrar(db, folder) as rows:
        assert intake.receive(folder, db, received(mr), NOW, note=rows.note) is Receipt.STORED
    assert instances.find(db, mr.SOPInstanceUID) is None
    assert recovery.adopt_orphans(folder, db, NOW) == 1
    assert instances.find(db, mr.SOPInstanceUID) is not None


def test_a_newer_version_of_an_archive_waits_for_the_row_of_the_one_before(folder: DataFolder, db: Database) -> None:
    mr: Dataset = factories.mr_series(slices=1, rows=16, columns=16)[0]
    with Registrar(db, folder) as rows:
        assert intake.receive(folder, db, received(mr), NOW, note=rows.note) is Receipt.STORED
        mr.PatientName = "Right^Name"
        receipt = intake.receive(folder, db, received(mr), NOW, note=rows.note, newest_counts=True)
    assert receipt is Receipt.REPLACED
    row = instances.find(db, mr.SOPInstanceUID)
    assert row is not None
    assert b"Right^Name" in files.verify(folder, row.path, row.sha256).read_bytes()


def test_a_rejection_note_is_written_at_once(folder: DataFolder, db: Database, gate: Gate) -> None:
    mr: Dataset = factories.mr_series(slices=1, rows=16, columns=16)[0]
    with Registrar(db, folder) as rows:
        assert intake.receive(folder, db, received(mr), NOW, note=rows.note) is Receipt.STORED
        note = rejection_notes.note([mr])
        assert intake.receive(folder, db, received(note), NOW, note=rows.note) is Receipt.STORED
        assert instances.find(db, note.SOPInstanceUID) is not None
        gate.may_pass.set()
    assert instances.readable(db, mr.StudyInstanceUID, 1) == []
    assert len(instances.of_study(db, mr.StudyInstanceUID)) == 2


def test_so_many_wait_and_no_more(
    folder: DataFolder, db: Database, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registrar, "MOST_WAITING", 2)
    monkeypatch.setattr(registrar, "PATIENCE_S", 0.05)
    with Registrar(db, folder) as rows:
        for number in (1, 2):
            noted(rows, db, arrival(folder, number))
        with pytest.raises(DatabaseBusy, match="2 instances wait"):
            noted(rows, db, arrival(folder, 3))
        gate.may_pass.set()
    assert studies.get(db, STUDY).instances == 2


def test_what_somebody_else_registered_meanwhile_keeps_its_file(folder: DataFolder, db: Database, gate: Gate) -> None:
    one = arrival(folder)
    with Registrar(db, folder) as rows:
        noted(rows, db, one)
        assert gate.asked.wait(10)
        instances.register(db, folder, one.instance, expected_instances=None, now=NOW)
        gate.may_pass.set()
    assert studies.get(db, STUDY).instances == 1
    assert folder.path(one.instance.path).exists()


def test_one_that_cannot_be_registered_holds_up_no_other(
    folder: DataFolder, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> list[Arrival]:
        raise ValueError("a bug")

    register, calls = instances.register, count(1)

    def fail_once(*arguments: object, **named: object) -> Registration:
        if next(calls) == 1:
            raise ValueError("a bug")
        return register(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(instances, "register_all", fail)
    monkeypatch.setattr(instances, "register", fail_once)
    with capture_logs() as logs, Registrar(db, folder) as rows:
        for number in (1, 2, 3):
            noted(rows, db, arrival(folder, number))
    assert [row.sop_instance_uid[-1] for row in instances.of_study(db, STUDY)] == ["2", "3"]
    assert [path for path in files.orphans(folder, db) if path]
    assert "an instance has no row: it gets one at the next start" in [line["event"] for line in logs]


STEPS = [(name, at) for name, most in {"open": 3, "write": 4, "fsync": 4, "rename": 1, "unlink": 1}.items()
         for at in range(1, most + 1)]  # fmt: skip


@pytest.mark.parametrize(("name", "at"), STEPS)
def test_whatever_fails_success_means_that_it_is_kept_and_failure_that_it_may_come_again(
    folder: DataFolder, db: Database, monkeypatch: pytest.MonkeyPatch, name: str, at: int
) -> None:
    mr: Dataset = factories.mr_series(slices=1, rows=64, columns=64)[0]
    real, calls = getattr(os, name), count(1)

    def fail(*arguments: object, **named: object) -> object:
        if next(calls) == at:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(*arguments, **named)

    with Registrar(db, folder) as rows, monkeypatch.context() as broken:
        broken.setattr(os, name, fail)
        receipt = intake.receive(folder, db, received(mr), NOW, note=rows.note)
    assert receipt in (Receipt.STORED, Receipt.NO_ROOM)
    recovery.adopt_orphans(folder, db, NOW)
    kept = instances.find(db, mr.SOPInstanceUID)
    assert (kept is not None) is (receipt is Receipt.STORED)
    with Registrar(db, folder) as rows:
        again = intake.receive(folder, db, received(mr), NOW, note=rows.note)
    assert again is (Receipt.HERE_ALREADY if kept else Receipt.STORED)
    row = instances.find(db, mr.SOPInstanceUID)
    assert row is not None
    files.verify(folder, row.path, row.sha256)
    assert studies.get(db, mr.StudyInstanceUID).instances == 1
