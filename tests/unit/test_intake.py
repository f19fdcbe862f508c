"""Success means stored, and every other end leaves nothing behind (faults F1, F13 to F17, F30, F31, F42, F43, F80)."""

import errno
import os
import stat
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pysqlite3
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import UID, generate_uid

from node.dicom.received import Receipt, Received
from node.dimse.errors import ConnectionLost
from node.receive import intake
from storage import Database, DataFolder, files, instances, open_database, studies
from storage.records import Instance
from tests import factories, wire

NOW = datetime(2026, 3, 29, 1, 59, 59, tzinfo=UTC)


@pytest.fixture
def mr() -> Dataset:
    return factories.mr_series(slices=1, rows=64, columns=64)[0]


def received(dataset: Dataset | bytes, syntax: str = wire.EXPLICIT, piece: int = 3000, **changes: Any) -> Received:
    """An instance as the listener hands it over, in pieces."""
    data = dataset if isinstance(dataset, bytes) else wire.encode(dataset, UID(syntax))
    named: Mapping[str, Any] = dataset if isinstance(dataset, Dataset) else {}
    pieces: Iterator[bytes | memoryview] = (memoryview(data)[at : at + piece] for at in range(0, len(data), piece))
    whole = Received(
        "MODALITY",
        "127.0.0.1",
        str(named.get("SOPClassUID", wire.MR)),
        str(named.get("SOPInstanceUID", "1.2.3")),
        syntax,
        pieces,
    )
    return replace(whole, **changes)


def receive(folder: DataFolder, db: Database, what: Received, limit: float = 100) -> Receipt:
    return intake.receive(folder, db, what, NOW, maximum_disk_use_percent=limit)


def stored(folder: DataFolder) -> list[Path]:
    """Every file that is there, finished or not."""
    return [path for part in ("instances", "tmp") for path in (folder.root / part).rglob("*") if path.is_file()]


@pytest.mark.parametrize("syntax", [wire.IMPLICIT, wire.EXPLICIT, wire.BIG_ENDIAN])
def test_the_stored_file_holds_the_bytes_as_received(
    folder: DataFolder, db: Database, mr: Dataset, syntax: str
) -> None:
    data = wire.encode(factories.encoded(mr, UID(syntax)), UID(syntax))
    sent = received(data, syntax, sop_class_uid=mr.SOPClassUID, sop_instance_uid=mr.SOPInstanceUID)
    assert receive(folder, db, sent) is Receipt.STORED
    row = instances.find(db, mr.SOPInstanceUID)
    assert row is not None
    path = files.verify(folder, row.path, row.sha256)
    assert path.read_bytes().endswith(data)
    assert path.read_bytes()[:132] == bytes(128) + b"DICM"
    assert dcmread(path).file_meta.TransferSyntaxUID == syntax
    assert dcmread(path).file_meta.SourceApplicationEntityTitle == "MODALITY"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_row_says_what_the_header_says(folder: DataFolder, db: Database, mr: Dataset) -> None:
    mr.NumberOfStudyRelatedInstances = 170
    assert receive(folder, db, received(mr)) is Receipt.STORED
    (row,) = instances.of_study(db, mr.StudyInstanceUID)
    expected = Instance(
        mr.SOPInstanceUID,
        mr.SOPClassUID,
        mr.SeriesInstanceUID,
        mr.StudyInstanceUID,
        wire.EXPLICIT,
        "MR",
        row.path,
        row.sha256,
        (folder.root / row.path).stat().st_size,
        "MODALITY",
        NOW,
    )
    assert row == expected
    assert studies.get(db, mr.StudyInstanceUID).expected_instances == 170


def test_the_file_is_durable_before_its_row(
    folder: DataFolder, db: Database, mr: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, register = os.fsync, instances.register
    monkeypatch.setattr(os, "fsync", lambda descriptor: (steps.append("sync"), fsync(descriptor))[1])
    monkeypatch.setattr(instances, "register", lambda *a, **k: (steps.append("row"), register(*a, **k))[1])
    assert receive(folder, db, received(mr)) is Receipt.STORED
    assert steps[-1] == "row"
    assert steps.count("sync") >= 2  # the file, and the folder that names it


def test_the_same_instance_again_is_success_and_one_file(folder: DataFolder, db: Database, mr: Dataset) -> None:
    assert [receive(folder, db, received(mr)) for _ in range(2)] == [Receipt.STORED, Receipt.HERE_ALREADY]
    assert len(stored(folder)) == 1
    assert studies.get(db, mr.StudyInstanceUID).instances == 1


def test_other_content_under_the_same_uid_is_refused_and_the_first_kept(
    folder: DataFolder, db: Database, mr: Dataset
) -> None:
    assert receive(folder, db, received(mr)) is Receipt.STORED
    first = stored(folder)
    mr.ImageComments = "changed"
    assert receive(folder, db, received(mr)) is Receipt.OTHER_CONTENT
    assert stored(folder) == first


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"sop_instance_uid": "1.2.3.4"}, Receipt.MISMATCH),
        ({"sop_class_uid": "1.2.840.10008.5.1.4.1.1.7"}, Receipt.MISMATCH),
        ({"sop_instance_uid": ""}, Receipt.UNPARSABLE),
        ({"sop_instance_uid": "../../../tmp/evil"}, Receipt.UNPARSABLE),
    ],
)
def test_a_command_that_names_another_instance_is_refused(
    folder: DataFolder, db: Database, mr: Dataset, change: dict[str, Any], status: Receipt
) -> None:
    assert receive(folder, db, received(mr, **change)) is status
    assert stored(folder) == []


@pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
@pytest.mark.parametrize(
    "value", [None, "", ".", "..", "../../etc/passwd", "1.2\n3", "1..2", "1" * 66, "1.2/3", "$(id)"]
)
def test_an_instance_without_proper_uids_is_refused(
    folder: DataFolder, db: Database, mr: Dataset, keyword: str, value: str | None
) -> None:
    named = {"sop_class_uid": mr.SOPClassUID, "sop_instance_uid": mr.SOPInstanceUID}
    if value is None:
        del mr[keyword]
        data = wire.encode(mr)
    else:
        place = wire.encode(mr[mr[keyword].tag : mr[keyword].tag + 1])
        raw = value.encode() + b"\0" * (len(value) % 2)
        data = wire.encode(mr).replace(place, place[:6] + len(raw).to_bytes(2, "little") + raw, 1)
    assert receive(folder, db, received(data, **named)) is Receipt.UNPARSABLE
    assert stored(folder) == []


@pytest.mark.parametrize("data", [b"", b"\0" * 1000, b"\xff" * 1000, b"GIF89a" * 100], ids=["none", "0", "ff", "gif"])
def test_what_is_no_data_set_is_refused(folder: DataFolder, db: Database, data: bytes) -> None:
    assert receive(folder, db, received(data)) is Receipt.UNPARSABLE
    assert stored(folder) == []


def test_an_instance_is_refused_from_the_limit_on(
    folder: DataFolder, db: Database, mr: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "disk_use_percent", lambda _: 90.0)
    assert receive(folder, db, received(mr), limit=90) is Receipt.NO_ROOM
    assert receive(folder, db, received(mr), limit=91) is Receipt.STORED


def test_a_full_disk_is_refused_before_anything_is_read(folder: DataFolder, db: Database, mr: Dataset) -> None:
    sent = received(mr)
    assert receive(folder, db, sent, limit=0) is Receipt.NO_ROOM
    assert next(sent.data, None) is not None
    assert receive(folder, db, received(mr)) is Receipt.STORED  # and taken again by itself


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EMFILE, errno.EDQUOT])
@pytest.mark.parametrize("call", ["write", "fsync", "open"])
def test_a_disk_that_fails_is_our_fault_and_for_now(
    folder: DataFolder, db: Database, mr: Dataset, monkeypatch: pytest.MonkeyPatch, number: int, call: str
) -> None:
    real = getattr(os, call)

    def fail(*arguments: Any, **options: Any) -> Any:
        if call == "open" and not str(arguments[0]).endswith(".part"):
            return real(*arguments, **options)
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as broken:
        broken.setattr(os, call, fail)
        assert receive(folder, db, received(mr)) is Receipt.NO_ROOM
    assert stored(folder) == []
    assert instances.find(db, mr.SOPInstanceUID) is None
    assert receive(folder, db, received(mr)) is Receipt.STORED


def test_a_database_held_by_another_process_is_for_now_and_leaves_no_file(
    folder: DataFolder, db: Database, mr: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.engine.BUSY_TIMEOUT_S", 0.2)
    db.close()
    impatient = open_database(folder)
    with pysqlite3.connect(folder.database, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        assert receive(folder, impatient, received(mr)) is Receipt.NO_ROOM
        other.execute("ROLLBACK")
    other.close()
    assert stored(folder) == []
    assert receive(folder, impatient, received(mr)) is Receipt.STORED
    impatient.close()


def test_a_connection_that_breaks_leaves_nothing(folder: DataFolder, db: Database, mr: Dataset) -> None:
    data = wire.encode(mr)

    def breaks() -> Iterator[bytes | memoryview]:
        yield data[:6000]
        raise ConnectionLost("reset")

    with pytest.raises(ConnectionLost):
        receive(folder, db, received(mr, data=breaks()))
    with pytest.raises(ConnectionLost):
        receive(folder, db, received(factories.mr_series(slices=1, rows=512, columns=512)[0], data=slow_break()))
    assert stored(folder) == []
    assert instances.find(db, mr.SOPInstanceUID) is None


def slow_break() -> Iterator[bytes | memoryview]:
    """Breaks only after the header was read and the file begun."""
    data = wire.encode(factories.mr_series(slices=1, rows=512, columns=512)[0])
    yield data[:200_000]
    raise ConnectionLost("reset")


def test_uids_with_leading_zeros_are_taken_as_they_are(folder: DataFolder, db: Database, mr: Dataset) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mr.StudyInstanceUID, mr.SeriesInstanceUID, mr.SOPInstanceUID = "1.2.01", "1.2.01.007", "1.2.01.007.00"
        first, again = received(mr), received(mr)
        mr.SOPInstanceUID = "1.2.1.7.0"
        other = received(mr)  # a UID is a name, not a number
    assert receive(folder, db, first) is Receipt.STORED
    (row,) = instances.of_study(db, "1.2.01")
    assert (row.series_instance_uid, row.sop_instance_uid) == ("1.2.01.007", "1.2.01.007.00")
    assert receive(folder, db, again) is Receipt.HERE_ALREADY
    assert receive(folder, db, other) is Receipt.STORED


def test_no_name_of_the_sender_becomes_a_path(folder: DataFolder, db: Database, mr: Dataset) -> None:
    assert receive(folder, db, received(mr, calling_ae_title="../../EVIL")) is Receipt.STORED
    (path,) = stored(folder)
    assert mr.SOPInstanceUID not in str(path)
    assert "EVIL" not in str(path)


def test_nothing_of_the_patient_reaches_the_database(folder: DataFolder, db: Database, mr: Dataset) -> None:
    assert receive(folder, db, received(mr)) is Receipt.STORED
    db.close()
    content = b"".join(path.read_bytes() for path in folder.root.glob("neurossl.sqlite*"))
    assert mr.SOPInstanceUID.encode() in content
    for secret in ("Muster", "TEST-0001", "19480312"):
        assert secret.encode() not in content


def test_an_instance_larger_than_memory_should_hold_is_streamed(folder: DataFolder, db: Database, mr: Dataset) -> None:
    """100 MB in small pieces; what is held at once is measured where the whole listener runs."""
    del mr.PixelData
    mr.SOPInstanceUID = generate_uid()
    head = wire.encode(mr) + b"\xe0\x7f\x10\x00OW\0\0" + (100 << 20).to_bytes(4, "little")

    def pieces() -> Iterator[bytes | memoryview]:
        yield head
        for _ in range(100):
            yield bytes(1 << 20)

    assert receive(folder, db, received(mr, data=pieces())) is Receipt.STORED
    (path,) = stored(folder)
    assert path.stat().st_size > 100 << 20
