"""What stands no longer is called back by a rejection note, once, where a destination wants to hear of it."""

import io
from dataclasses import replace

import pydicom
import pytest
from pydicom.dataset import Dataset

from node.config import Destination, Settings
from node.service.recall import Recall
from storage import Database, answers, files, instances, notes, outbox, queue, retention, studies
from storage.outbox import NewDelivery
from storage.records import REJECTION_NOTE, Delivery, Job, Result
from storage.rejections import Rejects
from storage.states import AnswerState, DeliveryState, JobState
from tests import reports, stored
from tests.factories import mr_series
from tests.stored import NOW, STUDY, after

SERIES = mr_series(slices=8, rows=32, columns=32)


def settings(db: Database) -> Settings:
    return Settings(
        data_folder=stored.folder(db).root,
        destinations=(
            Destination(name="pacs", ae_title="PACS", host="localhost", port=104, supersede="rejection_note"),
            Destination(name="other", ae_title="OTHER", host="localhost", port=104),
        ),
    )


@pytest.fixture(scope="module")
def encoded() -> list[tuple[str, bytes]]:
    """Kind and file of a capture and a report."""
    made = reports.build(SERIES, reports.prediction(SERIES), reports.context(captures=1))
    return [(each.kind, each.content) for each in made]


def results(db: Database, job: Job, made: list[tuple[str, bytes]]) -> list[Result]:
    """The same objects for each job, but for their UIDs."""
    found = []
    for ordinal, (kind, content) in enumerate(made):
        dataset = pydicom.dcmread(io.BytesIO(content))
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"2.25.{job.job_id}.{ordinal}"
        buffer = io.BytesIO()
        dataset.save_as(buffer)
        file = files.write(stored.folder(db), f"{job.job_id} {ordinal}", [buffer.getvalue()], area="results")
        named = str(dataset.SOPInstanceUID), str(dataset.SOPClassUID), str(dataset.SeriesInstanceUID)
        found.append(Result(*named, job.job_id, kind, ordinal, file.path, file.sha256, file.size_bytes))
    return found


def answered(db: Database, made: list[tuple[str, bytes]], number: int = 1) -> Job:
    """One more instance, and an answer of its own that is read from all of them."""
    job = stored.running(db, number=number)
    read = {each.sop_instance_uid: each.sha256 for each in instances.readable(db, STUDY, job.revision)}
    own = results(db, job, made)
    planned = [NewDelivery(each.sop_instance_uid, name) for each in own for name in ("pacs", "other")]
    new = replace(stored.answer(job), read=read)
    return outbox.complete(db, stored.folder(db), job, new, own, planned, {}, NOW)


def carried(db: Database, destination: str = "pacs", most: int = 99) -> list[str]:
    """The kinds of what goes to a destination, in this order."""
    kinds = []
    while len(kinds) < most and (delivery := outbox.claim(db, destination, after(10))) is not None:
        outbox.sent(db, delivery, "0x0000", after(10))
        found = outbox.result(db, delivery.sop_instance_uid)
        assert found is not None
        kinds.append(found.kind)
    return kinds


def note_of(db: Database, job_id: int) -> Dataset:
    (note,) = [each for each in outbox.results_of_job(db, job_id) if each.kind == REJECTION_NOTE]
    return pydicom.dcmread(files.verify(stored.folder(db), note.path, note.sha256))


def listed(note: Dataset) -> set[str]:
    (study,) = note.CurrentRequestedProcedureEvidenceSequence
    return {
        str(each.ReferencedSOPInstanceUID)
        for series in study.ReferencedSeriesSequence
        for each in series.ReferencedSOPSequence
    }


@pytest.fixture
def recall(db: Database) -> Recall:
    return Recall(settings(db), stored.folder(db), db)


def test_what_was_replaced_is_called_back_after_the_new_report(
    db: Database, recall: Recall, encoded: list[tuple[str, bytes]]
) -> None:
    first = answered(db, encoded)
    assert carried(db) == ["summary", "overlay", "sr_comprehensive"]
    answered(db, encoded, 2)
    recall.look()  # the new report waits: not before it
    assert carried(db, most=3) == ["summary", "overlay", "sr_comprehensive"]
    for _ in range(2):
        recall.look()
    assert carried(db) == [REJECTION_NOTE]
    note = note_of(db, first.job_id)
    assert str(note.ConceptNameCodeSequence[0].CodeValue) == "113001"
    assert listed(note) == {"2.25.1.0", "2.25.1.1", "2.25.1.2"}
    named = {str(each.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) for each in note.ContentSequence[-3:]}
    assert named == listed(note)
    assert (note.StudyInstanceUID, note.PatientID, note.Modality) == (*identity(), "KO")
    recall.look()
    assert carried(db) == []


def identity() -> tuple[str, str]:
    return SERIES[0].StudyInstanceUID, SERIES[0].PatientID


def test_a_destination_that_does_not_want_notes_gets_none(
    db: Database, recall: Recall, encoded: list[tuple[str, bytes]]
) -> None:
    first = answered(db, encoded)
    carried(db), carried(db, "other")
    queue.withdraw(db, first.job_id, "wrong", NOW)
    recall.look()
    assert carried(db, "other") == []
    assert carried(db) == [REJECTION_NOTE]


def test_what_was_withdrawn_half_sent_is_called_back_as_far_as_it_may_have_come(
    db: Database, recall: Recall, encoded: list[tuple[str, bytes]]
) -> None:
    job = answered(db, encoded)
    carried(db, most=1)
    sending = stored.taken(db)
    assert queue.withdraw(db, job.job_id, "wrong patient", NOW).state is JobState.CANCELLED
    recall.look()
    assert outbox.claim(db, "pacs", NOW) is None  # one is on its way: nobody knows yet whether it comes
    lost = outbox.postpone(db, sending, "the connection broke", NOW, NOW)
    assert lost.state is DeliveryState.REFUSED
    recall.look()
    assert carried(db) == [REJECTION_NOTE]
    note = note_of(db, job.job_id)
    assert str(note.ConceptNameCodeSequence[0].CodeValue) == "113037"
    assert listed(note) == {"2.25.1.0", "2.25.1.1"}


def test_what_nobody_got_is_not_called_back(db: Database, recall: Recall, encoded: list[tuple[str, bytes]]) -> None:
    job = answered(db, encoded)
    queue.withdraw(db, job.job_id, "wrong", NOW)
    recall.look()
    assert carried(db) == []


def test_an_answer_that_was_revoked_is_called_back_before_there_is_a_new_one(
    db: Database, recall: Recall, encoded: list[tuple[str, bytes]]
) -> None:
    job = answered(db, encoded)
    carried(db)
    note = stored.instance(7)
    rejects = Rejects("113037", {STUDY: {stored.instance(1).sop_instance_uid}})
    instances.register(db, stored.folder(db), note, expected_instances=None, now=NOW, rejects=rejects)
    assert [each.state for each in answers.of_study(db, STUDY)] == [AnswerState.REVOKED]
    recall.look()
    assert carried(db) == [REJECTION_NOTE]
    assert len(listed(note_of(db, job.job_id))) == 3


def refused_note(db: Database, recall: Recall, job: Job) -> Delivery:
    queue.withdraw(db, job.job_id, "wrong", NOW)
    recall.look()
    return outbox.refuse(db, stored.taken(db), "0xC000", NOW)


def test_a_note_that_is_refused_leaves_its_job_as_it_is_and_is_tried_again_by_hand(
    db: Database, recall: Recall, encoded: list[tuple[str, bytes]]
) -> None:
    job = answered(db, encoded)
    carried(db), carried(db, "other")
    refused_note(db, recall, job)
    assert queue.get(db, job.job_id).state is JobState.DONE
    recall.look()
    assert carried(db) == []
    assert queue.retry(db, stored.folder(db), job.job_id, NOW).state is JobState.DONE
    assert carried(db) == [REJECTION_NOTE]


def test_a_note_that_waits_keeps_its_job_from_retention(
    db: Database, recall: Recall, encoded: list[tuple[str, bytes]]
) -> None:
    job = answered(db, encoded)
    carried(db), carried(db, "other")
    queue.withdraw(db, job.job_id, "wrong", NOW)
    recall.look()
    assert retention.purge_results(db, stored.folder(db), after(10**6), after(10**6)) == 0
    carried(db)
    assert retention.purge_results(db, stored.folder(db), after(10**6), after(10**6)) == 1


def test_the_same_note_is_built_again_after_a_crash(
    db: Database, recall: Recall, encoded: list[tuple[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = answered(db, encoded)
    carried(db)
    queue.withdraw(db, job.job_id, "wrong", NOW)
    kept: list[Result] = []
    with monkeypatch.context() as crash:
        crash.setattr(notes, "plan", lambda db, answer, note, *_: bool(kept.append(note)))
        recall.look()
    recall.look()
    (note,) = [each for each in outbox.results_of_job(db, job.job_id) if each.kind == REJECTION_NOTE]
    assert (note.sop_instance_uid, note.sha256) == (kept[0].sop_instance_uid, kept[0].sha256)
    assert studies.get(db, STUDY).revision == 1
