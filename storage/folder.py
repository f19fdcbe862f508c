"""The data folder: where everything lies, who may read it, and who holds it."""

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from storage.errors import FolderInUse, FolderUnusable, UnsafePath

_PARTS = ("instances", "results", "tmp", "locks")
_NAME = re.compile(r"[a-z0-9_-]{1,64}")
_USERS = "node"  # the lock that all who use the folder share


@dataclass(frozen=True)
class DataFolder:
    """A folder that only this service reads and writes: folders 0700, files 0600.

    instances/  received instances    results/  encoded results    tmp/  files being written    locks/  who is running
    aside/  torn files, for a person to look at
    """

    root: Path

    @property
    def _locks(self) -> Path:
        return self.root / "locks"

    @property
    def database(self) -> Path:
        """The SQLite file; its -wal and -shm lie beside it."""
        return self.root / "neurossl.sqlite"

    def create(self) -> None:
        """Make what is missing, durably, and take away what others may do.

        Raises FolderUnusable when that fails, or when a part of it is a link to somewhere else.
        """
        try:
            self.root.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in (self.root, *(self.root / part for part in _PARTS)):
                make_durably(folder)
                if folder != self.root and folder.is_symlink():
                    raise FolderUnusable(f"{folder}: is a link; a data folder must hold its own folders")
                folder.chmod(0o700)
        except OSError as error:
            raise FolderUnusable(f"{error.filename}: cannot be used as data folder: {error.strerror}") from error

    def path(self, relative: str) -> Path:
        """Where a stored file lies.

        Raises UnsafePath when it would be outside this folder, by its name or through a link.
        """
        name = PurePosixPath(relative)
        if not relative or name.is_absolute() or ".." in name.parts or "\0" in relative:
            raise UnsafePath(f"{relative!r} leads out of the data folder")
        path = self.root / name
        if not path.parent.resolve().is_relative_to(self.root.resolve()):
            raise UnsafePath(f"{relative!r} leads out of the data folder through a link")
        return path

    @contextmanager
    def lock(self, name: str, *, wait_s: float = 0) -> Iterator[None]:
        """Hold the lock of this name as long as the context lasts; the kernel lets it go when the process dies.

        Processes forked meanwhile hold it too: start others by exec.
        Raises FolderInUse when another process still holds it after `wait_s` seconds; FolderUnusable, UnsafePath.
        """
        if not _NAME.fullmatch(name):
            raise UnsafePath(f"{name!r} is no name for a lock")
        with _opened(self._locks / name) as descriptor:
            if not _flock(descriptor, fcntl.LOCK_EX, wait_s):
                raise FolderInUse(f"{self._locks / name}: held by process {_holder(descriptor)}")
            _sign(descriptor)
            yield

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Use the folder beside others, as every process of the node does, and whoever opens the database.

        Raises FolderInUse while a process has it for itself; FolderUnusable.
        """
        with _opened(self._locks / _USERS) as descriptor:
            if not _flock(descriptor, fcntl.LOCK_SH):
                raise FolderInUse(f"{self.root}: process {_holder(descriptor)} has it for itself, to rebuild it")
            yield

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Have the folder for oneself. Raises FolderInUse, which says who uses it; FolderUnusable."""
        with _opened(self._locks / _USERS) as descriptor:
            if not _flock(descriptor, fcntl.LOCK_EX):
                raise FolderInUse(f"{self.root}: in use by {', '.join(self._users())}")
            _sign(descriptor)
            yield

    def _users(self) -> list[str]:
        """Those who hold a lock of their own, by its name; a command that only has the database open holds none."""
        return [f"{name} (process {pid})" for name, pid in self._held()] or ["a command that has the database open"]

    def _held(self) -> Iterator[tuple[str, str]]:
        for path in sorted(self._locks.iterdir()):
            if path.name != _USERS and _NAME.fullmatch(path.name):
                with _opened(path) as descriptor:
                    if not _flock(descriptor, fcntl.LOCK_SH):
                        yield path.name, _holder(descriptor)


def make_durably(folder: Path) -> None:
    """A folder of ours that survives a power cut once this returns; one that exists is left as it is."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        if not folder.is_dir():
            raise
    else:
        sync(folder.parent)


def sync(folder: Path) -> None:
    """The names in a folder survive a power cut once this returns."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """The descriptor of a file to be locked: closing it lets the lock go."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise FolderUnusable(f"{path}: cannot be locked: {error.strerror}") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _flock(descriptor: int, operation: int, wait_s: float = 0) -> bool:
    """Whether the lock was got within this time."""
    end = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
        else:
            return True
        time.sleep(0.02)


def _sign(descriptor: int) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)


def _holder(descriptor: int) -> str:
    """Who signed last; whoever holds a lock for itself has signed."""
    return os.pread(descriptor, 32, 0).decode(errors="replace") or "unknown"
