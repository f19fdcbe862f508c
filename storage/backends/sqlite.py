"""What is SQLite's own: write-ahead log, every commit synced, foreign keys, one writer at a time.

Several processes may have it open. SQLite must be 3.51.3 or newer: 3.7.0 to 3.51.2 can corrupt a database in WAL mode
when two connections write and checkpoint at the same moment.
"""

import os
from pathlib import Path
from typing import Any

import pysqlite3
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from storage.errors import BackupUnusable, DatabaseBusy, DatabaseUnusable, StorageError, StorageFull

MINIMUM_SQLITE = (3, 51, 3)
PRAGMAS = ("synchronous=FULL", "foreign_keys=ON", "trusted_schema=OFF", "journal_size_limit=67108864")

insert = sqlite.insert  # which may say what becomes of a row that is there already


def connect(path: Path, busy_timeout_s: float) -> sa.Engine:
    """The database in this file, which is made where it is missing; a writer waits `busy_timeout_s` for another.

    Raises DatabaseUnusable.
    """
    _check_version()
    _create_file(path)
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(path)),
        module=pysqlite3,
        connect_args={"isolation_level": None, "check_same_thread": False, "timeout": busy_timeout_s},
        max_overflow=-1,
    )

    @sa.event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: object) -> None:
        for pragma in PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def _on_begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN " + connection.get_execution_options().get("begin", "DEFERRED"))

    return engine


def writers(engine: sa.Engine) -> sa.Engine:
    """For transactions that write: each is alone from its beginning, so that what it reads is its own to claim."""
    return engine.execution_options(begin="IMMEDIATE")


def is_empty(engine: sa.Engine) -> bool:
    """Whether it has no tables; changes nothing. Raises pysqlite3's errors, as they are or in SQLAlchemy's."""
    return not _alone(engine, "SELECT count(*) FROM sqlite_master")


def prepare(engine: sa.Engine) -> None:
    """What a file keeps once it was said: the write-ahead log. Raises as `is_empty` does."""
    _alone(engine, "PRAGMA journal_mode=WAL")


def _alone(engine: sa.Engine, statement: str) -> Any:
    """The answer to a statement outside of any transaction."""
    connection = engine.raw_connection()
    try:
        return connection.cursor().execute(statement).fetchone()[0]
    finally:
        connection.close()


def damage(connection: sa.Connection) -> list[str]:
    """What is wrong with it, at most ten lines; reads every page."""
    found = connection.exec_driver_sql("PRAGMA quick_check(5)").scalars().all()
    strangers = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchmany(5)
    return [str(each) for each in (*(found if found != ["ok"] else ()), *strangers)]


def version(connection: sa.Connection) -> str:
    """Name and number."""
    return f"SQLite {connection.exec_driver_sql('SELECT sqlite_version()').scalar_one()}"


def rename(path: Path, target: Path) -> None:
    """Database and log under another name; never the log before its database: that would be an older state."""
    for suffix in ("", "-wal", "-shm"):
        source = path.with_name(path.name + suffix)
        if source.exists():
            source.rename(target.with_name(target.name + suffix))


def copy(source: Path, target: Path) -> None:
    """One state of a database that others may write meanwhile, as one file that is not there yet.

    Raises BackupUnusable, FileExistsError.
    """
    os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    reading, writing = _read_only(source), pysqlite3.connect(target)
    try:
        reading.backup(writing)
        writing.execute("PRAGMA journal_mode=DELETE")  # all in one file: its hash says everything
    except pysqlite3.Error as error:
        raise BackupUnusable(f"{source}: cannot be backed up: {error}") from error
    finally:
        writing.close()
        reading.close()


def ask(path: Path, query: str) -> list[tuple[Any, ...]]:
    """The answer of a database in one file that nobody writes; it is not touched. Raises BackupUnusable."""
    connection = _read_only(path, "&immutable=1")
    try:
        return list(connection.execute(query))
    except pysqlite3.Error as error:
        raise BackupUnusable(f"{path}: cannot be read: {error}") from error
    finally:
        connection.close()


def _read_only(path: Path, more: str = "") -> Any:
    return pysqlite3.connect(f"{path.resolve().as_uri()}?mode=ro{more}", uri=True)


_FULL = {pysqlite3.SQLITE_FULL, pysqlite3.SQLITE_IOERR, pysqlite3.SQLITE_NOMEM, pysqlite3.SQLITE_CANTOPEN}
_BUSY = {pysqlite3.SQLITE_BUSY, pysqlite3.SQLITE_LOCKED, pysqlite3.SQLITE_PROTOCOL}
_UNUSABLE = {pysqlite3.SQLITE_CORRUPT, pysqlite3.SQLITE_NOTADB, pysqlite3.SQLITE_READONLY, pysqlite3.SQLITE_PERM}


def named(error: BaseException | None) -> StorageError | None:
    """The driver's error as one of ours; None when it tells of a fault in the program."""
    code = int(getattr(error, "sqlite_errorcode", 0)) & 0xFF  # the primary code of an extended one
    if code in _BUSY:
        return DatabaseBusy(f"the database is held by another process: {error}")
    if code in _FULL:
        return StorageFull(f"the database could not be written or read: {error}")
    if code in _UNUSABLE:
        return DatabaseUnusable(f"the database cannot be used: {error}")
    return None


def _check_version() -> None:
    if pysqlite3.sqlite_version_info < MINIMUM_SQLITE:
        wanted = ".".join(map(str, MINIMUM_SQLITE))
        raise DatabaseUnusable(
            f"SQLite {pysqlite3.sqlite_version} can corrupt a database that several processes write: "
            f"install a pysqlite3 that brings {wanted} or newer"
        )


def _create_file(path: Path) -> None:
    """SQLite gives its -wal and -shm the mode of this file."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        os.fchmod(descriptor, 0o600)
        os.close(descriptor)
    except OSError as error:
        raise DatabaseUnusable(f"{path}: cannot be opened: {error.strerror}") from error
