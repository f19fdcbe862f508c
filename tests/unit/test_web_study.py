"""The page of a study: what was read and why, what the model said, where it went, what it stands on; and no name."""

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from PIL import Image
from pydicom import dcmread

from model.bands import Conformal
from node.access.users import Users
from node.access.visitor import Role
from storage import Database, DataFolder, outbox, queue, readings
from storage.records import Job
from storage.states import JobState
from tests import answered, outcomes, reports, stored, web

HOSTILE = "<script>alert(1)</script>\u202egpj" + "A" * 2000
REFUSED = [
    outcomes.series("1.2.3.1", series_number=1, description=HOSTILE, eligible=False, reason="localizer", detail=""),
    outcomes.series("1.2.3.2", series_number=None, description="", eligible=False, reason="not T1-weighted"),
    outcomes.series("1.2.3.4", series_number=4, description="T2", eligible=False, reason="not T1-weighted"),
    outcomes.series("1.2.3.5", series_number=5, description="T1 thick", reason="eligible"),
]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, Job]]:
    """A study with an answer; nothing changes it."""
    with stored.opened(tmp_path_factory.mktemp("study")) as db:
        yield db, answered.study(db, refused=REFUSED)


@pytest.fixture(scope="module")
def reader(shelf: tuple[Database, Job]) -> Iterator[TestClient]:
    with web.browser(stored.folder(shelf[0]), shelf[0]) as client:
        yield client


@pytest.fixture(scope="module")
def page(reader: TestClient, shelf: tuple[Database, Job]) -> str:
    found = reader.get(f"/jobs/{shelf[1].job_id}")
    assert found.status_code == 200
    return found.text


def test_the_verdict_stands_with_its_reserve(page: str) -> None:
    assert "High likelihood of dementia-related changes" in page
    assert "Calibrated probability 82 %, SD 3.1 %: not below the upper threshold of 75 %." in page
    assert "Research use only. Not a diagnosis." in page


def test_an_untrained_model_is_called_so_beside_the_verdict(folder: DataFolder, db: Database) -> None:
    made = reports.prediction(slices=2)
    made = type(made)(**{**vars(made), "model": type(made.model)(**{**vars(made.model), "trained": False})})
    job = answered.study(db, made)
    with web.browser(folder, db) as client:
        text = client.get(f"/jobs/{job.job_id}").text
    assert "Untrained: high likelihood of dementia-related changes" in text
    assert "random weights, the numbers mean nothing" in text


def test_a_conformal_set_and_the_calibration_subjects_stand_on_the_page_and_in_the_interface(
    folder: DataFolder, db: Database
) -> None:
    sets = Conformal.of(0.9, [0.1, 0.6] * 10, [0.4, 0.8] * 10)
    job = answered.study(db, reports.conformal(sets, 0.7))
    with web.browser(folder, db) as client:
        page, told = client.get(f"/jobs/{job.job_id}").text, client.get(f"/api/v1/jobs/{job.job_id}").json()
    assert "only yes fits, {yes}: of people without dementia like the 20 it was calibrated on" in page
    assert 'aria-label="20 without dementia: 100 % lower"' in page
    assert 'aria-label="20 with dementia: 50 % lower"' in page
    assert "only yes fits, {yes}" in told["verdict"]["meaning"]
    assert "of the 20 with dementia 50 % have a lower probability" in told["verdict"]["among"]
    assert [each["lower"] for each in told["outcome"]["prediction"]["standing"]] == [20, 10]


def test_every_series_is_there_with_its_reason_and_equal_reasons_stand_together(page: str) -> None:
    assert "Series 3 <q>T1 MPRAGE</q>" in page
    assert page.count("<strong>not T1-weighted</strong>") == 1
    assert "2 series" in page
    assert "Series without number" in page
    assert "<strong>another was better</strong>" in page


def test_what_a_scanner_wrote_is_text_that_is_cut_and_turns_nothing_round(page: str) -> None:
    assert "&lt;script&gt;alert(1)&lt;/script&gt;⟨U+202E⟩gpj" in page
    assert "<script>alert" not in page
    assert "A" * 500 not in page


def test_nothing_that_is_shown_names_the_patient(reader: TestClient, shelf: tuple[Database, Job], page: str) -> None:
    job_id = shelf[1].job_id
    for address in (f"/jobs/{job_id}/report.txt", f"/jobs/{job_id}/provenance.json", f"/studies/{stored.STUDY}"):
        shown = reader.get(address)
        assert shown.status_code == 200
        assert not {"Unmistakable", "Person"} & set(shown.text.replace("^", " ").split())
    assert "Unmistakable" not in page


def test_each_slice_is_a_picture_and_a_heat_map(reader: TestClient, shelf: tuple[Database, Job], page: str) -> None:
    assert page.count('class="heat"') == 9
    assert "H 0.5 mm" in page
    for name, mode in (("005.png", "L"), ("005-heat.png", "P"), ("scale.png", "P")):
        picture = reader.get(f"/jobs/{shelf[1].job_id}/pictures/{name}")
        assert picture.headers["content-type"] == "image/png"
        assert picture.headers["cache-control"] == "no-store"
        assert Image.open(io.BytesIO(picture.content)).mode == mode


@pytest.mark.parametrize("name", ["index.json", "099.png", "..%2f..%2fneurossl.sqlite", "x.png"])
def test_what_is_no_picture_is_not_found(reader: TestClient, shelf: tuple[Database, Job], name: str) -> None:
    assert reader.get(f"/jobs/{shelf[1].job_id}/pictures/{name}").status_code == 404


def test_the_report_is_there_as_text(reader: TestClient, shelf: tuple[Database, Job], page: str) -> None:
    text = reader.get(f"/jobs/{shelf[1].job_id}/report.txt")
    assert "Probability: 82.34 %" in text.text
    assert text.headers["content-disposition"] == 'attachment; filename="neurossl-job-1-report.txt"'
    assert "82.34 %" in page


def test_what_the_answer_stands_on_is_there_for_machines(reader: TestClient, shelf: tuple[Database, Job]) -> None:
    found = json.loads(reader.get(f"/jobs/{shelf[1].job_id}/provenance.json").text)
    assert found["bundle"]["sha256"] == reports.MODEL.sha256
    assert found["calibration"]["temperature"] == reports.MODEL.temperature
    assert found["input"]["sop_instance_uids"] == [f"{stored.STUDY}.1.1"]
    assert [each["kind"] for each in found["output"]] == [
        "summary",
        "overlay",
        "overlay",
        "sr_comprehensive",
        "pictures",
    ]


def test_results_are_downloaded_as_they_are_sent_under_names_that_name_nobody(
    reader: TestClient, shelf: tuple[Database, Job]
) -> None:
    db, job = shelf
    packed = reader.get(f"/jobs/{job.job_id}/results.zip")
    assert packed.headers["content-disposition"] == 'attachment; filename="neurossl-job-1-results.zip"'
    names = ["01-summary.dcm", "02-overlay.dcm", "03-overlay.dcm", "04-sr-comprehensive.dcm"]
    with zipfile.ZipFile(io.BytesIO(packed.content)) as archive:
        assert archive.namelist() == names
        inside = archive.read(names[-1])
    alone = reader.get(f"/jobs/{job.job_id}/results/{names[-1]}").content
    (sent,) = [each for each in outbox.results_of_job(db, job.job_id) if each.kind == "sr_comprehensive"]
    assert inside == alone == stored.folder(db).path(sent.path).read_bytes()
    assert dcmread(io.BytesIO(alone)).PatientName == answered.NAME


def test_a_download_is_in_the_audit_trail(shelf: tuple[Database, Job], tmp_path: Path) -> None:
    db, job = shelf
    audit = {"transport": "file", "file": str(tmp_path / "audit.xml")}
    with web.browser(stored.folder(db), db, audit=audit) as client:
        client.get(f"/jobs/{job.job_id}/results.zip")
        client.get(f"/jobs/{job.job_id}/results/01-summary.dcm")
    trail = (tmp_path / "audit.xml").read_text()
    assert trail.count("results downloaded") == 2
    assert stored.STUDY in trail


def test_who_only_looks_gets_no_file_with_a_name_in_it_and_says_nothing(folder: DataFolder, db: Database) -> None:
    job, password = answered.study(db), "correct horse battery"
    with web.quick_hashes():
        Users(folder.root / "users.json").put("eve", Role.READ, password)
        with web.browser(folder, db, web={"authentication": "users"}) as client:
            web.post(client, "/login", page="/login", name="eve", password=password)
            shown = client.get(f"/jobs/{job.job_id}").text
            assert "High likelihood" in shown
            assert "results.zip" not in shown
            assert "<textarea" not in shown
            assert client.get(f"/jobs/{job.job_id}/results.zip").status_code == 403
            assert client.get(f"/jobs/{job.job_id}/results/01-summary.dcm").status_code == 403
            assert web.post(client, f"/jobs/{job.job_id}/word", word="agree").status_code == 403


def test_a_readers_word_is_kept_and_shown(folder: DataFolder, db: Database) -> None:
    job = answered.study(db)
    with web.browser(folder, db) as client:
        said = web.post(client, f"/jobs/{job.job_id}/word", word="not usable", reason="<b>motion</b>")
        assert (said.status_code, said.headers["location"]) == (303, f"/jobs/{job.job_id}#word")
        shown = client.get(f"/jobs/{job.job_id}").text
    assert "NOT USABLE" in shown
    assert "&lt;b&gt;motion&lt;/b&gt;" in shown
    (reading,) = readings.of_study(db, stored.STUDY)
    assert (reading.word, reading.reason) == ("not usable", "<b>motion</b>")


def test_a_word_that_is_none_and_a_job_without_an_answer_are_refused(folder: DataFolder, db: Database) -> None:
    job = stored.queued(db)
    with web.browser(folder, db) as client:
        assert web.post(client, f"/jobs/{job.job_id}/word", word="agree").status_code == 422
        assert web.post(client, f"/jobs/{job.job_id}/word", word="maybe").status_code == 422
    assert readings.of_study(db, stored.STUDY) == []


def test_a_study_is_there_before_it_has_a_job(folder: DataFolder, db: Database) -> None:
    stored.received(db)
    with web.browser(folder, db) as client:
        shown = client.get(f"/studies/{stored.STUDY}")
        assert client.get("/studies/1.2.3.404").status_code == 404
        assert client.get("/jobs/404").status_code == 404
    assert shown.status_code == 200
    assert "RECEIVING" in shown.text


@pytest.mark.parametrize(
    ("state", "offered"),
    [(JobState.QUEUED, "/cancel"), (JobState.RUNNING, "/cancel"), (JobState.FAILED, "/retry")],
)
def test_what_an_operator_can_do_depends_on_the_state(
    folder: DataFolder, db: Database, state: JobState, offered: str
) -> None:
    job = stored.queued(db) if state is JobState.QUEUED else stored.running(db)
    if state is JobState.FAILED:
        queue.fail(db, job, "FileAltered: <i>gone</i>", None, stored.NOW)
    with web.browser(folder, db) as client:
        shown = client.get(f"/jobs/{job.job_id}").text
    assert [each for each in ("/cancel", "/retry", "/withdraw") if f"/jobs/{job.job_id}{each}" in shown] == [offered]
    assert (state is JobState.FAILED) == ("FileAltered: &lt;i&gt;gone&lt;/i&gt;" in shown)


def test_what_was_not_classified_says_why(folder: DataFolder, db: Database) -> None:
    job = answered.study(db, reports.out_of_scope())
    with web.browser(folder, db) as client:
        shown = client.get(f"/jobs/{job.job_id}").text
    assert "Out of scope: not classified" in shown
    assert "the volume does not look like a head" in shown
