"""Files that are written once and never changed: the bytes as received, and the results as encoded.

A file is written in `tmp/` and renamed when it is whole; then its content and its name are made durable, both at the
same time, so that the disk's journal is waited for once. Its name holds a hash of the UID (never the peer's text), a
seal of the whole file, and a random part, so that no two writes ever share a name, and a file of which a power cut left
less than was written is told by its name (`read_back`).
"""

import hashlib
import os
import re
import secrets
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Literal

import sqlalchemy as sa

from storage.digest import ContentHash
from storage.engine import Database
from storage.errors import FileAltered, FileTorn, StorageFull
from storage.folder import DataFolder, make_durably, sync
from storage.schema import doomed_files, instances, jobs, one_of, results
from storage.states import JobState

Area = Literal["instances", "results"]
_NAME = re.compile(r"[0-9a-f]{64}\.(s?)([0-9a-f]{32})\.[0-9a-f]{8}")  # with an s a seal, in older files a hash of all
_TABLES = {"instances": instances, "results": results}
_PIECE = 1 << 20


@dataclass(frozen=True)
class StoredFile:
    """A durable file."""

    path: str  # relative to the data folder
    sha256: str  # as its record has it: of the data set for an instance, of the whole file for a result
    size_bytes: int  # of the whole file


@dataclass(frozen=True)
class Swept:
    """What `sweep` put away."""

    leftovers: int  # writes that never ended
    doomed: int  # files whose rows retention had deleted
    strays: int  # results that no row took


def make_room(folder: DataFolder) -> None:
    """Make the folders into which instances go, durably, so that none has to wait for its own."""
    area = folder.root / "instances"
    for number in range(256):
        (area / f"{number:02x}").mkdir(mode=0o700, exist_ok=True)
    sync(area)


def write(
    folder: DataFolder, name_hint: str, chunks: Iterable[bytes | memoryview], *, area: Area = "instances"
) -> StoredFile:
    """Make a file durable. `name_hint` is the SOP Instance UID of an instance, and what an answer calls its result.

    Raises StorageFull when the disk does not take it; then nothing is left of it.
    """
    temporary = folder.root / "tmp" / f"{secrets.token_hex(16)}.part"
    with ExitStack() as undo:
        with _disk_takes_it():
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        undo.callback(temporary.unlink, missing_ok=True)
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            digest = _write_hashed(file.fileno(), chunks, ContentHash(skip_header=area == "instances"))
            path = _name(area, name_hint, digest)
            undo.callback((folder.root / path).unlink, missing_ok=True)
            with _disk_takes_it():
                _rename(folder, temporary, path)
                _sync_with_name(file.fileno(), (folder.root / path).parent)
        undo.pop_all()
    return StoredFile(path, digest.content, digest.size_bytes)


def named(folder: DataFolder, name_hint: str, *, area: Area) -> list[str]:
    """The files that were written with this name hint, the newest last."""
    stem = PurePosixPath(area, *_stem(name_hint))
    found = folder.path(str(stem.parent)).glob(f"{stem.name}.*")
    return [f"{stem.parent}/{path.name}" for path in sorted(found, key=lambda path: path.stat().st_mtime_ns)]


def verify(folder: DataFolder, path: str, sha256: str) -> Path:
    """The file, read through and found to be what was stored under this hash.

    Raises FileAltered when it is missing, altered, or not a plain file; UnsafePath.
    """
    stored = read_back(folder, path)
    if stored.sha256 != sha256:
        raise FileAltered(f"{path}: its content is not what was stored")
    return folder.path(path)


def read_back(folder: DataFolder, path: str) -> StoredFile:
    """What `write` said of this file, from the file itself.

    Raises FileAltered when it is missing, not a plain file, or its content does not fit its name; UnsafePath.
    """
    digest = _digest(path)
    try:
        descriptor = os.open(folder.path(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
    except OSError as error:
        raise FileAltered(f"{path}: {error.strerror}") from error
    if not _fits(path, digest):
        raise FileTorn(f"{path}: its content is not what was stored")
    return StoredFile(path, digest.content, digest.size_bytes)


def put_aside(folder: DataFolder, path: str) -> None:
    """Keep what is no instance any more in `aside/`, for a person to look at, durably. Raises OSError, UnsafePath."""
    aside = folder.root / "aside"
    make_durably(aside)
    folder.path(path).rename(aside / Path(path).name)
    sync(aside)


def make_durable(folder: DataFolder, path: str) -> None:
    """For a file whose writer died: it may be whole and not on the disk yet. Raises OSError, UnsafePath."""
    descriptor = os.open(folder.path(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _sync_with_name(descriptor, folder.path(path).parent)
    finally:
        os.close(descriptor)


def discard(folder: DataFolder, db: Database, path: str) -> None:
    """Delete a file that did not get a row (a duplicate, a refused conflict); one that a row refers to stays."""
    with db.reading() as connection:
        if _known(connection, _area(path), [path]):
            return
    folder.path(path).unlink(missing_ok=True)


def disk_use_percent(folder: DataFolder) -> float:
    """How full the disk of this folder is, as `df` counts: of what this user may use."""
    disk = os.statvfs(folder.root)
    used = disk.f_blocks - disk.f_bfree
    return 100 * used / max(1, used + disk.f_bavail)


def orphans(folder: DataFolder, db: Database, area: Area = "instances") -> Iterator[str]:
    """Stored files without a row: left by a crash between file and row, or all of them when the database was lost.

    A file that is just being registered is among them: ask before the listener starts.
    """
    for batch in _batches(_stored(folder, area)):
        with db.reading() as connection:
            known = _known(connection, area, batch)
            doomed = set(
                connection.execute(sa.select(doomed_files.c.path).where(doomed_files.c.path.in_(batch))).scalars()
            )
        yield from (path for path in batch if path not in known and path not in doomed)


def sweep(folder: DataFolder, db: Database, now: datetime, grace_s: float = 3600) -> Swept:
    """Put away what crashes left: unfinished writes, files whose rows are gone, results that no row took.

    Only what is older than `grace_s` (doomed files at once), so that it may run at any time. A result that a running
    job may still commit stays. Instances without a row are not touched: the caller registers them again, see `orphans`.
    """
    grace = timedelta(seconds=grace_s)
    work_began = _oldest_work(db)
    leftovers = [f"tmp/{entry.name}" for entry in _scan(folder.root / "tmp") if _is_old(entry, now, grace)]
    strays = [
        path
        for path in orphans(folder, db, "results")
        if _is_old(folder.root / path, now, grace) and not _is_since(folder.root / path, work_began)
    ]
    for path in (*leftovers, *strays):
        (folder.root / path).unlink(missing_ok=True)
    return Swept(len(leftovers), delete_doomed(folder, db), len(strays))


def delete_doomed(folder: DataFolder, db: Database) -> int:
    """Delete the files whose rows are gone, durably, and only then forget that they are doomed."""
    with db.reading() as connection:
        paths = list(connection.execute(sa.select(doomed_files.c.path)).scalars())
    for path in paths:
        with suppress(IsADirectoryError):  # put there by someone else: not ours to delete
            folder.path(path).unlink(missing_ok=True)
    for parent in {folder.path(path).parent for path in paths}:
        sync(parent)
    for batch in _batches(paths):
        with db.transaction() as connection:
            connection.execute(doomed_files.delete().where(doomed_files.c.path.in_(batch)))
    return len(paths)


def _write_hashed(descriptor: int, chunks: Iterable[bytes | memoryview], digest: ContentHash) -> ContentHash:
    for chunk in chunks:
        digest.update(chunk)
        with _disk_takes_it():
            _write_all(descriptor, chunk)
    return digest


@contextmanager
def _disk_takes_it() -> Iterator[None]:
    """What the disk says; what the source of the bytes says is not touched."""
    try:
        yield
    except OSError as error:
        raise StorageFull(f"the data folder does not take a file: {error.strerror}") from error


def _write_all(descriptor: int, chunk: bytes | memoryview) -> None:
    left = memoryview(chunk).cast("B")
    while left:
        left = left[os.write(descriptor, left) :]


def _name(area: Area, name_hint: str, digest: ContentHash) -> str:
    folder, stem = _stem(name_hint)
    return f"{area}/{folder}/{stem}.s{digest.seal[:32]}.{secrets.token_hex(4)}"


def _digest(path: str) -> ContentHash:
    """For the bytes of a file of this name."""
    named = _NAME.fullmatch(path.rpartition("/")[2])
    is_older = named is not None and not named[1]
    return ContentHash(skip_header=path.startswith("instances/"), with_whole=is_older)


def _fits(path: str, digest: ContentHash) -> bool:
    """Whether these bytes may have this name; what is not named by us may hold anything."""
    named = _NAME.fullmatch(path.rpartition("/")[2])
    return named is None or named[2] == (digest.seal if named[1] else digest.whole)[:32]


def _stem(name_hint: str) -> tuple[str, str]:
    """Folder and beginning of the name of its file."""
    hashed = hashlib.sha256(name_hint.encode(errors="surrogateescape")).hexdigest()
    return hashed[:2], hashed


def _rename(folder: DataFolder, source: Path, path: str) -> None:
    target = folder.root / path
    make_durably(target.parent)
    folder.path(path)
    source.rename(target)


def _sync_with_name(descriptor: int, parent: Path) -> None:
    """The file and its name survive a power cut once this returns."""
    name = _threads(os.getpid()).submit(sync, parent)
    try:
        os.fsync(descriptor)
    finally:
        name.result()


@cache
def _threads(process_id: int) -> ThreadPoolExecutor:
    """That sync folders; a forked process has none of those of its parent."""
    return ThreadPoolExecutor(16, f"sync-{process_id}")


def _area(path: str) -> Area:
    return "results" if path.startswith("results/") else "instances"


def _known(connection: sa.Connection, area: Area, paths: list[str]) -> set[str]:
    column = _TABLES[area].c.path
    return set(connection.execute(sa.select(column).where(column.in_(paths))).scalars())


def _stored(folder: DataFolder, area: Area) -> Iterator[str]:
    for part in _scan(folder.root / area):
        if part.is_dir(follow_symlinks=False):
            yield from (
                f"{area}/{part.name}/{entry.name}"
                for entry in _scan(Path(part.path))
                if entry.is_file(follow_symlinks=False) and entry.name.isascii()
            )


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _is_old(entry: os.DirEntry[str] | Path, now: datetime, grace: timedelta) -> bool:
    """Also when it seems to be of the future: the clock was set back since."""
    changed = _changed(entry)
    return changed is not None and abs(now - changed) >= grace


def _is_since(entry: Path, began: datetime | None) -> bool:
    changed = _changed(entry)
    return began is not None and changed is not None and changed >= began


def _changed(entry: os.DirEntry[str] | Path) -> datetime | None:
    """When it was last written; None when it has gone."""
    try:
        return datetime.fromtimestamp(os.lstat(entry).st_mtime, UTC)
    except FileNotFoundError:
        return None


def _oldest_work(db: Database) -> datetime | None:
    """When the oldest job that runs now was queued: its results may be written and wait for their rows."""
    with db.reading() as connection:
        query = sa.select(sa.func.min(jobs.c.created_at)).where(one_of(jobs.c.state, [JobState.RUNNING]))
        oldest: datetime | None = connection.execute(query).scalar_one()
    return oldest


def _batches(paths: Iterable[str], size: int = 1000) -> Iterator[list[str]]:
    batch: list[str] = []
    for path in paths:
        batch.append(path)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
