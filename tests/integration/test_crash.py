"""kill -9 of each process at its worst moment: nothing acknowledged is lost, and exactly one set of results arrives."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage import instances, outbox, queue
from storage.states import DeliveryState, JobState
from tests.destination import Destination, destination, wait_until
from tests.services import SLOW_START_S, Service, in_background, service, studies

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

RESULTS = 5  # a summary page, three captures, a report


@pytest.fixture
def pacs() -> Iterator[Destination]:
    """A slow one, so that a process can be killed between two results."""

    def answer(uid: str) -> int:
        time.sleep(0.4)
        return 0x0000

    with destination(answer) as running:
        yield running


def while_receiving(node: Service, study: str) -> None:
    """When a third of the study is stored."""

    def is_under_way() -> bool:
        if not node.folder.database.exists():
            return False
        with node.database() as db:
            return len(instances.of_study(db, study)) > 15

    wait_until(is_under_way, "the study to be received", SLOW_START_S)


def while_working(node: Service, study: str) -> None:
    """When a worker has claimed the job."""

    def is_under_way() -> bool:
        job = node.job(study)
        return job is not None and job.state is JobState.RUNNING

    wait_until(is_under_way, "the job to run", SLOW_START_S)


def while_sending(node: Service, study: str) -> None:
    """When some results are sent and some are not."""

    def is_under_way() -> bool:
        job = node.job(study)
        if job is None or job.state is not JobState.REPORTED:
            return False
        with node.database() as db:
            sent = [each.state is DeliveryState.SENT for each in outbox.of_job(db, job.job_id)]
        return any(sent) and not all(sent)

    wait_until(is_under_way, "the results to be sent", SLOW_START_S)


WORST_MOMENTS = [
    ("listener", while_receiving),
    ("service", while_receiving),
    ("office", while_receiving),
    ("inference", while_working),
    ("worker-1", while_working),
    ("service", while_working),
    ("office", while_sending),
    ("service", while_sending),
]


@pytest.mark.parametrize(("role", "moment"), WORST_MOMENTS, ids=lambda value: getattr(value, "__name__", value))
def test_a_process_that_is_killed_at_its_worst_moment_costs_nothing(
    bundle: Path, pacs: Destination, tmp_path: Path, role: str, moment: object
) -> None:
    ((study, paths),) = studies(tmp_path, 1).items()
    acknowledged: set[str] = set()
    quiet_period_s = 8 if moment is while_receiving else 1.5  # the sender comes back within it
    with service(tmp_path, bundle, pacs.port, completeness={"quiet_period_s": quiet_period_s}) as node:
        sender = in_background(lambda: acknowledged.update(node.send_until_taken(paths)))
        moment(node, study)  # type: ignore[operator]
        node.kill(role)
        sender.join(120)
        job = node.ended(study)
        assert job.state is JobState.DONE, job
        _one_set_of_results(node, pacs, study)
        with node.database() as db:
            stored = {each.sop_instance_uid for each in instances.of_study(db, study)}
        assert len(acknowledged) == len(paths)
        assert acknowledged <= stored
        wait_until(lambda: node.is_ready(role) or role in ("service", "inference"), f"{role} to be back", SLOW_START_S)


def _one_set_of_results(node: Service, pacs: Destination, study: str) -> None:
    """Of the newest revision everything is there; of each UID there is one content."""
    job = node.job(study)
    assert job is not None
    with node.database() as db:
        results = [each.sop_instance_uid for each in outbox.results_of_job(db, job.job_id) if each.is_object]
        jobs = queue.listing(db)
    assert len(results) == RESULTS
    assert set(results) <= set(pacs.uids)
    assert len(pacs.uids) == RESULTS * sum(each.state is JobState.DONE for each in jobs)
    assert all(len(contents) == 1 for contents in pacs.contents.values())


def test_kills_at_any_time_lose_nothing_and_double_nothing(bundle: Path, pacs: Destination, tmp_path: Path) -> None:
    made = studies(tmp_path, 3)
    with service(tmp_path, bundle, pacs.port, completeness={"quiet_period_s": 8}) as node:
        senders = [in_background(node.send_until_taken, paths) for paths in made.values()]
        for number, role in enumerate(("listener", "worker-1", "service", "office", "inference", "service")):
            time.sleep(1.5 + 0.7 * number)
            if role == "service" or node.is_ready("worker-1"):
                node.kill(role)
        for sender in senders:
            sender.join(150)
        for study, paths in made.items():
            assert node.ended(study, timeout_s=200).state is JobState.DONE
            with node.database() as db:
                assert len(instances.of_study(db, study)) == len(paths)
        assert all(len(contents) == 1 for contents in pacs.contents.values())
        with node.database() as db:
            expected = {
                each.sop_instance_uid
                for job in queue.listing(db)
                if job.state is JobState.DONE
                for each in outbox.results_of_job(db, job.job_id)
                if each.is_object
            }
        assert set(pacs.uids) == expected
