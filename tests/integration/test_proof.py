"""Proof of delivery: storage commitment and read-back; pynetdicom is the PACS, our listener hears its reports."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from node.config import AllowedPeer, Listener, Settings
from node.deliver.proof import MOST_UNANSWERED, record_report
from node.dimse.commitment import CommitmentReport
from node.dimse.scp import Server, start_listener
from node.service.listener import on_commitment, on_store
from storage import Database, outbox, queue
from storage.records import Job, Proof
from storage.states import DeliveryState, JobState
from tests import stored
from tests.destination import destination, wait_until
from tests.integration.test_delivery import CAPTURES, courier, now, reported, states

PENDING, SENDING, SENT, COMMITTED, REFUSED = DeliveryState
EVERYTHING = CAPTURES + 1


@pytest.fixture
def listener(db: Database) -> Iterator[Server]:
    """Our listener as in service: it takes reports, and results that come back."""
    settings = Settings(data_folder=stored.folder(db).root)
    allowed = Listener(port=0, allow=(AllowedPeer(ae_title="PACS"),))
    with start_listener(
        allowed,
        lambda received: on_store(stored.folder(db), db, settings, received),
        lambda report: on_commitment(db, settings, report),
    ) as server:
        yield server


def job_state(db: Database, job: Job) -> JobState:
    return queue.get(db, job.job_id).state


def test_acknowledged_is_not_committed_until_the_destination_says_so(db: Database, listener: Server) -> None:
    job = reported(db, proof=Proof.COMMITMENT)
    with destination() as pacs:
        carrier = courier(db, pacs.port, proof="commitment")
        carrier.round()
        assert states(db, job) == [SENT] * EVERYTHING
        assert job_state(db, job) is JobState.REPORTED
        transaction, asked = pacs.asked[0]
        assert set(asked) == set(pacs.uids)
        assert {each.transaction_uid for each in outbox.of_job(db, job.job_id)} == {transaction}
        record_report(db, CommitmentReport(transaction, asked), Settings().delivery, now())
    assert states(db, job) == [COMMITTED] * EVERYTHING
    assert job_state(db, job) is JobState.DONE


def test_the_report_comes_to_our_listener_on_an_association_of_its_own(db: Database, listener: Server) -> None:
    job = reported(db, proof=Proof.COMMITMENT)
    with destination() as pacs:
        pacs.report_to = ("NEUROSSL", listener.port)
        courier(db, pacs.port, proof="commitment").round()
        wait_until(lambda: job_state(db, job) is JobState.DONE, "the report", 10)
    assert states(db, job) == [COMMITTED] * EVERYTHING
    assert len(pacs.asked) == 1


def test_what_the_destination_says_not_to_have_is_sent_again_until_it_has_it(db: Database, listener: Server) -> None:
    job = reported(db, proof=Proof.COMMITMENT)
    lost = f"2.25.{job.job_id}.1"
    with destination() as pacs:
        pacs.report_to = ("NEUROSSL", listener.port)
        pacs.hidden = {lost}
        carrier = courier(db, pacs.port, proof="commitment")
        carrier.round()
        wait_until(lambda: states(db, job) == [COMMITTED, PENDING, COMMITTED, COMMITTED], "the report", 10)
        assert "no such object instance (0x0112)" in outbox.of_job(db, job.job_id)[1].reason
        pacs.hidden = set()

        def proved() -> bool:
            carrier.round()
            return job_state(db, job) is JobState.DONE

        wait_until(proved, "the second report", 20)
    assert [uid for uid, _ in pacs.stored].count(lost) == 2
    assert len(pacs.contents[lost]) == 1


def test_a_report_that_does_not_come_is_asked_for_again_under_a_new_transaction(db: Database) -> None:
    job = reported(db, proof=Proof.COMMITMENT)
    with destination() as pacs:
        carrier = courier(db, pacs.port, proof="commitment", commitment_timeout_s=0.2)

        def asked_again() -> bool:
            carrier.round()
            return len(pacs.asked) >= 2

        wait_until(asked_again, "a second request", 10)
    transactions = [transaction for transaction, _ in pacs.asked]
    assert len(set(transactions)) == len(transactions)
    assert states(db, job) == [SENT] * EVERYTHING


def test_a_destination_without_storage_commitment_is_named_as_the_trouble(db: Database) -> None:
    job = reported(db, proof=Proof.COMMITMENT)
    with destination(commitment=False) as pacs:
        carrier = courier(db, pacs.port, proof="commitment")
        carrier.round()
        assert "commitment" in carrier.trouble
    assert states(db, job) == [SENT] * EVERYTHING
    assert job_state(db, job) is JobState.REPORTED


def test_the_trouble_is_over_once_the_destination_takes_the_question(db: Database) -> None:
    reported(db, proof=Proof.COMMITMENT)
    with destination(commitment=False) as pacs:
        carrier = courier(db, pacs.port, proof="commitment")
        carrier.round()
        assert carrier.trouble != ""
    with destination(port=pacs.port) as pacs:

        def asked() -> bool:
            carrier.round()
            return len(pacs.asked) > 0

        wait_until(asked, "the question", 20)
    assert carrier.trouble == ""


def test_a_late_or_strange_report_changes_nothing(db: Database) -> None:
    job = reported(db, proof=Proof.COMMITMENT)
    with destination() as pacs:
        courier(db, pacs.port, proof="commitment").round()
    transaction, asked = pacs.asked[0]
    settings = Settings().delivery
    record_report(db, CommitmentReport("1.2.3.4", asked), settings, now())
    assert states(db, job) == [SENT] * EVERYTHING
    record_report(db, CommitmentReport(transaction, asked), settings, now())
    record_report(db, CommitmentReport(transaction, asked), settings, now())
    record_report(db, CommitmentReport(transaction, (), dict.fromkeys(asked, 0x0112)), settings, now())
    assert states(db, job) == [COMMITTED] * EVERYTHING


def test_a_read_back_proves_what_the_destination_has(db: Database) -> None:
    job = reported(db, proof=Proof.FIND)
    with destination() as pacs:
        courier(db, pacs.port, proof="find").round()
    assert states(db, job) == [COMMITTED] * EVERYTHING
    assert job_state(db, job) is JobState.DONE


def test_what_the_read_back_does_not_find_in_time_is_sent_again(db: Database) -> None:
    job = reported(db, proof=Proof.FIND)
    with destination() as pacs:
        pacs.hidden = {f"2.25.{job.job_id}.0"}
        carrier = courier(db, pacs.port, proof="find", commitment_timeout_s=0.3)

        def sent_again() -> bool:
            carrier.round()
            return len(pacs.stored) > EVERYTHING

        wait_until(sent_again, "the missing one to be sent again", 20)
        pacs.hidden = set()

        def proved() -> bool:
            carrier.round()
            return job_state(db, job) is JobState.DONE

        wait_until(proved, "the proof", 20)
    assert states(db, job) == [COMMITTED] * EVERYTHING


def test_a_sending_time_in_the_future_does_not_put_off_the_question_for_ever(db: Database) -> None:
    job = reported(db, proof=Proof.COMMITMENT)
    with destination() as pacs:
        courier(db, pacs.port, proof="commitment").round()
        waiting = outbox.awaiting_commitment(db, "pacs")
        outbox.requested(db, waiting, "1.2.3", datetime.now(UTC) + timedelta(days=365))  # the clock ran ahead
        courier(db, pacs.port, proof="commitment").round()
    assert len(pacs.asked) == 2
    assert job_state(db, job) is JobState.REPORTED


def test_a_result_of_ours_that_comes_back_begins_no_new_revision(db: Database, listener: Server) -> None:
    from node.dimse import scu

    job = reported(db)
    result = outbox.results_of_job(db, job.job_id)[-1]
    peer = scu.Peer("NEUROSSL", "127.0.0.1", listener.port, "PACS")
    (outcome,) = scu.send(peer, [stored.folder(db).path(result.path)], 5)
    assert (outcome.accepted, outcome.status) == (True, 0x0000)
    from storage import instances, studies

    assert instances.find(db, result.sop_instance_uid) is None
    assert studies.get(db, job.study_instance_uid).revision == 1


def test_a_report_on_an_older_transaction_counts_also_when_it_was_asked_again(db: Database) -> None:
    job = reported(db, proof=Proof.COMMITMENT)
    with destination() as pacs:
        carrier = courier(db, pacs.port, proof="commitment", commitment_timeout_s=0.2)

        def asked_again() -> bool:
            carrier.round()
            return len(pacs.asked) >= 2

        wait_until(asked_again, "a second request", 10)
    first, asked = pacs.asked[0]
    record_report(db, CommitmentReport(first, asked), Settings().delivery, now())
    assert states(db, job) == [COMMITTED] * EVERYTHING
    assert job_state(db, job) is JobState.DONE


def refused_by_proof(db: Database, job: Job, pacs_port: int) -> str:
    """Say "not committed" to every request, until the node has had enough; the transaction that was asked last."""
    carrier = courier(db, pacs_port, proof="commitment", backoff_s=0, maximum_backoff_s=0)
    transaction = ""
    for _ in range(3):
        carrier._way._archive._pause = type(carrier._way._archive._pause)()
        carrier.round()
        transaction = str(outbox.of_job(db, job.job_id)[0].transaction_uid)
        uids = [each.sop_instance_uid for each in outbox.of_job(db, job.job_id)]
        report = CommitmentReport(transaction, (), dict.fromkeys(uids, 0x0122))
        record_report(db, report, Settings().delivery.model_copy(update={"backoff_s": 0}), now())
    return transaction


def test_who_never_commits_is_believed_after_a_few_sendings_and_the_reason_is_kept(db: Database) -> None:
    job = reported(db, proof=Proof.COMMITMENT)
    with destination() as pacs:
        refused_by_proof(db, job, pacs.port)
        assert states(db, job) == [REFUSED] * EVERYTHING
        courier(db, pacs.port, proof="commitment").round()
    assert len(pacs.stored) == 3 * EVERYTHING
    assert "class not supported (0x0122) (after it was sent 3 times)" in outbox.of_job(db, job.job_id)[0].reason
    assert job_state(db, job) is JobState.FAILED


def test_a_proof_that_comes_after_it_was_given_up_is_a_proof(db: Database) -> None:
    job = reported(db, proof=Proof.COMMITMENT)
    with destination() as pacs:
        transaction = refused_by_proof(db, job, pacs.port)
    uids = tuple(each.sop_instance_uid for each in outbox.of_job(db, job.job_id))
    record_report(db, CommitmentReport(transaction, uids), Settings().delivery, now())
    assert states(db, job) == [COMMITTED] * EVERYTHING
    assert job_state(db, job) is JobState.DONE


def test_a_failure_that_speaks_of_an_earlier_sending_is_passed_over(db: Database) -> None:
    job = reported(db, proof=Proof.COMMITMENT)
    failed = Settings().delivery.model_copy(update={"backoff_s": 0})
    with destination() as pacs:
        carrier = courier(db, pacs.port, proof="commitment", backoff_s=0, maximum_backoff_s=0)
        carrier.round()
        transaction, asked = pacs.asked[0]
        report = CommitmentReport(transaction, (), dict.fromkeys(asked, 0x0110))
        record_report(db, report, failed, now())
        carrier.round()
        assert states(db, job) == [SENT] * EVERYTHING
        record_report(db, report, failed, now())
    assert states(db, job) == [SENT] * EVERYTHING


def test_asking_without_an_answer_ends(db: Database) -> None:
    job = reported(db, proof=Proof.COMMITMENT)
    with destination() as pacs:
        courier(db, pacs.port, proof="commitment").round()
        for number in range(MOST_UNANSWERED):
            outbox.requested(db, outbox.awaiting_commitment(db, "pacs"), f"1.2.{number}", now() - timedelta(days=30))
        courier(db, pacs.port, proof="commitment").round()
    assert states(db, job) == [REFUSED] * EVERYTHING
    assert job_state(db, job) is JobState.FAILED
    assert len(pacs.asked) == 1


def test_who_is_never_found_by_a_read_back_is_not_sent_for_ever(db: Database) -> None:
    job = reported(db, proof=Proof.FIND)
    with destination() as pacs:
        pacs.hidden = {each.sop_instance_uid for each in outbox.of_job(db, job.job_id)}
        carrier = courier(db, pacs.port, proof="find", commitment_timeout_s=0.001, backoff_s=0, maximum_backoff_s=0)

        def given_up() -> bool:
            carrier._way._archive._pause = type(carrier._way._archive._pause)()
            carrier.round()
            return job_state(db, job) is JobState.FAILED

        wait_until(given_up, "the end", 20)
    assert states(db, job) == [REFUSED] * EVERYTHING
    assert len(pacs.stored) == 3 * EVERYTHING
