"""The support bundle: enough to help with, and nothing about a patient."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread

from node.observe import support
from storage.states import JobState
from tests import audit, factories
from tests.certificates import site
from tests.destination import wait_until
from tests.services import Service, service
from tests.stored import NOW

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

STUDY = "1.2.826.0.1.7.77"
ABOUT_A_PATIENT = {
    "PatientName": "QUINCEY^MORRIS",
    "PatientID": "PID-4711-QX",
    "PatientBirthDate": "19230517",
    "StudyDescription": "Brain of Quincey",
    "SeriesDescription": "T1 Quincey Morris",
    "ReferringPhysicianName": "SEWARD^JOHN",
    "AccessionNumber": "ACC-99-QX",
    "PatientComments": "bitten twice",
    "OtherPatientIDs": "PID-OTHER-QX",
    "InstitutionName": "Whitby Asylum",
    "ProtocolName": "Quincey protocol",
}
OPERATOR = "wrong patient, RENFIELD^R M"
SECRET = "secret-place"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, bundle: Path) -> Iterator[Service]:
    """A service that has read a study of that patient, refused a broken instance, and had a job cancelled."""
    folder = tmp_path_factory.mktemp("node")
    tls, _ = site(folder / SECRET)
    pacs = {"name": "away", "ae_title": "PACS", "host": "127.0.0.1", "port": 9, "tls": tls.model_dump(mode="json")}
    rules = [{"when": 'PatientName ~ "QUINCEY"', "then": "prefer", "why": "Quincey is preferred"}]
    settings = {"destinations": [pacs], "selection": {"rules": rules}}
    settings["audit"] = {"transport": "file", "file": str(folder / "audit.log")}
    with service(folder, bundle, None, start=False, **settings) as running:
        paths = factories.write(
            factories.mr_series(study_uid=STUDY, series_uid=f"{STUDY}.1", slices=48, spacing_mm=(3.3, 2, 2)),
            folder / "sent",
        )
        for path in paths:
            dataset = dcmread(path)
            for keyword, value in ABOUT_A_PATIENT.items():
                setattr(dataset, keyword, value)
            dataset.save_as(path)
        running.start()
        taken = running.send(paths)
        assert all(each.accepted for each in taken)
        wait_until(lambda: _is_reported(running), "results that nobody takes", 120)
        job = running.job(STUDY)
        assert job is not None
        assert running.command("queue", "cancel", str(job.job_id), "--reason", OPERATOR).returncode == 0
        yield running


def contents(out: Path) -> dict[str, str]:
    with zipfile.ZipFile(out) as found:
        return {name: found.read(name).decode() for name in found.namelist()}


def _is_reported(node: Service) -> bool:
    job = node.job(STUDY)
    return job is not None and job.state is JobState.REPORTED


def test_it_holds_what_a_helper_asks_for_and_nothing_about_a_patient_or_a_secret(node: Service, tmp_path: Path) -> None:
    out = tmp_path / "support.zip"
    made = node.command("support-bundle", str(out))
    assert made.returncode == 0, made.stderr
    assert out.stat().st_mode & 0o777 == 0o600
    found = contents(out)
    for name, text in found.items():
        for said in (*ABOUT_A_PATIENT.values(), "quincey", "RENFIELD", OPERATOR, f"{SECRET}/tls/node.key"):
            assert said.lower() not in text.lower(), f"{said} in {name}"

    assert json.loads(found["versions.json"])["neurossl-node"]
    settings = json.loads(found["configuration.json"])
    assert settings["listener"]["ae_title"] == "NEUROSSL"
    assert settings["destinations"][0]["tls"]["key"] == support.REMOVED
    assert settings["selection"]["rules"] == [{"when": "removed", "then": "prefer", "why": "removed"}]
    assert {fact["name"] for fact in json.loads(found["health.json"])} >= {"database", "free space", "listener"}
    assert json.loads(found["queue.json"])["jobs"]["cancelled"] == 1
    events = [json.loads(line) for line in found["events.jsonl"].splitlines()]
    assert {"study stable", "job reported", "job cancelled"} <= {each["name"] for each in events}
    assert {each["study_instance_uid"] for each in events} == {STUDY}
    assert "serving" in {json.loads(line)["event"] for line in found["log.jsonl"].splitlines()}


def test_the_values_that_are_looked_for_are_in_the_stored_files(node: Service) -> None:
    """The test above can fail."""
    stored_bytes = b"".join(path.read_bytes() for path in (node.folder.root / "instances").glob("*/*"))
    assert all(value.encode() in stored_bytes for value in ABOUT_A_PATIENT.values())
    shown = node.command("queue", "show", "1", "--json").stdout
    assert OPERATOR in shown


def test_the_audit_trail_names_the_study_and_nothing_about_its_patient(node: Service) -> None:
    lines = (node.folder.root.parent / "audit.log").read_bytes().splitlines()
    told = [audit.checked(audit.parsed(line)["body"]) for line in lines]
    assert {audit.study(each) for each in told if audit.event(each) in audit.STUDIES} == {STUDY}
    assert {"110102", "110103", "110104"} <= {audit.event(each) for each in told}
    (withdrawal,) = [each for each in told if audit.event(each) == "110103"]
    assert audit.user(withdrawal).startswith("uid ")
    text = b"\n".join(lines).decode().lower()
    assert [said for said in (*ABOUT_A_PATIENT.values(), OPERATOR) if said.lower() in text] == []


def test_a_wrong_configuration_is_no_obstacle_and_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    config, out = tmp_path / "config.yaml", tmp_path / "support.zip"
    config.write_text("listener: {prot: 1}")
    assert support.write(config, out, NOW) == ["versions.json", "health.json"]
    assert "listener.prot" in contents(out)["health.json"]
    with pytest.raises(FileExistsError):
        support.write(config, out, NOW)


def test_settings_lose_their_secrets_and_nothing_else() -> None:
    settings = {
        "tls": {"certificate": "a.pem", "key": "b.key"},
        "database": {"url": "postgresql://user:hunter2@db/neurossl", "password": "hunter2"},
        "tokens": ["hunter2"],
        "port": 104,
        "nothing": None,
    }
    assert support.without_secrets(settings) == {
        "tls": {"certificate": "a.pem", "key": "removed"},
        "database": {"url": "postgresql://removed@db/neurossl", "password": "removed"},
        "tokens": ["removed"],
        "port": 104,
        "nothing": None,
    }
