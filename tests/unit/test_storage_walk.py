"""Whatever listener, workers, office and operator do, in any order: what must hold, holds after each step."""

import tempfile
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from storage import Database, answers, engine, files, instances, outbox, queue, retention, schema, studies
from storage.answers import NewAnswer
from storage.errors import InvalidTransition, LeaseLost
from storage.outbox import NewDelivery
from storage.records import Answer, Delivery, Event, Job, Proof, Result
from storage.states import AnswerKind, AnswerState, DeliveryState, JobState, StudyState, check
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

    @rule(number=st.integers(1, 4), study=st.sampled_from(["1.1", "1.2"]), kind=st.sampled_from(list(AnswerKind)))
    def a_study_goes_through(self, number: int, study: str, kind: AnswerKind) -> None:
        self.an_instance_comes(number, study)
        self.the_office_looks_at_the_studies()
        job = queue.claim(self.db, "a:1", 60, self.now)
        if job is not None:
            self.complete(job, kind)

    @rule()
    def the_office_queues_early_work(self) -> None:
        for study in studies.receiving(self.db):
            studies.work_early(self.db, study, "a series is here", 2, self.now)

    @rule()
    def the_office_says_that_there_is_no_result(self) -> None:
        for _, waiting in answers.waiting(self.db):
            assert answers.publish_waiting(self.db, waiting, "the exam is over", self.now)

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
            "report": lambda: self.complete(job, AnswerKind.RESULT),
            "skip": lambda: self.complete(job, AnswerKind.NO_RESULT),
            "give back": lambda: queue.give_back(self.db, job, "busy", self.now + timedelta(seconds=30), self.now),
            "fail": lambda: queue.fail(self.db, job, "broken", {}, self.now),
            "renew": lambda: queue.renew(self.db, job, 60, self.now),
        }
        self.attempt(acts[end])

    def complete(self, job: Job, kind: AnswerKind) -> None:
        """Each study has two answers, and comes back to the first after the second."""
        key = f"{kind} {job.covers % 2}"
        had = answers.of_study(self.db, job.study_instance_uid)
        new = NewAnswer(kind, key, "worked out", answers.generation(had, job.job_id, key))
        if answers.recalled(had, job.job_id, key) is not None:
            outbox.complete(self.db, stored.folder(self.db), job, replace(new, is_known=True), [], [], {}, self.now)
            return
        prefix = f"2.25.{job.study_instance_uid}.{kind}.{job.covers % 2}.{new.generation}"
        results = [
            replace(stored.encoded(self.db, job, number), sop_instance_uid=f"{prefix}.{number}") for number in (1, 2)
        ]
        plan = [
            NewDelivery(result.sop_instance_uid, name, Proof.COMMITMENT if name == "two" else Proof.NONE)
            for result in results
            for name in DESTINATIONS
        ]
        at_once = job.covers % 3 == 0
        outbox.complete(self.db, stored.folder(self.db), job, new, results, plan, {}, self.now, at_once=at_once)

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
    def what_is_kept_is_with_nobody_and_one_answer_stands(self) -> None:
        for uid in ("1.1", "1.2"):
            every = answers.of_study(self.db, uid)
            assert sum(each.state is AnswerState.STANDING for each in every) <= 1
            assert sum(each.state is AnswerState.KEPT for each in every) <= 1
            published = [each for each in every if each.state not in (AnswerState.KEPT, AnswerState.DISCARDED)]
            assert len({(each.key, each.generation) for each in published}) == len(published)
            for answer in every:
                told = [each for each in outbox.of_job(self.db, answer.job_id) if each.attempt]
                own = {each.sop_instance_uid for each in self.results_of(answer)}
                if answer.state is AnswerState.KEPT:
                    assert not own & {each.sop_instance_uid for each in told}
                if answer.state is AnswerState.DISCARDED:
                    assert not own
        for study in ("1.1", "1.2"):
            kept = [job for job in queue.listing(self.db, states=[JobState.KEPT]) if job.study_instance_uid == study]
            assert not kept or studies.get(self.db, study).state is StudyState.RECEIVING

    def results_of(self, answer: Answer) -> list[Result]:
        query = sa.select(*schema.columns(schema.results, Result)).where(schema.results.c.answer_id == answer.answer_id)
        with self.db.reading() as connection:
            return [Result(**row._asdict()) for row in connection.execute(query)]

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
        files.delete_doomed(folder, self.db)  # of answers that were discarded


TestNode = pytest.mark.slow(Node.TestCase)
TestNode.settings = settings(
    max_examples=15, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
