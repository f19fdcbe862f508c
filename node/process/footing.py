"""Whether the ground under a running process is still there: its data folder, its database, its lock.

Somebody may remove them, or make the disk read-only, while the node runs. SQLite then goes on writing into a file that
has no name any more, and a lock that has no name keeps nobody out. What can be mended without a risk is (an empty
folder); where the database or the lock has gone the process must end, and the next one rebuilds what can be.
"""

import logging
import os
import secrets
import threading
from collections.abc import Callable
from pathlib import Path

import structlog

from storage import DataFolder

log = structlog.get_logger()

LOOK_EVERY_S = 2.0
LOST_EXIT = 1
MENDABLE = ("tmp", "instances", "results")


class Footing:
    """What a process stood on when it started, and whether it still does."""

    def __init__(self, folder: DataFolder, lock: str, *, with_database: bool = True) -> None:
        """To be made when the lock is held, and the database open where there is one."""
        self._folder = folder
        kept = (folder.root / "locks" / lock, *((folder.database,) if with_database else ()))
        self._kept = {path: _identity(path) for path in kept}
        self._said = ""

    def lost(self) -> str:
        """What has gone for good, "" when nothing has: no instance may be acknowledged, and the process must end."""
        for path, before in self._kept.items():
            if before is None or _identity(path) != before:
                return f"{path}: was removed or replaced under the running node"
        return ""

    def trouble(self) -> str:
        """Why nothing can be stored at the moment, "" when it can: a file is written; an empty folder is made again."""
        lost = self.lost()
        if lost:
            return lost
        try:
            for name in MENDABLE:
                (self._folder.root / name).mkdir(mode=0o700, exist_ok=True)
            _write(self._folder.root / "tmp" / f"{secrets.token_hex(8)}.probe")
        except OSError as error:
            return f"{self._folder.root}: nothing can be written: {error.strerror}"
        return ""

    def say(self, trouble: str) -> None:
        """One line when it begins, and one when it ends."""
        if trouble and trouble != self._said:
            log.error("the data folder is in trouble", reason=trouble)
        if self._said and not trouble:
            log.info("the data folder is in order again")
        self._said = trouble


def watch(footing: Footing, done: threading.Event, end: Callable[[int], None] = os._exit) -> None:
    """Look now and then, until `done`; end the process when its ground has gone. To be run in a thread."""
    while not done.wait(LOOK_EVERY_S):
        lost = footing.lost()
        if lost:
            footing.say(lost)
            for handler in logging.getLogger().handlers:
                handler.flush()
            end(LOST_EXIT)
            return


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _write(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, b"1")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
        path.unlink(missing_ok=True)
