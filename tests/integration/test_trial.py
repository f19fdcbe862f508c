"""A bundle on trial at a node with stored studies: replayed, shadowing, commissioned, promoted, and back.

Real files, a real network of a small size, the commands of the command line; no service runs.
"""

import json
import shutil
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from pydicom.dataset import Dataset
from typer.testing import CliRunner

from model import Bundle, Predictor
from model.manifest import Architecture
from node import charge
from node.cli import app
from node.config import load
from node.dicom.received import Received
from node.receive import intake
from node.trial import signing
from node.trial.replay import JobWaits, Shadow
from node.work.analysis import Analysis
from node.work.attempt import task_of
from storage import Database, DataFolder, answers, events, outbox, queue, schema, studies, trials
from storage.records import Job
from tests import factories, stored, wire

pytestmark = pytest.mark.slow

SMALL = Architecture(embed_dim=24, depth=2, num_heads=2, covariance_dim=4)
T2 = {"ScanningSequence": "SE", "RepetitionTime": 5000, "EchoTime": 90, "InversionTime": factories.ABSENT}
PEOPLE = ("A", "B", "C")  # the study of C is no T1


def bundle(folder: Path, seed: int) -> Path:
    made = Bundle.untrained(seed, SMALL)
    made.save(folder)
    return folder


class Site:
    """A node with three studies that have an answer, and two bundles."""

    def __init__(self, root: Path) -> None:
        self.old, self.new = bundle(root / "old", 1), bundle(root / "new", 2)
        self.config = root / "config.yaml"
        worker = {"bundle": str(self.old), "allow_untrained_bundle": True, "device": "cpu", "threads": 1}
        self.config.write_text(json.dumps({"data_folder": str(root / "data"), "worker": worker}))
        self.settings, self.folder = load(self.config), DataFolder(root / "data")
        self.folder.create()
        self.labels = root / "labels.csv"
        self.labels.write_text("patient_id,label\nA,1\nB,0\nC,0\nD,1\n")

    def run(self, *arguments: str | Path) -> Result:
        return CliRunner().invoke(app, ["model", *map(str, arguments), "--config", str(self.config)])

    def said(self, *arguments: str | Path) -> Any:
        answer = self.run(*arguments, "--json")
        assert answer.exit_code == 0, answer.output
        return json.loads(answer.stdout)


def series(person: str) -> list[Dataset]:
    patient = {**factories.PATIENT, "PatientID": person}
    return factories.mr_series(
        slices=48, rows=96, columns=96, spacing_mm=(3.5, 2.6, 2.6), patient=patient, **(T2 if person == "C" else {})
    )


def take(site: Site, db: Database, person: str) -> Job:
    """A study comes, and is complete."""
    for each in series(person):
        what = Received("SCANNER", "h", each.SOPClassUID, each.SOPInstanceUID, wire.EXPLICIT, iter([wire.encode(each)]))
        intake.receive(site.folder, db, what, datetime.now(UTC), maximum_disk_use_percent=100)
    study = studies.get(db, str(each.StudyInstanceUID))
    job = studies.mark_stable(db, study, "nothing came", 3, datetime.now(UTC))
    assert job is not None
    return job


def answer(site: Site, db: Database, predictor: Predictor) -> None:
    """What the worker does with the next job."""
    job = stored.claimed(db, now=datetime.now(UTC))
    found = Analysis(task_of(db, job), site.settings, site.folder, predictor, lambda *_: None).run()
    results = [each.result for each in found.results]
    row, now = found.outcome.as_row(), datetime.now(UTC)
    outbox.complete(db, site.folder, job, found.answer, results, [], row, now)
    for _, waiting in answers.waiting(db):
        answers.publish_waiting(db, waiting, "nothing came for 3600 s", now)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    made = Site(tmp_path_factory.mktemp("site"))
    predictor = Predictor(Bundle.load(made.old), "cpu", "float32", 1)
    with stored.opened(made.folder.root) as db:
        for person in PEOPLE:
            take(made, db, person)
            answer(made, db, predictor)
    return made


@pytest.fixture
def db(site: Site) -> Iterator[Database]:
    with stored.opened(site.folder.root) as db:
        yield db


def everything(db: Database) -> list[Any]:
    """What no trial may touch."""
    tables = (schema.studies, schema.jobs, schema.answers, schema.results)
    return [stored.rows(db, each) for each in (*tables, schema.deliveries, schema.instances)]


def test_the_same_bundle_says_the_same_again_and_nothing_changes(site: Site, db: Database) -> None:
    before = everything(db)
    found = site.said("replay")
    assert found["totals"]["studies"] == 3
    assert (found["totals"]["both"], found["totals"]["neither"], found["totals"]["bias"]) == (2, 1, 0.0)
    assert [each["look_at"] for each in found["studies"]] == ["", "", ""]
    assert all(each["old"]["reason"] == each["new"]["reason"] for each in found["studies"])
    assert everything(db) == before


def test_another_bundle_and_other_rules_are_shown_study_by_study(site: Site, db: Database, tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    refuse = {"when": "PatientSex == 'F'", "then": "refuse", "why": "not in this trial"}
    rules.write_text(json.dumps({**json.loads(site.config.read_text()), "selection": {"rules": [refuse]}}))
    uid = queue.get(db, 1).study_instance_uid
    found = site.said("replay", "--bundle", site.new, "--study", uid)
    (study,) = found["studies"]
    assert study["old"]["bundle"] != study["new"]["bundle"]
    assert study["old"]["probability"] != study["new"]["probability"]
    found = site.run("replay", "--rules", rules, "--limit", "3", "--output", tmp_path / "out")
    assert found.exit_code == 0, found.output
    assert "one classified it, the other not" in found.output
    assert "Replay" in (tmp_path / "out" / "comparison.html").read_text()
    assert len((tmp_path / "out" / "comparison.csv").read_text().splitlines()) == 4
    assert site.said("replay", "--since", "2999-01-01")["totals"]["studies"] == 0


def test_a_shadow_answers_what_stands_and_goes_on_where_it_was(site: Site, db: Database) -> None:
    first = site.said("shadow", "--bundle", site.new, "--once")
    assert first["totals"]["studies"] == 3
    kept = {each.answer_id: each.at for _, _, each in trials.said(db, Bundle.load(site.new).model_id.sha256)}
    assert site.said("shadow", "--bundle", site.new, "--once")["studies"] == first["studies"]
    assert {each.answer_id: each.at for _, _, each in trials.said(db, Bundle.load(site.new).model_id.sha256)} == kept
    assert site.said("shadow", "--bundle", site.new, "--show")["studies"] == first["studies"]


def test_a_shadow_gives_way_to_a_job_and_begins_again_later(
    site: Site, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    third = Predictor(Bundle.untrained(3, SMALL), "cpu", "float32", 1)
    shadow = Shadow(db, site.folder, site.settings, third, threading.Event())
    monkeypatch.setattr("node.trial.replay.LOOK_EVERY_S", 0.0)
    classify = third.classify

    def a_job_comes(*arguments: Any, **options: Any) -> Any:
        take(site, db, "E")
        return classify(*arguments, **options)

    monkeypatch.setattr(third, "classify", a_job_comes)
    assert shadow.step()  # the newest: C, in which nothing is predicted
    with pytest.raises(JobWaits):
        shadow.step()
    assert not shadow.step()
    assert len(trials.said(db, shadow.bundle)) == 1
    monkeypatch.setattr(third, "classify", classify)
    queue.cancel(db, max(job.job_id for job in queue.listing(db)), "not wanted", datetime.now(UTC))
    assert shadow.step()
    assert len(trials.said(db, shadow.bundle)) == 2


def test_a_bundle_is_commissioned_promoted_and_gone_back_from(site: Site, db: Database) -> None:
    refused = site.run("promote", site.new)
    assert refused.exit_code == 1
    assert "no commissioning report on this bundle" in refused.output
    found = site.said("commission", "--labels", site.labels, "--bundle", site.new)
    assert [each["label"] for each in found["studies"]] == [1, 0, 0]
    assert {each["field_strength"] for each in found["studies"]} == {3.0}
    assert [each["in_scope"] for each in found["studies"]][2] is None
    assert (found["summary"]["labelled"], found["summary"]["missing"]) == (4, 1)
    (report,) = (site.folder.root / "commissioning").rglob("*.json")
    assert signing.holds(site.folder, report)
    (noted,) = [each for each in events.newest(db, 50) if each.name == "bundle commissioned"]
    assert signing.sign(site.folder, report.read_bytes()).signature in noted.reason
    assert site.run("promote", site.new).exit_code == 0
    promoted = charge.of(site.settings)
    assert promoted is not None
    assert promoted.why == str(report.relative_to(site.folder.root))
    assert charge.serving(site.settings).worker.bundle == site.new
    assert "already" in site.run("promote", site.new).output
    assert site.run("promote", "--back").exit_code == 0
    assert charge.serving(site.settings).worker.bundle == site.old
    words = [each.reason for each in events.newest(db, 50) if each.name == "bundle promoted"]
    assert words[0].endswith(promoted.why)
    assert words[1].endswith("back to what was in charge before")


def test_a_promotion_without_a_report_says_why_and_one_of_no_bundle_is_refused(
    site: Site, db: Database, tmp_path: Path
) -> None:
    third = bundle(tmp_path / "third", 4)
    assert site.run("promote", third, "--without-commissioning", "a test node").exit_code == 0
    assert charge.history(site.folder.root)[-1].why == "a test node"
    assert site.run("promote", "--back").exit_code == 0
    shutil.rmtree(third)
    assert site.run("promote", third).exit_code == 2
    assert site.run("promote").exit_code == 2
    assert charge.serving(site.settings).worker.bundle == site.old


def test_a_folder_of_dicom_is_commissioned_without_a_node(site: Site, tmp_path: Path) -> None:
    files = tmp_path / "files"
    for person in PEOPLE:
        factories.write(series(person), files / person)
    config = tmp_path / "config.yaml"
    config.write_text(site.config.read_text().replace(str(site.folder.root), str(tmp_path / "data")))
    arguments = ["model", "commission", "--labels", str(site.labels), "--folder", str(files), "--config", str(config)]
    found = CliRunner().invoke(app, [*arguments, "--json"])
    assert found.exit_code == 0, found.output
    beside = site.said("commission", "--labels", site.labels)
    plain = [[(each["label"], each["probability"], each["age"]) for each in every["studies"]]
             for every in (json.loads(found.stdout), beside)]  # fmt: skip
    assert plain[0] == plain[1]
    nobody = tmp_path / "nobody.csv"
    nobody.write_text("accession_number,label\nX,1\n")
    arguments[3] = str(nobody)
    assert CliRunner().invoke(app, arguments).exit_code == 1


def test_a_job_that_is_put_off_leaves_spare_time_and_one_that_is_due_does_not(site: Site, db: Database) -> None:
    job = take(site, db, "F")
    assert not trials.is_idle(db, datetime.now(UTC))
    running = stored.claimed(db, now=datetime.now(UTC))
    assert not trials.is_idle(db, datetime.now(UTC))
    queue.give_back(db, running, "later", datetime.now(UTC) + timedelta(hours=1), datetime.now(UTC))
    assert trials.is_idle(db, datetime.now(UTC))
    queue.cancel(db, job.job_id, "not wanted", datetime.now(UTC))
