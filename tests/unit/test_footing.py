"""The ground under a running process: what goes is noticed, said, refused, and mended where that is safe."""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.dicom.received import Receipt, Received
from node.process.footing import LOST_EXIT, Footing, watch
from node.service.listener import on_firm_ground
from node.service.upkeep import Seat, sweep_unfinished
from storage import Database, DataFolder, open_database
from storage.engine import probe
from storage.errors import DatabaseUnusable, FolderInUse


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return DataFolder(tmp_path / "data")


@pytest.fixture
def db(folder: DataFolder) -> Iterator[Database]:
    database = open_database(folder)
    (folder.root / "locks" / "listener").touch()
    yield database
    database.close()


def received() -> Received:
    return Received("PACS", "127.0.0.1", "1.2", "1.2.3", "1.2.840.10008.1.2.1", iter(()))


def test_on_firm_ground_there_is_no_trouble_and_nothing_is_left_behind(folder: DataFolder, db: Database) -> None:
    footing = Footing(folder, "listener")
    probe(db)
    assert (footing.lost(), footing.trouble()) == ("", "")
    assert list((folder.root / "tmp").iterdir()) == []


@pytest.mark.parametrize("name", ["tmp", "instances", "results"])
def test_an_empty_folder_that_went_is_made_again(folder: DataFolder, db: Database, name: str) -> None:
    footing = Footing(folder, "listener")
    shutil.rmtree(folder.root / name)
    assert footing.trouble() == ""
    assert (folder.root / name).is_dir()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["neurossl.sqlite", "locks"])
def test_without_database_or_lock_nothing_is_acknowledged_and_the_process_ends(
    folder: DataFolder, db: Database, name: str
) -> None:
    footing = Footing(folder, "listener")
    path = folder.root / name
    path.unlink() if path.is_file() else shutil.rmtree(path)
    assert name in footing.trouble()
    assert on_firm_ground(footing, lambda _: Receipt.STORED, received()) is Receipt.NO_ROOM
    ended: list[int] = []
    done = threading.Event()
    watch(footing, done, ended.append)
    assert ended == [LOST_EXIT]


def test_a_database_that_goes_while_an_instance_comes_in_is_no_success(folder: DataFolder, db: Database) -> None:
    footing = Footing(folder, "listener")

    def store(_: Received) -> Receipt:
        folder.database.unlink()
        return Receipt.STORED

    assert on_firm_ground(footing, store, received()) is Receipt.NO_ROOM


def test_a_folder_that_takes_no_file_is_trouble(folder: DataFolder, db: Database) -> None:
    footing = Footing(folder, "listener")
    (folder.root / "tmp").rmdir()
    (folder.root / "tmp").write_text("no folder")
    assert "nothing can be written" in footing.trouble()


def test_a_database_that_was_made_read_only_is_trouble(folder: DataFolder, db: Database) -> None:
    with db.reading() as connection:
        connection.exec_driver_sql("PRAGMA query_only=1")
    with pytest.raises(DatabaseUnusable):
        probe(db)


def test_a_service_whose_locks_went_takes_them_again_and_keeps_others_out(folder: DataFolder) -> None:
    folder.create()
    with Seat(folder) as seat:
        shutil.rmtree(folder.root / "locks")
        seat.beat()
        with pytest.raises(FolderInUse), folder.lock("service"):
            pass
        assert (folder.root / "locks" / "service.alive").exists()


def test_an_unfinished_write_of_an_earlier_run_is_swept_and_nothing_else(folder: DataFolder) -> None:
    folder.create()
    for name in ("a.part", "b.part", "kept"):
        (folder.root / "tmp" / name).write_text("x")
    with folder.lock("listener"):
        sweep_unfinished(folder)
    assert len(list((folder.root / "tmp").iterdir())) == 3
    sweep_unfinished(folder)
    assert [path.name for path in (folder.root / "tmp").iterdir()] == ["kept"]
