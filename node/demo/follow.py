"""How far the node is with a study, read from its database and its signs of life as any onlooker could."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from node.errors import NodeError
from node.observe import jobs
from node.observe.jobs import JobFacts
from storage import Database, DataFolder, outbox, queue, studies
from storage.errors import NotFound
from storage.records import Delivery, Job
from storage.states import DeliveryState, JobState, StudyState

Tell = Callable[[str, int, int], None]  # what is being done, how far, of how many (0: cannot be counted)

LOOK_EVERY_S = 0.1
ENDED = {JobState.DONE, JobState.SKIPPED, JobState.FAILED, JobState.CANCELLED}
UNDER_WAY = {DeliveryState.PENDING, DeliveryState.SENDING}


class TooSlow(NodeError):
    """The node did not finish in the time that the demo allows."""


def follow(
    folder: DataFolder,
    db: Database,
    study_instance_uid: str,
    tell: Tell,
    check: Callable[[], None],
    timeout_s: float,
) -> JobFacts:
    """Look until the study's job has ended and every delivery with it.

    `check` raises when the node is gone. Raises TooSlow after `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        job = _job(db, study_instance_uid)
        deliveries = tuple(outbox.of_job(db, job.job_id)) if job else ()
        under_way = sum(each.state in UNDER_WAY for each in deliveries)
        if job and job.state in ENDED and not under_way:
            return jobs.of_job(folder, db, job.job_id, datetime.now(UTC))
        stage = _before_the_job(db, study_instance_uid) if job is None else _stage(folder, job, deliveries, under_way)
        tell(*stage)
        check()
        if time.monotonic() > deadline:
            raise TooSlow(f"not finished after {timeout_s:g} s: the node {stage[0]}")
        time.sleep(LOOK_EVERY_S)


def _job(db: Database, study_instance_uid: str) -> Job | None:
    """The newest job of the study."""
    found = [each for each in queue.listing(db) if each.study_instance_uid == study_instance_uid]
    return max(found, key=lambda each: each.revision, default=None)


def _before_the_job(db: Database, study_instance_uid: str) -> tuple[str, int, int]:
    try:
        study = studies.get(db, study_instance_uid)
    except NotFound:
        return "waits for the study", 0, 0
    if study.state is StudyState.RECEIVING:
        return "waits for the end of the study", study.instances, study.expected_instances or 0
    return "queues the job", 0, 0


def _stage(folder: DataFolder, job: Job, deliveries: tuple[Delivery, ...], under_way: int) -> tuple[str, int, int]:
    if deliveries:
        return "sends the results", len(deliveries) - under_way, len(deliveries)
    if job.state is JobState.QUEUED:
        return (f"waits to try again: {job.reason}" if job.attempt else "waits for a worker"), 0, 0
    progress = jobs.progress(folder, job)
    return (progress.stage, progress.done, progress.of) if progress else ("works", 0, 0)
