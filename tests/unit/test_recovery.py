"""Rows made again from the stored files: of what a crash left without one, or of a whole database that was lost."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom import Dataset
from structlog.testing import capture_logs

from node.dicom import part10
from node.dicom.part10 import FileMeta
from node.receive import recovery
from storage import Database, DataFolder, files, instances, open_database, studies
from storage.errors import DatabaseUnusable, FolderInUse
from storage.files import StoredFile
from tests import factories, wire

NOW = datetime(2026, 3, 29, 1, 59, 59, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    folder = DataFolder(tmp_path / "data")
    folder.create()
    return folder


@pytest.fixture
def db(folder: DataFolder) -> Iterator[Database]:
    database = open_database(folder)
    yield database
    database.close()


@pytest.fixture
def mr() -> Dataset:
    return factories.mr_series(slices=1, rows=16, columns=16)[0]


def kept(folder: DataFolder, dataset: Dataset, **meta: str) -> StoredFile:
    """The file of an instance, without a row; `meta` is what its header says otherwise."""
    stated = FileMeta(dataset.SOPClassUID, dataset.SOPInstanceUID, wire.EXPLICIT, "PACS1")
    header = part10.header(replace(stated, **meta))
    return files.write(folder, dataset.SOPInstanceUID, [header, wire.encode(dataset)])


def test_a_file_without_a_row_gets_the_row_that_its_receiving_would_have_made(
    folder: DataFolder, db: Database, mr: Dataset
) -> None:
    mr.NumberOfStudyRelatedInstances = 61
    file = kept(folder, mr)
    assert recovery.adopt_orphans(folder, db, NOW) == 1
    row = instances.find(db, mr.SOPInstanceUID)
    assert row is not None
    assert (row.path, row.sha256, row.size_bytes) == (file.path, file.sha256, file.size_bytes)
    assert (row.sop_class_uid, row.study_instance_uid) == (mr.SOPClassUID, mr.StudyInstanceUID)
    assert (row.series_instance_uid, row.modality) == (mr.SeriesInstanceUID, "MR")
    assert (row.transfer_syntax_uid, row.calling_ae_title, row.received_at) == (wire.EXPLICIT, "PACS1", NOW)
    assert studies.get(db, mr.StudyInstanceUID).expected_instances == 61


def test_a_file_whose_sender_is_not_noted_comes_from_an_unknown_one(
    folder: DataFolder, db: Database, mr: Dataset
) -> None:
    kept(folder, mr, source_ae_title="")
    recovery.adopt_orphans(folder, db, NOW)
    assert studies.get(db, mr.StudyInstanceUID).calling_ae_titles == (recovery.UNKNOWN_SENDER,)


@pytest.mark.parametrize(
    "meta", [{"sop_instance_uid": "1.2.3"}, {"sop_class_uid": "1.2.840.10008.5.1.4.1.1.2"}], ids=["instance", "class"]
)
def test_a_file_whose_header_names_another_instance_than_its_data_set_stays_without_a_row(
    folder: DataFolder, db: Database, mr: Dataset, meta: dict[str, str]
) -> None:
    file = kept(folder, mr, **meta)
    assert recovery.adopt_orphans(folder, db, NOW) == 0
    assert instances.find(db, mr.SOPInstanceUID) is None
    assert list(files.orphans(folder, db)) == [file.path]


def test_a_file_whose_study_has_no_uid_stays_without_a_row(folder: DataFolder, db: Database, mr: Dataset) -> None:
    del mr.StudyInstanceUID
    file = kept(folder, mr)
    assert recovery.adopt_orphans(folder, db, NOW) == 0
    assert list(files.orphans(folder, db)) == [file.path]


def test_an_altered_file_is_put_aside_and_said_once_and_keeps_no_other_from_its_row(
    folder: DataFolder, db: Database, mr: Dataset
) -> None:
    altered = kept(folder, mr)
    path = folder.path(altered.path)
    torn = path.read_bytes()[:-2] + b"\1\1"
    path.write_bytes(torn)
    other = factories.mr_series(slices=1, rows=16, columns=16, series_uid="1.2.826.0.1.9", study_uid="1.2.826.0.9")[0]
    kept(folder, other)
    with capture_logs() as logs:
        assert [recovery.adopt_orphans(folder, db, NOW) for _ in range(2)] == [1, 0]
    assert instances.find(db, mr.SOPInstanceUID) is None
    assert [each.get("path") for each in logs] == [altered.path, None]
    assert (folder.root / "aside" / path.name).read_bytes() == torn
    assert list(files.orphans(folder, db)) == []


def test_a_second_file_of_a_registered_instance_goes(folder: DataFolder, db: Database, mr: Dataset) -> None:
    kept(folder, mr)
    recovery.adopt_orphans(folder, db, NOW)
    second = kept(folder, mr)
    with capture_logs() as logs:
        assert recovery.adopt_orphans(folder, db, NOW) == 0
    assert logs == []
    assert not folder.path(second.path).exists()
    assert studies.get(db, mr.StudyInstanceUID).instances == 1


@pytest.mark.parametrize("left", ["nothing", "an empty file"])
def test_a_database_that_has_gone_is_made_again_with_a_word_about_it(
    folder: DataFolder, mr: Dataset, left: str
) -> None:
    kept(folder, mr)
    if left == "an empty file":
        folder.database.touch()
    assert recovery.is_lost(folder)
    with capture_logs() as logs:
        recovery.open_or_rebuild(folder).close()
    assert [each["log_level"] for each in logs] == ["error"]
    assert not recovery.is_lost(folder)


def test_a_first_start_and_a_later_one_are_no_loss(folder: DataFolder, mr: Dataset) -> None:
    assert not recovery.is_lost(folder)
    with capture_logs() as logs:
        recovery.open_or_rebuild(folder).close()
        kept(folder, mr)
        recovery.open_or_rebuild(folder).close()
    assert logs == []


def test_a_damaged_database_is_not_passed_over(folder: DataFolder, mr: Dataset) -> None:
    kept(folder, mr)
    folder.database.write_bytes(b"certainly not a database " * 400)
    with pytest.raises(DatabaseUnusable):
        recovery.open_or_rebuild(folder)


def test_a_rebuild_puts_the_old_database_aside_and_registers_every_file(folder: DataFolder, mr: Dataset) -> None:
    kept(folder, mr)
    assert recovery.rebuild(folder, NOW) == (None, 1)
    aside, adopted = recovery.rebuild(folder, NOW)
    assert aside == folder.root / "neurossl.sqlite.20260329T015959Z"
    assert aside.exists()
    assert adopted == 1
    db = open_database(folder)
    assert instances.find(db, mr.SOPInstanceUID) is not None
    db.close()


def test_a_rebuild_makes_what_a_copy_of_the_folder_left_out(folder: DataFolder, mr: Dataset) -> None:
    kept(folder, mr)
    shutil.rmtree(folder.root / "locks")
    shutil.rmtree(folder.root / "tmp")
    assert recovery.rebuild(folder, NOW) == (None, 1)


def test_what_is_being_rebuilt_is_opened_by_nobody_else(folder: DataFolder) -> None:
    with folder.alone():
        with pytest.raises(FolderInUse, match=f"process {os.getpid()} has it for itself"):
            open_database(folder)
        with pytest.raises(FolderInUse):
            recovery.rebuild(folder, NOW)
    open_database(folder).close()


def test_an_open_database_keeps_a_rebuild_out_until_it_is_closed(folder: DataFolder) -> None:
    one, two = open_database(folder), open_database(folder)
    one.close()
    with pytest.raises(FolderInUse, match="in use by a command that has the database open"):
        recovery.rebuild(folder, NOW)
    two.close()
    recovery.rebuild(folder, NOW)


def test_a_database_that_could_not_be_opened_keeps_nobody_out(folder: DataFolder) -> None:
    folder.database.mkdir()
    with pytest.raises(DatabaseUnusable):
        open_database(folder)
    with folder.alone():
        pass
