"""Facts about jobs, as every reader gets them."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from node.observe import jobs
from node.process.heartbeat import Heartbeat
from node.work.messages import Progress
from storage import Database, outbox, queue
from storage.answers import NewAnswer
from storage.errors import NotFound
from storage.records import Job
from storage.states import AnswerKind, JobState
from tests import stored
from tests.outcomes import outcome

LATER = stored.after(90)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with stored.opened(tmp_path / "data") as database:
        yield database


def beating(db: Database, role: str, **facts: object) -> Heartbeat:
    """The sign of life of a process."""
    heart = Heartbeat(stored.folder(db).path("locks"), role)
    heart.beat("ready", **facts)
    return heart


def test_the_progress_of_a_job_is_that_of_whichever_worker_has_it(db: Database) -> None:
    job = stored.running(db)
    with beating(db, "worker-1", job=99, stage="reads headers"), beating(db, "worker-2", job=job.job_id) as worker:
        assert jobs.progress(stored.folder(db), job) is None
        worker.beat("ready", job=job.job_id, stage="predicts", done=12, of=61)
        assert jobs.progress(stored.folder(db), job) == Progress(stage="predicts", done=12, of=61)
        worker.beat("ready", job=job.job_id, stage="predicts, 12 of 61")  # as a worker of an older version says it
        assert jobs.progress(stored.folder(db), job) == Progress(stage="predicts, 12 of 61")
        worker.beat("failed", job=job.job_id, stage="predicts")
        assert jobs.progress(stored.folder(db), job) is None, "a worker that failed works on nothing"
    assert jobs.progress(stored.folder(db), job) is None


def test_a_job_that_does_not_run_has_no_progress_whatever_a_worker_still_says(db: Database) -> None:
    job = stored.running(db)
    with beating(db, "worker-1", job=job.job_id, stage="predicts"):
        queue.cancel(db, job.job_id, "wrong patient", stored.NOW)
        assert jobs.of_job(stored.folder(db), db, job.job_id, LATER).progress is None


def completed(db: Database) -> Job:
    job = stored.running(db)
    results = [stored.encoded(db, job, 1)]
    deliveries = [outbox.NewDelivery(results[0].sop_instance_uid, "pacs")]
    answer = NewAnswer(AnswerKind.RESULT, "key", "read")
    row = outcome().as_row()
    return outbox.complete(db, stored.folder(db), job, answer, results, deliveries, row, stored.NOW)


def test_everything_about_a_job_is_values_and_the_same_as_json(db: Database) -> None:
    job = completed(db)
    found = jobs.of_job(stored.folder(db), db, job.job_id, LATER)
    assert (found.job, found.outcome, found.study.instances) == (job, outcome(), 1)
    assert [each.destination for each in found.deliveries] == ["pacs"]
    told = found.as_json()
    assert told["outcome"] == outcome().as_row()
    assert told["job"]["age_s"] == 90.0
    assert datetime.fromisoformat(told["job"]["created_at"]) == job.created_at
    assert told["results"][0]["sop_instance_uid"] == found.results[0].sop_instance_uid
    assert [each["name"] for each in told["events"]] == [each.name for each in found.events]


def test_the_queue_is_counted_and_lists_what_is_received_unless_states_are_asked_for(db: Database) -> None:
    job = completed(db)
    stored.received(db, study="1.2.5", sender="SCANNER")
    found = jobs.of_queue(stored.folder(db), db, LATER, jobs.Asked())
    assert [each.job_id for each in found.jobs] == [job.job_id]
    assert [each.study_instance_uid for each in found.receiving] == ["1.2.5"]
    assert (found.counts[JobState.REPORTED], found.counts[JobState.FAILED], found.destinations) == (1, 0, {})
    assert found.as_json()["receiving"][0]["age_s"] == 90.0
    failed = jobs.of_queue(stored.folder(db), db, LATER, jobs.Asked(states=[JobState.FAILED]))
    assert (failed.jobs, failed.receiving) == ([], [])


def test_an_unknown_job_is_not_found(db: Database) -> None:
    with pytest.raises(NotFound):
        jobs.of_job(stored.folder(db), db, 99, LATER)
