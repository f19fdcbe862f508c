"""Tables and migrations agree, and the database itself holds what must never be otherwise."""

import re
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from storage import Database, answers, events, migrations, outbox, queue, schema, studies
from storage.states import JobState
from tests import stored
from tests.stored import NOW, STUDY, after


def definitions(connection: sa.Connection) -> dict[str, str]:
    """Name of each table, index and trigger -> its SQL without spaces and quotes."""
    rows = connection.exec_driver_sql(
        "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'alembic%'"
    )
    return {name: re.sub(r'[\s"]', "", sql) for name, sql in rows}


def test_the_migrations_lead_to_the_tables_of_the_code(db: Database) -> None:
    with db.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, schema.metadata) == []


def test_the_migrations_lead_to_the_same_sql_as_the_tables_of_the_code(db: Database) -> None:
    fresh = sa.create_engine("sqlite://")
    with fresh.begin() as connection:
        schema.metadata.create_all(connection)
        wanted = definitions(connection)
    fresh.dispose()
    with db.reading() as connection:
        assert definitions(connection) == wanted


def test_the_newest_migration_is_the_one_that_the_code_names() -> None:
    steps = ScriptDirectory(str(Path(migrations.__file__).parent))
    assert steps.get_heads() == [schema.HEAD]


def test_steps_that_a_database_has_not_seen_are_taken(tmp_path: Path) -> None:
    with stored.opened(tmp_path) as db:
        wanted = sorted(schema.metadata.tables)
        with db.reading() as connection:
            assert sorted(set(sa.inspect(connection).get_table_names()) - {"alembic_version"}) == wanted


def test_an_event_is_never_changed(db: Database) -> None:
    stored.received(db)
    with pytest.raises(sa.exc.IntegrityError, match="an event is never changed"), db.transaction() as connection:
        connection.execute(schema.events.update().values(reason="it never was"))


def test_events_go_only_after_their_study(db: Database) -> None:
    stored.received(db)
    with pytest.raises(sa.exc.IntegrityError, match="only after their study"), db.transaction() as connection:
        connection.execute(schema.events.delete())
    assert len(events.of_study(db, STUDY)) == 1


def another_job(connection: sa.Connection, job_id: int, **values: object) -> None:
    row = connection.execute(sa.select(schema.jobs).where(schema.jobs.c.job_id == job_id)).one()._asdict()
    connection.execute(schema.jobs.insert().values(**(row | {"job_id": None} | values)))


def test_a_revision_has_one_job(db: Database) -> None:
    job = stored.delivered(db)
    with pytest.raises(sa.exc.IntegrityError), db.transaction() as connection:
        another_job(connection, job.job_id)


def test_a_study_has_one_waiting_job(db: Database) -> None:
    job = stored.queued(db)
    with pytest.raises(sa.exc.IntegrityError), db.transaction() as connection:
        another_job(connection, job.job_id, revision=2)


def test_a_lease_belongs_to_a_running_job_and_only_to_it(db: Database) -> None:
    stored.running(db)
    for values in ({"state": JobState.QUEUED}, {"lease_owner": None}, {"lease_expires_at": None}):
        with pytest.raises(sa.exc.IntegrityError), db.transaction() as connection:
            connection.execute(schema.jobs.update().values(**values))


def test_a_state_that_the_tables_do_not_know_is_not_stored(db: Database) -> None:
    stored.queued(db)
    with pytest.raises(sa.exc.IntegrityError), db.transaction() as connection:
        connection.exec_driver_sql("UPDATE jobs SET state = 'lost'")


def test_a_result_goes_to_a_destination_once(db: Database) -> None:
    stored.reported(db)
    with db.reading() as connection:
        row = connection.execute(sa.select(schema.deliveries).limit(1)).one()._asdict()
    with pytest.raises(sa.exc.IntegrityError), db.transaction() as connection:
        connection.execute(schema.deliveries.insert().values(**(row | {"delivery_id": None})))


def test_nothing_goes_while_something_refers_to_it(db: Database) -> None:
    stored.reported(db)
    for table in (schema.studies, schema.series, schema.jobs, schema.results):
        with pytest.raises(sa.exc.IntegrityError), db.transaction() as connection:
            connection.execute(table.delete())


def test_the_queries_of_every_second_use_their_indexes(db: Database) -> None:
    stored.reported(db)
    plans: list[str] = []

    def explain(connection: sa.Connection, _c: object, statement: str, parameters: Any, *_: object) -> None:
        if statement.startswith(("SELECT", "UPDATE", "DELETE")) and "EXPLAIN" not in statement:
            rows = connection.connection.cursor().execute("EXPLAIN QUERY PLAN " + statement, parameters).fetchall()
            plans.extend(f"{row[3]} <- {statement}" for row in rows)

    sa.event.listen(db._readers, "before_cursor_execute", explain)
    stored.received(db, 2)
    job = stored.running(db, study="1.2.4")
    queue.release_expired(db, after(3600))
    delivery = stored.taken(db)
    outbox.sent(db, delivery, "0x0000", NOW)
    outbox.awaiting_commitment(db, "pacs")
    outbox.standing_report(db, job)
    answers.of_study(db, STUDY)
    answers.waiting(db)
    studies.receiving(db)
    events.of_study(db, STUDY)
    sa.event.remove(db._readers, "before_cursor_execute", explain)
    assert len(plans) > 20
    partial = ("USING INDEX studies_receiving", "USING INDEX answers_kept")  # these hold what waits, and no more
    assert [plan for plan in plans if plan.startswith("SCAN") and not any(name in plan for name in partial)] == []
