"""The database of a data folder, opened: who may write when, and what is refused. `backends/` knows its kind."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import Insert

from storage import migrations
from storage.backends import sqlite
from storage.errors import DatabaseBusy, DatabaseUnusable, StorageError
from storage.folder import DataFolder

BUSY_TIMEOUT_S = 10.0
MIGRATION_WAIT_S = 60.0


class Backend(Protocol):
    """What a kind of database does in its own way; a module of `backends/`."""

    def writers(self, engine: sa.Engine) -> sa.Engine:
        """For transactions that write, and may claim what they read."""

    def is_empty(self, engine: sa.Engine) -> bool:
        """Whether it has no tables; changes nothing."""

    def prepare(self, engine: sa.Engine) -> None:
        """What is said once to each database, before it is migrated."""

    def insert(self, table: Any) -> Insert:
        """An insert that may say what becomes of a row that is there already (`on_conflict_do_…`)."""

    def named(self, error: BaseException | None) -> StorageError | None:
        """The driver's error as one of ours; None when it tells of a fault in the program."""

    def damage(self, connection: sa.Connection) -> list[str]:
        """What is wrong with it; reads everything."""

    def version(self, connection: sa.Connection) -> str:
        """Name and number."""


class Database:
    """An open database. Its threads may share it; a forked process may not.

    `boot` tells this boot of the machine from others: a lease of another boot has no living owner.
    """

    def __init__(self, engine: sa.Engine, backend: Backend, held: ExitStack) -> None:
        """`held` is let go when the database is closed."""
        self.boot = _boot()
        self.backend = backend
        self._readers = engine
        self._writers = backend.writers(engine)
        self._held = held
        self._turn = threading.Lock()

    @property
    def name(self) -> str:
        """For messages."""
        return str(self._readers.url.database)

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """All or nothing, durable when the context ends. Not to be nested.

        Raises DatabaseBusy, StorageFull, DatabaseUnusable; then nothing was written.
        """
        if not self._turn.acquire(timeout=BUSY_TIMEOUT_S):
            raise DatabaseBusy(f"no turn to write within {BUSY_TIMEOUT_S:g} s")
        try:
            with self._named_errors(), self._writers.begin() as connection:
                yield connection
        finally:
            self._turn.release()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """One unchanging view of the database; waits for no writer, and no writer waits for it."""
        with self._named_errors(), self._readers.begin() as connection:
            yield connection

    def finds(self, query: str, *values: str) -> bool:
        """Whether a plain query finds a row: for what is asked at every instance; ten times as quick as SQLAlchemy.

        Raises DatabaseBusy, StorageFull, DatabaseUnusable.
        """
        with self._named_errors():
            connection = self._readers.raw_connection()
            try:
                return connection.cursor().execute(query, values).fetchone() is not None
            finally:
                connection.close()

    def close(self) -> None:
        """Let go of the files."""
        self._readers.dispose()
        self._held.close()

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except (sa.exc.DBAPIError, self._readers.dialect.loaded_dbapi.Error) as error:
            named = self.backend.named(error.orig if isinstance(error, sa.exc.DBAPIError) else error)
            if named is None:
                raise
            raise named from error


def open_database(folder: DataFolder, *, rebuild: bool = False, alone: bool = False) -> Database:
    """The database of this folder, made or migrated where needed; as long as it is open, the folder is in use.

    An empty or missing database beside stored instances is refused, since it would forget what was acknowledged;
    `rebuild=True` makes it all the same, for a caller that then registers each of `files.orphans`. `alone=True` is for
    a caller that has the folder for itself (`DataFolder.alone`).

    Raises DatabaseUnusable, DatabaseBusy, FolderUnusable, and FolderInUse while another process migrates or rebuilds
    it.
    """
    folder.create()
    with ExitStack() as held:
        held.enter_context(nullcontext() if alone else folder.in_use())
        with folder.lock("migration", wait_s=MIGRATION_WAIT_S):
            if not rebuild and not folder.database.exists():
                _refuse_if_files_are_stored(folder)
            engine = sqlite.connect(folder.database, BUSY_TIMEOUT_S)
            with ExitStack() as undo:
                undo.callback(engine.dispose)
                _prepare(engine, folder, rebuild=rebuild)
                undo.pop_all()
        return Database(engine, sqlite, held.pop_all())


def quick_check(db: Database) -> None:
    """Read every page once, as the service does at its start. Raises DatabaseUnusable when one is damaged."""
    with db.reading() as connection:
        found = db.backend.damage(connection)
    if found:
        raise DatabaseUnusable(f"{db.name}: is damaged: {'; '.join(found)}")


def version(db: Database) -> str:
    """Which database this is: name and number."""
    with db.reading() as connection:
        return db.backend.version(connection)


def probe(database: Database) -> None:
    """Write something that changes nothing, durably. Raises DatabaseBusy, StorageFull, DatabaseUnusable."""
    with database.transaction() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = version_num")


def set_aside(folder: DataFolder, name: str) -> Path:
    """Move an unusable database to `neurossl.sqlite.<name>`, so that it can be looked at and a new one be built.

    Nobody else may have it open. Raises FolderInUse when someone is just opening it.
    """
    target = folder.database.with_name(f"{folder.database.name}.{name}")
    with folder.lock("migration"):
        sqlite.rename(folder.database, target)
    return target


def _refuse_if_files_are_stored(folder: DataFolder) -> None:
    stored = next((folder.root / "instances").glob("*/*"), None)
    if stored is not None:
        raise DatabaseUnusable(
            f"{folder.database}: is missing or empty, but {stored.parent.parent} holds instances: "
            "put the database back, or rebuild it from the files"
        )


def _prepare(engine: sa.Engine, folder: DataFolder, *, rebuild: bool) -> None:
    try:
        if not rebuild and sqlite.is_empty(engine):
            _refuse_if_files_are_stored(folder)
        sqlite.prepare(engine)
        with sqlite.writers(engine).begin() as connection:
            migrations.upgrade(connection)
    except (engine.dialect.loaded_dbapi.Error, sa.exc.DBAPIError) as error:
        cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
        kind = DatabaseBusy if isinstance(sqlite.named(cause), DatabaseBusy) else DatabaseUnusable
        raise kind(f"{folder.database}: cannot be opened: {cause}") from error


def _boot() -> str:
    """Linux gives each boot an id; where there is none, leases end by their time alone."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
