"""Every state and every way out of it, with who does it and what happens if that process dies there.

A state changes only through `check`, and each change leaves an event (`storage/events.py`).
"""

from enum import StrEnum

from storage.errors import InvalidTransition


class StudyState(StrEnum):
    RECEIVING = "receiving"  # the office moves it on; after a crash the next office does
    STABLE = "stable"  # a late instance moves it back and raises the revision


class JobState(StrEnum):
    QUEUED = "queued"  # a worker claims it once `available_at` has come
    RUNNING = "running"  # under a lease; a dead worker's lease is given back, and the attempt stays counted
    KEPT = "kept"  # worked out before its study was complete; the office publishes it, or queues it again, when it is
    REPORTED = "reported"  # results and deliveries are committed; the office delivers
    DONE = "done"  # every delivery is acknowledged, and proved where the destination offers proof
    SKIPPED = "skipped"  # nothing to classify: not an error, has a reason per series
    FAILED = "failed"  # gave up with a reason; an operator's retry moves it on
    CANCELLED = "cancelled"  # by an operator, or overtaken by a newer revision; an operator's retry moves it on


class AnswerKind(StrEnum):
    RESULT = "result"  # a prediction
    OUT_OF_SCOPE = "out_of_scope"  # a series was read, and is none that the model may classify
    NO_RESULT = "no_result"  # no series can be read


class AnswerState(StrEnum):
    KEPT = "kept"  # worked out and not published: the office publishes it when it is sure, or another one replaces it
    STANDING = "standing"  # published: what the node says of the study
    SUPERSEDED = "superseded"  # published, until another answer took its place
    WITHDRAWN = "withdrawn"  # published, until it was found to be wrong; it is never given again
    REVOKED = "revoked"  # published, until an instance that it was read from was rejected, or became another
    DISCARDED = "discarded"  # never published; its results are gone


class DeliveryState(StrEnum):
    PENDING = "pending"  # the office claims it once `available_at` has come
    SENDING = "sending"  # after a crash it goes back to pending and the same bytes are sent again
    SENT = "sent"  # acknowledged by the destination; waits for proof where proof is asked for
    COMMITTED = "committed"  # storage commitment, or the read-back, proved it
    REFUSED = "refused"  # the destination will not take it; an operator's retry moves it on


STUDY_TRANSITIONS: dict[tuple[StudyState, StudyState], str] = {
    (StudyState.RECEIVING, StudyState.STABLE): "complete, by count or by quiet period",
    (StudyState.STABLE, StudyState.RECEIVING): "a late instance came: a new revision begins",
}

JOB_TRANSITIONS: dict[tuple[JobState, JobState], str] = {
    (JobState.QUEUED, JobState.RUNNING): "claimed by a worker",
    (JobState.QUEUED, JobState.CANCELLED): "cancelled by an operator, or overtaken by a newer revision",
    (JobState.QUEUED, JobState.FAILED): "no attempts left when it would have been claimed",
    (JobState.QUEUED, JobState.KEPT): "no attempts left for early work when it would have been claimed",
    (JobState.RUNNING, JobState.QUEUED): "given back: a transient error, or its worker died",
    (JobState.RUNNING, JobState.KEPT): "worked out before the study was complete",
    (JobState.RUNNING, JobState.DONE): "nothing new: an answer that the study has stands",
    (JobState.RUNNING, JobState.REPORTED): "results encoded",
    (JobState.RUNNING, JobState.SKIPPED): "nothing to classify",
    (JobState.RUNNING, JobState.FAILED): "a permanent error, or no attempts left",
    (JobState.RUNNING, JobState.CANCELLED): "cancelled by an operator: the worker loses its lease; or overtaken",
    (JobState.KEPT, JobState.QUEUED): "the study grew since, or its early work failed: worked on again",
    (JobState.KEPT, JobState.REPORTED): "the study is complete: published",
    (JobState.KEPT, JobState.SKIPPED): "the study is complete: nothing to classify",
    (JobState.KEPT, JobState.DONE): "the study is complete: an answer that it has stands",
    (JobState.KEPT, JobState.CANCELLED): "cancelled by an operator, or overtaken by a newer revision",
    (JobState.REPORTED, JobState.DONE): "every delivery acknowledged",
    (JobState.REPORTED, JobState.FAILED): "a destination refused a result for good",
    (JobState.REPORTED, JobState.CANCELLED): "cancelled by an operator before everything was sent",
    (JobState.DONE, JobState.REPORTED): "its answer no longer holds: a receiver that can be told is told",
    (JobState.FAILED, JobState.QUEUED): "an operator's retry",
    (JobState.FAILED, JobState.REPORTED): "an operator's retry of refused deliveries, or its destination was repaired",
    (JobState.FAILED, JobState.DONE): "every refused delivery was proved after all",
    (JobState.SKIPPED, JobState.QUEUED): "an operator's retry",
    (JobState.CANCELLED, JobState.QUEUED): "an operator's retry",
    (JobState.CANCELLED, JobState.REPORTED): "an operator's retry of unsent deliveries",
}

ANSWER_TRANSITIONS: dict[tuple[AnswerState, AnswerState], str] = {
    (AnswerState.KEPT, AnswerState.STANDING): "published: its study is complete, or a result goes out at once",
    (AnswerState.KEPT, AnswerState.DISCARDED): "the study grew, and has another answer",
    (AnswerState.STANDING, AnswerState.SUPERSEDED): "another answer of the study was published",
    (AnswerState.STANDING, AnswerState.WITHDRAWN): "it is wrong: by an operator",
    (AnswerState.STANDING, AnswerState.REVOKED): "what it was read from was rejected, moved or replaced",
}

DELIVERY_TRANSITIONS: dict[tuple[DeliveryState, DeliveryState], str] = {
    (DeliveryState.PENDING, DeliveryState.SENDING): "claimed by the office",
    (DeliveryState.PENDING, DeliveryState.REFUSED): "cancelled, or kept back",
    (DeliveryState.SENDING, DeliveryState.PENDING): "a transient failure, or the office died",
    (DeliveryState.SENDING, DeliveryState.SENT): "acknowledged with success or a warning",
    (DeliveryState.SENDING, DeliveryState.REFUSED): "a permanent failure",
    (DeliveryState.SENT, DeliveryState.COMMITTED): "the destination proved that it keeps it",
    (DeliveryState.SENT, DeliveryState.PENDING): "the destination says that it does not have it",
    (DeliveryState.SENT, DeliveryState.REFUSED): "the destination does not keep it, or never proves that it does",
    (DeliveryState.PENDING, DeliveryState.COMMITTED): "the destination proved it before it was sent again",
    (DeliveryState.REFUSED, DeliveryState.COMMITTED): "the destination proved it after all",
    (DeliveryState.REFUSED, DeliveryState.PENDING): "an operator's retry, or its destination was repaired",
}

TRANSITIONS: dict[tuple[StrEnum, StrEnum], str] = {}
for _table in (STUDY_TRANSITIONS, JOB_TRANSITIONS, ANSWER_TRANSITIONS, DELIVERY_TRANSITIONS):
    TRANSITIONS.update(_table)  # type: ignore[arg-type]


def check(before: StrEnum, after: StrEnum) -> str:
    """The reason that the table gives for this change.

    >>> check(JobState.QUEUED, JobState.RUNNING)
    'claimed by a worker'

    Raises InvalidTransition when the table does not hold it.
    """
    try:
        return TRANSITIONS[before, after]
    except KeyError:
        kind = type(before).__name__.removesuffix("State").lower()
        raise InvalidTransition(f"a {kind} that is {before} cannot become {after}") from None
