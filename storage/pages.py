"""Jobs by the page, for whoever looks at many of them: without their outcomes, which are long.

A page ends with a place, after which the next one begins: what comes in meanwhile shifts nothing. Each list that a page
is put together from is in its order by an index alone, so that a page of a hundred thousand jobs takes milliseconds.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from storage.engine import Database
from storage.priorities import of_row
from storage.records import Job
from storage.schema import accessions, columns, instances, jobs, one_of, priorities, results, series, studies
from storage.states import JobState

MOST_FOUND = 200  # studies of one search
SHORTEST_PREFIX = 8  # of a UID: shorter ones are everybody's
LONGEST_NUMBER = 16
Place = tuple[int, int]  # what the page is ordered by, and the job


class Order(StrEnum):
    """Of a page; equal rows are newest first."""

    NEWEST = "newest"
    OLDEST = "oldest"
    CHANGED = "changed"  # what changed last comes first
    PRIORITY = "priority"  # the most urgent first


@dataclass(frozen=True)
class Wanted:
    """Which jobs, and after which place."""

    states: Collection[JobState] | None = None
    studies: Collection[str] | None = None  # Study Instance UIDs
    order: Order = Order.NEWEST
    after: Place | None = None
    limit: int = 50


@dataclass(frozen=True)
class Row:
    """A job on a page; its outcome is left out."""

    job: Job
    priority: int
    instances: int
    calling_ae_titles: tuple[str, ...]


@dataclass(frozen=True)
class Page:
    """Some of the jobs, and after which place the next ones come; None on the last page."""

    rows: Sequence[Row]
    next: Place | None


def page(db: Database, wanted: Wanted) -> Page:
    """The jobs of one page."""
    with db.reading() as connection:
        places: list[Place] = [(row[0], row[1]) for query in _lists(wanted) for row in connection.execute(query)]
        places.sort(reverse=wanted.order is not Order.OLDEST)
        rows = _rows(connection, [job_id for _, job_id in places[: wanted.limit]])
    return Page(rows, places[wanted.limit - 1] if len(places) > wanted.limit else None)


def matching(db: Database, text: str, accession_hash: str) -> list[str]:
    """The studies that this text may mean: the UID of a study, a series, an instance or a result, how a study's UID
    begins, the number of a job, or the accession number that has this hash."""
    uid = studies.c.study_instance_uid
    ways = [
        sa.select(uid).where(uid == text),
        sa.select(accessions.c.study_instance_uid).where(accessions.c.keyed_hash == accession_hash),
        sa.select(series.c.study_instance_uid).where(series.c.series_instance_uid == text),
        sa.select(instances.c.study_instance_uid).where(instances.c.sop_instance_uid == text),
        sa.select(jobs.c.study_instance_uid)
        .join(results, results.c.job_id == jobs.c.job_id)
        .where(results.c.sop_instance_uid == text),
    ]
    if text.isdecimal() and len(text) < LONGEST_NUMBER:
        ways.append(sa.select(jobs.c.study_instance_uid).where(jobs.c.job_id == int(text)))
    if len(text) >= SHORTEST_PREFIX:
        ways.append(sa.select(uid).where(uid >= text, uid < text + "\uffff"))
    with db.reading() as connection:
        return list(connection.execute(sa.union(*ways).limit(MOST_FOUND)).scalars())


def _lists(wanted: Wanted) -> Iterator[sa.Select[Any]]:
    """The places that may be on the page, state by state. What was searched for is little, and is sorted here."""
    for state in wanted.states if wanted.states is not None else (None,):
        for query in _of_order(wanted):
            if state is not None:
                query = query.where(one_of(jobs.c.state, [state]))
            if wanted.studies is not None:
                query = query.where(jobs.c.study_instance_uid.in_(wanted.studies)).order_by(None)
            else:
                query = query.limit(wanted.limit + 1)
            yield query


def _of_order(wanted: Wanted) -> Iterator[sa.Select[tuple[int, int]]]:
    """What it is ordered by, and the job; those of studies with a priority, and those of the others."""
    key, job_id = wanted.after or (None, None)
    match wanted.order:
        case Order.OLDEST:
            yield _by_job(sa.true() if job_id is None else jobs.c.job_id > job_id).order_by(jobs.c.job_id)
        case Order.NEWEST:
            yield _by_job(_before(job_id)).order_by(jobs.c.job_id.desc())
        case Order.CHANGED:
            yield _by_key(sa.type_coerce(jobs.c.updated_at, sa.Integer), wanted.after)
        case Order.PRIORITY:
            no_index = priorities.c.study_instance_uid + ""  # the few with a priority first, each with its jobs
            yield _by_key(priorities.c.priority, wanted.after).where(no_index == jobs.c.study_instance_uid)
            if key is None or key >= 0:
                others = sa.select(sa.literal(0), jobs.c.job_id).where(~sa.exists().where(_HAS_PRIORITY))
                yield others.where(_before(job_id if key == 0 else None)).order_by(jobs.c.job_id.desc())


def _by_job(condition: sa.ColumnElement[bool]) -> sa.Select[tuple[int, int]]:
    return sa.select(jobs.c.job_id, jobs.c.job_id).where(condition)


def _by_key(key: sa.ColumnElement[int], after: Place | None) -> sa.Select[tuple[int, int]]:
    query = sa.select(key, jobs.c.job_id).order_by(key.desc(), jobs.c.job_id.desc())
    if after is None:
        return query
    return query.where(sa.tuple_(key, jobs.c.job_id) < sa.tuple_(*(sa.literal(each) for each in after)))


def _before(job_id: int | None) -> sa.ColumnElement[bool]:
    return sa.true() if job_id is None else jobs.c.job_id < job_id


def _rows(connection: sa.Connection, job_ids: Sequence[int]) -> list[Row]:
    """The rows of these jobs, in this order."""
    brief = [sa.null().label("outcome") if each is jobs.c.outcome else each for each in columns(jobs, Job)]
    more = (of_row(jobs).label("priority"), studies.c.instances, studies.c.calling_ae_titles)
    query = (
        sa.select(*brief, *more)
        .join(studies, studies.c.study_instance_uid == jobs.c.study_instance_uid)
        .where(jobs.c.job_id.in_(job_ids))
    )
    found = {row.job_id: row._asdict() for row in connection.execute(query)}
    return [_row(found[job_id]) for job_id in job_ids]


_HAS_PRIORITY = priorities.c.study_instance_uid == jobs.c.study_instance_uid


def _row(found: dict[str, object]) -> Row:
    own = {name: found.pop(name) for name in ("priority", "instances", "calling_ae_titles")}
    return Row(Job(**found), **own)  # type: ignore[arg-type]
