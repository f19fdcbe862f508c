"""Results to their destinations: real files, a real database, and pynetdicom as the PACS."""

import threading
import time
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import pytest
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ComprehensiveSRStorage, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from node.config import DeliverySettings, Settings
from node.config import Destination as Configured
from node.deliver.courier import ByDicom, Courier, refuse_unconfigured
from node.dimse.association import Association
from storage import Database, files, outbox, queue
from storage.errors import DatabaseBusy, StorageFull
from storage.outbox import NewDelivery
from storage.records import Job, Proof, Result
from storage.states import DeliveryState, JobState
from tests import stored, wire
from tests.destination import destination, wait_until

PENDING, SENDING, SENT, COMMITTED, REFUSED = DeliveryState
CAPTURES = 3


def now() -> datetime:
    return datetime.now(UTC)


def reported(db: Database, study: str = "1.2.3", names: tuple[str, ...] = ("pacs",), proof: Proof = Proof.NONE) -> Job:
    """A study with captures and a report that wait to be sent."""
    stored.queued(db, study=study, now=now())
    job = stored.claimed(db, now=now())
    results = [_encoded(db, job, ordinal) for ordinal in range(CAPTURES + 1)]
    deliveries = [NewDelivery(each.sop_instance_uid, name, proof) for each in results for name in names]
    return outbox.complete(db, stored.folder(db), job, stored.answer(job), results, deliveries, {}, now())


def _encoded(db: Database, job: Job, ordinal: int) -> Result:
    report = ordinal == CAPTURES
    dataset = Dataset()
    dataset.SOPClassUID = ComprehensiveSRStorage if report else SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = UID(f"2.25.{job.job_id}.{ordinal}")
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = job.study_instance_uid, f"2.25.{job.job_id}.9{report:d}"
    dataset.Modality, dataset.PatientName = "SR" if report else "OT", "Muster^Erika"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    file = files.write(stored.folder(db), dataset.SOPInstanceUID, [buffer.getvalue()], area="results")
    kind = "sr_comprehensive" if report else "overlay"
    uids = str(dataset.SOPInstanceUID), str(dataset.SOPClassUID), str(dataset.SeriesInstanceUID)
    return Result(*uids, job.job_id, kind, ordinal, file.path, file.sha256, file.size_bytes)


def courier(
    db: Database,
    port: int,
    name: str = "pacs",
    proof: str = "none",
    stop: threading.Event | None = None,
    **delivery: float,
) -> Courier:
    chosen = {"backoff_s": 0.05, "maximum_backoff_s": 0.2, "timeout_s": 2.0, "commitment_timeout_s": 600.0, **delivery}
    configured = Configured(name=name, ae_title="PACS", host="127.0.0.1", port=port, proof=proof)  # type: ignore[arg-type]
    settings = Settings(
        data_folder=stored.folder(db).root,
        delivery=DeliverySettings(**chosen),  # type: ignore[arg-type]
        destinations=(configured,),
    )
    way = ByDicom(configured, settings, db)
    return Courier(configured, way, settings, stored.folder(db), db, stop or threading.Event())


def carry(carrier: Courier, db: Database, job: Job, *until: JobState) -> Job:
    """Rounds until the job is in one of these states."""

    def ended() -> bool:
        carrier.round()
        return queue.get(db, job.job_id).state in until

    wait_until(ended, f"job {job.job_id} to be {until}", timeout_s=10)
    return queue.get(db, job.job_id)


def states(db: Database, job: Job) -> list[DeliveryState]:
    return [each.state for each in outbox.of_job(db, job.job_id)]


def test_results_go_over_one_association_captures_first_and_the_report_last(db: Database) -> None:
    job = reported(db)
    with destination() as pacs:
        courier(db, pacs.port).round()
    assert pacs.uids == [f"2.25.{job.job_id}.{ordinal}" for ordinal in range(CAPTURES + 1)]
    assert pacs.associations == 1
    assert queue.get(db, job.job_id).state is JobState.DONE
    assert {each.attempt for each in outbox.of_job(db, job.job_id)} == {1}


def test_each_of_two_destinations_gets_everything_once_over_one_association(db: Database) -> None:
    job = reported(db, names=("one", "two"))
    with destination() as one, destination() as two:
        courier(db, one.port, "one").round()
        assert two.uids == []
        courier(db, two.port, "two").round()
    for pacs in (one, two):
        assert pacs.associations == 1
        assert [uid for uid, _ in pacs.stored] == [f"2.25.{job.job_id}.{ordinal}" for ordinal in range(CAPTURES + 1)]
    assert {each.attempt for each in outbox.of_job(db, job.job_id)} == {1}


def test_the_bytes_of_the_file_are_what_arrives(db: Database) -> None:
    reported(db)
    with destination() as pacs:
        courier(db, pacs.port).round()
    for uid, content in pacs.stored:
        result = outbox.result(db, uid)
        assert result is not None
        assert stored.folder(db).path(result.path).read_bytes().endswith(content)


def test_a_destination_that_is_down_is_tried_until_it_is_up_and_costs_one_try_a_round(db: Database) -> None:
    jobs = [reported(db, f"1.2.{number}") for number in range(3)]
    with destination() as pacs:
        port = pacs.port
    carrier = courier(db, port)
    for _ in range(3):
        carrier.round()
        assert "Connection refused" in carrier.trouble
    first, *others = (each for job in jobs for each in outbox.of_job(db, job.job_id))
    assert first.state is PENDING
    assert "Connection refused" in first.reason
    assert {each.attempt for each in others} == {0}
    with destination(port=port) as pacs:
        for job in jobs:
            carry(carrier, db, job, JobState.DONE)
    assert carrier.trouble == ""
    assert len(pacs.uids) == len(pacs.stored) == 3 * (CAPTURES + 1)


def test_a_destination_without_room_gets_the_same_results_later_in_the_same_order(db: Database) -> None:
    job = reported(db)
    answers = iter([0x0000, 0xA700, 0x0110])
    with destination(lambda uid: next(answers, 0x0000)) as pacs:
        carry(courier(db, pacs.port), db, job, JobState.DONE)
    assert pacs.uids == [each.sop_instance_uid for each in outbox.results_of_job(db, job.job_id)]
    first, refused, *others = (each.attempt for each in outbox.of_job(db, job.job_id))
    assert (first, others) == (1, [1, 1])
    assert refused >= 3  # more where it was due again while the association lasted: its turn is with the next one


@pytest.mark.parametrize("status", [0x0111, 0xB000, 0xB006, 0xB007])
def test_a_duplicate_or_a_warning_counts_as_sent(db: Database, status: int) -> None:
    job = reported(db)
    with destination(lambda uid: status) as pacs:
        courier(db, pacs.port).round()
    assert queue.get(db, job.job_id).state is JobState.DONE
    assert len(pacs.stored) == CAPTURES + 1


@pytest.mark.parametrize("status", [0xA900, 0xC000, 0x0122, 0x0124])
def test_a_refused_result_fails_its_job_after_a_few_tries_and_holds_up_no_other(db: Database, status: int) -> None:
    bad, good = reported(db, "1.2.1"), reported(db, "1.2.2")
    tries: list[str] = []

    def answer(uid: str) -> int:
        tries.append(uid)
        return status if uid == f"2.25.{bad.job_id}.1" else 0x0000

    with destination(answer) as pacs:
        carrier = courier(db, pacs.port)
        carry(carrier, db, good, JobState.DONE)
        failed = carry(carrier, db, bad, JobState.FAILED)
        assert states(db, bad) == [SENT, REFUSED, SENT, SENT]
        assert tries.count(f"2.25.{bad.job_id}.1") == 3
        assert f"0x{status:04X}" in failed.reason
        pacs.answer = lambda uid: 0x0000
        queue.retry(db, stored.folder(db), bad.job_id, now())
        carry(carrier, db, bad, JobState.DONE)
    assert pacs.uids.count(f"2.25.{bad.job_id}.1") == 1


def test_a_destination_that_takes_no_captures_gets_the_report_without_a_long_wait(db: Database) -> None:
    job = reported(db)
    with destination(classes=(ComprehensiveSRStorage,)) as pacs:
        failed = carry(courier(db, pacs.port), db, job, JobState.FAILED)
    assert states(db, job) == [REFUSED] * CAPTURES + [SENT]
    first, *others = (each.attempt for each in outbox.of_job(db, job.job_id))
    assert others == [1, 1, 1]
    assert first >= 3  # more where it was due again while the association lasted
    assert SecondaryCaptureImageStorage in failed.reason


def test_an_altered_file_is_kept_back_and_never_sent(db: Database) -> None:
    job = reported(db)
    bad = outbox.results_of_job(db, job.job_id)[1]
    path = stored.folder(db).path(bad.path)
    path.write_bytes(path.read_bytes()[:-1] + b"X")
    with destination() as pacs:
        carry(courier(db, pacs.port), db, job, JobState.FAILED)
    assert bad.sop_instance_uid not in pacs.uids
    assert states(db, job) == [SENT, REFUSED, SENT, SENT]
    assert "kept back" in outbox.of_job(db, job.job_id)[1].reason


def test_what_was_sent_but_not_written_down_goes_again_with_the_same_bytes(db: Database) -> None:
    job = reported(db)
    with destination() as pacs:
        claimed = outbox.claim(db, "pacs", now())  # an office that dies after the acknowledgement
        assert claimed is not None
        carrier = courier(db, pacs.port)
        carrier.round()
        assert states(db, job)[0] is SENDING
        outbox.release(db, now())  # what the next office does at its start
        carry(carrier, db, job, JobState.DONE)
        again = courier(db, pacs.port)
        again.round()
    assert all(len(contents) == 1 for contents in pacs.contents.values())
    assert len(pacs.uids) == CAPTURES + 1


def test_an_office_that_dies_after_each_answer_sends_nothing_twice_but_the_last(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = reported(db)
    sent = outbox.sent
    died: list[str] = []

    def dies(database: Database, delivery: object, *rest: object) -> object:
        uid = delivery.sop_instance_uid  # type: ignore[attr-defined]
        if uid not in died:
            died.append(uid)
            raise SystemExit
        return sent(database, delivery, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(outbox, "sent", dies)
    with destination() as pacs:
        while queue.get(db, job.job_id).state is not JobState.DONE:
            outbox.release(db, now())
            try:
                courier(db, pacs.port).round()
            except SystemExit:
                continue
    assert [uid for uid, _ in pacs.stored] == [uid for uid in pacs.uids for _ in range(2)]
    assert all(len(contents) == 1 for contents in pacs.contents.values())


def test_a_hanging_destination_delays_no_other(db: Database) -> None:
    job = reported(db, names=("slow", "pacs"))
    release = threading.Event()

    def hang(uid: str) -> int:
        release.wait(20)
        return 0x0000

    with destination(hang) as slow, destination() as pacs:
        carriers = [courier(db, slow.port, "slow"), courier(db, pacs.port)]
        threads = [threading.Thread(target=carrier.run, daemon=True) for carrier in carriers]
        for thread in threads:
            thread.start()
        wait_until(lambda: len(pacs.uids) == CAPTURES + 1, "the other destination to have everything", 5)
        wait_until(lambda: carriers[0].trouble != "", "the deadline", 10)
        release.set()
        wait_until(lambda: queue.get(db, job.job_id).state is JobState.DONE, "both to have everything", 20)
        for carrier, thread in zip(carriers, threads, strict=True):
            carrier._stop.set()
            thread.join(10)
            assert not thread.is_alive()
    assert len(slow.uids) == CAPTURES + 1


def test_a_cancelled_job_is_sent_no_further(db: Database) -> None:
    job = reported(db)

    def answer(uid: str) -> int:
        if uid.endswith(".1"):
            queue.cancel(db, job.job_id, "wrong patient", now())
        return 0x0000

    with destination(answer) as pacs:
        carrier = courier(db, pacs.port)
        carrier.round()
        carrier.round()
    assert len(pacs.uids) == 2
    assert states(db, job)[2:] == [REFUSED, REFUSED]


def test_results_for_a_destination_that_left_the_settings_are_refused_with_the_reason(db: Database) -> None:
    job = reported(db, names=("gone",))
    refuse_unconfigured(db, Settings(), now())
    assert states(db, job) == [REFUSED] * (CAPTURES + 1)
    after = queue.get(db, job.job_id)
    assert after.state is JobState.FAILED
    assert "gone is no longer in the settings" in after.reason


def test_what_was_sent_to_a_destination_that_left_but_not_proved_is_ended_too(db: Database) -> None:
    job = reported(db, proof=Proof.COMMITMENT)
    with destination(commitment=False) as pacs:
        courier(db, pacs.port, proof="commitment").round()
    assert states(db, job) == [SENT] * (CAPTURES + 1)
    refuse_unconfigured(db, Settings(), now())
    assert states(db, job) == [REFUSED] * (CAPTURES + 1)


def test_a_busy_database_and_a_full_disk_are_waited_out_and_a_stop_ends_the_waiting(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.patience.PAUSE_S", 0.01)
    job, claim, refusals = reported(db), outbox.claim, [DatabaseBusy("held"), StorageFull("no space")]

    def refuse(*arguments: Any) -> Any:
        if refusals:
            raise refusals.pop()
        return claim(*arguments)

    monkeypatch.setattr("storage.outbox.claim", refuse)
    with destination() as pacs:
        stop = threading.Event()
        thread = threading.Thread(target=courier(db, pacs.port, stop=stop).run, daemon=True)
        thread.start()
        wait_until(lambda: queue.get(db, job.job_id).state is JobState.DONE, "the results to be sent", 10)
        refusals.extend([DatabaseBusy("held")] * 10_000)
        time.sleep(0.2)
        assert thread.is_alive()
        stop.set()
        thread.join(5)
    assert not thread.is_alive()
    assert len(pacs.uids) == CAPTURES + 1


def test_a_silent_courier_is_noticed(db: Database) -> None:
    carrier = courier(db, 1)
    assert carrier.silent_s < carrier.patience_s
    carrier.alive_at_s = time.monotonic() - 1000
    assert carrier.silent_s > carrier.patience_s


def test_a_destination_that_rejects_us_gets_everything_once_it_is_repaired(db: Database) -> None:
    """A-ASSOCIATE-RJ 1/1/3: nothing is wrong with the results, so no operator has to send them again."""
    job = reported(db)
    with wire.listener(ae_title="PACS", allow=()) as refusing:
        port = refusing.port
        carrier = courier(db, port, maximum_backoff_s=0.2)
        for _ in range(5):
            carrier.round()
            time.sleep(0.1)
        assert states(db, job) == [DeliveryState.PENDING] * (CAPTURES + 1)
        assert "1/1/3" in carrier.trouble
    with destination(port=port) as pacs:
        carry(carrier, db, job, JobState.DONE)
    assert len(pacs.stored) == CAPTURES + 1


def test_an_association_that_delivered_ends_by_a_release(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    ends: list[str] = []
    for end in ("release", "abort"):
        whole = getattr(Association, end)
        monkeypatch.setattr(Association, end, lambda *a, e=end, w=whole: (ends.append(e), w(*a))[1])
    job = reported(db)
    with destination() as pacs:
        carry(courier(db, pacs.port), db, job, JobState.DONE)
    assert ends == ["release"]
