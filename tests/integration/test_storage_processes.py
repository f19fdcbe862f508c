"""Several processes use one data folder at the same time, and each of them may be killed at any step."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from storage import Database, DataFolder, engine, files, instances, open_database, outbox, queue, retention, studies
from storage.records import Instance, Registration
from storage.states import JobState, StudyState
from tests import stored
from tests.stored import NOW, STUDY, after

ROOT = Path(__file__).parents[2]


@contextmanager
def process(script: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A Python process of its own that has `db`, open on the folder of its first argument; killed at the end."""
    head = (
        "import sys, time, json, os\n"
        "from datetime import UTC, datetime\n"
        "from pathlib import Path\n"
        "from storage import *\n"
        "from storage import files, instances, outbox, queue, studies\n"
        "from tests import stored\n"
        "folder = DataFolder(Path(sys.argv[1]))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", head + script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def answer(running: subprocess.Popen[str]) -> Any:
    """What the process says in its next line."""
    assert running.stdout is not None
    return json.loads(running.stdout.readline())


def go(running: subprocess.Popen[str]) -> None:
    """Let a process that waits for a line go on."""
    assert running.stdin is not None
    running.stdin.write("go\n")
    running.stdin.flush()


def test_processes_that_open_a_new_folder_at_the_same_moment_all_get_the_same_database(tmp_path: Path) -> None:
    script = "sys.stdin.readline(); db = open_database(folder); stored.received(db, int(sys.argv[2])); print(1)"
    root = str(tmp_path / "data")
    with (
        process(script, root, "1") as one,
        process(script, root, "2") as two,
        process(script, root, "3") as three,
    ):
        for each in (one, two, three):
            go(each)
        assert [answer(each) for each in (one, two, three)] == [1, 1, 1]
    with stored.opened(tmp_path / "data") as db:
        assert studies.get(db, STUDY).instances == 3


def test_no_job_is_claimed_twice(tmp_path: Path) -> None:
    with stored.opened(tmp_path) as db:
        for number in range(40):
            stored.queued(db, study=f"1.{number}")
    script = (
        "db = open_database(folder); print(1, flush=True); sys.stdin.readline(); mine = []\n"
        "while (job := queue.claim(db, sys.argv[2], 60, stored.NOW)) is not None: mine.append(job.job_id)\n"
        "print(json.dumps(mine))"
    )
    with process(script, str(tmp_path), "a") as one, process(script, str(tmp_path), "b") as two:
        assert [answer(one), answer(two)] == [1, 1]
        go(one)
        go(two)
        claimed = [answer(one), answer(two)]
    assert sorted(claimed[0] + claimed[1]) == list(range(1, 41))
    with stored.opened(tmp_path) as db:
        assert {job.attempt for job in queue.listing(db)} == {1}
        owners = {job.job_id: job.lease_owner for job in queue.listing(db)}
    assert all(owners[job_id] == "a" for job_id in claimed[0])


def test_a_study_that_two_peers_send_at_once_is_one_study(tmp_path: Path) -> None:
    script = (
        "db = open_database(folder); print(1, flush=True); sys.stdin.readline(); told = []\n"
        "for number in range(50):\n"
        "    file = files.write(folder, str(number), [b'data set %d' % number])\n"
        "    about = {'path': file.path, 'sha256': file.sha256, 'size_bytes': file.size_bytes}\n"
        "    record = stored.instance(number, sender=sys.argv[2], **about)\n"
        "    told.append(instances.register(db, folder, record, expected_instances=None, now=stored.NOW))\n"
        "    if told[-1] != 'new': files.discard(folder, db, file.path)\n"
        "print(json.dumps(told))"
    )
    root = str(tmp_path)
    with stored.opened(tmp_path):
        pass
    with process(script, root, "PACS1") as one, process(script, root, "PACS2") as two:
        assert [answer(one), answer(two)] == [1, 1]
        go(one)
        go(two)
        told = [answer(one), answer(two)]
    assert all(sorted(pair) == ["duplicate", "new"] for pair in zip(*told, strict=True))
    with stored.opened(tmp_path) as db:
        study = studies.get(db, STUDY)
        assert (study.instances, set(study.calling_ae_titles)) == (50, {"PACS1", "PACS2"})
        for record in instances.of_study(db, STUDY):
            files.verify(stored.folder(db), record.path, record.sha256)
        assert len(list((tmp_path / "instances").glob("*/*"))) == 50


def test_threads_share_a_database(tmp_path: Path) -> None:
    with stored.opened(tmp_path) as db:
        told: list[Registration] = []

        def associate(first: int) -> None:
            for number in range(first, first + 20):
                record = stored.instance(number)
                told.append(instances.register(db, stored.folder(db), record, expected_instances=None, now=NOW))

        threads = [threading.Thread(target=associate, args=(10 * part,)) for part in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert Counter(told) == {Registration.NEW: 70, Registration.DUPLICATE: 50}
        assert studies.get(db, STUDY).instances == 70


def test_every_instance_belongs_to_a_revision_however_sending_and_the_office_meet(tmp_path: Path) -> None:
    with stored.opened(tmp_path) as db:
        sent = threading.Event()

        def office() -> None:
            while not sent.is_set():
                for study in studies.receiving(db):
                    studies.mark_stable(db, study, "nothing came", 3, NOW)

        thread = threading.Thread(target=office)
        thread.start()
        for number in range(60):
            instances.register(
                db, stored.folder(db), stored.instance(number), expected_instances=None, now=after(number)
            )
        sent.set()
        thread.join()
        for study in studies.receiving(db):
            studies.mark_stable(db, study, "nothing came", 3, NOW)
        jobs = queue.listing(db)
        counts = [len(instances.of_study(db, STUDY, up_to_revision=job.revision)) for job in jobs]
        assert [job.revision for job in jobs] == list(range(len(jobs), 0, -1))
        assert counts == sorted(counts, reverse=True)
        assert counts[0] == 60
        assert len(set(counts)) == len(counts)  # no revision without an instance of its own


def test_a_worker_killed_at_work_costs_an_attempt_and_nothing_else(tmp_path: Path) -> None:
    with stored.opened(tmp_path) as db:
        stored.queued(db)
        script = (
            "db = open_database(folder); job = stored.claimed(db, owner='host:%d' % os.getpid())\n"
            "stored.encoded(db, job, 1); print(os.getpid(), flush=True); time.sleep(60)"
        )
        with process(script, str(tmp_path)) as worker:
            pid = answer(worker)
            worker.send_signal(signal.SIGKILL)
            worker.wait()
        assert queue.release(db, f"host:{pid}", after(1)) == 1
        job = stored.claimed(db, now=after(1))
        assert job.attempt == 2
        assert outbox.results_of_job(db, job.job_id) == []
        assert stored.complete(db, job).state is JobState.REPORTED


FILL_THE_DISK = """
import shutil, sys
from pathlib import Path
from storage import engine, files, instances, studies
from storage.errors import StorageFull
from tests import stored

root = Path(sys.argv[1])
with stored.opened(root) as db:
    stored.received(db, 0)
    accepted, refused = {0}, 0
    (root / "ballast").write_bytes(bytes(1 << 20))
    for number in range(1, 400):
        try:
            file = files.write(stored.folder(db), str(number), [bytes(20_000)])
        except StorageFull:
            refused += 1
            continue
        record = stored.instance(number, path=file.path, sha256=file.sha256)
        try:
            instances.register(db, stored.folder(db), record, expected_instances=None, now=stored.NOW)
            accepted.add(number)
        except StorageFull:
            refused += 1
            files.discard(stored.folder(db), db, file.path)
    assert refused > 100, refused
    assert list((root / "tmp").iterdir()) == []
    (root / "ballast").unlink()
    stored.received(db, 1000)
    assert studies.get(db, stored.STUDY).instances == len(accepted) + 1
    engine.quick_check(db)
    assert list(files.orphans(stored.folder(db), db)) == []
    for record in instances.of_study(db, stored.STUDY):
        files.verify(stored.folder(db), record.path, record.sha256)
with stored.opened(root) as db:
    assert len(instances.of_study(db, stored.STUDY)) == len(accepted) + 1
"""


def test_a_disk_that_is_really_full_refuses_and_later_accepts_again(tmp_path: Path) -> None:
    mount = f"mount -t tmpfs -o size=4m tmpfs {tmp_path}"
    alone = ["unshare", "-rm", "sh", "-c"]
    if shutil.which("unshare") is None or subprocess.run([*alone, mount], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    script = f'{mount} && exec "$0" -W error -c "$1" {tmp_path}/data'
    done = subprocess.run(
        [*alone, script, sys.executable, FILL_THE_DISK], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


class Sender:
    """A modality that sends again what was not acknowledged, and a PACS that keeps what it got, beside the node."""

    def __init__(self, folder: Path) -> None:
        self.acknowledged, self.pacs = folder / "acknowledged", folder / "pacs"
        for each in (self.acknowledged, self.pacs):
            each.mkdir(parents=True)

    def missing(self) -> list[int]:
        """The instances that the node never acknowledged."""
        return [number for number in (1, 2) if not (self.acknowledged / str(number)).exists()]


def record_of(number: int, file: files.StoredFile) -> Instance:
    return stored.instance(number, path=file.path, sha256=file.sha256, size_bytes=file.size_bytes)


def content_of(number: int) -> bytes:
    return f"data set {number}".encode()


def walk_the_whole_way(folder: DataFolder, sender: Sender, *, purge: bool) -> None:
    """From the first instance to the last acknowledgement, from wherever a crash left it."""
    db = open_database(folder)
    for number in sender.missing():
        file = files.write(folder, f"{STUDY}.1.{number}", [content_of(number)])
        if (
            instances.register(db, stored.folder(db), record_of(number, file), expected_instances=2, now=NOW)
            is not Registration.NEW
        ):
            files.discard(folder, db, file.path)
        (sender.acknowledged / str(number)).touch()
    for study in studies.receiving(db):
        studies.mark_stable(db, study, "all 2 instances are here", 100, NOW)
    while (job := queue.claim(db, "worker:1", 60, NOW)) is not None:
        stored.complete(db, job)
    while (delivery := outbox.claim(db, "pacs", NOW)) is not None:
        result = outbox.result(db, delivery.sop_instance_uid)
        assert result is not None
        arrived = sender.pacs / result.sop_instance_uid
        content = files.verify(folder, result.path, result.sha256).read_bytes()
        assert not arrived.exists() or arrived.read_bytes() == content
        arrived.write_bytes(content)
        outbox.sent(db, delivery, "0x0000", NOW)
    if purge:
        retention.purge_studies(db, folder, after(1), after(1))
        retention.purge_results(db, folder, after(1), after(1))
    db.close()


def recover(folder: DataFolder) -> Database:
    """What the service does at its start."""
    db = open_database(folder)
    engine.quick_check(db)
    contents = {content_of(number): number for number in (1, 2)}
    for path in list(files.orphans(folder, db)):
        file = files.read_back(folder, path)
        record = record_of(contents[folder.path(path).read_bytes()], file)
        if instances.register(db, stored.folder(db), record, expected_instances=2, now=NOW) is not Registration.NEW:
            files.discard(folder, db, path)
    queue.release(db, "", NOW)
    outbox.release(db, NOW)
    files.sweep(folder, db, NOW, grace_s=0)
    return db


def killed_at(step: int, act: Callable[[], None]) -> bool:
    """Run it in a process that is killed before its `step`-th write to the disk; False when it did not get there."""
    pid = os.fork()
    if pid == 0:
        left = step

        def count(*_: object) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        def counted(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(*arguments: Any, **named: Any) -> Any:
                count()
                return real(*arguments, **named)

            return call

        try:
            for name in ("write", "fsync", "rename", "mkdir", "unlink"):
                setattr(os, name, counted(getattr(os, name)))
            sa.event.listen(sa.engine.Engine, "commit", count)
            act()
        except BaseException:  # noqa: BLE001 - reported by the exit status, which the parent asserts
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where the machine has one: a killed process loses nothing that it wrote, synced or not."""
    shared = Path("/dev/shm")  # noqa: S108
    if not (shared.is_dir() and os.access(shared, os.W_OK)):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        yield Path(folder)


@pytest.mark.slow
@pytest.mark.parametrize("purge", [False, True])
def test_killed_at_any_step_the_node_loses_nothing_and_sends_one_content_under_each_uid(
    memory: Path, purge: bool
) -> None:
    step = 0
    interrupted = True
    while interrupted:
        step += 1
        place = memory / str(step)
        folder, sender = DataFolder(place / "data"), Sender(place)
        interrupted = killed_at(step, partial(walk_the_whole_way, folder, sender, purge=purge))
        db = recover(folder)
        for number in {1, 2} - set(sender.missing()):
            record = instances.find(db, f"{STUDY}.1.{number}")
            if record is None:
                assert purge, f"killed at step {step}: an acknowledged instance is lost"
            else:
                files.verify(folder, record.path, record.sha256)
        db.close()
        walk_the_whole_way(folder, sender, purge=purge)
        _assert_one_good_end(folder, sender, purge=purge)
    assert step > 30


def _assert_one_good_end(folder: DataFolder, sender: Sender, *, purge: bool) -> None:
    assert sorted(path.name for path in sender.pacs.iterdir()) == ["2.25.1.1", "2.25.1.2"]
    with stored.opened(folder.root) as db:
        jobs = queue.listing(db)
        left = [str(path) for area in ("instances", "results", "tmp") for path in (folder.root / area).glob("**/*.*")]
        if purge:
            assert (jobs, left) == ([], [])
            return
        assert [job.state for job in jobs] == [JobState.DONE]
        assert studies.get(db, STUDY).state is StudyState.STABLE
        assert list(files.orphans(folder, db)) == []
        rows = len(instances.of_study(db, STUDY)) + len(outbox.results_of_job(db, jobs[0].job_id))
        strays = len(list(files.orphans(folder, db, "results")))
        assert (rows, len(left)) == (4, 4 + strays)
