"""An operator's hand in what the node does. Each act may be done twice: what is so already stays so, and is no error.

Every act is an event with who did it, and goes to the audit trail. Whoever offers an act has found out who asks, and
whether they may.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from node import charge
from node.charge import Charge, ModelAt
from node.config import Settings
from node.observe import audit_message
from node.observe.audit import Trail
from storage import Database, DataFolder, answers, events, priorities, queue, readings, switches
from storage.records import Job, Reading, Switch, SwitchName, Word
from storage.states import AnswerState, JobState


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Operator:
    """Somebody who may act on this node, by the name that events and audit trail give them."""

    name: str
    folder: DataFolder
    db: Database
    trail: Trail
    clock: Callable[[], datetime] = utc_now

    def retry(self, job_id: int) -> Job:
        """Try a job that ended once more; one that waits stays as it is. Raises NotFound, InvalidTransition."""
        job = queue.get(self.db, job_id)
        if job.state is JobState.QUEUED or (job.state is JobState.REPORTED and job.reason.startswith(queue.RETRIED_BY)):
            return job
        job = queue.retry(self.db, self.folder, job_id, self.clock(), by=self.name)
        self._of_study("retry", job.study_instance_uid)
        return job

    def cancel(self, job_id: int, reason: str) -> Job:
        """End a job, and send nothing more of it. Raises NotFound, InvalidTransition."""
        job = queue.get(self.db, job_id)
        if job.state is JobState.CANCELLED:
            return job
        job = queue.cancel(self.db, job_id, reason, self.clock(), by=self.name)
        self.trail.note(audit_message.withdrawn(self.trail.us, self.name, job.study_instance_uid))
        return job

    def withdraw(self, job_id: int, reason: str) -> Job:
        """Withdraw the answer of a job: it is wrong, and is never given again. Raises NotFound, InvalidTransition."""
        job = queue.get(self.db, job_id)
        had = answers.of_study(self.db, job.study_instance_uid)
        answer = next((each for each in had if each.answer_id == job.answer_id), None)
        if answer is not None and answer.state is AnswerState.WITHDRAWN and answer.job_id == job_id:
            return job
        job = queue.withdraw(self.db, job_id, reason, self.clock(), by=self.name)
        self.trail.note(audit_message.withdrawn(self.trail.us, self.name, job.study_instance_uid))
        return job

    def prioritise(self, study_instance_uid: str, priority: int) -> int:
        """How urgent a study is, -10 to 10; 0 is as any other. Raises NotFound, ValueError."""
        if priorities.set_priority(self.db, study_instance_uid, priority, self.name, self.clock()):
            self._of_study(f"priority {priority}", study_instance_uid)
        return priority

    def hold_up(self, name: SwitchName, reason: str) -> Switch:
        """Pause intake or sending, or drain the node for maintenance, until `let_go`; also over restarts."""
        switch = switches.turn_on(self.db, name, self.name, reason, self.clock())
        self.trail.note(audit_message.held_up(self.trail.us, self.name, f"{name} on", reason))
        return switch

    def let_go(self, name: SwitchName) -> bool:
        """Go on with it; False when nobody had held it up."""
        was_on = switches.turn_off(self.db, name, self.name, self.clock())
        if was_on:
            self.trail.note(audit_message.held_up(self.trail.us, self.name, f"{name} off", ""))
        return was_on

    def say(self, answer_id: int, word: Word, reason: str = "") -> Reading:
        """A reader's word on an answer. Raises NotFound, InvalidTransition."""
        reading = readings.say(self.db, answer_id, word, reason, self.name, self.clock())
        self._of_study(f"reader's word: {word}", readings.study_of(self.db, answer_id))
        return reading

    def promote(self, settings: Settings, to: ModelAt, of_now: ModelAt, why: str) -> Charge:
        """Put a bundle in charge, in place of the one that is. Raises ConfigurationError, FolderInUse."""
        made = charge.promote(settings, to, of_now, self.name, why, self.clock())
        words = f"{to.folder}, sha256 {to.sha256}, in place of {of_now.sha256}, by {self.name}: {why}"
        events.note(self.db, "bundle promoted", words, self.clock())
        self.trail.note(audit_message.bundle_promoted(self.trail.us, self.name, of_now.sha256, to.sha256, why))
        return made

    def commissioned(self, bundle_sha256: str, report: Mapping[str, str]) -> None:
        """Note that a bundle was held against the site's labels, and the signature of what was found."""
        words = ", ".join(f"{name} {value}" for name, value in report.items())
        events.note(self.db, "bundle commissioned", f"{bundle_sha256}, by {self.name}: {words}", self.clock())
        self.trail.note(audit_message.bundle_commissioned(self.trail.us, self.name, bundle_sha256, report))

    def _of_study(self, what: str, study_instance_uid: str) -> None:
        self.trail.note(audit_message.operated(self.trail.us, self.name, study_instance_uid, what))
