"""The rows of received instances, written behind the answers to their senders, many in one transaction.

A sender hears of success when the file of its instance is durable. The row follows within a tenth of a second, with
those of the instances that came meanwhile. A file says all that its rows say, so that nothing is lost when the process
dies in between: what has no row is registered at the next start, before anything new is taken (`recovery`).
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from types import TracebackType
from typing import NamedTuple, Self

import structlog

from storage import Database, DataFolder, files, instances
from storage.errors import DatabaseBusy, StorageError
from storage.instances import Arrival
from storage.records import Registration

log = structlog.get_logger(__name__)

Register = Callable[[], Registration]

GATHER_S = 0.05  # how long a row waits for others
MOST_AT_ONCE = 500
MOST_WAITING = 2000
PATIENCE_S = 10.0  # of a sender, for a place or for the row of the same instance
RETRY_S = 0.5


class _Waiting(NamedTuple):
    arrival: Arrival
    register: Register


class Registrar:
    """Writes rows in a thread of its own, as long as the context lasts; every thread may note instances."""

    def __init__(self, db: Database, folder: DataFolder) -> None:
        """Nothing waits."""
        self._db = db
        self._folder = folder
        self._changed = threading.Condition()
        self._asked: set[str] = set()  # UIDs that are just looked up
        self._waiting: dict[str, _Waiting] = {}  # by UID, in the order in which they came
        self._trouble: StorageError | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._write_behind, name="registrar", daemon=True)

    def __enter__(self) -> Self:
        """Itself, at work."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Write what waits, if the database takes it; if not, the next start does."""
        with self._changed:
            self._ending.set()
            self._changed.notify_all()
        self._thread.join()
        if self._waiting:
            log.error("instances have no rows: they get them at the next start", instances=len(self._waiting))

    @property
    def trouble(self) -> str:
        """Why rows cannot be written at the moment; "" when they can."""
        return str(self._trouble or "")

    @property
    def senders(self) -> set[str]:
        """Calling AE titles of the instances whose rows are still to be written."""
        with self._changed:
            return {each.arrival.instance.calling_ae_title for each in self._waiting.values()}

    def note(self, arrival: Arrival, register: Register) -> Registration:
        """Note an instance whose file is durable, and that says nothing of others: a new one for soon.

        `register` writes the row at once, and is asked when the UID is known.

        Raises DatabaseBusy, StorageFull, DatabaseUnusable: then it is not noted, and its sender must not hear of
        success.
        """
        uid = arrival.instance.sop_instance_uid
        with self._looked_up(uid):
            if not instances.is_known(self._db, uid):
                with self._changed:
                    self._waiting[uid] = _Waiting(arrival, register)
                return Registration.NEW
        return register()

    @contextmanager
    def _looked_up(self, uid: str) -> Iterator[None]:
        """Nobody else looks this UID up meanwhile, and none of that name waits for its row."""
        with self._changed:
            if self._trouble is None and not self._changed.wait_for(lambda: self._has_place(uid), PATIENCE_S):
                raise DatabaseBusy(f"{len(self._waiting)} instances wait for their rows")
            if self._trouble is not None:
                raise DatabaseBusy(f"the rows of {len(self._waiting)} instances are not written: {self._trouble}")
            self._asked.add(uid)
        try:
            yield
        finally:
            with self._changed:
                self._asked.remove(uid)
                self._changed.notify_all()

    def _has_place(self, uid: str) -> bool:
        full = len(self._waiting) + len(self._asked) >= MOST_WAITING
        return self._trouble is not None or not (full or uid in self._asked or uid in self._waiting)

    def _write_behind(self) -> None:
        while batch := self._next():
            try:
                self._write(batch)
            except StorageError as error:
                self._failed(error)
                if self._ending.wait(RETRY_S):
                    return

    def _next(self) -> list[_Waiting]:
        """Those whose rows are to be written now; none at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ending.is_set())
        self._ending.wait(GATHER_S)
        with self._changed:
            return list(islice(self._waiting.values(), MOST_AT_ONCE))

    def _write(self, batch: list[_Waiting]) -> None:
        arrivals = [each.arrival for each in batch]
        try:
            known = instances.register_all(self._db, arrivals, arrivals[-1].instance.received_at)
        except StorageError:
            raise
        except Exception:
            log.exception("rows not written together: each is written alone", instances=len(batch))
            known = arrivals
        strangers = {each.instance.sop_instance_uid for each in known}
        for each in batch:
            if each.arrival.instance.sop_instance_uid in strangers:
                self._write_alone(each)
        self._written(batch)

    def _write_alone(self, waiting: _Waiting) -> None:
        """One that somebody else registered meanwhile, or that cannot be registered with others."""
        instance = waiting.arrival.instance
        try:
            registration = waiting.register()
            if registration in (Registration.DUPLICATE, Registration.CONFLICT):
                files.discard(self._folder, self._db, instance.path)
            if registration is Registration.CONFLICT:
                log.error("an instance is here with two contents: the first is kept", path=instance.path)
        except StorageError:
            raise
        except Exception:
            log.exception("an instance has no row: it gets one at the next start", path=instance.path)

    def _written(self, batch: list[_Waiting]) -> None:
        with self._changed:
            for each in batch:
                del self._waiting[each.arrival.instance.sop_instance_uid]
            if self._trouble is not None:
                log.info("rows are written again")
            self._trouble = None
            self._changed.notify_all()

    def _failed(self, error: StorageError) -> None:
        with self._changed:
            if self._trouble is None:
                log.error("rows are not written", reason=str(error), instances=len(self._waiting))
            self._trouble = error
            self._changed.notify_all()
