"""Results and their deliveries: committed with their job, sent in order, proved, never sent twice at a time."""

import pytest

from storage import Database, engine, events, files, outbox, queue
from storage.errors import InvalidTransition, LeaseLost, ResultConflict
from storage.outbox import NewDelivery
from storage.records import Delivery, Proof
from storage.states import AnswerKind, DeliveryState, JobState
from tests import stored
from tests.stored import NOW, after


def states(db: Database, job_id: int = 1) -> list[DeliveryState]:
    return [delivery.state for delivery in outbox.of_job(db, job_id)]


def test_results_deliveries_and_state_are_one_step(db: Database) -> None:
    job = stored.reported(db)
    assert (job.state, job.lease_owner, job.outcome) == (JobState.REPORTED, None, {"probability": 0.25})
    results = outbox.results_of_job(db, job.job_id)
    assert [result.kind for result in results] == ["overlay", "sr_comprehensive"]
    assert outbox.result(db, results[0].sop_instance_uid) == results[0]
    assert outbox.result(db, "1.2") is None
    assert states(db) == [DeliveryState.PENDING] * 2
    for result in results:
        files.verify(stored.folder(db), result.path, result.sha256)


def test_each_job_has_its_own_results_and_deliveries(db: Database) -> None:
    one, two = stored.reported(db, study="1.8"), stored.reported(db, study="1.9", count=1)
    assert [each.job_id for each in outbox.results_of_job(db, one.job_id)] == [one.job_id] * 2
    assert [each.job_id for each in outbox.of_job(db, two.job_id)] == [two.job_id]


def test_a_failure_in_the_middle_leaves_nothing_of_it(db: Database) -> None:
    job = stored.running(db)
    result = stored.encoded(db, job, 1)
    with pytest.raises(KeyError):
        outbox.complete(
            db, stored.folder(db), job, stored.answer(job), [result], [NewDelivery("2.25.unknown", "pacs")], {}, NOW
        )
    assert queue.get(db, job.job_id) == job
    assert outbox.results_of_job(db, job.job_id) == []


def test_an_idle_office_waits_for_no_writer(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_S", 0.1)
    with stored.opened(stored.folder(db).root) as impatient, stored.held_by_a_writer(db):
        assert outbox.claim(impatient, "pacs", NOW) is None


def test_of_two_who_see_the_same_delivery_one_gets_it(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    stored.reported(db, count=1)
    stored.overtake(db, monkeypatch, lambda: stored.taken(db))
    assert outbox.claim(db, "pacs", NOW) is None
    assert [each.attempt for each in outbox.of_job(db, 1)] == [1]


def test_a_report_without_destinations_is_done(db: Database) -> None:
    job = stored.complete(db, stored.running(db), destinations=())
    assert job.state is JobState.DONE
    assert len(outbox.results_of_job(db, job.job_id)) == 2


def test_a_skipped_job_stays_skipped_while_its_report_is_sent(db: Database) -> None:
    job = stored.complete(db, stored.running(db), state=JobState.SKIPPED, count=1)
    outbox.sent(db, stored.taken(db), "0x0000", NOW)
    assert queue.get(db, job.job_id).state is JobState.SKIPPED
    assert states(db) == [DeliveryState.SENT]


def test_a_uid_of_another_job_is_never_taken_over(db: Database) -> None:
    taken = stored.encoded(db, stored.reported(db), 1)
    job = stored.running(db, study="1.9")
    with pytest.raises(ResultConflict, match="belongs to job 1, not to job 2"):
        outbox.complete(db, stored.folder(db), job, stored.answer(job), [taken], [], {}, NOW)
    assert queue.get(db, job.job_id).state is JobState.RUNNING


def test_a_result_encoded_again_keeps_its_first_content(db: Database) -> None:
    job = stored.complete(db, stored.running(db), state=JobState.SKIPPED, count=1)
    first = outbox.results_of_job(db, job.job_id)
    queue.retry(db, stored.folder(db), job.job_id, NOW)
    other = files.write(stored.folder(db), first[0].sop_instance_uid, [b"another content"], area="results")
    changed = type(first[0])(**(vars(first[0]) | {"path": other.path, "sha256": other.sha256}))
    outbox.complete(
        db, stored.folder(db), stored.claimed(db), stored.answer(job, AnswerKind.NO_RESULT), [changed], [], {}, NOW
    )
    assert outbox.results_of_job(db, job.job_id) == first
    assert list(files.orphans(stored.folder(db), db, "results")) == [other.path]


def test_a_lost_result_that_comes_out_different_is_a_conflict(db: Database) -> None:
    job = stored.complete(db, stored.running(db), state=JobState.SKIPPED, count=1)
    first = outbox.results_of_job(db, job.job_id)[0]
    stored.folder(db).path(first.path).unlink()
    queue.retry(db, stored.folder(db), job.job_id, NOW)
    changed = type(first)(**(vars(first) | {"path": "results/aa/x", "sha256": "f" * 64}))
    with pytest.raises(ResultConflict, match="another content"):
        outbox.complete(
            db, stored.folder(db), stored.claimed(db), stored.answer(job, AnswerKind.NO_RESULT), [changed], [], {}, NOW
        )


def test_lost_pictures_that_come_out_different_are_taken_as_they_are(db: Database) -> None:
    job = stored.running(db)
    new = stored.encoded(db, job, 1, "pictures")
    pictures = type(new)(**(vars(new) | {"sop_class_uid": "", "series_instance_uid": ""}))
    answer = stored.answer(job, AnswerKind.NO_RESULT)
    outbox.complete(db, stored.folder(db), job, answer, [pictures], [], {}, NOW)
    stored.folder(db).path(pictures.path).unlink()
    queue.retry(db, stored.folder(db), job.job_id, NOW)
    again = type(new)(**(vars(pictures) | {"path": "results/aa/x", "sha256": "f" * 64, "size_bytes": 7}))
    outbox.complete(db, stored.folder(db), stored.claimed(db), answer, [again], [], {}, NOW)
    assert outbox.results_of_job(db, job.job_id) == [again]


def test_deliveries_go_one_by_one_in_the_order_of_their_ordinals(db: Database) -> None:
    stored.reported(db)
    first = stored.taken(db)
    assert (first.state, first.attempt, first.sop_instance_uid) == (DeliveryState.SENDING, 1, "2.25.1.1")
    assert outbox.claim(db, "pacs", NOW) is None  # the report waits for its captures
    outbox.sent(db, first, "0x0000", NOW)
    second = stored.taken(db)
    assert second.sop_instance_uid == "2.25.1.2"
    outbox.sent(db, second, "0xB000", NOW)
    assert outbox.claim(db, "pacs", NOW) is None
    assert queue.get(db, 1).state is JobState.DONE


def test_destinations_do_not_wait_for_each_other(db: Database) -> None:
    stored.complete(db, stored.running(db), destinations=("one", "two"))
    outbox.postpone(db, stored.taken(db, "one"), "refused the connection", after(900), NOW)
    for _ in range(2):
        outbox.sent(db, stored.taken(db, "two"), "0x0000", NOW)
    assert outbox.claim(db, "one", NOW) is None
    assert outbox.claim(db, "three", NOW) is None
    assert queue.get(db, 1).state is JobState.REPORTED
    counts = outbox.counts(db)
    assert counts == {("one", DeliveryState.PENDING): 2, ("two", DeliveryState.SENT): 2}


def test_studies_do_not_wait_for_each_other(db: Database) -> None:
    stored.reported(db, study="1.1")
    stored.reported(db, study="1.2")
    outbox.postpone(db, stored.taken(db), "0xA700", after(900), NOW)
    assert stored.taken(db).job_id == 2


def test_a_revision_does_not_overtake_the_one_before(db: Database) -> None:
    stored.reported(db)
    stored.complete(db, stored.running(db, number=2))
    outbox.postpone(db, stored.taken(db), "0xA700", after(900), NOW)
    assert outbox.claim(db, "pacs", NOW) is None
    order = []
    while (delivery := outbox.claim(db, "pacs", after(900))) is not None:
        order.append(delivery.sop_instance_uid)
        outbox.sent(db, delivery, "0x0000", after(900))
    assert order == ["2.25.1.1", "2.25.1.2", "2.25.2.1", "2.25.2.2"]


def test_a_postponed_delivery_waits_and_counts_its_attempts(db: Database) -> None:
    stored.reported(db)
    waiting = outbox.postpone(db, stored.taken(db), "timeout", after(15), NOW)
    assert (waiting.state, waiting.attempt, waiting.reason) == (DeliveryState.PENDING, 1, "timeout")
    assert outbox.claim(db, "pacs", after(14)) is None
    assert stored.taken(db, now=after(15)).attempt == 2


def test_a_delivery_postponed_when_the_clock_ran_ahead_is_sent_all_the_same(db: Database) -> None:
    stored.reported(db)
    outbox.postpone(db, stored.taken(db), "timeout", after(7200 + 15), after(7200))
    assert stored.taken(db, now=NOW).attempt == 2


def test_a_refused_result_does_not_hold_up_the_rest_but_fails_the_job(db: Database) -> None:
    job = stored.reported(db)
    outbox.refuse(db, stored.taken(db), "0xA900: data set does not match SOP class", NOW)
    assert queue.get(db, job.job_id).state is JobState.REPORTED
    outbox.sent(db, stored.taken(db), "0x0000", NOW)
    failed = queue.get(db, job.job_id)
    assert failed.state is JobState.FAILED
    assert failed.reason == "1 of 2 results refused by pacs: 0xA900: data set does not match SOP class"


def test_what_is_said_of_a_delivery_that_moved_on_is_not_heard(db: Database) -> None:
    stored.reported(db)
    stale = stored.taken(db)
    outbox.release(db, NOW)
    current = stored.taken(db)
    assert (current.delivery_id, current.attempt) == (stale.delivery_id, 2)
    with pytest.raises(LeaseLost):
        outbox.sent(db, stale, "0x0000", NOW)
    with pytest.raises(LeaseLost):
        outbox.postpone(db, stale, "timeout", NOW, NOW)
    with pytest.raises(LeaseLost):
        outbox.refuse(db, stale, "0xA900", NOW)
    assert outbox.of_job(db, 1)[0] == current


def test_what_was_said_of_an_attempt_cannot_be_unsaid(db: Database) -> None:
    stored.reported(db)
    taken = stored.taken(db)
    outbox.postpone(db, taken, "timeout", after(15), NOW)
    with pytest.raises(LeaseLost, match="no longer sending"):
        outbox.sent(db, taken, "0x0000", NOW)


def test_a_delivery_waits_while_its_job_is_worked_on_again(db: Database) -> None:
    stored.complete(db, stored.running(db), state=JobState.SKIPPED, count=1)
    on_the_way = stored.taken(db)
    queue.retry(db, stored.folder(db), 1, NOW)
    outbox.postpone(db, on_the_way, "timeout", NOW, NOW)
    assert outbox.claim(db, "pacs", NOW) is None
    stored.complete(db, stored.claimed(db), state=JobState.SKIPPED, count=1)
    assert stored.taken(db).delivery_id == on_the_way.delivery_id


def test_an_office_that_died_while_sending_sends_the_same_bytes_again(db: Database) -> None:
    stored.reported(db)
    before = stored.taken(db)
    assert outbox.release(db, after(1)) == 1
    assert outbox.release(db, after(1)) == 0
    again = stored.taken(db, now=after(1))
    assert (again.sop_instance_uid, again.attempt) == (before.sop_instance_uid, 2)


def sent_with_proof(db: Database, proof: Proof = Proof.COMMITMENT) -> None:
    stored.reported(db, proof=proof)
    for _ in range(2):
        outbox.sent(db, stored.taken(db), "0x0000", NOW)


@pytest.mark.parametrize("proof", [Proof.COMMITMENT, Proof.FIND])
def test_a_job_with_proof_is_done_only_when_all_is_proved(db: Database, proof: Proof) -> None:
    sent_with_proof(db, proof)
    assert queue.get(db, 1).state is JobState.REPORTED
    waiting = outbox.awaiting_commitment(db, "pacs")
    assert [delivery.sop_instance_uid for delivery in waiting] == ["2.25.1.1", "2.25.1.2"]
    assert outbox.awaiting_commitment(db, "other") == []
    assert outbox.committed(db, waiting[0], NOW).state is DeliveryState.COMMITTED
    assert queue.get(db, 1).state is JobState.REPORTED
    outbox.committed(db, waiting[1], NOW)
    assert queue.get(db, 1).state is JobState.DONE
    assert outbox.awaiting_commitment(db, "pacs") == []


def test_without_proof_nothing_awaits_commitment(db: Database) -> None:
    stored.delivered(db)
    assert outbox.awaiting_commitment(db, "pacs") == []


def by_transaction(db: Database, transaction_uid: str) -> list[Delivery]:
    return [each for each in outbox.of_job(db, 1) if each.transaction_uid == transaction_uid]


def test_a_request_is_known_before_its_answer_can_come(db: Database) -> None:
    sent_with_proof(db)
    asked = outbox.requested(db, outbox.awaiting_commitment(db, "pacs"), "2.25.99", after(1))
    assert by_transaction(db, "2.25.99") == asked
    assert {delivery.updated_at for delivery in asked} == {after(1)}
    assert by_transaction(db, "2.25.98") == []
    for delivery in asked:
        outbox.committed(db, delivery, after(2))
    told_again = by_transaction(db, "2.25.99")
    assert [outbox.committed(db, delivery, after(3)) for delivery in told_again] == told_again
    assert [event.name for event in events.of_job(db, 1)].count("commitment requested") == 1


def test_a_new_request_takes_the_place_of_one_without_answer(db: Database) -> None:
    sent_with_proof(db)
    outbox.requested(db, outbox.awaiting_commitment(db, "pacs"), "2.25.98", after(1))
    outbox.requested(db, outbox.awaiting_commitment(db, "pacs"), "2.25.99", after(700))
    assert by_transaction(db, "2.25.98") == []
    assert len(by_transaction(db, "2.25.99")) == 2


def test_what_the_destination_does_not_have_is_sent_again(db: Database) -> None:
    sent_with_proof(db)
    first, second = outbox.requested(db, outbox.awaiting_commitment(db, "pacs"), "2.25.99", NOW)
    outbox.committed(db, second, NOW)
    again = outbox.uncommitted(db, first, "0x0112: no such object instance", after(15), NOW)
    assert (again.state, again.transaction_uid) == (DeliveryState.PENDING, None)
    assert outbox.claim(db, "pacs", after(14)) is None
    assert by_transaction(db, "2.25.99") == [outbox.of_job(db, 1)[1]]
    outbox.sent(db, stored.taken(db, now=after(15)), "0x0000", after(16))
    outbox.committed(db, outbox.awaiting_commitment(db, "pacs")[0], after(17))
    assert queue.get(db, 1).state is JobState.DONE


def test_only_what_is_sent_can_be_asked_for_or_proved(db: Database) -> None:
    stored.reported(db, proof=Proof.COMMITMENT)
    pending = outbox.of_job(db, 1)
    assert outbox.requested(db, pending, "2.25.99", NOW) == []
    with pytest.raises(InvalidTransition):
        outbox.committed(db, pending[0], NOW)


def test_a_new_report_names_the_one_that_stands(db: Database) -> None:
    first = stored.delivered(db)
    assert outbox.standing_report(db, first) == []  # its own, if it were tried once more
    found = outbox.standing_report(db, stored.queued(db, number=2))
    assert [result.sop_instance_uid for result in found] == ["2.25.1.2"]


def test_of_several_reports_only_the_one_that_stands_is_named(db: Database) -> None:
    stored.delivered(db)
    stored.complete(db, stored.running(db, number=2))
    found = outbox.standing_report(db, stored.queued(db, number=3))
    assert [result.sop_instance_uid for result in found] == ["2.25.2.2"]


def test_a_report_that_nobody_took_is_not_named(db: Database) -> None:
    stored.reported(db)
    while (delivery := outbox.claim(db, "pacs", NOW)) is not None:
        outbox.refuse(db, delivery, "0xA900", NOW)
    assert outbox.standing_report(db, stored.queued(db, number=2)) == []
