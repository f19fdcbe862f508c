"""A database that an older version wrote goes on: what it said of its studies keeps standing.

`tests/golden/database_0001.sql` is the text of one that holds a study in each state: done, superseded and waiting to be
sent, without a result, failed, being worked on, done without destinations, queued, being received.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage import Database, DataFolder, answers, engine, instances, outbox, queue, schema, studies
from storage.records import Job
from storage.states import AnswerKind, AnswerState, DeliveryState, JobState
from tests import stored
from tests.stored import NOW
from tests.unit.test_storage_schema import definitions

OLD = Path(__file__).parents[1] / "golden" / "database_0001.sql"


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    folder = DataFolder(tmp_path)
    folder.create()
    with sqlite3.connect(folder.database) as old:
        old.executescript(OLD.read_text(encoding="utf-8"))
    old.close()
    with stored.opened(tmp_path) as db:
        yield db


def test_an_old_database_gets_the_tables_of_today(db: Database, tmp_path: Path) -> None:
    engine.quick_check(db)
    with stored.opened(tmp_path / "new") as new, new.reading() as connection:
        wanted = definitions(connection)
    with db.reading() as connection:
        assert definitions(connection) == wanted
        assert connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == schema.HEAD


def test_every_job_and_delivery_is_as_it_was(db: Database) -> None:
    assert [(job.job_id, job.study_instance_uid, job.revision, job.state) for job in queue.listing(db)[::-1]] == [
        (1, "1.2.1", 1, JobState.DONE),
        (2, "1.2.2", 1, JobState.DONE),
        (3, "1.2.2", 2, JobState.REPORTED),
        (4, "1.2.3", 1, JobState.SKIPPED),
        (5, "1.2.4", 1, JobState.FAILED),
        (6, "1.2.5", 1, JobState.RUNNING),
        (7, "1.2.8", 1, JobState.DONE),
        (8, "1.2.6", 1, JobState.QUEUED),
    ]
    assert [delivery.state for delivery in outbox.of_job(db, 3)] == [DeliveryState.PENDING] * 2
    assert [study.study_instance_uid for study in studies.receiving(db)] == ["1.2.7"]


def test_what_stood_keeps_standing(db: Database) -> None:
    said = {
        uid: [(each.job_id, each.kind, each.state, each.key) for each in answers.of_study(db, uid)]
        for uid in (f"1.2.{number}" for number in range(1, 9))
    }
    assert {uid: each for uid, each in said.items() if each} == {
        "1.2.1": [(1, AnswerKind.RESULT, AnswerState.STANDING, "")],
        "1.2.2": [(3, AnswerKind.RESULT, AnswerState.STANDING, "")],
        "1.2.3": [(4, AnswerKind.NO_RESULT, AnswerState.STANDING, "")],
        "1.2.8": [(7, AnswerKind.RESULT, AnswerState.STANDING, "")],
    }
    (report,) = outbox.standing_report(db, stored.queued(db, study="1.2.2", number=3))
    assert (report.job_id, report.kind) == (3, "sr_comprehensive")


def test_what_stood_was_read_from_whatever_its_job_had_seen(db: Database) -> None:
    """Nobody knows more of it: a rejected or moved instance of the study revokes it."""
    assert {(row[0], row[1]) for row in stored.rows(db, schema.read_instances)} == {
        (each.answer_id, instance.sop_instance_uid)
        for uid in ("1.2.1", "1.2.2", "1.2.8")
        for each in answers.of_study(db, uid)
        for instance in instances.of_study(db, uid)
    }


def test_the_work_goes_on_and_a_new_answer_supersedes_the_old_one(db: Database) -> None:
    while (delivery := outbox.claim(db, "pacs", NOW)) is not None:
        outbox.sent(db, delivery, "0x0000", NOW)
    assert queue.get(db, 3).state is JobState.DONE
    queue.release(db, "", NOW)
    for _ in range(2):  # what ran, and what waited
        stored.complete(db, stored.claimed(db))
    job = stored.running(db, study="1.2.1", number=2)
    stored.complete(db, job)
    assert [each.state for each in answers.of_study(db, "1.2.1")] == [AnswerState.SUPERSEDED, AnswerState.STANDING]


def test_the_number_of_a_job_that_went_is_not_given_again(db: Database) -> None:
    job: Job = stored.queued(db, study="1.2.9")
    assert job.job_id == 10  # nine had been given


def test_a_step_that_fails_leaves_the_old_database(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path)
    folder.create()
    with sqlite3.connect(folder.database) as old:
        old.executescript(OLD.read_text(encoding="utf-8"))
        old.execute("CREATE TABLE jobs_before (job_id INTEGER)")
    old.close()
    with pytest.raises(Exception, match="jobs_before"), stored.opened(tmp_path):
        pass
    with sqlite3.connect(folder.database) as old:
        assert old.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]
        assert old.execute("SELECT count(*) FROM jobs").fetchall() == [(8,)]
    old.close()
