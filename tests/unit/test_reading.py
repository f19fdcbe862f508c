"""A reader's word that comes back in a structured report is understood, kept with the answer, and counted."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ComprehensiveSRStorage, generate_uid
from typer.testing import CliRunner

from node.cli import app
from node.dicom import reading
from node.dicom.received import Receipt, Received
from node.observe import statistics, tally
from node.receive import intake
from storage import Database, DataFolder, events, outbox, readings
from storage.records import Job, Result
from tests import answered, stored, wire
from tests.rejection_notes import coded

NOW = datetime(2026, 3, 30, tzinfo=UTC)
BUNDLE = "neurossl-test 1.0 0123456789ab"


def item(name: tuple[str, str], value: tuple[str, str]) -> Dataset:
    """A CODE item."""
    made = Dataset()
    made.RelationshipType, made.ValueType = "CONTAINS", "CODE"
    made.ConceptNameCodeSequence, made.ConceptCodeSequence = [code(*name)], [code(*value)]
    return made


def code(value: str, scheme: str) -> Dataset:
    made = coded(value, "a meaning")
    made.CodingSchemeDesignator = scheme
    return made


def reference(uid: str) -> Dataset:
    made = Dataset()
    made.ReferencedSOPClassUID, made.ReferencedSOPInstanceUID = ComprehensiveSRStorage, uid
    return made


def composite(uid: str) -> Dataset:
    """An item that refers to another document."""
    made = Dataset()
    made.RelationshipType, made.ValueType, made.ReferencedSOPSequence = "CONTAINS", "COMPOSITE", [reference(uid)]
    return made


def report(follows: str | None, *tree: Dataset, flag: str = "UNVERIFIED", study: str = stored.STUDY) -> Dataset:
    """A reader's report that has another one as predecessor."""
    document = Dataset()
    document.SOPClassUID, document.SOPInstanceUID = ComprehensiveSRStorage, generate_uid()
    document.StudyInstanceUID, document.SeriesInstanceUID, document.Modality = study, generate_uid(), "SR"
    document.PatientName, document.VerificationFlag, document.ValueType = "Muster^Erika", flag, "CONTAINER"
    document.ContentSequence = list(tree)
    if follows is not None:
        series, before = Dataset(), Dataset()
        series.SeriesInstanceUID, series.ReferencedSOPSequence = "1.2.3", [reference(follows)]
        before.StudyInstanceUID, before.ReferencedSeriesSequence = study, [series]
        document.PredecessorDocumentsSequence = [before]
    return document


OTHER_BAND = item(reading.DECISION_BAND, ("NO_SIGNIFICANT", "99NEUROSSL"))
SAME_BAND = item(reading.DECISION_BAND, ("HIGH_LIKELIHOOD", "99NEUROSSL"))
DISAGREES = item(reading.READERS_WORD, ("DISAGREE", "99NEUROSSL"))
UNUSABLE = item(reading.QUALITY_ASSESSMENT, ("111235", "DCM"))


@pytest.fixture
def job(db: Database) -> Job:
    return answered.study(db)


@pytest.fixture
def ours(db: Database, job: Job) -> Result:
    """The structured report of the answer; its decision band is "high likelihood"."""
    return next(each for each in outbox.results_of_job(db, job.job_id) if each.kind.startswith("sr_"))


def comes(folder: DataFolder, db: Database, document: Dataset) -> Receipt:
    """By C-STORE from a workstation."""
    pieces = iter([wire.encode(document)])
    what = Received("WORKSTATION", "127.0.0.1", document.SOPClassUID, document.SOPInstanceUID, wire.EXPLICIT, pieces)
    return intake.receive(folder, db, what, NOW, maximum_disk_use_percent=100)


@pytest.mark.parametrize(
    ("tree", "flag", "word"),
    [
        ((), "VERIFIED", "agree"),
        ((SAME_BAND,), "VERIFIED", "agree"),
        ((OTHER_BAND,), "VERIFIED", "disagree"),
        ((SAME_BAND, DISAGREES), "VERIFIED", "disagree"),
        ((DISAGREES,), "UNVERIFIED", "disagree"),
        ((UNUSABLE,), "UNVERIFIED", "not usable"),
        ((OTHER_BAND,), "UNVERIFIED", None),
    ],
)
def test_a_report_that_follows_ours_says_a_word(
    folder: DataFolder, db: Database, ours: Result, tree: tuple[Dataset, ...], flag: str, word: str | None
) -> None:
    document = report(ours.sop_instance_uid, *tree, flag=flag)
    assert comes(folder, db, document) is Receipt.STORED
    said = readings.of_study(db, stored.STUDY)
    assert [each.word for each in said] == ([] if word is None else [word])
    assert [(each.who, each.reason) for each in said] == [
        ("reader at WORKSTATION", f"by the report {document.SOPInstanceUID}") for _ in said
    ]
    assert comes(folder, db, document) is Receipt.HERE_ALREADY
    assert readings.of_study(db, stored.STUDY) == said


def test_a_report_that_only_refers_to_ours_needs_a_code(folder: DataFolder, db: Database, ours: Result) -> None:
    comes(folder, db, report(None, composite(ours.sop_instance_uid), flag="VERIFIED"))
    assert readings.of_study(db, stored.STUDY) == []
    comes(folder, db, report(None, composite(ours.sop_instance_uid), DISAGREES))
    assert [each.word for each in readings.of_study(db, stored.STUDY)] == ["disagree"]


def test_what_follows_another_report_or_cannot_be_read_is_stored_and_says_nothing(
    folder: DataFolder, db: Database, job: Job
) -> None:
    assert comes(folder, db, report("1.2.3.4", flag="VERIFIED")) is Receipt.STORED
    broken = report("1.2.3.4")
    del broken.PredecessorDocumentsSequence
    broken.add_new(0x0040A360, "OB", b"no sequence ")
    assert comes(folder, db, broken) is Receipt.STORED
    assert readings.of_study(db, stored.STUDY) == []


def test_words_are_counted_for_the_bundle_that_they_are_about(folder: DataFolder, db: Database, ours: Result) -> None:
    comes(folder, db, report(ours.sop_instance_uid, flag="VERIFIED"))
    tally.count_events(db)
    found = statistics.of_days(db, 400, datetime.now(UTC))
    assert found.words == {"agree": 1}
    assert found.words_by_bundle == {BUNDLE: {"agree": 1}}


def test_a_word_is_said_by_command_and_said_again(db: Database, job: Job, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"data_folder: {stored.folder(db).root}\n")
    say = ["queue", "word", str(job.job_id), "--config", str(config)]
    assert CliRunner().invoke(app, [*say, "not-usable", "--reason", "motion"]).output.startswith("job 1: not usable")
    assert CliRunner().invoke(app, [*say, "agree", "--json"]).exit_code == 0
    assert [(each.word, each.reason) for each in readings.of_study(db, stored.STUDY)] == [
        ("not usable", "motion"),
        ("agree", ""),
    ]
    assert "reader's word" in {each.name for each in events.of_job(db, job.job_id)}
    assert CliRunner().invoke(app, ["queue", "word", "99", "agree", "--config", str(config)]).exit_code == 1
