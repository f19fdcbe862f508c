"""A backup of a data folder while it is in use: one state of the database, and every file that this state names.

    TARGET/  backup.json   written last: a folder without it is no backup
             neurossl.sqlite    accession.key    instances/…    results/…

Files are written once and never changed, so that a hard link is a copy; where none can be made they are copied. The
files go first, then the database, then the files that came between: what a row names is there, and so is the key of the
accession numbers, which was made before the first of them was noted. Every row has the hash of its file, and
`backup.json` those of database and key, so nothing can be missing or altered unnoticed.
"""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from storage import files
from storage.accessions import KEY_FILE
from storage.backends import sqlite
from storage.engine import open_database, quick_check
from storage.errors import BackupUnusable, FileAltered, FolderUnusable
from storage.folder import DataFolder, make_durably, sync
from storage.schema import instances, results

MANIFEST = "backup.json"
RESTORING = "restoring"  # in the data folder, until all of it is there
AREAS = ("instances", "results")
_PIECE = 1 << 20


@dataclass(frozen=True)
class Backup:
    """What `backup.json` says."""

    made_at: str
    schema: str
    database_sha256: str
    files: int
    size_bytes: int  # of the files, without the database
    key_sha256: str = ""  # of the key of the accession numbers; "" where there is none yet


def back_up(folder: DataFolder, target: Path, now: datetime) -> Backup:
    """Write a backup into a folder that is empty or missing; the node may run meanwhile.

    Raises BackupUnusable when the target is not empty or the disk does not take it, and what opening a database raises.
    """
    _refuse_unless_empty(target)
    try:
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        for area in AREAS:
            for path in _stored(folder.root, area):
                with suppress(FileNotFoundError):  # retention took it meanwhile, and its row as well
                    _place(folder.root / path, target / path)
        sqlite.copy(folder.database, target / folder.database.name)
        _copy_key(folder.root, target)
        named = _named_files(target)
        for path in named:
            if not (target / path).exists():
                _place(folder.root / path, target / path)
        for path in {path for area in AREAS for path in _stored(target, area)} - named.keys():
            (target / path).unlink()
        return _signed(target, folder.database.name, named, now)
    except FileNotFoundError as error:
        raise BackupUnusable(f"{error.filename}: went while the backup was made; make it again") from error
    except OSError as error:
        raise BackupUnusable(f"{target}: does not take the backup: {error.strerror}") from error


def check(source: Path) -> Backup:
    """What a backup says of itself, once every byte of it has been read. Raises BackupUnusable with what is wrong."""
    folder, found = DataFolder(source), _manifest(source)
    if not _is_whole(folder.database, found.database_sha256):
        raise BackupUnusable(f"{folder.database}: is missing, or not what was backed up")
    if found.key_sha256 and not _is_whole(source / KEY_FILE, found.key_sha256):
        raise BackupUnusable(f"{source / KEY_FILE}: is missing, or not what was backed up")
    named = _named_files(source)
    if (len(named), found.schema) != (found.files, _schema(source)):
        raise BackupUnusable(f"{source / MANIFEST}: does not fit the database beside it")
    wrong = list(_altered(folder, named))
    if wrong:
        more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise BackupUnusable(f"{source}: {wrong[0]}{more}")
    return found


def restore(source: Path, folder: DataFolder) -> Backup:
    """Put a whole backup into an empty data folder, where a node then goes on.

    The database comes last: a restore that was cut short leaves no node that has forgotten something.
    Raises BackupUnusable, with what is wrong with the backup or the folder; FolderInUse, FolderUnusable.
    """
    found = check(source)
    _refuse_unless_fresh(folder)
    folder.create()
    with folder.alone():
        _put_in_place(source, folder)
    _open_once(folder)
    return found


def _put_in_place(source: Path, folder: DataFolder) -> None:
    staging = folder.root / RESTORING
    try:
        shutil.rmtree(staging, ignore_errors=True)
        for path in _named_files(source):
            _place(source / path, staging / path)
        for area in AREAS:
            for empty in (folder.root / area).glob("*/"):
                empty.rmdir()
            if (staging / area).is_dir():
                (staging / area).rename(folder.root / area)
        _copy_key(source, folder.root)
        staging.mkdir(exist_ok=True)
        _copy_synced(source / folder.database.name, staging / folder.database.name)
        sync(folder.root)
        (staging / folder.database.name).rename(folder.database)
        staging.rmdir()
        sync(folder.root)
    except OSError as error:
        raise BackupUnusable(f"{folder.root}: does not take the backup: {error.strerror}") from error


def _open_once(folder: DataFolder) -> None:
    """Brought to the schema of this program, and found whole."""
    db = open_database(folder)
    try:
        quick_check(db)
    finally:
        db.close()


def _refuse_unless_empty(target: Path) -> None:
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise BackupUnusable(f"{target}: is not an empty folder; a backup goes into one of its own")


def _refuse_unless_fresh(folder: DataFolder) -> None:
    """Folders that were made and never used are no obstacle, and neither is a restore that was cut short."""
    if not folder.root.exists():
        return
    if not folder.root.is_dir():
        raise FolderUnusable(f"{folder.root}: is no folder")
    used = [
        each.name for each in folder.root.iterdir() if each.name not in (*AREAS, "tmp", "locks", RESTORING, KEY_FILE)
    ]
    used += [area for area in AREAS if next((folder.root / area).glob("*/*"), None) is not None]
    if used:
        raise BackupUnusable(
            f"{folder.root}: holds {', '.join(sorted(used))}; a backup is restored into an empty folder"
        )


def _named_files(root: Path) -> dict[str, str]:
    """Path -> SHA-256 of every file that the database of a backup names."""
    return {row[0]: row[1] for table in (instances, results) for row in _rows(root, table)}


def _rows(root: Path, table: sa.Table) -> list[tuple[str, str]]:
    return sqlite.ask(DataFolder(root).database, str(sa.select(table.c.path, table.c.sha256)))


def _schema(root: Path) -> str:
    return str(sqlite.ask(DataFolder(root).database, "SELECT version_num FROM alembic_version")[0][0])


def _signed(target: Path, database: str, named: dict[str, str], now: datetime) -> Backup:
    """The manifest, written when everything else is on the disk."""
    size = sum((target / path).stat().st_size for path in named)
    key = target / KEY_FILE
    key_sha256 = _sha256(key) if key.is_file() else ""
    made = Backup(now.isoformat(), _schema(target), _sha256(target / database), len(named), size, key_sha256)
    for place in {(target / path).parent for path in named}:
        sync(place)
    _sync_file(target / database)
    part = target / f"{MANIFEST}.part"
    part.write_text(json.dumps(asdict(made), indent=2), encoding="ascii")
    _sync_file(part)
    part.rename(target / MANIFEST)
    sync(target)
    return made


def _manifest(source: Path) -> Backup:
    try:
        return Backup(**json.loads((source / MANIFEST).read_text(encoding="ascii")))
    except FileNotFoundError:
        raise BackupUnusable(f"{source}: is no whole backup: it has no {MANIFEST}, which is written last") from None
    except (OSError, ValueError, TypeError) as error:
        raise BackupUnusable(f"{source / MANIFEST}: cannot be read: {type(error).__name__}") from error


def _altered(folder: DataFolder, named: dict[str, str]) -> Iterator[str]:
    for path, sha256 in named.items():
        try:
            files.verify(folder, path, sha256)
        except (FileAltered, FileNotFoundError) as error:
            yield str(error)


def _stored(root: Path, area: str) -> Iterator[str]:
    yield from (str(path.relative_to(root)) for path in (root / area).glob("*/*") if path.is_file())


def _place(source: Path, target: Path) -> None:
    """The same content under another name, durably."""
    if not target.parent.is_dir():
        target.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        make_durably(target.parent)
    try:
        target.hardlink_to(source)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
        _copy_synced(source, target)


def _copy_key(source: Path, target: Path) -> None:
    """Copied, not linked, so that no backup shares a secret with another folder by accident."""
    if (source / KEY_FILE).is_file():
        _copy_synced(source / KEY_FILE, target / KEY_FILE)


def _copy_synced(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    target.chmod(0o600)
    _sync_file(target)


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_whole(path: Path, sha256: str) -> bool:
    return path.is_file() and _sha256(path) == sha256


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()
