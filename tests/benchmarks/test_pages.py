"""The pages with a hundred thousand jobs: server time of the queue, first paint, and what fifty browsers that look cost
the listener.

    pytest -s tests/benchmarks/test_pages.py
"""

import http.client
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from time import perf_counter
from urllib.parse import urlsplit

import pytest

from node.process.heartbeat import pulse
from storage import Database, DataFolder, schema
from storage.states import JobState, StudyState
from tests import factories, services, stored, viewer, web
from tests.destination import wait_until

pytestmark = [pytest.mark.viewer, pytest.mark.slow]

JOBS, BROWSERS, ROUNDS = 100_000, 50, 25
STATES = (JobState.DONE,) * 18 + (JobState.SKIPPED, JobState.FAILED)


@pytest.fixture(scope="module")
def years(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[DataFolder, Database]]:
    """A data folder with so many jobs of the last years."""
    folder = DataFolder(tmp_path_factory.mktemp("years") / "data")
    folder.create()
    with stored.opened(folder.root) as db:
        fill(db)
        yield folder, db


def fill(db: Database) -> None:
    """Rows as the node leaves them, without files."""
    now = datetime.now(UTC)
    with db.transaction() as connection:
        for first in range(0, JOBS, 5000):
            numbers = range(first, first + 5000)
            times = [now - timedelta(minutes=10 * (JOBS - number)) for number in numbers]
            uids = [f"1.2.826.0.1.3680043.8.498.{number:030d}" for number in numbers]
            connection.execute(schema.studies.insert(), [_study(*each) for each in zip(uids, times, strict=True)])
            connection.execute(schema.jobs.insert(), [_job(*each) for each in zip(numbers, uids, times, strict=True)])


def _study(uid: str, at: datetime) -> dict[str, object]:
    return {
        "study_instance_uid": uid,
        "state": StudyState.STABLE,
        "revision": 1,
        "instances": 500,
        "first_received_at": at,
        "last_received_at": at,
        "calling_ae_titles": ["MRSCANNER1"],
        "version": 500,
    }


def _job(number: int, uid: str, at: datetime) -> dict[str, object]:
    return {
        "study_instance_uid": uid,
        "revision": 1,
        "state": STATES[number % len(STATES)],
        "attempt": 1,
        "maximum_attempts": 3,
        "reason": "every delivery acknowledged",
        "created_at": at,
        "available_at": at,
        "updated_at": at,
        "outcome": {"filler": "x" * 2000},
        "early": False,
        "covers": 500,
    }


def seconds(address: str) -> float:
    """From the request to the last byte of the answer; the least of many: other things run beside it."""
    taken = []
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.netloc)
    for _ in range(ROUNDS):
        began = perf_counter()
        connection.request("GET", f"{parts.path}?{parts.query}")
        answer = connection.getresponse()
        answer.read()
        taken.append(perf_counter() - began)
        assert answer.status == 200
    connection.close()
    return min(taken)


def test_the_queue_page_takes_less_than_50_ms_with_100000_jobs(years: tuple[DataFolder, Database]) -> None:
    with web.served(years[0]) as home:
        seconds(f"{home}/queue")
        for query in ("", "state=failed", "order=changed", "order=priority", "q=1.2.826.0.1.3680043.8.498.00"):
            taken = seconds(f"{home}/queue?{query}")
            print(f"/queue?{query:<40} {1000 * taken:6.1f} ms")  # noqa: T201
            assert taken < (0.05 if not query else 0.25)


PLAIN = "data:text/html,<!doctype html><title>plain</title><p>one word"


def test_the_first_paint_comes_within_200_ms(years: tuple[DataFolder, Database]) -> None:
    """Beside that of a page of one word, which a busy machine delays as well."""
    with web.served(years[0]) as home, viewer.browser() as browser:
        paints: dict[str, list[float]] = {PLAIN: [], f"{home}/queue": []}
        for _ in range(6):
            for address, found in paints.items():
                browser.open()
                browser.goto(address)
                browser.wait("performance.getEntriesByName('first-contentful-paint').length")
                found.append(browser.tell("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
    plain, queue = (min(found) for found in paints.values())
    print(f"first contentful paint {queue:.0f} ms, of a plain page {plain:.0f} ms")  # noqa: T201
    assert queue < 200 + plain


def look(address: str, done: threading.Event, opened: threading.Semaphore) -> None:
    """A browser that listens to the live page."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    connection.request("GET", "/queue/live", headers={"Accept": "text/event-stream"})
    answer = connection.getresponse()
    answer.readline()
    opened.release()
    while not done.is_set() and answer.readline():
        pass
    connection.close()


def test_fifty_browsers_cost_the_listener_nothing_that_can_be_measured(tmp_path: Path) -> None:
    """Sending in turns with and without them, on one service; the cores are shared, so the work of the pages counts."""
    files = factories.write(factories.mr_series(slices=64), tmp_path / "study")
    with services.service(tmp_path, services.small_bundle(tmp_path), None, web={"port": 0}) as node:

        def address() -> str:
            sign = pulse(node.folder.root / "locks", "web")
            return sign.facts.get("address", "") if sign and sign.state == "ready" else ""

        wait_until(lambda: bool(address()), "the pages", 30)
        alone, watched = [], []
        for _ in range(6):
            alone.append(_rate(node, files))
            with ExitStack() as stack:
                done, opened = threading.Event(), threading.Semaphore(0)
                stack.callback(done.set)
                for _ in range(BROWSERS):
                    services.in_background(look, address(), done, opened)
                for _ in range(BROWSERS):
                    opened.acquire()
                watched.append(_rate(node, files))
    print(f"instances a second: {median(alone):.0f} alone, {median(watched):.0f} with {BROWSERS} browsers")  # noqa: T201
    assert median(watched) > 0.8 * median(alone)


def _rate(node: services.Service, files: list[Path]) -> float:
    """The same instances again are acknowledged and change nothing, so that no study is worked on meanwhile."""
    began = perf_counter()
    assert all(each.accepted for each in node.send(files))
    return len(files) / (perf_counter() - began)
