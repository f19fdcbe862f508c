"""The archive is right about its own objects: its newest version counts, and what it rejects is not read."""

from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import Dataset

from node.config import AllowedPeer, Archive, Listener, Settings
from node.dicom.received import Receipt, Received
from node.dicom.rejection import read_note
from node.receive import intake, recovery
from node.service.listener import comes_from_archive
from storage import Database, DataFolder, answers, events, files, instances, outbox, queue, studies
from storage.outbox import NewDelivery
from storage.records import Job
from storage.states import AnswerState, JobState, StudyState
from tests import factories, rejection_notes, stored, wire
from tests.stored import NOW

OTHER = "1.2.826.0.1.8"


@pytest.fixture
def series() -> list[Dataset]:
    return factories.mr_series(slices=3, rows=8, columns=8)


def arrives(db: Database, dataset: Dataset, *, newest_counts: bool = True) -> Receipt:
    data = wire.encode(dataset)
    named = (dataset.SOPClassUID, dataset.SOPInstanceUID)
    received = Received("ARCHIVE", "127.0.0.1", *map(str, named), wire.EXPLICIT, iter([data]))
    return intake.receive(
        stored.folder(db), db, received, NOW, maximum_disk_use_percent=100, newest_counts=newest_counts
    )


def published(db: Database, study: str) -> Job:
    """The study is complete, and a result of all that can be read in it stands."""
    queued = studies.mark_stable(db, studies.get(db, study), "nothing came for 60 s", 3, NOW)
    assert queued is not None
    job = stored.claimed(db)
    read = {each.sop_instance_uid: each.sha256 for each in instances.readable(db, study, job.revision)}
    new = replace(stored.answer(job), read=read)
    results = [stored.encoded(db, job, ordinal, kind) for ordinal, kind in enumerate(("overlay", "sr_text"))]
    deliveries = [NewDelivery(each.sop_instance_uid, "pacs") for each in results]
    return outbox.complete(db, stored.folder(db), job, new, results, deliveries, {}, NOW)


def states(db: Database, study: str) -> list[AnswerState]:
    return [each.state for each in answers.of_study(db, study)]


def readable(db: Database, study: str) -> set[str]:
    return {each.sop_instance_uid for each in instances.readable(db, study, 99)}


def files_of(folder: DataFolder) -> set[Path]:
    return {path for path in (folder.root / "instances").rglob("*") if path.is_file()}


def test_the_newest_version_of_an_archive_counts(db: Database, series: list[Dataset]) -> None:
    for each in series:
        assert arrives(db, each) is Receipt.STORED
    study = str(series[0].StudyInstanceUID)
    published(db, study)
    series[0].PatientName = "Right^Name"
    assert arrives(db, series[0]) is Receipt.REPLACED
    assert arrives(db, series[0]) is Receipt.HERE_ALREADY
    now = studies.get(db, study)
    assert (now.state, now.revision, now.instances, now.version) == (StudyState.RECEIVING, 2, 3, 4)
    row = instances.find(db, series[0].SOPInstanceUID)
    assert row is not None
    assert b"Right^Name" in files.verify(stored.folder(db), row.path, row.sha256).read_bytes()
    assert states(db, study) == [AnswerState.STANDING]  # until its successor is worked out
    assert len(files_of(stored.folder(db))) == 4
    assert files.delete_doomed(stored.folder(db), db) == 1
    assert len(files_of(stored.folder(db))) == 3


def test_of_any_other_sender_the_first_is_kept(db: Database, series: list[Dataset]) -> None:
    arrives(db, series[0], newest_counts=False)
    series[0].PatientName = "Other^Name"
    assert arrives(db, series[0], newest_counts=False) is Receipt.OTHER_CONTENT
    assert len(files_of(stored.folder(db))) == 1


def test_an_instance_moves_to_another_study_and_its_answer_is_revoked(db: Database, series: list[Dataset]) -> None:
    for each in series:
        arrives(db, each)
    study = str(series[0].StudyInstanceUID)
    job = published(db, study)
    series[0].StudyInstanceUID, series[0].SeriesInstanceUID = OTHER, f"{OTHER}.1"
    assert arrives(db, series[0]) is Receipt.REPLACED
    assert readable(db, OTHER) == {series[0].SOPInstanceUID}
    assert readable(db, study) == {each.SOPInstanceUID for each in series[1:]}
    assert (studies.get(db, study).instances, studies.get(db, OTHER).instances) == (2, 1)
    assert (studies.get(db, study).state, studies.get(db, study).revision) == (StudyState.RECEIVING, 2)
    assert states(db, study) == [AnswerState.REVOKED]
    assert queue.get(db, job.job_id).state is JobState.CANCELLED
    assert outbox.claim(db, "pacs", NOW) is None


def test_a_study_that_went_to_another_uid_leaves_nothing_standing(db: Database, series: list[Dataset]) -> None:
    for each in series:
        arrives(db, each)
    study = str(series[0].StudyInstanceUID)
    published(db, study)
    for each in series:
        each.StudyInstanceUID = OTHER
        arrives(db, each)
    assert (studies.get(db, study).instances, readable(db, study)) == (0, set())
    assert states(db, study) == [AnswerState.REVOKED]
    assert published(db, OTHER).state is JobState.REPORTED
    assert states(db, OTHER) == [AnswerState.STANDING]


def test_a_new_answer_of_the_old_identity_does_not_outlive_work_that_fails(db: Database, series: list[Dataset]) -> None:
    for each in series:
        arrives(db, each)
    study = str(series[0].StudyInstanceUID)
    published(db, study)
    series[0].PatientID = "SOMEBODY-ELSE"
    arrives(db, series[0])
    studies.mark_stable(db, studies.get(db, study), "nothing came for 60 s", 3, NOW)
    queue.fail(db, stored.claimed(db), "the instances of this study speak of different patients", {}, NOW)
    assert states(db, study) == [AnswerState.REVOKED]


@pytest.mark.parametrize("title", ["113001", "113037", "113038"])
def test_what_a_note_rejects_is_not_read_and_not_answered_from(db: Database, series: list[Dataset], title: str) -> None:
    for each in series:
        arrives(db, each)
    study = str(series[0].StudyInstanceUID)
    published(db, study)
    assert arrives(db, rejection_notes.note(series[:1], title)) is Receipt.STORED
    assert states(db, study) == [AnswerState.REVOKED]
    assert readable(db, study) == {each.SOPInstanceUID for each in series[1:]}
    assert studies.get(db, study).revision == 2
    assert instances.find(db, series[0].SOPInstanceUID) is not None  # kept, until retention takes the study
    assert "instances rejected" in [each.name for each in events.of_study(db, study)]


def test_a_note_about_our_own_report_withdraws_its_answer(db: Database, series: list[Dataset]) -> None:
    for each in series:
        arrives(db, each)
    study = str(series[0].StudyInstanceUID)
    job = published(db, study)
    assert arrives(db, rejection_notes.note([own(db, job, "sr_text")])) is Receipt.STORED
    (answer,) = answers.of_study(db, study)
    assert answer.state is AnswerState.WITHDRAWN
    assert "ARCHIVE rejected its report" in answer.reason
    assert queue.get(db, job.job_id).state is JobState.CANCELLED  # nothing of it had been sent
    assert readable(db, study) == {each.SOPInstanceUID for each in series}
    queued = studies.mark_stable(db, studies.get(db, study), "nothing came for 60 s", 3, NOW)
    assert queued is not None
    known = replace(stored.answer(queued), key=answer.key, is_known=True)
    again = outbox.complete(db, stored.folder(db), stored.claimed(db), known, [], [], {}, NOW)
    assert again.state is JobState.SKIPPED  # it is never given again


def test_a_note_about_a_picture_of_ours_or_a_report_of_another_study_withdraws_nothing(
    db: Database, series: list[Dataset]
) -> None:
    for each in series:
        arrives(db, each)
    study = str(series[0].StudyInstanceUID)
    job = published(db, study)
    elsewhere = own(db, job, "sr_text")
    elsewhere.StudyInstanceUID = OTHER
    for each in (own(db, job, "overlay"), elsewhere):
        arrives(db, rejection_notes.note([each]))
    assert states(db, study) == [AnswerState.STANDING]


def own(db: Database, job: Job, kind: str) -> Dataset:
    """A result of this kind, as far as a note names it."""
    found = {each.kind: each for each in outbox.results_of_job(db, job.job_id)}[kind]
    named = Dataset()
    named.SOPClassUID, named.SOPInstanceUID = found.sop_class_uid, found.sop_instance_uid
    named.StudyInstanceUID, named.SeriesInstanceUID = job.study_instance_uid, found.series_instance_uid
    named.PatientName, named.PatientID = "Muster^Erika", "1"
    return named


def test_a_note_that_comes_first_rejects_what_comes_later(db: Database, series: list[Dataset]) -> None:
    arrives(db, rejection_notes.note(series[:2]))
    for each in series:
        arrives(db, each)
    assert readable(db, str(series[0].StudyInstanceUID)) == {series[2].SOPInstanceUID}


def test_a_note_about_another_study_than_its_own_leads_there(db: Database, series: list[Dataset]) -> None:
    for each in series:
        arrives(db, each)
    study = str(series[0].StudyInstanceUID)
    published(db, study)
    note = rejection_notes.note(series[:1])
    note.StudyInstanceUID = OTHER
    arrives(db, note)
    assert states(db, study) == [AnswerState.REVOKED]
    assert studies.get(db, study).state is StudyState.RECEIVING


def test_what_was_not_read_can_be_rejected_without_a_word(db: Database, series: list[Dataset]) -> None:
    for each in series[1:]:
        arrives(db, each)
    study = str(series[0].StudyInstanceUID)
    published(db, study)
    arrives(db, series[0])
    arrives(db, rejection_notes.note(series[:1]))
    assert states(db, study) == [AnswerState.STANDING]


@pytest.mark.parametrize("title", ["113000", "113039"])  # of interest; the archive keeps it no longer
def test_other_key_object_selections_reject_nothing(db: Database, series: list[Dataset], title: str) -> None:
    arrives(db, series[0])
    arrives(db, rejection_notes.note(series[:1], title))
    assert len(readable(db, str(series[0].StudyInstanceUID))) == 2


def test_a_note_that_its_archive_corrects_frees_what_it_had_rejected(db: Database, series: list[Dataset]) -> None:
    for each in series:
        arrives(db, each)
    uid, study = "1.2.826.0.1.9", str(series[0].StudyInstanceUID)
    arrives(db, rejection_notes.note(series[:2], uid=uid))
    assert arrives(db, rejection_notes.note(series[1:2], uid=uid)) is Receipt.REPLACED
    assert readable(db, study) == {series[0].SOPInstanceUID, series[2].SOPInstanceUID}


def test_a_database_made_again_from_the_files_knows_what_was_rejected(
    folder: DataFolder, series: list[Dataset]
) -> None:
    with stored.opened(folder.root) as db:
        for each in (*series, rejection_notes.note(series[:1])):
            arrives(db, each)
    recovery.rebuild(folder, NOW)
    with stored.opened(folder.root) as db:
        assert readable(db, str(series[0].StudyInstanceUID)) == {each.SOPInstanceUID for each in series[1:]}


@pytest.mark.parametrize("archives", [{"ARCHIVE"}, set()])
def test_of_two_files_of_an_archive_the_newest_counts_when_the_database_is_made_again(
    folder: DataFolder, series: list[Dataset], archives: set[str]
) -> None:
    with stored.opened(folder.root) as db:
        arrives(db, series[0])
        series[0].PatientName = "Right^Name"
        arrives(db, series[0])  # the older file is doomed, and still here
    recovery.rebuild(folder, NOW, archives)
    with stored.opened(folder.root) as db:
        row = instances.find(db, series[0].SOPInstanceUID)
        assert row is not None
        is_newest = b"Right^Name" in folder.path(row.path).read_bytes()
        assert is_newest or not archives
        assert len(files_of(folder) - {folder.path(row.path)}) <= len(archives)


def test_only_a_whole_key_object_selection_is_a_note(tmp_path: Path, series: list[Dataset]) -> None:
    note = rejection_notes.note(series)
    (path,) = factories.write([note], tmp_path)
    assert read_note(path, series[0].SOPClassUID) is None
    found = read_note(path, note.SOPClassUID)
    assert found is not None
    assert found.instances == {series[0].StudyInstanceUID: {each.SOPInstanceUID for each in series}}
    for broken in (b"", b"DICM", path.read_bytes()[:150]):
        path.write_bytes(broken)
        assert read_note(path, note.SOPClassUID) is None


def test_who_is_an_archive_is_said_in_the_list_of_those_who_may_send() -> None:
    allow = (
        AllowedPeer(ae_title="ARCHIVE", host="10.1.0.0/16", role="archive"),
        AllowedPeer(ae_title="SCANNER"),
    )
    archive = Archive(ae_title="ARCHIVE", host="pacs.example.org", port=104)
    settings = Settings(listener=Listener(allow=allow), archive=archive)
    sent = {
        ("ARCHIVE", "10.1.2.3"): True,
        ("ARCHIVE", "10.2.2.3"): False,
        ("SCANNER", "10.1.2.3"): False,
        ("ARCHIVE", "pacs.example.org"): True,  # by C-GET
    }
    for (ae_title, host), expected in sent.items():
        received = Received(ae_title, host, "1.2", "1.3", wire.EXPLICIT, iter(()))
        assert comes_from_archive(settings, received) is expected
    assert settings.listener.archives == {"ARCHIVE"}
