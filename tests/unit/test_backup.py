"""A backup is one state, whole or refused; restored, it is what it was."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from storage import Database, DataFolder, accessions, backup, files, instances, outbox, queue
from storage.accessions import KEY_FILE
from storage.errors import BackupUnusable, FolderInUse, StorageError
from tests import stored
from tests.stored import NOW, STUDY


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return DataFolder(tmp_path / "data")


@pytest.fixture
def db(folder: DataFolder) -> Iterator[Database]:
    with stored.opened(folder.root) as db:
        yield db


@pytest.fixture
def made(db: Database, folder: DataFolder, tmp_path: Path) -> Path:
    """A backup of a study whose results wait, and one that is received."""
    stored.reported(db)
    stored.received(db, study=f"{STUDY}.2")
    backup.back_up(folder, tmp_path / "backup", NOW)
    return tmp_path / "backup"


def content(root: Path) -> dict[str, bytes]:
    """Every stored file."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for area in ("instances", "results")
        for path in (root / area).glob("*/*")
    }


def rewrite(path: Path, data: bytes) -> None:
    """A file of its own under this name: the other name of a hard link stays what it was."""
    path.unlink()
    path.write_bytes(data)


def test_restored_into_an_empty_folder_it_is_what_it_was(made: Path, folder: DataFolder, tmp_path: Path) -> None:
    new = DataFolder(tmp_path / "new")
    found = backup.restore(made, new)
    assert content(new.root) == content(folder.root)
    assert (found.files, len(content(new.root))) == (4, 4)
    with stored.opened(new.root) as db:
        (job,) = queue.listing(db)
        assert [each.destination for each in outbox.of_job(db, job.job_id)] == ["pacs", "pacs"]
        for each in instances.of_study(db, STUDY):
            files.verify(new, each.path, each.sha256)
    assert {path.stat().st_mode & 0o077 for path in new.root.rglob("*")} == {0}


def test_the_key_of_the_accession_numbers_goes_with_it(made: Path, db: Database, folder: DataFolder) -> None:
    assert not (made / KEY_FILE).exists(), "no number came, so there is no key"
    found = accessions.keyed_hash(folder, "A-17")
    again = made.parent / "again"
    backup.back_up(folder, again, NOW)
    assert (again / KEY_FILE).stat().st_mode & 0o777 == 0o600
    new = DataFolder(made.parent / "new")
    backup.restore(again, new)
    assert accessions.keyed_hash(new, "A-17") == found
    (again / KEY_FILE).write_bytes(b"x" * 32)
    with pytest.raises(BackupUnusable, match=KEY_FILE):
        backup.check(again)


def test_a_backup_from_before_there_was_a_key_in_it_is_whole(made: Path) -> None:
    manifest = json.loads((made / backup.MANIFEST).read_text())
    del manifest["key_sha256"]
    (made / backup.MANIFEST).write_text(json.dumps(manifest))
    assert backup.check(made).key_sha256 == ""


def test_files_of_the_same_disk_are_links_and_others_are_copies(
    db: Database, folder: DataFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = stored.received(db)
    backup.back_up(folder, tmp_path / "linked", NOW)
    assert (tmp_path / "linked" / record.path).samefile(folder.path(record.path))

    def other_disk(self: Path, target: Path) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", other_disk)
    backup.back_up(folder, tmp_path / "copied", NOW)
    assert not (tmp_path / "copied" / record.path).samefile(folder.path(record.path))
    assert backup.check(tmp_path / "copied").files == 1


def test_what_is_no_row_of_that_state_is_not_in_it(db: Database, folder: DataFolder, tmp_path: Path) -> None:
    stored.received(db)
    files.write(folder, "1.2.3", [b"without a row"])
    backup.back_up(folder, tmp_path / "backup", NOW)
    assert len(content(tmp_path / "backup")) == 1


def test_what_came_between_the_files_and_the_database_is_in_it(
    db: Database, folder: DataFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored.received(db)
    copy = backup.sqlite.copy

    def later(source: Path, target: Path) -> None:
        stored.received(db, 2)
        copy(source, target)

    monkeypatch.setattr(backup.sqlite, "copy", later)
    backup.back_up(folder, tmp_path / "backup", NOW)
    assert backup.check(tmp_path / "backup").files == len(content(tmp_path / "backup")) == 2


def cut_short(made: Path) -> None:
    (made / "backup.json").unlink()


def without_a_file(made: Path) -> None:
    next((made / "results").glob("*/*")).unlink()


def with_an_altered_file(made: Path) -> None:
    path = next((made / "instances").glob("*/*"))
    rewrite(path, path.read_bytes()[:-1] + b"!")


def with_another_database(made: Path) -> None:
    path = made / "neurossl.sqlite"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    rewrite(path, bytes(data))


def without_a_database(made: Path) -> None:
    (made / "neurossl.sqlite").unlink()


def with_an_altered_manifest(made: Path) -> None:
    path = made / "backup.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "files": 3}))


def with_a_manifest_that_is_cut_short(made: Path) -> None:
    (made / "backup.json").write_text((made / "backup.json").read_text()[:-20])


DAMAGE = {
    cut_short: "is no whole backup",
    without_a_file: "No such file",
    with_an_altered_file: "not what was stored",
    with_another_database: "not what was backed up",
    without_a_database: "is missing",
    with_an_altered_manifest: "does not fit the database",
    with_a_manifest_that_is_cut_short: "cannot be read",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_partial_or_altered_backup_is_refused_with_what_is_wrong(
    made: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    damage(made)
    with pytest.raises(BackupUnusable, match=DAMAGE[damage]):
        backup.restore(made, DataFolder(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_a_folder_that_holds_something_is_neither_target_nor_restored_into(
    made: Path, folder: DataFolder, tmp_path: Path
) -> None:
    before = content(folder.root)
    with pytest.raises(BackupUnusable, match="not an empty folder"):
        backup.back_up(folder, made, NOW)
    with pytest.raises(BackupUnusable, match="holds instances"):
        backup.restore(made, folder)
    assert content(folder.root) == before


def test_folders_that_were_made_and_never_used_are_empty_enough(made: Path, tmp_path: Path) -> None:
    new = DataFolder(tmp_path / "new")
    new.create()
    assert backup.restore(made, new).files == 4


def test_a_restore_that_was_cut_short_leaves_no_node_that_forgot_and_may_be_done_again(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = DataFolder(tmp_path / "new")

    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(backup, "_place", full)
        with pytest.raises(BackupUnusable, match="No space left"):
            backup.restore(made, new)
    assert not new.database.exists()
    assert content(new.root) == {}
    assert backup.restore(made, new).files == 4


def test_a_node_that_runs_on_the_folder_is_in_the_way(made: Path, tmp_path: Path) -> None:
    new = DataFolder(tmp_path / "new")
    new.create()
    with new.in_use(), pytest.raises(FolderInUse):
        backup.restore(made, new)


def test_a_backup_on_a_full_disk_is_no_backup(
    db: Database, folder: DataFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored.received(db)

    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backup, "_place", full)
    with pytest.raises(BackupUnusable, match="No space left"):
        backup.back_up(folder, tmp_path / "backup", NOW)
    with pytest.raises(StorageError, match="no whole backup"):
        backup.check(tmp_path / "backup")
