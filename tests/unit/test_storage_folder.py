"""The data folder: who may read it, what stays inside, who holds it."""

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from storage import DataFolder
from storage.errors import FolderInUse, FolderUnusable, UnsafePath

PARTS = {"instances", "results", "tmp", "locks"}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_folder_is_for_its_owner_only_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        folder = DataFolder(tmp_path / "deep" / "data")
        folder.create()
    finally:
        os.umask(before)
    assert {path.name for path in folder.root.iterdir()} == PARTS
    assert {mode(path) for path in (folder.root, *folder.root.iterdir())} == {0o700}


def test_a_new_folder_survives_a_power_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    fsync = os.fsync

    def recorded(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", recorded)
    folder = DataFolder(tmp_path / "data")
    folder.create()
    assert synced == [tmp_path, *[folder.root] * len(PARTS)]
    folder.create()
    assert len(synced) == 1 + len(PARTS)


def test_making_it_again_takes_away_what_others_got(folder: DataFolder) -> None:
    folder.root.chmod(0o755)
    (folder.root / "instances").chmod(0o777)
    folder.create()
    assert mode(folder.root) == mode(folder.root / "instances") == 0o700


def test_a_part_that_is_a_link_elsewhere_is_refused(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    root.mkdir()
    elsewhere.mkdir()
    (root / "instances").symlink_to(elsewhere)
    with pytest.raises(FolderUnusable, match="is a link"):
        DataFolder(root).create()


def test_a_root_that_is_a_file_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(FolderUnusable, match="data: cannot be used as data folder"):
        DataFolder(tmp_path / "data").create()


def test_a_stored_path_lies_within(folder: DataFolder) -> None:
    assert folder.path("instances/ab/name") == folder.root / "instances" / "ab" / "name"


@pytest.mark.parametrize("path", ["../x", "instances/../../x", "/etc/passwd", "", "instances/a\0b", "a/.."])
def test_a_path_that_leads_out_is_refused(folder: DataFolder, path: str) -> None:
    with pytest.raises(UnsafePath):
        folder.path(path)


def test_a_path_that_leads_out_through_a_link_is_refused(folder: DataFolder, tmp_path: Path) -> None:
    (folder.root / "instances" / "ab").symlink_to(tmp_path)
    with pytest.raises(UnsafePath, match="through a link"):
        folder.path("instances/ab/name")


def test_a_second_holder_of_a_lock_hears_who_has_it(folder: DataFolder) -> None:
    with (
        folder.lock("service"),
        pytest.raises(FolderInUse, match=f"held by process {os.getpid()}"),
        folder.lock("service"),
    ):
        pass
    with folder.lock("service"):
        pass


def test_the_holder_is_named_and_not_one_with_a_longer_number_before_it(folder: DataFolder) -> None:
    (folder.root / "locks" / "service").write_text("1" * 30)
    with (
        folder.lock("service"),
        pytest.raises(FolderInUse, match=f"held by process {os.getpid()}$"),
        folder.lock("service"),
    ):
        pass


def test_many_use_a_folder_and_nobody_has_it_alone_beside_them(folder: DataFolder) -> None:
    with folder.lock("worker-1"):
        pass
    (folder.root / "locks" / "worker-1.alive").write_text("{}")
    with (
        folder.in_use(),
        folder.in_use(),
        folder.lock("worker-2"),
        folder.lock("office"),
        pytest.raises(FolderInUse) as refused,
        folder.alone(),
    ):
        pass
    me = f"(process {os.getpid()})"
    assert str(refused.value) == f"{folder.root}: in use by office {me}, worker-2 {me}"


def test_who_has_the_folder_alone_lets_nobody_in_and_is_named(folder: DataFolder) -> None:
    with folder.alone(), pytest.raises(FolderInUse, match=f"process {os.getpid()} has it for itself"), folder.in_use():
        pass
    with folder.in_use():
        pass


def test_locks_of_other_names_do_not_meet(folder: DataFolder) -> None:
    with folder.lock("worker-1"), folder.lock("worker-2"):
        pass


@pytest.mark.parametrize("name", ["", "../x", "a/b", "Ä", "x" * 65])
def test_a_name_that_could_be_a_path_is_no_lock(folder: DataFolder, name: str) -> None:
    with pytest.raises(UnsafePath), folder.lock(name):
        pass


def test_a_link_planted_in_place_of_a_lock_is_not_followed(folder: DataFolder, tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("content")
    (folder.root / "locks" / "service").symlink_to(target)
    with pytest.raises(FolderUnusable, match="cannot be locked"), folder.lock("service"):
        pass
    assert target.read_text() == "content"


def test_a_folder_that_was_never_made_cannot_be_locked(tmp_path: Path) -> None:
    with pytest.raises(FolderUnusable, match="No such file"), DataFolder(tmp_path / "none").lock("service"):
        pass


def test_the_lock_of_a_killed_process_is_free_at_once(folder: DataFolder) -> None:
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time; from pathlib import Path; from storage import DataFolder\n"
            "with DataFolder(Path(sys.argv[1])).lock('service'): print('held', flush=True); time.sleep(60)",
            str(folder.root),
        ],
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(FolderInUse, match=str(holder.pid)), folder.lock("service"):
            pass
        holder.kill()
        with folder.lock("service", wait_s=10):
            pass


def test_waiting_for_a_lock_ends(folder: DataFolder) -> None:
    start = time.monotonic()
    with folder.lock("service"), pytest.raises(FolderInUse), folder.lock("service", wait_s=0.1):
        pass
    assert 0.1 <= time.monotonic() - start < 5
