"""Jobs: claimed under a lease, given back, given up, retried, cancelled."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa

from storage import Database, engine, events, outbox, queue, schema
from storage.due import LONGEST_WAIT
from storage.errors import InvalidTransition, LeaseLost, NotFound
from storage.records import Job
from storage.states import DeliveryState, JobState
from tests import stored
from tests.stored import NOW, STUDY, after

YEAR_S = 365 * 86400.0


def test_the_claim_counts_the_attempt_and_takes_the_lease(db: Database) -> None:
    stored.queued(db)
    job = queue.claim(db, "worker:1", 60, after(5))
    assert job == queue.get(db, 1)
    assert job is not None
    assert (job.state, job.attempt, job.lease_owner, job.lease_expires_at) == (
        JobState.RUNNING,
        1,
        "worker:1",
        after(65),
    )
    last = events.of_job(db, job.job_id)[-1]
    assert (last.before, last.after, last.reason) == ("queued", "running", "attempt 1 of 3, by worker:1")


def test_the_oldest_due_job_comes_first(db: Database) -> None:
    jobs = [stored.queued(db, study=f"1.{number}") for number in range(3)]
    queue.give_back(db, stored.claimed(db), "the disk is full", after(30), NOW)
    claimed = [queue.claim(db, f"w{number}", 60, NOW) for number in range(3)]
    assert [job and job.job_id for job in claimed] == [jobs[1].job_id, jobs[2].job_id, None]
    again = queue.claim(db, "w", 60, after(30))
    assert again is not None
    assert (again.job_id, again.attempt) == (jobs[0].job_id, 2)


def test_an_idle_queue_gives_nothing(db: Database) -> None:
    assert queue.claim(db, "worker:1", 60, NOW) is None


def test_an_idle_worker_waits_for_no_writer(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_S", 0.1)
    with stored.opened(stored.folder(db).root) as impatient, stored.held_by_a_writer(db):
        assert queue.claim(impatient, "worker:1", 60, NOW) is None
        assert queue.release_expired(impatient, NOW) == 0


def test_the_next_revision_waits_while_the_one_before_runs(db: Database) -> None:
    first = stored.running(db, number=1)
    stored.queued(db, number=2)
    assert queue.claim(db, "worker:2", 60, NOW) is None
    stored.complete(db, first)
    assert stored.claimed(db).revision == 2


def test_a_renewed_lease_lasts_longer(db: Database) -> None:
    job = stored.running(db)
    renewed = queue.renew(db, job, 60, after(40))
    assert renewed.lease_expires_at == after(100)
    assert queue.release_expired(db, after(99)) == 0
    assert queue.release_expired(db, after(100)) == 1


def test_a_job_given_back_waits_and_keeps_its_attempt(db: Database) -> None:
    job = queue.give_back(db, stored.running(db), "the GPU was lost", after(30), NOW)
    assert (job.state, job.attempt, job.reason, job.lease_owner) == (JobState.QUEUED, 1, "the GPU was lost", None)
    assert queue.claim(db, "w", 60, after(29)) is None
    assert stored.claimed(db, now=after(30)).attempt == 2


def test_a_job_without_attempts_left_fails_with_the_last_reason(db: Database) -> None:
    stored.queued(db, maximum_attempts=2)
    queue.give_back(db, stored.claimed(db), "first", NOW, NOW)
    job = queue.give_back(db, stored.claimed(db), "second", NOW, NOW)
    assert job.state is JobState.FAILED
    assert job.reason == "given up after 2 of 2 attempts: second"
    assert queue.claim(db, "w", 60, NOW) is None


def test_a_job_that_kills_its_worker_each_time_runs_out_of_attempts(db: Database) -> None:
    stored.queued(db)
    for attempt in (1, 2, 3):
        assert stored.claimed(db).attempt == attempt
        assert queue.release(db, "worker:", NOW) == 1
    job = queue.get(db, 1)
    assert job.state is JobState.FAILED
    assert "its worker died (worker:1)" in job.reason


def test_a_job_found_without_attempts_fails_at_the_claim_and_the_next_one_is_taken(db: Database) -> None:
    first, second = stored.queued(db, study="1.1"), stored.queued(db, study="1.2")
    with db.transaction() as connection:
        connection.execute(schema.jobs.update().where(schema.jobs.c.job_id == first.job_id).values(attempt=3))
    assert stored.claimed(db).job_id == second.job_id
    assert queue.get(db, first.job_id).state is JobState.FAILED


def test_a_permanent_failure_keeps_its_reason_and_what_was_found(db: Database) -> None:
    job = queue.fail(db, stored.running(db), "mixed patients", {"selection": ["1.2"]}, after(5))
    assert (job.state, job.reason, job.lease_owner) == (JobState.FAILED, "mixed patients", None)
    assert job.outcome == {"selection": ["1.2"]}


@pytest.mark.parametrize(
    "thief", ["retried and claimed by another", "expired", "cancelled", "released and claimed again", "done"]
)
def test_whoever_lost_the_lease_writes_nothing(db: Database, thief: str) -> None:
    job = stored.running(db)
    if thief == "retried and claimed by another":  # at its first attempt again: the owner tells them apart
        queue.cancel(db, job.job_id, "by hand", NOW)
        queue.retry(db, stored.folder(db), job.job_id, NOW)
        stored.claimed(db, owner="worker:2")
    if thief == "expired":
        queue.release_expired(db, after(61))
    if thief == "cancelled":
        queue.cancel(db, job.job_id, "by hand", NOW)
    if thief == "released and claimed again":
        queue.release(db, "", NOW)
        stored.claimed(db)  # the same owner: the attempt tells them apart
    if thief == "done":
        stored.complete(db, job)
    before, told = queue.get(db, job.job_id), len(events.of_job(db, job.job_id))
    with pytest.raises(LeaseLost):
        queue.renew(db, job, 60, NOW)
    with pytest.raises(LeaseLost):
        queue.give_back(db, job, "late", NOW, NOW)
    with pytest.raises(LeaseLost):
        queue.fail(db, job, "late", {}, NOW)
    with pytest.raises(LeaseLost):
        stored.complete(db, job)
    assert queue.get(db, job.job_id) == before
    assert len(events.of_job(db, job.job_id)) == told


def test_who_lost_one_job_writes_nothing_into_the_next_one_that_it_holds(db: Database) -> None:
    lost = stored.running(db, study="1.8")
    queue.cancel(db, lost.job_id, "by hand", NOW)
    held = stored.running(db, study="1.9")
    assert (held.lease_owner, held.attempt) == (lost.lease_owner, lost.attempt)
    with pytest.raises(LeaseLost):
        queue.fail(db, lost, "late", {}, NOW)
    with pytest.raises(LeaseLost):
        stored.complete(db, lost)
    assert queue.get(db, held.job_id) == held


def test_only_the_leases_of_the_dead_owner_are_released(db: Database) -> None:
    for number, owner in enumerate(["host:1:0", "host:11:0", "ho%t:1:0"]):
        stored.queued(db, study=f"1.{number}")
        stored.claimed(db, owner=owner)
    assert queue.release(db, "host:1:", NOW) == 1
    assert queue.release(db, "ho%t", NOW) == 1
    assert queue.release(db, "h_", NOW) == 0
    assert queue.release(db, "", NOW) == 1


def other_boot(db: Database) -> None:
    with db.transaction() as connection:
        connection.execute(schema.jobs.update().values(lease_boot="another boot"))


def test_a_lease_of_another_boot_has_no_living_owner(db: Database) -> None:
    stored.running(db)
    assert queue.release(db, "nobody", NOW) == 0
    other_boot(db)
    assert queue.release(db, "nobody", NOW) == 1
    stored.claimed(db)
    other_boot(db)
    assert queue.release_expired(db, NOW) == 1


def set_times(db: Database, **values: object) -> None:
    with db.transaction() as connection:
        connection.execute(schema.jobs.update().values(**values))


def test_a_lease_taken_when_the_clock_ran_ahead_ends_all_the_same(db: Database) -> None:
    stored.queued(db)
    stored.claimed(db, now=after(YEAR_S))
    assert queue.release_expired(db, NOW) == 1


def test_a_job_queued_when_the_clock_ran_ahead_is_claimed_all_the_same(db: Database) -> None:
    stored.queued(db, now=after(YEAR_S))
    assert stored.claimed(db, now=NOW).attempt == 1


def test_a_job_given_back_when_the_clock_ran_ahead_is_claimed_all_the_same(db: Database) -> None:
    job = stored.running(db)
    queue.give_back(db, job, "busy", after(7200 + 30), after(7200))
    assert stored.claimed(db, now=NOW).attempt == 2


def test_a_wait_beyond_reason_is_not_waited_for(db: Database) -> None:
    stored.queued(db)
    set_times(db, available_at=NOW + LONGEST_WAIT + timedelta(seconds=1))
    stored.claimed(db, now=NOW)


def test_a_row_written_while_the_caller_waited_for_the_lock_is_no_clock_set_back(db: Database) -> None:
    job = stored.running(db)
    queue.give_back(db, job, "busy", after(40), after(10))
    assert queue.claim(db, "w", 60, after(9.9)) is None


def test_jobs_are_listed_newest_first(db: Database) -> None:
    for number in range(4):
        stored.queued(db, study=f"1.{number}")
    stored.claimed(db)
    assert [job.job_id for job in queue.listing(db)] == [4, 3, 2, 1]
    assert [job.job_id for job in queue.listing(db, limit=2)] == [4, 3]
    assert [job.job_id for job in queue.listing(db, states=[JobState.QUEUED], limit=2)] == [4, 3]
    assert [job.job_id for job in queue.listing(db, states=(JobState.RUNNING, JobState.DONE))] == [1]
    assert queue.listing(db, states=[]) == []
    counts = queue.counts(db)
    assert set(counts) == set(JobState)
    assert (counts[JobState.QUEUED], counts[JobState.RUNNING], counts[JobState.DONE]) == (3, 1, 0)


def test_what_is_not_there_is_said(db: Database) -> None:
    with pytest.raises(NotFound, match="no job 7"):
        queue.get(db, 7)
    with pytest.raises(NotFound):
        queue.retry(db, stored.folder(db), 7, NOW)
    with pytest.raises(NotFound):
        queue.cancel(db, 7, "by hand", NOW)


def test_a_retry_begins_again_with_all_attempts(db: Database) -> None:
    job = queue.fail(db, stored.running(db), "no free memory", {}, NOW)
    again = queue.retry(db, stored.folder(db), job.job_id, after(5))
    assert (again.state, again.attempt, again.available_at) == (JobState.QUEUED, 0, after(5))
    assert stored.claimed(db, now=after(5)).attempt == 1


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.RUNNING, JobState.REPORTED, JobState.DONE])
def test_what_is_on_its_way_or_done_is_not_retried(db: Database, state: JobState) -> None:
    make: dict[JobState, Callable[[Database], Job]] = {
        JobState.QUEUED: stored.queued,
        JobState.RUNNING: stored.running,
        JobState.REPORTED: stored.reported,
        JobState.DONE: stored.delivered,
    }
    job = make[state](db)
    with pytest.raises(InvalidTransition, match=f"a job that is {state} cannot be tried again"):
        queue.retry(db, stored.folder(db), job.job_id, NOW)
    assert queue.get(db, job.job_id) == job


def test_a_job_that_was_overtaken_is_not_retried(db: Database) -> None:
    first = stored.queued(db, number=1)
    stored.queued(db, number=2)
    with pytest.raises(InvalidTransition, match="overtaken by revision 2 of its study: retry that one"):
        queue.retry(db, stored.folder(db), first.job_id, NOW)


def test_a_job_given_back_after_it_was_overtaken_is_cancelled(db: Database) -> None:
    first = stored.running(db, number=1)
    stored.queued(db, number=2)
    given_back = queue.give_back(db, first, "its worker died", NOW, NOW)
    assert given_back.state is JobState.CANCELLED
    assert given_back.reason == "overtaken by revision 2; its worker died"
    assert stored.claimed(db).revision == 2


def refused(db: Database, count: int) -> Job:
    """A job with two results, the first `count` of them refused and the others sent."""
    job = stored.reported(db)
    for number in range(2):
        delivery = stored.taken(db)
        if number < count:
            outbox.refuse(db, delivery, "0xA900", NOW)
        else:
            outbox.sent(db, delivery, "0x0000", NOW)
    return queue.get(db, job.job_id)


def test_a_retry_with_results_on_hand_sends_only_what_was_refused(db: Database) -> None:
    job = refused(db, 1)
    assert job.state is JobState.FAILED
    again = queue.retry(db, stored.folder(db), job.job_id, after(5))
    assert again.state is JobState.REPORTED
    first, second = outbox.of_job(db, job.job_id)
    assert (first.state, first.attempt, first.available_at) == (DeliveryState.PENDING, 0, after(5))
    assert second.state is DeliveryState.SENT
    outbox.sent(db, stored.taken(db, now=after(5)), "0x0000", after(6))
    assert queue.get(db, job.job_id).state is JobState.DONE


def test_a_retry_without_the_files_of_the_results_works_from_the_start(db: Database) -> None:
    job = refused(db, 1)
    lost = outbox.results_of_job(db, job.job_id)[0]
    stored.folder(db).path(lost.path).unlink()
    assert queue.retry(db, stored.folder(db), job.job_id, NOW).state is JobState.QUEUED
    stored.complete(db, stored.claimed(db))
    found = outbox.results_of_job(db, job.job_id)[0]
    assert found.path != lost.path
    assert stored.folder(db).path(found.path).is_file()
    assert [each.state for each in outbox.of_job(db, job.job_id)] == [DeliveryState.PENDING, DeliveryState.SENT]


def test_a_retry_of_a_skipped_job_works_from_the_start_and_sends_nothing_twice(db: Database) -> None:
    job = stored.complete(db, stored.running(db), state=JobState.SKIPPED)
    outbox.sent(db, stored.taken(db), "0x0000", NOW)
    assert queue.retry(db, stored.folder(db), job.job_id, NOW).state is JobState.QUEUED
    assert [delivery.state for delivery in outbox.of_job(db, job.job_id)] == [DeliveryState.SENT]
    assert outbox.claim(db, "pacs", NOW) is None
    again = stored.complete(db, stored.claimed(db), state=JobState.SKIPPED)
    assert again.state is JobState.SKIPPED
    assert [each.state for each in outbox.of_job(db, job.job_id)] == [DeliveryState.SENT, DeliveryState.PENDING]


def test_a_cancelled_job_is_not_worked_on(db: Database) -> None:
    stored.queued(db)
    job = queue.cancel(db, 1, "wrong patient", after(5))
    assert (job.state, job.reason) == (JobState.CANCELLED, "wrong patient")
    assert queue.claim(db, "w", 60, after(6)) is None
    assert queue.retry(db, stored.folder(db), 1, after(7)).state is JobState.QUEUED


def test_a_cancel_keeps_back_what_was_not_sent_and_a_retry_sends_it(db: Database) -> None:
    job = stored.reported(db)
    in_flight = stored.taken(db)
    queue.cancel(db, job.job_id, "wrong patient", NOW)
    assert outbox.claim(db, "pacs", NOW) is None
    outbox.sent(db, in_flight, "0x0000", NOW)  # what was on the way arrived, and that is known
    states = [each.state for each in outbox.of_job(db, job.job_id)]
    assert states == [DeliveryState.SENT, DeliveryState.REFUSED]
    assert queue.get(db, job.job_id).state is JobState.CANCELLED
    assert queue.retry(db, stored.folder(db), job.job_id, NOW).state is JobState.REPORTED
    outbox.sent(db, stored.taken(db), "0x0000", NOW)
    assert queue.get(db, job.job_id).state is JobState.DONE


def test_what_was_on_the_way_when_its_job_was_cancelled_is_not_tried_again(db: Database) -> None:
    job = stored.reported(db)
    in_flight = stored.taken(db)
    queue.cancel(db, job.job_id, "wrong patient", NOW)
    assert outbox.postpone(db, in_flight, "timeout", after(30), NOW).state is DeliveryState.REFUSED
    assert {each.state for each in outbox.of_job(db, job.job_id)} == {DeliveryState.REFUSED}


@pytest.mark.parametrize("state", [JobState.SKIPPED, JobState.DONE, JobState.FAILED])
def test_what_has_ended_is_not_cancelled(db: Database, state: JobState) -> None:
    if state is JobState.DONE:
        stored.delivered(db)
    elif state is JobState.FAILED:
        queue.fail(db, stored.running(db), "broken", {}, NOW)
    else:
        stored.complete(db, stored.running(db), state=state)
    with pytest.raises(InvalidTransition):
        queue.cancel(db, 1, "by hand", NOW)


def test_every_change_of_a_job_leaves_an_event_that_joins_to_the_next(db: Database) -> None:
    stored.delivered(db)
    stored.received(db, 2)
    changes = [event for event in events.of_job(db, 1) if event.delivery_id is None and event.after is not None]
    assert [event.after for event in changes] == ["queued", "running", "reported", "done"]
    assert [event.before for event in changes] == [None, "queued", "running", "reported"]
    assert all(event.reason and event.study_instance_uid == STUDY for event in changes)
    with db.reading() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(schema.events)).scalar_one() > len(changes)
