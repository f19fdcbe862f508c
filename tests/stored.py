"""Studies, jobs and results in a real data folder, for whoever tests what is stored."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pysqlite3
import pytest
import sqlalchemy as sa

from storage import Database, DataFolder, files, instances, open_database, outbox, queue, studies
from storage.outbox import NewDelivery
from storage.records import Delivery, Instance, Job, Proof, Result
from storage.states import JobState

NOW = datetime(2026, 3, 29, 0, 59, 30, 123456, tzinfo=UTC)
STUDY = "1.2.826.0.1.7"


def after(seconds: float) -> datetime:
    """NOW and so many seconds."""
    return NOW + timedelta(seconds=seconds)


@contextmanager
def opened(root: Path) -> Iterator[Database]:
    """A database in this folder."""
    db = open_database(DataFolder(root))
    try:
        yield db
    finally:
        db.close()


def folder(db: Database) -> DataFolder:
    """Where this database lies, for whoever was given only that."""
    return DataFolder(Path(db.name).parent)


def rows(db: Database, table: sa.Table) -> list[tuple[Any, ...]]:
    """Every row of a table."""
    with db.reading() as connection:
        return [tuple(row) for row in connection.execute(sa.select(table))]


@contextmanager
def held_by_a_writer(db: Database) -> Iterator[None]:
    """Another connection is in the middle of a transaction that writes."""
    other = pysqlite3.connect(db.name, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        yield
    finally:
        other.close()


def overtake(db: Database, patch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Between the next reading of this database and what follows from it, someone else acts."""
    reading = db.reading

    @contextmanager
    def overtaken() -> Iterator[sa.Connection]:
        patch.setattr(db, "reading", reading)
        with reading() as connection:
            yield connection
        act()

    patch.setattr(db, "reading", overtaken)


def instance(
    number: int = 1,
    *,
    study: str = STUDY,
    path: str | None = None,
    sha256: str | None = None,
    sender: str = "MODALITY",
    size_bytes: int = 1,
) -> Instance:
    """A record; without `path`, of a file that does not exist."""
    return Instance(
        sop_instance_uid=f"{study}.1.{number}",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.4",
        series_instance_uid=f"{study}.1",
        study_instance_uid=study,
        transfer_syntax_uid="1.2.840.10008.1.2.1",
        modality="MR",
        path=path or f"instances/00/{study}.{number}.{sender}",
        sha256=sha256 or f"{number:064x}",
        size_bytes=size_bytes,
        calling_ae_title=sender,
        received_at=NOW,
    )


def received(
    db: Database,
    number: int = 1,
    *,
    study: str = STUDY,
    now: datetime = NOW,
    sender: str = "MODALITY",
    expected: int | None = None,
) -> Instance:
    """An instance with its file, registered."""
    content = f"data set {number} of {study}".encode()
    file = files.write(folder(db), f"{study}.1.{number}", [content])
    record = instance(
        number, study=study, path=file.path, sha256=file.sha256, size_bytes=file.size_bytes, sender=sender
    )
    instances.register(db, folder(db), record, expected_instances=expected, now=now)
    return record


def queued(db: Database, *, study: str = STUDY, number: int = 1, maximum_attempts: int = 3, now: datetime = NOW) -> Job:
    """A study with one more instance, stable, and its job."""
    received(db, number, study=study, now=now)
    job = studies.mark_stable(db, studies.get(db, study), "nothing came for 60 s", maximum_attempts, now)
    assert job is not None
    return job


def claimed(db: Database, *, owner: str = "worker:1", now: datetime = NOW) -> Job:
    """The next job, running."""
    job = queue.claim(db, owner, 60, now)
    assert job is not None
    return job


def running(db: Database, *, study: str = STUDY, number: int = 1, maximum_attempts: int = 3) -> Job:
    """A study and its job, running."""
    queued(db, study=study, number=number, maximum_attempts=maximum_attempts)
    return claimed(db)


def encoded(db: Database, job: Job, ordinal: int, kind: str = "overlay") -> Result:
    """A result with its file, not yet committed."""
    uid = f"2.25.{job.job_id}.{ordinal}"
    file = files.write(folder(db), uid, [f"result {uid}".encode()], area="results")
    return Result(
        sop_instance_uid=uid,
        sop_class_uid="1.2.840.10008.5.1.4.1.1.7",
        series_instance_uid=f"2.25.{job.job_id}",
        job_id=job.job_id,
        kind=kind,
        ordinal=ordinal,
        path=file.path,
        sha256=file.sha256,
        size_bytes=file.size_bytes,
    )


def complete(
    db: Database,
    job: Job,
    *,
    destinations: Sequence[str] = ("pacs",),
    count: int = 2,
    proof: Proof = Proof.NONE,
    state: JobState = JobState.REPORTED,
    now: datetime = NOW,
) -> Job:
    """End a running job with `count` results (the last one a report) for each destination."""
    results = [encoded(db, job, n, "overlay" if n < count else "sr_comprehensive") for n in range(1, count + 1)]
    deliveries = [NewDelivery(result.sop_instance_uid, name, proof) for result in results for name in destinations]
    return outbox.complete(
        db, folder(db), job, state, results, deliveries, {"probability": 0.25}, "2 results encoded", now
    )


def reported(db: Database, *, study: str = STUDY, proof: Proof = Proof.NONE, count: int = 2) -> Job:
    """A study whose results wait for the destination `pacs`."""
    return complete(db, running(db, study=study), proof=proof, count=count)


def taken(db: Database, destination: str = "pacs", *, now: datetime = NOW) -> Delivery:
    """The next delivery, being sent."""
    delivery = outbox.claim(db, destination, now)
    assert delivery is not None
    return delivery


def delivered(db: Database, *, study: str = STUDY) -> Job:
    """A study that is done."""
    job = reported(db, study=study)
    while (delivery := outbox.claim(db, "pacs", NOW)) is not None:
        outbox.sent(db, delivery, "0x0000", NOW)
    return queue.get(db, job.job_id)
