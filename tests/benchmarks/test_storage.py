"""How the cost of what happens for each instance, second and delivery grows with what is already stored.

Each figure is a ratio: the median time with 100 000 instances and 5 000 studies stored, over the median time with next
to nothing. Both are taken in turns on the same disk, so that what else the machine does falls on both.

    pytest tests/benchmarks/test_storage.py
"""

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count

import pytest
import sqlalchemy as sa

from storage import Database, instances, outbox, queue, schema, studies
from storage.records import Proof
from storage.states import DeliveryState, JobState, StudyState
from tests import stored
from tests.stored import NOW, after

STUDIES, PER_STUDY = 5_000, 20
LARGEST_RATIO = 10.0  # the claim for a destination that is down looks once at each of its 5 000 waiting results
ROUNDS = 60


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with stored.opened(tmp_path_factory.mktemp("small")) as db:
        fill(db, 2)
        yield db


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with stored.opened(tmp_path_factory.mktemp("large")) as db:
        fill(db, STUDIES)
        yield db


def fill(db: Database, number_of_studies: int) -> None:
    """Studies that are done with two results each, and as many that wait for the destination `down`."""
    uids = [f"1.2.{number}" for number in range(number_of_studies)]
    with db.transaction() as connection:
        study = {"state": StudyState.STABLE, "revision": 1, "instances": PER_STUDY, "calling_ae_titles": ("MR",)}
        times = {"first_received_at": NOW, "last_received_at": NOW}
        connection.execute(schema.studies.insert(), [study | times | {"study_instance_uid": uid} for uid in uids])
        rows = (stored.instance(number, study=uid) for uid in uids for number in range(PER_STUDY))
        series = {"modality": "MR", "instances": PER_STUDY}
        connection.execute(
            schema.series.insert(),
            [series | {"study_instance_uid": uid, "series_instance_uid": f"{uid}.1"} for uid in uids],
        )
        connection.execute(schema.instances.insert(), [vars(row) | {"revision": 1} for row in rows])
        for number, uid in enumerate(uids, 1):
            insert_job(connection, number, uid)


def insert_job(connection: sa.Connection, number: int, uid: str) -> None:
    waits = number % 2 == 0
    job = {"job_id": number, "study_instance_uid": uid, "revision": 1, "attempt": 1, "maximum_attempts": 3}
    times = {"created_at": NOW, "available_at": NOW, "updated_at": NOW}
    state = JobState.REPORTED if waits else JobState.DONE
    connection.execute(schema.jobs.insert().values(**job, **times, state=state, reason=""))
    for ordinal in (1, 2):
        result = f"2.25.{number}.{ordinal}"
        of = {"sop_instance_uid": result, "job_id": number, "ordinal": ordinal}
        about = {"sop_class_uid": "1.2", "series_instance_uid": "1", "kind": "overlay", "sha256": "", "size_bytes": 1}
        connection.execute(schema.results.insert().values(**of, **about, path=f"results/{result}"))
        delivery = {"study_instance_uid": uid, "attempt": 1, "reason": "", "proof": Proof.NONE, "updated_at": NOW}
        for name in ("down", "other"):
            to = {
                "destination": name,
                "state": DeliveryState.PENDING if waits and name == "down" else DeliveryState.SENT,
                "available_at": after(900) if ordinal == 1 else NOW,  # the first was tried, the second waits for it
            }
            connection.execute(schema.deliveries.insert().values(**of, **delivery, **to))


NEXT = count(1_000_000)


def register(db: Database) -> None:
    instances.register(
        db, stored.folder(db), stored.instance(next(NEXT), study="1.3"), expected_instances=None, now=NOW
    )


def register_again(db: Database) -> None:
    instances.register(
        db, stored.folder(db), stored.instance(1, study="1.2.1", sha256=f"{1:064x}"), expected_instances=None, now=NOW
    )


def claim_nothing(db: Database) -> None:
    assert queue.claim(db, "worker:1", 60, NOW) is None


def claim_while_the_destination_is_down(db: Database) -> None:
    assert outbox.claim(db, "down", NOW) is None


def look_for_complete_studies(db: Database) -> None:
    studies.receiving(db)


def read_a_study(db: Database) -> None:
    assert len(instances.of_study(db, "1.2.1", up_to_revision=1)) == PER_STUDY


def list_jobs(db: Database) -> None:
    queue.listing(db, limit=2)


def work_on_a_study(db: Database) -> None:
    uid = f"1.4.{next(NEXT)}"
    instances.register(db, stored.folder(db), stored.instance(1, study=uid), expected_instances=None, now=NOW)
    job = studies.mark_stable(db, studies.get(db, uid), "", 3, NOW)
    claimed = queue.claim(db, "worker:1", 60, NOW)
    assert job is not None
    assert claimed is not None
    outbox.complete(db, stored.folder(db), claimed, JobState.REPORTED, [], [], {}, "", NOW)


ACTS = [
    register,
    register_again,
    claim_nothing,
    claim_while_the_destination_is_down,
    look_for_complete_studies,
    read_a_study,
    list_jobs,
    work_on_a_study,
]


def seconds(act: Callable[[Database], None], db: Database) -> float:
    start = time.perf_counter()
    act(db)
    return time.perf_counter() - start


@pytest.mark.slow
@pytest.mark.parametrize("act", ACTS, ids=lambda act: act.__name__)
def test_what_is_stored_does_not_slow_down_what_comes(
    small: Database, large: Database, act: Callable[[Database], None], capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = [(seconds(act, small), seconds(act, large)) for _ in range(ROUNDS)]
    few, many = (statistics.median(side) for side in zip(*pairs, strict=True))
    with capsys.disabled():
        sys.stdout.write(f"\n{act.__name__}: {1000 * few:.2f} ms -> {1000 * many:.2f} ms, ratio {many / few:.2f} ")
    assert many / few < LARGEST_RATIO
