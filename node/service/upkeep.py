"""What the service sees to besides its processes: the dead, the program on the disk, systemd, and SIGHUP."""

import threading
import time
from collections.abc import Callable, Collection
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from node.config import Settings
from node.errors import ConfigurationError, Transient
from node.process.footing import Footing
from node.process.heartbeat import Heartbeat
from node.process.installation import fingerprint
from node.process.notify import ALIVE, notify
from node.process.reaping import reap_strangers
from storage import DataFolder
from storage.errors import FolderInUse, FolderUnusable

log = structlog.get_logger()

LOOK_AT_PROGRAM_EVERY_S = 5.0


class ProgramReplaced(Transient):
    """The package was replaced under the service."""


class Upkeep:
    """The rounds of the service."""

    def __init__(self) -> None:
        """Remembers the program as it is now."""
        self._program = fingerprint()
        self._look_at_s = time.monotonic() + LOOK_AT_PROGRAM_EVERY_S

    def round(self, ours: Collection[int]) -> None:
        """Once around; `ours` are the process ids of our own children. Raises ProgramReplaced."""
        notify(ALIVE)
        reap_strangers(ours)
        if time.monotonic() >= self._look_at_s:
            self._look_at_s = time.monotonic() + LOOK_AT_PROGRAM_EVERY_S
            self.same_program()

    def same_program(self) -> None:
        """Raises ProgramReplaced when what would be started now is not what runs."""
        if fingerprint() != self._program:
            raise ProgramReplaced(
                "the program was replaced on the disk: the service ends, to be started anew as a whole"
            )


class Seat:
    """The lock of the service and its sign of life; taken again when somebody removed them."""

    def __init__(self, folder: DataFolder) -> None:
        """Raises FolderInUse when another service has this data folder."""
        self._folder = folder
        self._held = ExitStack()
        self._take()

    def beat(self, state: str = "ready") -> None:
        """A sign of life. Raises FolderInUse when another service has taken the seat meanwhile."""
        lost = self._footing.lost()
        if lost:
            log.error("the data folder is in trouble", reason=lost)
            self._held.close()
            try:
                self._take()
            except FolderUnusable as error:
                log.error("the service cannot take its lock again", reason=str(error))  # noqa: TRY400 - it tries on
                return
        self._heart.beat(state)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Let others have it."""
        self._held.__exit__(kind, error, at)

    def _take(self) -> None:
        self._folder.create()
        self._held.enter_context(self._folder.lock("service"))
        self._held.enter_context(self._folder.in_use())
        self._heart = self._held.enter_context(Heartbeat(self._folder.path("locks"), "service"))
        self._footing = Footing(self._folder, "service", with_database=False)


def sweep_unfinished(folder: DataFolder) -> None:
    """Writes that never ended, of an earlier run: nobody of this one writes yet, if nothing else runs here."""
    try:
        writers = {path.name for path in folder.path("locks").glob("worker-*") if not path.suffix}
        with ExitStack() as alone:
            for name in sorted(writers | {"listener", "office"}):
                alone.enter_context(folder.lock(name))
            found = [path for path in folder.path("tmp").glob("*.part") if path.is_file() and not path.is_symlink()]
            for path in found:
                path.unlink(missing_ok=True)
    except FolderInUse:
        return
    if found:
        log.info("unfinished writes swept", files=len(found))


class Reload:
    """SIGHUP: the settings are read again, and what changed is put into effect by starting the processes anew."""

    def __init__(self, settings: Settings, read: Callable[[], Settings], hangup: threading.Event) -> None:
        """`read` raises ConfigurationError when the new settings are wrong."""
        self._settings = settings
        self._files = _tls_files(settings)
        self._read = read
        self._hangup = hangup

    def wanted(self) -> Settings | None:
        """New settings, once after each SIGHUP; None when there was none, or nothing is to be done."""
        if not self._hangup.is_set():
            return None
        self._hangup.clear()
        try:
            settings = self._read()
        except ConfigurationError as error:
            log.error("settings not reloaded: the old ones hold", reason=str(error))  # noqa: TRY400 - one line is all
            return None
        if settings.data_folder != self._settings.data_folder:
            log.error("settings not reloaded: another data_folder needs a stop and a start")
            return None
        files = _tls_files(settings)
        if settings == self._settings and files == self._files:
            log.info("SIGHUP: nothing has changed")
            return None
        self._settings, self._files = settings, files
        return settings


def _tls_files(settings: Settings) -> tuple[str, ...]:
    """What the certificates and keys hold: they are renewed under the same names."""
    sections = (settings.listener.tls, *(each.tls for each in settings.receivers))
    paths = [path for tls in sections if tls for path in (tls.certificate, tls.key, tls.authorities)]
    pages = settings.web.tls
    return tuple(_content(path) for path in (*paths, *((pages.certificate, pages.key) if pages else ())))


def _content(path: Path) -> str:
    try:
        return sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
