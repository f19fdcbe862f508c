"""Files that are written once, durably, and found again."""

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from storage import Database, DataFolder, files, instances, outbox, schema
from storage.errors import FileAltered, FileTorn, StorageFull, UnsafePath
from storage.files import Swept
from tests import stored
from tests.stored import NOW

EVIL = "../../../tmp/evil\n<b>DOE^JANE</b>"


def all_files(folder: DataFolder) -> set[str]:
    return {
        str(path.relative_to(folder.root))
        for area in ("instances", "results", "tmp")
        for path in (folder.root / area).rglob("*")
        if not path.is_dir()
    }


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is asked of the disk, in order: "sync tmp", "rename tmp instances", …"""
    told: list[str] = []
    fsync, rename = os.fsync, os.rename

    def place(path: str) -> str:
        return next(part for part in reversed(Path(path).parts) if part in {"tmp", "instances", "results"})

    def recorded_fsync(descriptor: int) -> None:
        target = Path(f"/proc/self/fd/{descriptor}").readlink()
        told.append(f"sync {'folder' if target.is_dir() else 'file'} {place(str(target))}")
        fsync(descriptor)

    def recorded_rename(source: str, target: str) -> None:
        told.append(f"rename {place(str(source))} {place(str(target))}")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(os, "rename", recorded_rename)
    return told


def test_a_file_is_written_once_its_content_and_its_name_are_on_the_disk(folder: DataFolder, steps: list[str]) -> None:
    files.write(folder, "1.2.3", [b"content"])
    parents = ["sync folder instances"]  # the new folder of two hex digits, known to its parent
    both = ["sync file instances", "sync folder instances"]
    assert steps[:2] == [*parents, "rename tmp instances"]
    assert sorted(steps[2:]) == both  # at the same time
    steps.clear()
    files.write(folder, "1.2.3", [b"content"])
    assert steps[0] == "rename tmp instances"
    assert sorted(steps[1:]) == both


def test_a_file_has_its_name_only_when_it_is_whole(folder: DataFolder) -> None:
    def pieces() -> Iterator[bytes]:
        for piece in (b"one", b"two"):
            assert not list((folder.root / "instances").glob("*/*"))
            yield piece

    assert folder.path(files.write(folder, "1.2.3", pieces()).path).read_bytes() == b"onetwo"


@pytest.mark.parametrize("left", [b"", b"cont", bytes(7), b"contenT", b"content and more"])
def test_what_a_power_cut_left_of_a_file_is_told_by_its_name(folder: DataFolder, left: bytes) -> None:
    file = files.write(folder, "1.2.3", [b"content"])
    folder.path(file.path).write_bytes(left)
    with pytest.raises(FileAltered, match="not what was stored"):
        files.read_back(folder, file.path)


def test_a_file_that_was_named_before_there_were_seals_is_told_as_well(folder: DataFolder) -> None:
    name = f"instances/ab/{'a' * 64}.{hashlib.sha256(b'content').hexdigest()[:32]}.01234567"
    folder.path(name).parent.mkdir()
    folder.path(name).write_bytes(b"content")
    assert files.read_back(folder, name).size_bytes == 7
    folder.path(name).write_bytes(b"contenT")
    with pytest.raises(FileTorn):
        files.read_back(folder, name)


def test_a_file_whose_writer_died_is_made_durable_before_it_is_used(folder: DataFolder, steps: list[str]) -> None:
    file = files.write(folder, "1.2.3", [b"content"])
    steps.clear()
    files.make_durable(folder, file.path)
    assert sorted(steps) == ["sync file instances", "sync folder instances"]


def test_a_write_is_possible_in_a_forked_process(folder: DataFolder) -> None:
    files.write(folder, "1.2.3", [b"content"])
    pid = os.fork()
    if pid == 0:
        files.write(folder, "1.2.3", [b"content"])
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert len(all_files(folder)) == 2


def test_room_is_made_once_for_all_instances(folder: DataFolder, steps: list[str]) -> None:
    files.make_room(folder)
    assert steps == ["sync folder instances"]
    steps.clear()
    files.write(folder, "1.2.3", [b"content"])
    assert sorted(steps[1:]) == ["sync file instances", "sync folder instances"]
    files.make_room(folder)  # and again, with something in it


def test_a_result_is_written_the_same_way(folder: DataFolder, steps: list[str]) -> None:
    stored_file = files.write(folder, "2.25.1", [b"content"], area="results")
    assert steps[:2] == ["sync folder results", "rename tmp results"]
    assert sorted(steps[2:]) == ["sync file results", "sync folder results"]
    assert stored_file.path.startswith("results/")


def test_the_bytes_are_those_that_came(folder: DataFolder) -> None:
    file = files.write(folder, "1.2.3", [b"one", memoryview(b"two"), b""])
    assert folder.path(file.path).read_bytes() == b"onetwo"
    assert (file.size_bytes, file.sha256) == (6, hashlib.sha256(b"onetwo").hexdigest())


def test_a_name_holds_nothing_of_what_the_peer_said(folder: DataFolder) -> None:
    file = files.write(folder, EVIL, [b"x"])
    assert set(file.path) <= set("instances/0123456789abcdef.")
    assert all_files(folder) == {file.path}


def test_files_and_folders_are_for_their_owner_only(folder: DataFolder) -> None:
    before = os.umask(0)
    try:
        path = folder.path(files.write(folder, "1.2.3", [b"x"]).path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_two_writes_never_share_a_name(folder: DataFolder) -> None:
    first, second = (files.write(folder, "1.2.3", [b"the same"]) for _ in range(2))
    assert first.path != second.path
    assert first.sha256 == second.sha256


def failing(monkeypatch: pytest.MonkeyPatch, name: str, code: int, *, at_call: int = 1) -> None:
    """From its `at_call`-th call on, this function of `os` fails."""
    real: Callable[..., object] = getattr(os, name)
    calls = 0

    def fail(*arguments: object, **named: object) -> object:
        nonlocal calls
        calls += 1
        if calls >= at_call:
            raise OSError(code, os.strerror(code))
        return real(*arguments, **named)

    monkeypatch.setattr(os, name, fail)


@pytest.mark.parametrize(
    ("name", "code", "at_call"),
    [
        ("open", errno.EMFILE, 1),
        ("open", errno.EROFS, 1),
        ("write", errno.ENOSPC, 1),
        ("write", errno.EDQUOT, 2),
        ("fsync", errno.EIO, 1),
        ("fsync", errno.EIO, 2),
        ("fsync", errno.EIO, 3),
        ("rename", errno.ENOSPC, 1),
    ],
)
def test_what_the_disk_does_not_take_leaves_nothing(
    folder: DataFolder, monkeypatch: pytest.MonkeyPatch, name: str, code: int, at_call: int
) -> None:
    with monkeypatch.context() as broken:
        failing(broken, name, code, at_call=at_call)
        with pytest.raises(StorageFull, match=os.strerror(code)):
            files.write(folder, "1.2.3", [b"one", b"two"])
    assert all_files(folder) == set()
    files.write(folder, "1.2.3", [b"one"])  # and the next one goes through


def test_a_short_write_is_continued(folder: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, bytes(data)[:3]))
    file = files.write(folder, "1.2.3", [b"ten bytes."])
    assert folder.path(file.path).read_bytes() == b"ten bytes."


def test_a_sender_that_breaks_off_leaves_nothing(folder: DataFolder) -> None:
    def broken() -> Iterator[bytes]:
        yield b"first"
        raise ConnectionResetError("the peer is gone")

    with pytest.raises(ConnectionResetError):
        files.write(folder, "1.2.3", broken())
    assert all_files(folder) == set()


def test_a_link_planted_where_a_folder_will_be_is_not_followed(folder: DataFolder, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    first = hashlib.sha256(b"1.2.3").hexdigest()[:2]
    (folder.root / "instances" / first).symlink_to(outside)
    with pytest.raises(UnsafePath):
        files.write(folder, "1.2.3", [b"x"])
    assert list(outside.iterdir()) == []
    assert list((folder.root / "tmp").iterdir()) == []


def test_what_was_stored_is_verified(folder: DataFolder) -> None:
    file = files.write(folder, "1.2.3", [b"content"])
    assert files.verify(folder, file.path, file.sha256) == folder.path(file.path)
    assert files.read_back(folder, file.path) == file


def test_an_altered_data_set_is_told(folder: DataFolder) -> None:
    file = files.write(folder, "1.2.3", [b"content"])
    folder.path(file.path).write_bytes(b"c0ntent")
    with pytest.raises(FileAltered, match="not what was stored"):
        files.verify(folder, file.path, file.sha256)


def test_an_altered_header_is_told_too(folder: DataFolder) -> None:
    group_length = b"\x02\x00\x00\x00UL\x04\x00" + (4).to_bytes(4, "little")
    file = files.write(folder, "1.2.3", [bytes(128) + b"DICM" + group_length + b"meta", b"data set"])
    assert file.sha256 == hashlib.sha256(b"data set").hexdigest()
    path = files.verify(folder, file.path, file.sha256)
    path.write_bytes(path.read_bytes().replace(b"meta", b"lies"))
    with pytest.raises(FileAltered):
        files.verify(folder, file.path, file.sha256)


def test_another_hash_than_that_of_the_row_is_told(folder: DataFolder) -> None:
    file = files.write(folder, "1.2.3", [b"content"])
    with pytest.raises(FileAltered):
        files.verify(folder, file.path, "0" * 64)


@pytest.mark.parametrize("what", ["missing", "folder", "link", "pipe"])
def test_what_is_no_plain_file_is_told_and_does_not_block(folder: DataFolder, tmp_path: Path, what: str) -> None:
    file = files.write(folder, "1.2.3", [b"content"])
    path = folder.path(file.path)
    copy = tmp_path / "copy"
    copy.write_bytes(path.read_bytes())
    path.unlink()
    if what == "folder":
        path.mkdir()
    if what == "link":
        path.symlink_to(copy)
    if what == "pipe":
        os.mkfifo(path)
    with pytest.raises(FileAltered):
        files.verify(folder, file.path, file.sha256)


def test_disk_use_is_counted_as_df_does(folder: DataFolder) -> None:
    assert 0 < files.disk_use_percent(folder) <= 100


def test_a_file_without_a_row_is_an_orphan_until_it_is_registered(db: Database) -> None:
    known = stored.received(db, 1)
    file = files.write(stored.folder(db), "1.9.9", [b"left by a crash"])
    assert list(files.orphans(stored.folder(db), db)) == [file.path]
    again = files.read_back(stored.folder(db), file.path)
    assert again == file
    record = stored.instance(2, path=again.path, sha256=again.sha256)
    instances.register(db, stored.folder(db), record, expected_instances=None, now=NOW)
    assert list(files.orphans(stored.folder(db), db)) == []
    assert instances.find(db, known.sop_instance_uid) == known


def test_orphans_are_found_in_batches(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files._batches, "__defaults__", (3,))
    known = {stored.received(db, number).path for number in range(7)}
    lost = {files.write(stored.folder(db), f"1.9.{number}", [b"x"]).path for number in range(7)}
    found = list(files.orphans(stored.folder(db), db))
    assert set(found) == lost
    assert len(found) == 7
    assert not known & set(found)


def test_links_among_the_stored_files_are_no_orphans(db: Database, tmp_path: Path) -> None:
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    (stranger / "file").write_text("")
    (stored.folder(db).root / "instances" / "ab").mkdir()
    (stored.folder(db).root / "instances" / "ab" / "link").symlink_to(stranger / "file")
    (stored.folder(db).root / "instances" / "cd").symlink_to(stranger)
    assert list(files.orphans(stored.folder(db), db)) == []


def test_discarding_spares_what_a_row_refers_to(db: Database) -> None:
    record = stored.received(db, 1)
    refused = files.write(stored.folder(db), record.sop_instance_uid, [b"another content"])
    files.discard(stored.folder(db), db, record.path)
    files.discard(stored.folder(db), db, refused.path)
    files.discard(stored.folder(db), db, refused.path)
    assert all_files(stored.folder(db)) == {record.path}


def test_a_sweep_puts_away_what_crashes_left_once_it_is_old(db: Database) -> None:
    job = stored.reported(db)
    kept = all_files(stored.folder(db))
    orphan = files.write(stored.folder(db), "1.9.9", [b"acknowledged? nobody knows"]).path
    leftover = stored.folder(db).root / "tmp" / "0123.part"
    leftover.write_bytes(b"half")
    stray = files.write(stored.folder(db), f"2.25.{job.job_id}.1", [b"never committed"], area="results").path
    now = datetime.now(UTC)
    assert files.sweep(stored.folder(db), db, now) == Swept(leftovers=0, doomed=0, strays=0)
    old = now.timestamp() - 3601
    for path in (leftover, stored.folder(db).path(stray), stored.folder(db).path(orphan)):
        os.utime(path, (old, old))
    assert files.sweep(stored.folder(db), db, now) == Swept(leftovers=1, doomed=0, strays=1)
    assert all_files(stored.folder(db)) == kept | {orphan}


def test_results_that_wait_for_their_rows_longer_than_the_grace_stay(db: Database) -> None:
    now = datetime.now(UTC)
    stored.queued(db, now=now)
    job = stored.claimed(db, now=now)
    result = stored.encoded(db, job, 1)  # and then the database is full for two hours
    later = now + timedelta(hours=2)
    assert files.sweep(stored.folder(db), db, later).strays == 0
    outbox.complete(db, stored.folder(db), job, stored.answer(job), [result], [], {}, later)
    files.verify(stored.folder(db), result.path, result.sha256)


def test_a_leftover_of_the_future_is_swept_too(db: Database) -> None:
    leftover = stored.folder(db).root / "tmp" / "0123.part"
    leftover.write_bytes(b"half")
    now = datetime.now(UTC)
    later = now.timestamp() + 365 * 86400
    os.utime(leftover, (later, later))
    assert files.sweep(stored.folder(db), db, now).leftovers == 1


def test_at_the_start_everything_counts_as_old(db: Database) -> None:
    (stored.folder(db).root / "tmp" / "0123.part").write_bytes(b"half")
    assert files.sweep(stored.folder(db), db, datetime.now(UTC), grace_s=0).leftovers == 1


def test_a_doomed_file_is_forgotten_only_when_its_end_is_durable(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    file = files.write(stored.folder(db), "1.9.9", [b"x"])
    with db.transaction() as connection:
        connection.execute(schema.doomed_files.insert().values(path=file.path))
    synced: list[tuple[Path, int]] = []
    monkeypatch.setattr(
        files, "sync", lambda parent: synced.append((parent, len(stored.rows(db, schema.doomed_files))))
    )
    assert files.delete_doomed(stored.folder(db), db) == 1
    assert synced == [(stored.folder(db).path(file.path).parent, 1)]
    assert stored.rows(db, schema.doomed_files) == []


def test_storing_leaves_no_file_open(folder: DataFolder) -> None:
    files.write(folder, "1.2", [b"first"])
    before = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(20):
        files.write(folder, f"1.{number}", [b"x"])
    assert len(list(Path("/proc/self/fd").iterdir())) == before
