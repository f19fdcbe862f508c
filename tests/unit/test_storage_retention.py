"""What retention deletes, and what it must not touch."""

from collections.abc import Callable

import pytest
import sqlalchemy as sa

from storage import Database, events, files, instances, outbox, queue, retention, schema, studies
from storage.errors import NotFound
from storage.records import Proof
from storage.states import JobState, StudyState
from tests import stored
from tests.stored import NOW, STUDY, after

LATER = after(86400)


def purge_studies(db: Database, now_s: float = 86400) -> int:
    return retention.purge_studies(db, stored.folder(db), LATER, after(now_s))


def purge_results(db: Database, now_s: float = 86400) -> int:
    return retention.purge_results(db, stored.folder(db), LATER, after(now_s))


def stored_files(db: Database, area: str) -> set[str]:
    return {str(path.relative_to(stored.folder(db).root)) for path in (stored.folder(db).root / area).glob("*/*")}


def rows(db: Database, table: sa.Table) -> int:
    with db.reading() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def receiving(db: Database) -> None:
    stored.received(db)


def sent_but_not_proved(db: Database) -> None:
    stored.reported(db, proof=Proof.COMMITMENT)
    for _ in range(2):
        outbox.sent(db, stored.taken(db), "0x0000", NOW)


def half_sent(db: Database) -> None:
    stored.reported(db)
    outbox.sent(db, stored.taken(db), "0x0000", NOW)
    stored.taken(db)


def skipped_not_sent(db: Database) -> None:
    stored.complete(db, stored.running(db), state=JobState.SKIPPED)


def skipped_not_proved(db: Database) -> None:
    stored.complete(db, stored.running(db), state=JobState.SKIPPED, count=1, proof=Proof.COMMITMENT)
    outbox.sent(db, stored.taken(db), "0x0000", NOW)


def late_instance(db: Database) -> None:
    stored.delivered(db)
    stored.received(db, 2)


def done_too_young(db: Database) -> None:
    stored.complete(db, stored.running(db), destinations=(), now=LATER)


BUSY = [
    receiving,
    stored.queued,
    stored.running,
    stored.reported,
    half_sent,
    sent_but_not_proved,
    skipped_not_sent,
    skipped_not_proved,
    late_instance,
    done_too_young,
]


@pytest.mark.parametrize("make", BUSY)
def test_what_is_received_worked_on_undelivered_or_young_stays(
    db: Database, make: Callable[[Database], object]
) -> None:
    make(db)
    before = stored_files(db, "instances"), rows(db, schema.instances)
    assert purge_studies(db) == 0
    assert (stored_files(db, "instances"), rows(db, schema.instances)) == before


@pytest.mark.parametrize("make", [each for each in BUSY if each is not late_instance])
def test_results_of_a_job_that_has_not_ended_stay(db: Database, make: Callable[[Database], object]) -> None:
    make(db)
    before = stored_files(db, "results"), rows(db, schema.deliveries), rows(db, schema.jobs)
    assert purge_results(db) == 0
    assert (stored_files(db, "results"), rows(db, schema.deliveries), rows(db, schema.jobs)) == before


def test_one_study_that_waits_keeps_no_other(db: Database) -> None:
    stored.delivered(db)
    waiting = stored.reported(db, study="1.9")
    assert (purge_studies(db), purge_results(db)) == (1, 1)
    assert [job.job_id for job in queue.listing(db)] == [waiting.job_id]
    assert {record.study_instance_uid for record in instances.of_study(db, "1.9")} == {"1.9"}
    assert len(stored_files(db, "results")) == 2


def test_what_its_destination_proved_to_keep_goes(db: Database) -> None:
    stored.reported(db, proof=Proof.COMMITMENT, count=1)
    outbox.committed(db, outbox.sent(db, stored.taken(db), "0x0000", NOW), NOW)
    assert (purge_studies(db), purge_results(db)) == (1, 1)


def test_what_grew_or_was_taken_up_again_meanwhile_stays(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    stored.delivered(db)
    stored.overtake(db, monkeypatch, lambda: stored.received(db, 2))
    assert purge_studies(db) == 0
    assert len(instances.of_study(db, STUDY)) == 2
    failed = queue.fail(db, stored.running(db, study="1.9"), "broken", None, NOW)
    stored.overtake(db, monkeypatch, lambda: queue.retry(db, stored.folder(db), failed.job_id, NOW))
    assert purge_results(db) == 1  # of the first study
    assert [job.job_id for job in queue.listing(db)] == [failed.job_id]


def test_a_young_study_stays_when_its_results_are_gone(db: Database) -> None:
    stored.delivered(db)
    assert purge_results(db) == 1
    assert retention.purge_studies(db, stored.folder(db), NOW, LATER) == 0
    assert len(instances.of_study(db, STUDY)) == 1


def test_the_instances_of_a_study_that_ended_go_and_its_story_stays(db: Database) -> None:
    job = stored.delivered(db)
    other = stored.received(db, study="1.9")
    assert purge_studies(db) == 1
    assert stored_files(db, "instances") == {other.path}
    assert len(stored_files(db, "results")) == 2
    assert studies.get(db, STUDY).instances == 0
    assert stored.rows(db, schema.series) == [("1.9", "1.9.1", "MR", 1)]
    assert queue.get(db, job.job_id).state is JobState.DONE
    last = events.of_study(db, STUDY)[-1]
    assert (last.name, last.reason) == ("instances deleted", "1, by retention")
    assert purge_studies(db) == 0


def test_with_its_last_job_the_study_and_its_events_go(db: Database) -> None:
    stored.delivered(db)
    purge_studies(db)
    assert purge_results(db) == 1
    assert stored_files(db, "results") == set()
    tables = [table for table in schema.metadata.sorted_tables if rows(db, table)]
    assert tables == []
    with pytest.raises(NotFound):
        studies.get(db, STUDY)


def test_results_may_go_before_the_instances(db: Database) -> None:
    stored.delivered(db)
    assert purge_results(db) == 1
    assert studies.get(db, STUDY).instances == 1
    assert len(stored_files(db, "instances")) == 1
    assert purge_studies(db) == 1
    assert rows(db, schema.studies) == rows(db, schema.events) == 0


@pytest.mark.parametrize("end", [JobState.FAILED, JobState.SKIPPED, JobState.CANCELLED])
def test_other_ends_are_ends_too(db: Database, end: JobState) -> None:
    job = stored.running(db)
    if end is JobState.FAILED:
        queue.fail(db, job, "broken", {}, NOW)
    elif end is JobState.CANCELLED:
        queue.cancel(db, job.job_id, "by hand", NOW)
    else:
        stored.complete(db, job, state=end, destinations=())
    assert (purge_studies(db), purge_results(db)) == (1, 1)
    assert rows(db, schema.studies) == 0


def test_what_a_destination_refused_is_kept_until_someone_decides(db: Database) -> None:
    job = stored.reported(db)
    for _ in range(2):
        outbox.refuse(db, stored.taken(db), "0xA900", NOW)
    assert queue.get(db, job.job_id).state is JobState.FAILED
    assert (purge_studies(db), purge_results(db)) == (1, 0)
    assert queue.retry(db, stored.folder(db), job.job_id, NOW).state is JobState.REPORTED  # works without the instances
    queue.cancel(db, job.job_id, "the destination is gone for good", NOW)
    assert purge_results(db) == 1


def test_a_study_sent_again_after_its_instances_went_is_a_new_revision(db: Database) -> None:
    stored.delivered(db)
    purge_studies(db)
    stored.received(db, 1, now=LATER)
    study = studies.get(db, STUDY)
    assert (study.state, study.revision, study.instances) == (StudyState.RECEIVING, 2, 1)
    assert len(instances.of_study(db, STUDY, up_to_revision=2)) == 1


def test_a_study_sent_again_after_all_of_it_went_begins_anew(db: Database) -> None:
    stored.delivered(db)
    purge_studies(db)
    purge_results(db)
    stored.received(db, 1, now=LATER)
    assert studies.get(db, STUDY).revision == 1


def test_a_crash_between_row_and_file_leaves_a_file_that_is_not_taken_up_again(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored.delivered(db)
    with monkeypatch.context() as crash:
        crash.setattr(files, "delete_doomed", lambda *_: 0)
        purge_studies(db)
        purge_results(db)
    assert len(stored_files(db, "instances")) == 1
    assert list(files.orphans(stored.folder(db), db)) == []
    assert list(files.orphans(stored.folder(db), db, "results")) == []
    assert files.sweep(stored.folder(db), db, NOW).doomed == 3
    assert stored_files(db, "instances") | stored_files(db, "results") == set()
    assert rows(db, schema.doomed_files) == 0


def test_a_file_that_has_already_gone_does_not_stop_the_purge(db: Database) -> None:
    stored.delivered(db)
    for path in stored_files(db, "instances"):
        stored.folder(db).path(path).unlink()
    assert purge_studies(db) == 1
    assert rows(db, schema.doomed_files) == 0


def test_what_ended_while_the_clock_was_set_back_is_as_young_as_it_is(db: Database) -> None:
    """Its times are old; its number tells that it came after a job of today."""
    stored.delivered(db)
    stored.queued(db, study="1.2.9", now=after(86500))
    assert purge_studies(db, 90000) == purge_results(db, 90000) == 1  # it came before
    stored.delivered(db, study="1.2.10")
    assert purge_studies(db, 90000) == purge_results(db, 90000) == 0
    assert stored_files(db, "results")
