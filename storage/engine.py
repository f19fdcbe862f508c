"""SQLite opened one way: write-ahead log, every commit synced, foreign keys, one writer at a time.

Several processes may have it open. SQLite must be 3.51.3 or newer: 3.7.0 to 3.51.2 can corrupt a database in WAL mode
when two connections write and checkpoint at the same moment.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pysqlite3
import sqlalchemy as sa

from storage import migrations
from storage.errors import DatabaseBusy, DatabaseUnusable, StorageError, StorageFull
from storage.folder import DataFolder

MINIMUM_SQLITE = (3, 51, 3)
BUSY_TIMEOUT_S = 10.0
MIGRATION_WAIT_S = 60.0


class Database:
    """An open database. Its threads may share it; a forked process may not.

    `boot` tells this boot of the machine from others: a lease of another boot has no living owner.
    """

    def __init__(self, engine: sa.Engine, folder: DataFolder) -> None:
        self.folder = folder
        self.boot = _boot()
        self._readers = engine
        self._writers = engine.execution_options(begin="IMMEDIATE")
        self._turn = threading.Lock()

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """All or nothing, durable when the context ends. Not to be nested.

        Raises DatabaseBusy, StorageFull, DatabaseUnusable; then nothing was written.
        """
        if not self._turn.acquire(timeout=BUSY_TIMEOUT_S):
            raise DatabaseBusy(f"no turn to write within {BUSY_TIMEOUT_S:g} s")
        try:
            with named_errors(), self._writers.begin() as connection:
                yield connection
        finally:
            self._turn.release()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """One unchanging view of the database; waits for no writer, and no writer waits for it."""
        with named_errors(), self._readers.begin() as connection:
            yield connection

    def close(self) -> None:
        """Let go of the files."""
        self._readers.dispose()


def open_database(folder: DataFolder, *, rebuild: bool = False) -> Database:
    """The database of this folder, made or migrated where needed.

    An empty or missing database beside stored instances is refused, since it would forget what was acknowledged;
    `rebuild=True` makes it all the same, for a caller that then registers each of `files.orphans`.

    Raises DatabaseUnusable, DatabaseBusy, FolderUnusable, and FolderInUse while another process migrates it.
    """
    _check_version()
    folder.create()
    with folder.lock("migration", wait_s=MIGRATION_WAIT_S):
        if not rebuild and not folder.database.exists():
            _refuse_if_files_are_stored(folder)
        _create_file(folder.database)
        engine = _engine(folder.database)
        try:
            _prepare(engine, folder, rebuild=rebuild)
        except BaseException:
            engine.dispose()
            raise
    return Database(engine, folder)


def quick_check(database: Database) -> None:
    """Read every page once, as the service does at its start. Raises DatabaseUnusable when one is damaged."""
    with database.reading() as connection:
        found = connection.exec_driver_sql("PRAGMA quick_check(5)").scalars().all()
        strangers = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchmany(5)
    if found != ["ok"] or strangers:
        raise DatabaseUnusable(f"{database.folder.database}: is damaged: {'; '.join(map(str, [*found, *strangers]))}")


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
        for suffix in ("", "-wal", "-shm"):  # never the log before its database: that would be an older state
            source = folder.database.with_name(folder.database.name + suffix)
            if source.exists():
                source.rename(target.with_name(target.name + suffix))
    return target


@contextmanager
def named_errors() -> Iterator[None]:
    """SQLite's error codes as the errors of this package."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        named = _named(error)
        if named is None:
            raise
        raise named from error


_FULL = {pysqlite3.SQLITE_FULL, pysqlite3.SQLITE_IOERR, pysqlite3.SQLITE_NOMEM, pysqlite3.SQLITE_CANTOPEN}
_BUSY = {pysqlite3.SQLITE_BUSY, pysqlite3.SQLITE_LOCKED, pysqlite3.SQLITE_PROTOCOL}
_UNUSABLE = {pysqlite3.SQLITE_CORRUPT, pysqlite3.SQLITE_NOTADB, pysqlite3.SQLITE_READONLY, pysqlite3.SQLITE_PERM}


def _named(error: sa.exc.DBAPIError) -> StorageError | None:
    code = _code(error.orig)
    if code in _BUSY:
        return DatabaseBusy(f"the database is held by another process: {error.orig}")
    if code in _FULL:
        return StorageFull(f"the database could not be written or read: {error.orig}")
    if code in _UNUSABLE:
        return DatabaseUnusable(f"the database cannot be used: {error.orig}")
    return None


def _code(error: BaseException | None) -> int:
    """The primary code of an extended one."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def _check_version() -> None:
    if pysqlite3.sqlite_version_info < MINIMUM_SQLITE:
        wanted = ".".join(map(str, MINIMUM_SQLITE))
        raise DatabaseUnusable(
            f"SQLite {pysqlite3.sqlite_version} can corrupt a database that several processes write: "
            f"install a pysqlite3 that brings {wanted} or newer"
        )


def _refuse_if_files_are_stored(folder: DataFolder) -> None:
    stored = next((folder.root / "instances").glob("*/*"), None)
    if stored is not None:
        raise DatabaseUnusable(
            f"{folder.database}: is missing or empty, but {stored.parent.parent} holds instances: "
            "put the database back, or rebuild it from the files"
        )


def _create_file(path: Path) -> None:
    """SQLite gives its -wal and -shm the mode of this file."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        os.fchmod(descriptor, 0o600)
        os.close(descriptor)
    except OSError as error:
        raise DatabaseUnusable(f"{path}: cannot be opened: {error.strerror}") from error


def _engine(path: Path) -> sa.Engine:
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(path)),
        module=pysqlite3,
        connect_args={"isolation_level": None, "check_same_thread": False, "timeout": BUSY_TIMEOUT_S},
        max_overflow=-1,
    )

    @sa.event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: object) -> None:
        for pragma in ("synchronous=FULL", "foreign_keys=ON", "trusted_schema=OFF", "journal_size_limit=67108864"):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def _on_begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN " + connection.get_execution_options().get("begin", "DEFERRED"))

    return engine


def _prepare(engine: sa.Engine, folder: DataFolder, *, rebuild: bool) -> None:
    try:
        raw = engine.raw_connection()
        try:
            tables = raw.cursor().execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
            if not tables and not rebuild:
                _refuse_if_files_are_stored(folder)
            raw.cursor().execute("PRAGMA journal_mode=WAL")
        finally:
            raw.close()
        with engine.execution_options(begin="IMMEDIATE").begin() as connection:
            migrations.upgrade(connection)
    except (pysqlite3.Error, sa.exc.DBAPIError) as error:
        cause = error.orig if isinstance(error, sa.exc.DBAPIError) else error
        kind = DatabaseBusy if _code(cause) in _BUSY else DatabaseUnusable
        raise kind(f"{folder.database}: cannot be opened: {cause}") from error


def _boot() -> str:
    """Linux gives each boot an id; where there is none, leases end by their time alone."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
