"""What an on-premise service keeps, on the real service: its audit trail, a backup under load, room on the disk."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from node.config import Settings
from node.observe.audit import Trail
from node.service.housekeeping import make_room
from storage import Database, instances
from storage.records import Job
from storage.states import JobState
from tests import audit, stored, wire
from tests.destination import Destination, destination, wait_until
from tests.services import service, studies

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

MR = "1.2.840.10008.5.1.4.1.1.4"


@pytest.fixture(scope="module")
def pacs() -> Iterator[Destination]:
    with destination() as running:
        yield running


def test_the_service_tells_its_audit_receiver_what_happens(tmp_path: Path, bundle: Path, pacs: Destination) -> None:
    with audit.stream_receiver() as receiver:
        trail = {"transport": "tcp", "host": "127.0.0.1", "port": receiver.port}
        with service(tmp_path, bundle, pacs.port, audit=trail) as node:
            ((study, paths),) = studies(tmp_path / "sent", 1).items()
            assert all(each.status == 0 for each in node.send(paths))
            assert node.port is not None
            with wire.Peer(node.port) as stranger:
                assert stranger.rejection(calling="STRANGER") == (1, 1, 3)
            job = node.ended(study)
            cancelled = node.command("queue", "cancel", str(job.job_id), "--reason", "DOE^JANE")
            assert cancelled.returncode == 1  # it is done: nothing is withdrawn
            assert node.stop() == 0
        wait_until(lambda: any(audit.kind(each) == "110121" for each in receiver.of("110100")), "the stop", 10)

    activity = [(audit.kind(each), audit.user(each)) for each in receiver.of("110100")]
    assert {("110120", "service"), ("110121", "service"), ("110120", "listener"), ("110120", "office")} <= set(activity)
    assert [audit.kind(each) for each in receiver.of("110113")] == ["110131", "110126"]
    incoming, outgoing = receiver.of("110104")
    assert (audit.study(incoming), audit.counts(incoming)) == (study, {MR: len(paths)})
    assert audit.study(outgoing) == study
    assert sum(audit.counts(outgoing).values()) == len(pacs.uids)
    assert [audit.counts(each) for each in receiver.of("110102")] == [audit.counts(outgoing)]


def test_a_dead_audit_receiver_delays_no_instance(tmp_path: Path, bundle: Path, free_port: Callable[[], int]) -> None:
    trail = {"transport": "tcp", "host": "127.0.0.1", "port": free_port(), "maximum_waiting": 2}
    with service(tmp_path, bundle, None, audit=trail) as node:
        ((study, paths),) = studies(tmp_path / "sent", 1).items()
        began_s = time.monotonic()
        assert all(each.status == 0 for path in paths for each in node.send([path]))
        assert time.monotonic() - began_s < 20
        assert node.ended(study).state is JobState.DONE
        assert node.stop() == 0
    assert "audit messages lost" in node.log.read_text()


def test_a_backup_under_load_is_restored_into_an_empty_folder_and_the_work_is_finished_there(
    tmp_path: Path, bundle: Path, pacs: Destination
) -> None:
    sent = studies(tmp_path / "sent", 4)
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    with service(tmp_path / "old", bundle, pacs.port, completeness={"quiet_period_s": 3}) as old:
        first, *others = sent.items()
        assert all(each.accepted for each in old.send(first[1]))

        def load() -> None:
            for _, paths in others:
                old.send(paths)

        sender = threading.Thread(target=load)
        sender.start()
        time.sleep(0.3)
        made = old.command("backup", str(tmp_path / "backup"))
        assert made.returncode == 0, made.stderr
        sender.join()
        old.kill("listener")

    with service(tmp_path / "new", bundle, pacs.port, start=False) as new:
        restored = new.command("restore", str(tmp_path / "backup"))
        assert restored.returncode == 0, restored.stderr
        with new.database() as db:
            kept = {study: len(instances.of_study(db, study)) for study in sent}
        assert kept[first[0]] == len(first[1])
        new.start()
        finished = {study: new.ended(study) for study, count in kept.items() if count}
        assert finished[first[0]].state is JobState.DONE
        assert all(job.state in (JobState.DONE, JobState.SKIPPED) for job in finished.values())
        for study, paths in sent.items():  # what came after the backup is sent again, as its sender would
            assert all(each.accepted for each in new.send(paths)), study
        wait_until(lambda: all(_is_done(new.job(study)) for study in sent), "every study", 120)


def _is_done(job: Job | None) -> bool:
    return job is not None and job.state in (JobState.DONE, JobState.SKIPPED)


def test_a_partial_backup_is_refused_in_one_line(tmp_path: Path, bundle: Path) -> None:
    (tmp_path / "backup").mkdir()
    with service(tmp_path, bundle, None, start=False) as node:
        refused = node.command("restore", str(tmp_path / "backup"))
    assert refused.returncode == 1
    assert "is no whole backup" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert not node.folder.root.exists()


def test_above_the_watermark_what_was_done_goes_and_the_audit_trail_says_so(db: Database, tmp_path: Path) -> None:
    stored.delivered(db)
    folder = stored.folder(db)
    make_room(Settings(data_folder=folder.root), folder, db)
    assert len(instances.of_study(db, stored.STUDY)) == 1  # no watermark
    settings = Settings(data_folder=folder.root, retention={"maximum_disk_use_percent": 1})
    file = tmp_path / "audit.log"
    with Trail(Settings(audit={"transport": "file", "file": file}), "office") as trail:
        make_room(settings, folder, db, trail)
    told = audit.checked(audit.parsed(file.read_bytes().splitlines()[0])["body"])
    assert (audit.event(told), audit.study(told)) == ("110105", stored.STUDY)
    assert instances.of_study(db, stored.STUDY) == []
