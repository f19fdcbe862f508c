"""SQLite opened one way, and never on a doubtful file."""

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pysqlite3
import pytest
import sqlalchemy as sa

from storage import Database, DataFolder, engine, files, instances, open_database, schema, studies
from storage.errors import DatabaseBusy, DatabaseUnusable, StorageFull
from tests import stored
from tests.stored import NOW, STUDY


def test_every_connection_is_durable_and_checks_its_references(db: Database) -> None:
    wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10_000}
    for context in (db.reading, db.transaction):
        with context() as connection:
            found = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in wanted}
            assert found == wanted


def test_the_sqlite_in_use_is_one_without_the_wal_reset_bug(db: Database) -> None:
    with db.reading() as connection:
        version = connection.exec_driver_sql("SELECT sqlite_version()").scalar_one()
    assert tuple(map(int, version.split("."))) >= (3, 51, 3)


def test_an_older_sqlite_is_refused_by_name(folder: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pysqlite3, "sqlite_version_info", (3, 51, 2))
    monkeypatch.setattr(pysqlite3, "sqlite_version", "3.51.2")
    with pytest.raises(DatabaseUnusable, match=r"SQLite 3\.51\.2 can corrupt .* brings 3\.51\.3 or newer"):
        open_database(folder)
    assert not folder.database.exists()


def test_database_and_log_are_for_their_owner_only(folder: DataFolder) -> None:
    before = os.umask(0)
    try:
        with stored.opened(folder.root) as db:
            stored.received(db)
            found = [path for path in folder.root.iterdir() if path.name.startswith("neurossl.sqlite")]
            assert {path.name for path in found} >= {"neurossl.sqlite", "neurossl.sqlite-wal"}
            assert {stat.S_IMODE(path.stat().st_mode) for path in found} == {0o600}
    finally:
        os.umask(before)


def test_what_was_written_is_there_after_opening_again(folder: DataFolder) -> None:
    with stored.opened(folder.root) as db:
        record = stored.received(db)
    with stored.opened(folder.root) as db:
        assert instances.find(db, record.sop_instance_uid) == record
        engine.quick_check(db)


def test_a_transaction_that_raises_writes_nothing(db: Database) -> None:
    def interrupted() -> None:
        with db.transaction() as connection:
            connection.execute(schema.doomed_files.insert().values(path="x"))
            raise KeyError("interrupted")

    with pytest.raises(KeyError):
        interrupted()
    with db.reading() as connection:
        assert connection.execute(sa.select(schema.doomed_files)).all() == []


def garbage(folder: DataFolder) -> None:
    folder.database.write_bytes(b"certainly not a database " * 400)


def cut_short(folder: DataFolder) -> None:
    open_database(folder).close()
    folder.database.write_bytes(folder.database.read_bytes()[:5000])


def overwritten(folder: DataFolder) -> None:
    open_database(folder).close()
    content = bytearray(folder.database.read_bytes())
    content[4096:16384] = b"\xff" * 12288
    folder.database.write_bytes(content)


def a_folder(folder: DataFolder) -> None:
    folder.database.mkdir()


def a_link(folder: DataFolder) -> None:
    folder.database.symlink_to(folder.root / "elsewhere.sqlite")


def foreign(folder: DataFolder) -> None:
    with pysqlite3.connect(folder.database) as connection:
        connection.execute("CREATE TABLE studies (something TEXT)")
    connection.close()


@pytest.mark.parametrize("damage", [garbage, cut_short, overwritten, a_folder, a_link, foreign])
def test_a_file_that_is_no_database_of_ours_is_refused_and_kept(
    folder: DataFolder, damage: Callable[[DataFolder], None]
) -> None:
    damage(folder)
    before = folder.database.read_bytes() if folder.database.is_file() else None
    with pytest.raises(DatabaseUnusable, match=r"neurossl\.sqlite: cannot be opened"):
        open_database(folder)
    if before is not None and damage is not foreign:
        assert folder.database.read_bytes() == before


def test_damage_within_is_found_by_the_quick_check(folder: DataFolder) -> None:
    with stored.opened(folder.root) as db:
        for number in range(200):
            instances.register(db, stored.folder(db), stored.instance(number), expected_instances=None, now=NOW)
        with db.reading() as connection:
            page = connection.exec_driver_sql(
                "SELECT rootpage FROM sqlite_master WHERE name = 'instances_path'"
            ).scalar_one()
    content = bytearray(folder.database.read_bytes())
    content[(page - 1) * 4096 + 100 : page * 4096] = bytes(3996)
    folder.database.write_bytes(content)
    with stored.opened(folder.root) as db, pytest.raises(DatabaseUnusable):
        engine.quick_check(db)


def test_a_row_without_what_it_refers_to_is_found_by_the_quick_check(db: Database) -> None:
    job = stored.queued(db)
    with pysqlite3.connect(stored.folder(db).database) as connection:  # foreign keys off
        connection.execute("DELETE FROM studies")
    connection.close()
    with pytest.raises(DatabaseUnusable, match="jobs"):
        engine.quick_check(db)
    assert job.job_id == 1


def test_a_newer_schema_is_refused_and_left_as_it_is(folder: DataFolder) -> None:
    with stored.opened(folder.root) as db, db.transaction() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0999'")
    with pytest.raises(DatabaseUnusable, match=rf"schema 0999.*up to {schema.HEAD}.*newer version"):
        open_database(folder)


@pytest.mark.parametrize("left", ["nothing", "an empty file", "a database without tables", "only the log"])
def test_an_empty_database_beside_stored_instances_is_refused(folder: DataFolder, left: str) -> None:
    with stored.opened(folder.root) as db:
        record = stored.received(db)
    folder.database.unlink()
    if left == "an empty file":
        folder.database.write_bytes(b"")
    if left == "a database without tables":
        with pysqlite3.connect(folder.database) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
        connection.close()
    if left == "only the log":
        folder.database.with_name("neurossl.sqlite-wal").write_bytes(os.urandom(8192))
    for _ in range(2):  # a refusal changes nothing
        with pytest.raises(DatabaseUnusable, match="holds instances"):
            open_database(folder)
    with _rebuilt(folder) as db:
        assert list(files.orphans(folder, db)) == [record.path]


def test_the_index_is_rebuilt_from_the_stored_files(folder: DataFolder) -> None:
    with stored.opened(folder.root) as db:
        records = [stored.received(db, number) for number in range(3)]
    garbage(folder)
    aside = engine.set_aside(folder, "damaged")
    assert aside.read_bytes().startswith(b"certainly")
    by_path = {record.path: record for record in records}
    with _rebuilt(folder) as db:
        for path in files.orphans(folder, db):
            assert files.read_back(folder, path).sha256 == by_path[path].sha256
            instances.register(db, stored.folder(db), by_path[path], expected_instances=None, now=NOW)
        assert instances.of_study(db, STUDY) == records
        assert studies.get(db, STUDY).instances == 3
    with stored.opened(folder.root) as db:
        assert list(files.orphans(folder, db)) == []


def test_a_database_set_aside_takes_its_log_along(folder: DataFolder) -> None:
    script = (
        "import os, sys; from pathlib import Path; from tests import stored\n"
        "with stored.opened(Path(sys.argv[1])) as db: stored.received(db); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", script, str(folder.root)], check=True, cwd=Path(__file__).parents[2])
    assert folder.database.with_name("neurossl.sqlite-wal").exists()
    aside = engine.set_aside(folder, "1")
    assert {path.name for path in folder.root.glob("neurossl*")} == {
        aside.name,
        f"{aside.name}-wal",
        f"{aside.name}-shm",
    }


@contextmanager
def _rebuilt(folder: DataFolder) -> Iterator[Database]:
    db = open_database(folder, rebuild=True)
    try:
        yield db
    finally:
        db.close()


def test_a_database_held_by_someone_else_is_busy_and_nothing_is_written(
    folder: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_S", 0.1)
    with stored.opened(folder.root) as db:
        other = pysqlite3.connect(folder.database, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseBusy):
            instances.register(db, stored.folder(db), stored.instance(), expected_instances=None, now=NOW)
        assert instances.find(db, stored.instance().sop_instance_uid) is None  # readers go on
        other.execute("ROLLBACK")
        other.close()
        instances.register(db, stored.folder(db), stored.instance(), expected_instances=None, now=NOW)


def test_a_thread_that_gets_no_turn_is_told_that_the_database_is_busy(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_S", 0.1)
    begun, end = threading.Event(), threading.Event()

    def hold() -> None:
        with db.transaction():
            begun.set()
            end.wait(10)

    holder = threading.Thread(target=hold)
    holder.start()
    begun.wait(10)
    with pytest.raises(DatabaseBusy), db.transaction():
        pass
    end.set()
    holder.join()


def test_a_full_disk_below_the_database_is_told_and_nothing_is_written(db: Database) -> None:
    with db.transaction() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    record = stored.received(db, 1)
    long = stored.instance(2, path="instances/" + "x" * 100_000)
    with pytest.raises(StorageFull):
        instances.register(db, stored.folder(db), long, expected_instances=None, now=NOW)
    assert studies.get(db, STUDY).instances == 1
    assert instances.of_study(db, STUDY) == [record]
    with db.transaction() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
    instances.register(db, stored.folder(db), long, expected_instances=None, now=NOW)


@pytest.mark.parametrize(
    "at",
    [
        NOW,
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(2026, 3, 29, 3, 30, tzinfo=timezone(timedelta(hours=2))),
        datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    ],
)
def test_a_time_comes_back_to_the_microsecond_in_utc(db: Database, at: datetime) -> None:
    instances.register(db, stored.folder(db), stored.instance(), expected_instances=None, now=at)
    found = studies.get(db, STUDY).last_received_at
    assert found == at
    assert found.utcoffset() == timedelta(0)


def test_a_time_without_a_zone_is_refused(db: Database) -> None:
    with pytest.raises(sa.exc.StatementError, match="without a time zone"):
        instances.register(db, stored.folder(db), stored.instance(), expected_instances=None, now=datetime(2026, 1, 1))  # noqa: DTZ001
    assert instances.find(db, stored.instance().sop_instance_uid) is None


def test_hostile_text_is_stored_as_text(db: Database) -> None:
    evil = "'); DROP TABLE studies; --\r\n\x1b[31m"
    record = stored.instance(sender=evil)
    instances.register(db, stored.folder(db), record, expected_instances=None, now=NOW)
    assert instances.find(db, record.sop_instance_uid) == record
    assert studies.get(db, STUDY).calling_ae_titles == (evil,)
