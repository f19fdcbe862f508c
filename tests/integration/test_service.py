"""`neurossl serve` from start to stop: what it refuses, what it restarts, and what it leaves behind."""

import json
import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE

from node.dimse import scu
from storage import instances, outbox, queue
from storage import studies as studies_table
from storage.states import JobState, StudyState
from tests.destination import Destination, destination, wait_until
from tests.services import ENDED, ROLES, SLOW_START_S, Service, in_background, service, studies

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def pacs() -> Iterator[Destination]:
    with destination() as running:
        yield running


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, bundle: Path, pacs: Destination) -> Iterator[Service]:
    with service(tmp_path_factory.mktemp("node"), bundle, pacs.port) as running:
        yield running


def test_a_study_that_is_sent_comes_back_as_captures_and_a_report(
    node: Service, pacs: Destination, tmp_path: Path
) -> None:
    ((study, paths),) = studies(tmp_path, 1).items()
    assert all(each.status == 0 for each in node.send(paths))
    job = node.ended(study)
    assert (job.state, job.attempt) == (JobState.DONE, 1)
    with node.database() as db:
        results = [each.sop_instance_uid for each in outbox.results_of_job(db, job.job_id) if each.is_object]
    assert pacs.uids == results
    assert pacs.modalities == {"OT": 4, "SR": 1}

    shown = json.loads(node.command("queue", "show", str(job.job_id), "--json").stdout)
    assert {each["state"] for each in shown["deliveries"]} == {"sent"}
    assert node.command("health").returncode == 0
    checked = node.command("check")
    assert checked.returncode == 0, checked.stdout

    late = dcmread(paths[0])
    late.SOPInstanceUID = late.file_meta.MediaStorageSOPInstanceUID = "1.2.826.0.1.1.999"
    late.ImagePositionPatient = [
        str(float(v) + (3.3 if i == 0 else 0)) for i, v in enumerate(late.ImagePositionPatient)
    ]
    late.save_as(tmp_path / "late.dcm")
    assert node.send([tmp_path / "late.dcm"])[0].status == 0
    second = node.ended(study, revision=2)
    assert second.revision == 2
    with node.database() as db:
        first_report, report = (
            next(each for each in outbox.results_of_job(db, job_id) if each.kind == "sr_comprehensive")
            for job_id in (job.job_id, second.job_id)
        )
    predecessor = dcmread(node.folder.path(report.path)).PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    assert predecessor.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first_report.sop_instance_uid


def test_the_same_study_sent_twice_is_worked_on_once(node: Service, pacs: Destination, tmp_path: Path) -> None:
    ((study, paths),) = studies(tmp_path, 1, patient={"PatientID": "TWICE", "PatientName": "Twice^Sent"}).items()
    paths = [_renamed(path, tmp_path, study := "1.2.826.0.1.77") for path in paths]
    node.send(paths)
    job = node.ended(study)
    sent = len(pacs.stored)
    assert all(each.status == 0 for each in node.send(paths))
    time.sleep(3)
    again = node.job(study)
    assert again is not None
    assert (again.job_id, again.revision) == (job.job_id, 1)
    assert len(pacs.stored) == sent


def _renamed(path: Path, folder: Path, study: str) -> Path:
    dataset = dcmread(path)
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, f"{study}.1"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{study}.1.{dataset.InstanceNumber}"
    target = folder / f"renamed-{path.name}"
    dataset.save_as(target)
    return target


def test_a_slow_sender_is_waited_for_while_its_association_is_open(node: Service, tmp_path: Path) -> None:
    ((_, paths),) = studies(tmp_path, 1).items()
    first, second = (_renamed(path, tmp_path, "1.2.826.0.1.88") for path in paths[:2])
    ae = AE("SCANNER")
    ae.add_requested_context(MRImageStorage, ExplicitVRLittleEndian)
    assert node.port is not None
    association = ae.associate("127.0.0.1", node.port, ae_title="NEUROSSL")
    assert association.send_c_store(first).Status == 0
    time.sleep(5)  # the quiet period is 1.5 s
    early = node.job("1.2.826.0.1.88")
    assert early is None or (early.early and early.state not in ENDED)
    with node.database() as db:
        assert studies_table.get(db, "1.2.826.0.1.88").state is StudyState.RECEIVING
    assert association.send_c_store(second).Status == 0
    association.release()
    job = node.ended("1.2.826.0.1.88")
    assert (job.revision, job.state) == (1, JobState.SKIPPED)


def test_results_that_come_back_from_the_pacs_lead_to_nothing(node: Service, tmp_path: Path) -> None:
    with node.database() as db:
        jobs = queue.listing(db)
        paths = [node.folder.path(each.path) for each in outbox.results_of_job(db, jobs[0].job_id) if each.is_object]
    assert all(each.status == 0 for each in node.send(paths, calling="PACS"))
    time.sleep(2.5)
    with node.database() as db:
        assert len(queue.listing(db)) == len(jobs)
        assert studies_table.receiving(db) == []


def test_a_second_service_on_the_same_folder_is_refused(node: Service) -> None:
    second = node.command("serve")
    assert second.returncode == 1
    assert "another service runs on this data folder" in second.stderr
    assert len(second.stderr.splitlines()) == 1
    assert node.is_ready("listener")


def test_no_patient_name_id_or_birth_date_is_in_log_or_database(node: Service) -> None:
    dump = b"".join(path.read_bytes() for path in node.folder.root.glob("neurossl.sqlite*")) + node.log.read_bytes()
    assert b"1.2.826.0.1" in dump
    for secret in (b"Muster", b"TEST-0001", b"19480312", b"Twice^Sent"):
        assert secret not in dump


def test_files_are_for_the_service_alone(node: Service) -> None:
    for path in (node.folder.root, *node.folder.root.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path


def test_the_environment_is_applied_once_and_relative_to_the_configuration(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEUROSSL__DATA_FOLDER", "data")  # relative to config.yaml, which lies in tmp_path
    monkeypatch.setenv("NEUROSSL__LISTENER__AE_TITLE", "ELSEWHERE")
    with service(tmp_path, bundle, None) as node:
        assert node.port is not None
        assert node.is_ready("office")
        assert not Path("data").exists()
        assert scu.echo(scu.Peer("ELSEWHERE", "127.0.0.1", node.port, "SCANNER"), 5).answered


def test_a_stop_is_clean_and_leaves_nothing_running(bundle: Path, tmp_path: Path) -> None:
    with service(tmp_path, bundle, None) as node:
        pids = node.pids
        assert len(pids) >= 5
        os.kill(node.pid("inference"), signal.SIGTERM)  # as when a whole control group is signalled
        time.sleep(0.5)
        assert node.pids == pids
        assert node.stop() == 0
        assert not node.pids
        assert node.command("health").returncode == 1
        events = [json.loads(line)["event"] for line in node.log.read_text().splitlines()]
        assert events[-1] == "stopped"
        assert events.index("stopped listening") < events.index("stopped")


def test_what_was_acknowledged_before_a_stop_is_there(bundle: Path, tmp_path: Path) -> None:
    ((study, paths),) = studies(tmp_path, 1).items()
    with service(tmp_path, bundle, None) as node:
        taken: list[Any] = []
        sender = in_background(lambda: taken.extend(node.send(paths * 3)))
        time.sleep(0.3)
        assert node.stop() == 0
        sender.join(30)
        acknowledged = {each.sop_instance_uid for each in taken if each.accepted}
        with node.database() as db:
            stored = {each.sop_instance_uid for each in instances.of_study(db, study)}
    assert acknowledged
    assert acknowledged <= stored


def test_killing_the_service_ends_its_processes(bundle: Path, tmp_path: Path) -> None:
    with service(tmp_path, bundle, None) as node:
        pids = node.pids
        assert node.process is not None
        node.process.kill()
        node.process.wait()
        wait_until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in pids), "all to be gone", 40)
        node.start()  # and the next one starts at once


@pytest.mark.parametrize("role", ROLES)
def test_a_process_that_hangs_is_replaced(bundle: Path, tmp_path: Path, role: str, monkeypatch: Any) -> None:
    code = "import node.service.supervisor; node.service.supervisor.HUNG_AFTER_S = 4; from node.cli import main; main()"
    with service(tmp_path, bundle, None, start=False) as node:
        import subprocess
        import sys

        with node.log.open("ab") as log:
            node.process = subprocess.Popen(
                [sys.executable, "-c", code, "serve", "--config", str(node.config)], stdout=log, stderr=log
            )
        node.wait_ready()
        hanging = node.pid(role)
        os.kill(hanging, signal.SIGSTOP)
        wait_until(lambda: node.pid(role) != hanging and node.is_ready(role), "a new one", SLOW_START_S)


REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "bundle not set": ({"worker": {}}, "worker.bundle: is not set"),
    "bundle missing": ({"worker": {"bundle": "/nowhere"}}, "worker.bundle: /nowhere"),
    "untrained bundle": ({"worker": {"bundle": "{bundle}"}}, "UNTRAINED"),
    "device": (
        {"worker": {"bundle": "{bundle}", "allow_untrained_bundle": True, "device": "cuda:7"}},
        "worker.device: ",
    ),
    "port in use": ({"listener": {"port": "{port}"}}, "listener.port: cannot listen"),
    "no such address": ({"listener": {"host": "203.0.113.7"}}, "cannot listen on 203.0.113.7"),
    "data folder": ({"data_folder": "/proc/nowhere"}, "data_folder: "),
    "unknown key": ({"listner": {}}, "listner: "),
    "tls": (
        {"listener": {"tls": {"certificate": "a.pem", "key": "b.pem", "authorities": "c.pem"}}},
        "listener.tls.certificate",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_wrong_configuration_starts_nothing_and_says_why_in_one_line(bundle: Path, tmp_path: Path, case: str) -> None:
    settings, message = REFUSALS[case]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        text = json.dumps(settings).replace("{bundle}", str(bundle)).replace('"{port}"', str(taken.getsockname()[1]))
        node = Service(tmp_path, bundle, None, **json.loads(text))
        refused = node.command("serve")
    assert refused.returncode == 2, refused.stderr
    errors = [line for line in refused.stderr.splitlines() if not line.startswith("{")]
    assert message in errors[0]
    assert "Traceback" not in refused.stderr
    assert "did not stop in time" not in refused.stderr
    assert len(errors) == 1, errors
    assert not any(node.is_ready(role) for role in ("listener", "office"))


def test_a_damaged_database_is_refused_with_what_to_do_and_rebuilt_on_request(bundle: Path, tmp_path: Path) -> None:
    ((study, paths),) = studies(tmp_path, 1).items()
    with destination() as pacs, service(tmp_path, bundle, pacs.port) as node:
        node.send(paths)
        node.ended(study)
        assert node.stop() == 0
        before = set(pacs.uids)
        database = node.folder.database
        content = bytearray(database.read_bytes())
        content[4096:20480] = os.urandom(16384)
        database.write_bytes(content)
        for suffix in ("-wal", "-shm"):
            database.with_name(database.name + suffix).unlink(missing_ok=True)
        refused = node.command("serve")
        assert refused.returncode == 1
        assert "neurossl rebuild" in refused.stderr
        assert "Traceback" not in refused.stderr
        checked = node.command("check")
        assert checked.returncode == 1
        assert "neurossl rebuild" in checked.stdout
        rebuilt = node.command("rebuild")
        assert rebuilt.returncode == 0, rebuilt.stderr
        assert f"{len(paths)} stored instances" in rebuilt.stdout
        assert len(list(node.folder.root.glob("neurossl.sqlite.*Z"))) == 1
        node.start()
        assert node.ended(study).state is JobState.DONE
        assert set(pacs.uids) == before


def test_a_database_that_has_gone_is_rebuilt_from_the_stored_files(bundle: Path, tmp_path: Path) -> None:
    ((study, paths),) = studies(tmp_path, 1).items()
    with destination() as pacs, service(tmp_path, bundle, pacs.port) as node:
        node.send(paths)
        node.ended(study)
        before = set(pacs.uids)
        assert node.stop() == 0
        for path in node.folder.root.glob("neurossl.sqlite*"):
            path.unlink()
        node.start()
        assert node.ended(study).state is JobState.DONE
        assert set(pacs.uids) == before
        assert "rebuilt from the stored instances" in node.log.read_text()
        with node.database() as db:
            assert len(instances.of_study(db, study)) == len(paths)


def test_a_lost_input_file_fails_its_job_and_no_other(bundle: Path, tmp_path: Path) -> None:
    (first, first_paths), (second, second_paths) = studies(tmp_path, 2).items()
    with destination() as pacs, service(tmp_path, bundle, pacs.port, completeness={"quiet_period_s": 4}) as node:
        node.send(first_paths)
        with node.database() as db:
            node.folder.path(instances.of_study(db, first)[0].path).unlink()
        node.send(second_paths)
        failed, done = node.ended(first), node.ended(second)
    assert (failed.state, failed.attempt) == (JobState.FAILED, 1)
    assert done.state is JobState.DONE


def test_each_part_runs_alone(bundle: Path, tmp_path: Path) -> None:
    import subprocess
    import sys

    ((study, paths),) = studies(tmp_path, 1).items()
    with destination() as pacs:
        node = Service(tmp_path, bundle, pacs.port)
        parts = []
        with node.log.open("ab") as log:
            for part in ("listen", "work", "office"):
                command = [sys.executable, "-P", "-m", "node", part, "--config", str(node.config)]
                parts.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log))
        try:
            wait_until(lambda: all(node.is_ready(role) for role in ROLES), "the parts", SLOW_START_S)
            node.send(paths)
            assert node.ended(study).state is JobState.DONE
            assert len(pacs.uids) == 5
        finally:
            for each in parts:
                each.terminate()
            assert [each.wait(40) for each in parts] == [0, 0, 0]
    shutil.rmtree(tmp_path / "data")
