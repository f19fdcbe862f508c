"""Making room on a full disk: what goes first, and what never goes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from node.config import Settings
from storage import Database, DataFolder, events, instances, outbox, queue, watermarks
from storage.records import Proof
from storage.states import JobState
from tests import stored
from tests.stored import NOW, STUDY, after


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with stored.opened(tmp_path) as db:
        yield db


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return DataFolder(tmp_path)


def done(db: Database, number: int, ended_s: float) -> str:
    """A study that ended at this time."""
    study = f"{STUDY}.{number}"
    stored.queued(db, study=study)
    stored.complete(db, stored.claimed(db), destinations=(), now=after(ended_s))
    return study


def failed(db: Database) -> None:
    queue.fail(db, stored.running(db), "no such tag", None, NOW)


def refused(db: Database) -> None:
    stored.reported(db, count=1)
    outbox.refuse(db, stored.taken(db), "0xA900", NOW)


def unproved(db: Database) -> None:
    stored.reported(db, count=1, proof=Proof.COMMITMENT)
    outbox.sent(db, stored.taken(db), "0x0000", NOW)


def late_instance(db: Database) -> None:
    stored.delivered(db)
    stored.received(db, 2)


@pytest.mark.parametrize(
    "make",
    [stored.received, stored.queued, stored.running, stored.reported, failed, refused, unproved, late_instance],
)
def test_what_is_unfinished_failed_or_undelivered_stays_however_full_the_disk_is(
    db: Database, folder: DataFolder, make: Callable[[Database], object]
) -> None:
    make(db)
    before = len(instances.of_study(db, STUDY))
    assert watermarks.make_room(db, folder, lambda: True, after(1)) == 0
    assert len(instances.of_study(db, STUDY)) == before > 0


def test_those_that_ended_longest_ago_go_first_and_no_more_than_needed(db: Database, folder: DataFolder) -> None:
    second, first, third = done(db, 1, 200), done(db, 2, 100), done(db, 3, 300)
    gone: list[str] = []
    assert watermarks.make_room(db, folder, lambda: len(gone) < 2, after(400), on_gone=gone.append) == 2
    assert gone == [first, second]
    assert [len(instances.of_study(db, each)) for each in (first, second, third)] == [0, 0, 1]
    assert len(list((folder.root / "instances").glob("*/*"))) == 1
    assert events.of_study(db, first)[-1].reason == "1, to make room"


def test_results_and_jobs_stay(db: Database, folder: DataFolder) -> None:
    job = stored.delivered(db)
    assert watermarks.make_room(db, folder, lambda: True, after(1)) == 1
    assert queue.get(db, job.job_id).state is JobState.DONE
    assert len(list((folder.root / "results").glob("*/*"))) == 2


def test_the_watermark_lies_below_the_limit_of_the_listener() -> None:
    with pytest.raises(ValueError, match="must be below"):
        Settings(retention={"maximum_disk_use_percent": 90})
    assert Settings(retention={"maximum_disk_use_percent": 89}).retention.maximum_disk_use_percent == 89
