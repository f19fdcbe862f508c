"""The role of one process in the data folder, which no other has at the time: lock, sign of life, database."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from node.config import Settings
from node.process.footing import Footing, watch
from node.process.heartbeat import Heartbeat
from node.receive.recovery import open_or_rebuild
from storage import Database, DataFolder

HOLDER_LEAVES_WITHIN_S = 15.0


class ProcessRole(NamedTuple):
    """Held as long as the process works."""

    name: str
    folder: DataFolder
    db: Database
    heart: Heartbeat


@contextmanager
def take_role(settings: Settings, name: str, *, wait_s: float | None = None) -> Iterator[ProcessRole]:
    """Take the role of this name; a holder that was just killed, or is asked to stop, is waited for.

    Raises FolderInUse when it is held for longer, and what opening the database raises.
    """
    folder = DataFolder(settings.data_folder)
    folder.create()
    with (
        folder.lock(name, wait_s=HOLDER_LEAVES_WITHIN_S if wait_s is None else wait_s),
        Heartbeat(folder.path("locks"), name) as heart,
    ):
        db, done = open_or_rebuild(folder), threading.Event()
        threading.Thread(target=watch, args=(Footing(folder, name), done), name="footing", daemon=True).start()
        try:
            yield ProcessRole(name, folder, db, heart)
        finally:
            done.set()
            db.close()
