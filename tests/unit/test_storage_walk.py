"""Whatever listener, workers, office and operator do, in any order: what must hold, holds after each step."""

import tempfile
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from storage import Database, engine, files, instances, outbox, queue, retention, schema, studies
from storage.errors import InvalidTransition, LeaseLost
from storage.outbox import NewDelivery
from storage.records import Delivery, Event, Job, Proof
from storage.states import DeliveryState, JobState, StudyState, check
from tests import stored
from tests.stored import NOW

DESTINATIONS = ("one", "two")
JOBS = st.integers(1, 4)
ENDED = (JobState.DONE, JobState.SKIPPED, JobState.FAILED, JobState.CANCELLED)


class Node(RuleBasedStateMachine):
    """Each rule is something that one of the processes does, with what it remembers, stale or not."""

    def __init__(self) -> None:
        super().__init__()
        self.open = ExitStack()
        root = Path(self.open.enter_context(tempfile.TemporaryDirectory()))
        self.db: Database = self.open.enter_context(stored.opened(root))
        self.now: datetime = NOW
        self.held: list[Job] = []
        self.sending: list[Delivery] = []

    def teardown(self) -> None:
        engine.quick_check(self.db)
        self.open.close()

    def attempt(self, act: Callable[[], object]) -> None:
        """An act that may come too late; then it must have changed nothing."""
        before = self.snapshot()
        try:
            act()
        except (LeaseLost, InvalidTransition):
            assert self.snapshot() == before

    def snapshot(self) -> list[object]:
        with self.db.reading() as connection:
            return [connection.execute(sa.select(table)).all() for table in schema.metadata.sorted_tables]

    @rule(seconds=st.sampled_from([1, 61, 100_000, -3600]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(number=st.integers(1, 4), study=st.sampled_from(["1.1", "1.2"]))
    def an_instance_comes(self, number: int, study: str) -> None:
        stored.received(self.db, number, study=study, now=self.now)

    @rule()
    def the_office_looks_at_the_studies(self) -> None:
        for study in studies.receiving(self.db):
            studies.mark_stable(self.db, study, "nothing came", 2, self.now)

    @rule(owner=st.sampled_from(["a:1", "b:1"]))
    def a_worker_claims(self, owner: str) -> None:
        job = queue.claim(self.db, owner, 60, self.now)
        if job is not None:
            self.held.append(job)

    @rule(pick=JOBS, end=st.sampled_from(["report", "skip", "give back", "fail", "renew"]))
    def a_worker_ends(self, pick: int, end: str) -> None:
        if not self.held:
            return
        job = self.held[pick % len(self.held)]
        acts: dict[str, Callable[[], object]] = {
            "report": lambda: self.complete(job, JobState.REPORTED),
            "skip": lambda: self.complete(job, JobState.SKIPPED),
            "give back": lambda: queue.give_back(self.db, job, "busy", self.now + timedelta(seconds=30), self.now),
            "fail": lambda: queue.fail(self.db, job, "broken", {}, self.now),
            "renew": lambda: queue.renew(self.db, job, 60, self.now),
        }
        self.attempt(acts[end])

    def complete(self, job: Job, state: JobState) -> None:
        results = [stored.encoded(self.db, job, number) for number in (1, 2)]
        plan = [
            NewDelivery(result.sop_instance_uid, name, Proof.COMMITMENT if name == "two" else Proof.NONE)
            for result in results
            for name in DESTINATIONS
        ]
        outbox.complete(self.db, stored.folder(self.db), job, state, results, plan, {}, "encoded", self.now)

    @rule(owner=st.sampled_from(["", "a:"]))
    def a_worker_dies(self, owner: str) -> None:
        queue.release(self.db, owner, self.now)
        queue.release_expired(self.db, self.now)

    @rule(destination=st.sampled_from(DESTINATIONS))
    def the_office_takes_a_delivery(self, destination: str) -> None:
        delivery = outbox.claim(self.db, destination, self.now)
        if delivery is not None:
            assert delivery.state is DeliveryState.SENDING
            self.sending.append(delivery)

    @rule(pick=JOBS, answer=st.sampled_from(["sent", "sent", "later", "never"]))
    def the_destination_answers(self, pick: int, answer: str) -> None:
        if not self.sending:
            return
        delivery = self.sending[-(pick % len(self.sending)) - 1]
        later = self.now + timedelta(seconds=30)
        acts: dict[str, Callable[[], object]] = {
            "sent": lambda: outbox.sent(self.db, delivery, "0x0000", self.now),
            "later": lambda: outbox.postpone(self.db, delivery, "0xA700", later, self.now),
            "never": lambda: outbox.refuse(self.db, delivery, "0xA900", self.now),
        }
        self.attempt(acts[answer])

    @rule(proved=st.booleans())
    def the_destination_reports_commitment(self, proved: bool) -> None:
        asked = outbox.requested(self.db, outbox.awaiting_commitment(self.db, "two"), "2.25.9", self.now)
        for delivery in asked:
            if proved:
                outbox.committed(self.db, delivery, self.now)
            else:
                outbox.uncommitted(self.db, delivery, "0x0112", self.now, self.now)

    @rule()
    def the_office_starts_again(self) -> None:
        outbox.release(self.db, self.now)
        files.sweep(stored.folder(self.db), self.db, self.now)

    @rule(job_id=JOBS, retry=st.booleans())
    def an_operator_decides(self, job_id: int, retry: bool) -> None:
        if not any(job.job_id == job_id for job in queue.listing(self.db)):
            return
        if retry:
            self.attempt(lambda: queue.retry(self.db, stored.folder(self.db), job_id, self.now))
        else:
            self.attempt(lambda: queue.cancel(self.db, job_id, "by hand", self.now))

    @rule(what=st.sampled_from([retention.purge_studies, retention.purge_results]))
    def retention_comes_by(self, what: Callable[[Database, object, datetime, datetime], int]) -> None:
        what(self.db, stored.folder(self.db), self.now - timedelta(days=1), self.now)

    @invariant()
    def every_state_was_reached_along_the_tables(self) -> None:
        with self.db.reading() as connection:
            rows = connection.execute(sa.select(schema.events).order_by(schema.events.c.event_id))
            told = [Event(**row._asdict()) for row in rows]
        last: dict[tuple[str, object], str] = {}
        for event in (event for event in told if event.after is not None):
            kind = event.name.split()[0]
            key = {"study": event.study_instance_uid, "job": event.job_id, "delivery": event.delivery_id}[kind]
            states = {"study": StudyState, "job": JobState, "delivery": DeliveryState}[kind]
            if event.before is not None:
                check(states(event.before), states(event.after or ""))
                assert last.get((kind, key), event.before) == event.before
            last[kind, key] = event.after or ""
        for job in queue.listing(self.db):
            assert last["job", job.job_id] == job.state
            for delivery in outbox.of_job(self.db, job.job_id):
                assert last.get(("delivery", delivery.delivery_id), "pending") == delivery.state

    @invariant()
    def jobs_and_deliveries_fit_each_other(self) -> None:
        waiting: dict[str, int] = defaultdict(int)
        for job in queue.listing(self.db):
            waiting[job.study_instance_uid] += job.state is JobState.QUEUED
            assert 0 <= job.attempt <= job.maximum_attempts
            assert (job.lease_owner is not None) == (job.state is JobState.RUNNING)
            states = {delivery.state for delivery in outbox.of_job(self.db, job.job_id)}
            if job.state is JobState.DONE:
                assert states <= {DeliveryState.SENT, DeliveryState.COMMITTED}
            if job.state is JobState.CANCELLED:
                assert DeliveryState.PENDING not in states
            if job.state is JobState.REPORTED:
                assert states - {DeliveryState.COMMITTED, DeliveryState.REFUSED}
        assert max(waiting.values(), default=0) <= 1

    @invariant()
    def every_row_has_its_file_and_every_file_its_row(self) -> None:
        folder = stored.folder(self.db)
        for study in ("1.1", "1.2"):
            for instance in instances.of_study(self.db, study):
                files.verify(folder, instance.path, instance.sha256)
        for job in queue.listing(self.db):
            for result in outbox.results_of_job(self.db, job.job_id):
                files.verify(folder, result.path, result.sha256)
        # a duplicate's own file is the listener's to discard; here it is left, as by a crash
        known = {
            instance.sop_instance_uid for study in ("1.1", "1.2") for instance in instances.of_study(self.db, study)
        }
        with self.db.reading() as connection:
            assert connection.execute(sa.select(sa.func.count()).select_from(schema.instances)).scalar_one() == len(
                known
            )
            assert connection.execute(sa.select(schema.doomed_files)).all() == []


TestNode = Node.TestCase
TestNode.settings = settings(
    max_examples=15, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
