"""Whether all deliveries of a job came to an end, which ends the job."""

from datetime import datetime

import sqlalchemy as sa

from storage import moves
from storage.errors import NotFound
from storage.records import REJECTION_NOTE, Delivery, Job, Proof
from storage.schema import columns, deliveries, jobs, results
from storage.states import DeliveryState, JobState, check


def find(connection: sa.Connection, job_id: int) -> Job:
    """The job as this transaction sees it. Raises NotFound."""
    row = connection.execute(sa.select(*columns(jobs, Job)).where(jobs.c.job_id == job_id)).one_or_none()
    if row is None:
        raise NotFound(f"no job {job_id}")
    return Job(**row._asdict())


def settle(connection: sa.Connection, job_id: int, now: datetime) -> Job:
    """A reported job whose deliveries all came to an end is DONE, or FAILED when one was refused.

    Rejection notes do not count: they call back what it had sent.
    One that failed is DONE after all when everything that was refused has been proved.
    """
    job = find(connection, job_id)
    if job.state not in (JobState.REPORTED, JobState.FAILED):
        return job
    query = (
        sa.select(*columns(deliveries, Delivery))
        .join(results, results.c.sop_instance_uid == deliveries.c.sop_instance_uid)
        .where(deliveries.c.job_id == job_id, results.c.kind != REJECTION_NOTE)
    )
    every = [Delivery(**row._asdict()) for row in connection.execute(query)]
    if not all(_ended(delivery) for delivery in every):
        return job
    refused = [delivery for delivery in every if delivery.state is DeliveryState.REFUSED]
    if refused and job.state is JobState.FAILED:
        return job
    if refused and all(delivery.reason.startswith(("withdrawn: ", "revoked: ", "cancelled: ")) for delivery in refused):
        return moves.job(connection, job, JobState.CANCELLED, refused[0].reason, now)
    if refused:
        names = ", ".join(sorted({delivery.destination for delivery in refused}))
        reason = f"{len(refused)} of {len(every)} results refused by {names}: {refused[0].reason}"
        return moves.job(connection, job, JobState.FAILED, reason, now)
    return moves.job(connection, job, JobState.DONE, check(job.state, JobState.DONE), now)


def _ended(delivery: Delivery) -> bool:
    """Nothing more will happen to it by itself."""
    if delivery.state is DeliveryState.SENT:
        return delivery.proof is Proof.NONE
    return delivery.state in (DeliveryState.COMMITTED, DeliveryState.REFUSED)
