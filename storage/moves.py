"""The one place that writes a state: allowed by `states`, seen by `events`."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from storage import events
from storage.errors import LeaseLost
from storage.records import Answer, Delivery, Job, Study
from storage.schema import answers, columns, deliveries, jobs, studies
from storage.states import AnswerState, DeliveryState, JobState, StudyState, check

_NO_LEASE = {"lease_owner": None, "lease_boot": None, "lease_expires_at": None}


def study(
    connection: sa.Connection, before: Study, after: StudyState, reason: str, now: datetime, **values: Any
) -> Study:
    """The study in its new state."""
    check(before.state, after)
    row = connection.execute(
        studies.update()
        .where(studies.c.study_instance_uid == before.study_instance_uid)
        .values(state=after, **values)
        .returning(*columns(studies, Study))
    ).one()
    events.append(
        connection,
        at=now,
        name=f"study {after}",
        study=before.study_instance_uid,
        before=before.state,
        after=after,
        reason=reason,
    )
    return Study(**row._asdict())


def job(connection: sa.Connection, before: Job, after: JobState, reason: str, now: datetime, **values: Any) -> Job:
    """The job in its new state; what leaves RUNNING leaves its lease."""
    check(before.state, after)
    if after is not JobState.RUNNING:
        values = _NO_LEASE | values
    row = connection.execute(
        jobs.update()
        .where(jobs.c.job_id == before.job_id, jobs.c.state == before.state, jobs.c.attempt == before.attempt)
        .values(state=after, reason=reason, updated_at=now, **values)
        .returning(*columns(jobs, Job))
    ).one_or_none()
    if row is None:
        raise LeaseLost(f"job {before.job_id} is no longer {before.state}")
    events.append(
        connection,
        at=now,
        name=f"job {after}",
        study=before.study_instance_uid,
        job=before.job_id,
        before=before.state,
        after=after,
        reason=reason,
    )
    return Job(**row._asdict())


def answer(connection: sa.Connection, before: Answer, after: AnswerState, reason: str, now: datetime) -> Answer:
    """The answer in its new state; its event is one of its job, whose own states it does not change."""
    check(before.state, after)
    row = connection.execute(
        answers.update()
        .where(answers.c.answer_id == before.answer_id)
        .values(state=after, reason=reason, updated_at=now)
        .returning(*columns(answers, Answer))
    ).one()
    events.append(
        connection,
        at=now,
        name=f"answer {after}",
        study=before.study_instance_uid,
        job=before.job_id,
        reason=reason,
    )
    return Answer(**row._asdict())


def delivery(
    connection: sa.Connection,
    before: Delivery,
    after: DeliveryState,
    reason: str,
    now: datetime,
    **values: Any,
) -> Delivery:
    """The delivery in its new state.

    Raises LeaseLost when it is no longer in the state, or at the attempt, that `before` says.
    """
    check(before.state, after)
    row = connection.execute(
        deliveries.update()
        .where(
            deliveries.c.delivery_id == before.delivery_id,
            deliveries.c.state == before.state,
            deliveries.c.attempt == before.attempt,
        )
        .values(state=after, reason=reason, updated_at=now, **values)
        .returning(deliveries.c.study_instance_uid, *columns(deliveries, Delivery))
    ).one_or_none()
    if row is None:
        raise LeaseLost(f"delivery {before.delivery_id} is no longer {before.state}")
    moved = row._asdict()
    events.append(
        connection,
        at=now,
        name=f"delivery {after}",
        study=moved.pop("study_instance_uid"),
        job=before.job_id,
        delivery=before.delivery_id,
        before=before.state,
        after=after,
        reason=f"{before.destination}: {reason}",
    )
    return Delivery(**moved)
