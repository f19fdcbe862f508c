"""What the node says of a study: kept until it is sure, published, superseded; nothing twice."""

from dataclasses import replace
from datetime import timedelta

import pytest

from storage import Database, answers, events, outbox, queue, studies
from storage.answers import NewAnswer
from storage.errors import InvalidTransition
from storage.outbox import NewDelivery
from storage.records import Answer, Job
from storage.states import AnswerKind, AnswerState, JobState
from tests import stored
from tests.stored import NOW, STUDY, after


def answered(db: Database, job: Job, key: str, kind: AnswerKind = AnswerKind.RESULT, *, at_once: bool = False) -> Job:
    """The job comes to the answer of this key, as the worker's child does it."""
    had = answers.of_study(db, job.study_instance_uid)
    new = NewAnswer(kind, key, f"said {key}", answers.generation(had, job.job_id, key))
    if answers.recalled(had, job.job_id, key):
        return outbox.complete(db, stored.folder(db), job, replace(new, is_known=True), [], [], {}, NOW)
    result = replace(stored.encoded(db, job, 1, "sr_text"), sop_instance_uid=f"2.25.{key}.{new.generation}")
    delivery = NewDelivery(result.sop_instance_uid, "pacs")
    return outbox.complete(db, stored.folder(db), job, new, [result], [delivery], {}, NOW, at_once=at_once)


def early(db: Database, number: int = 1) -> Job:
    """One more instance, and the study is worked on before it is complete."""
    stored.received(db, number)
    assert studies.work_early(db, studies.get(db, STUDY), "a series is here", 3, NOW) is not None
    return stored.claimed(db)


def stable(db: Database) -> Job | None:
    return studies.mark_stable(db, studies.get(db, STUDY), "nothing came for 60 s", 3, NOW)


def said(db: Database) -> list[tuple[str, AnswerState]]:
    return [(each.key, each.state) for each in answers.of_study(db, STUDY)]


def sent(db: Database) -> list[str]:
    uids = []
    while (delivery := outbox.claim(db, "pacs", NOW)) is not None:
        outbox.sent(db, delivery, "0x0000", NOW)
        uids.append(delivery.sop_instance_uid)
    return uids


def test_a_study_that_grows_to_the_answer_that_stands_gets_nothing_new(db: Database) -> None:
    answered(db, stored.running(db), "a")
    assert sent(db) == ["2.25.a.0"]
    job = answered(db, stored.running(db, number=2), "a")
    assert (job.state, job.reason) == (JobState.DONE, "nothing new: the answer of job 1 stands")
    assert sent(db) == []
    assert [each.name for each in events.of_job(db, job.job_id)] == ["job queued", "job running", "job done"]
    assert said(db) == [("a", AnswerState.STANDING)]


def test_another_answer_supersedes_and_one_that_comes_back_has_uids_of_its_own(db: Database) -> None:
    for number, key in enumerate(("a", "b", "a"), 1):
        answered(db, stored.running(db, number=number), key)
    assert sent(db) == ["2.25.a.0", "2.25.b.0", "2.25.a.1"]
    assert said(db) == [("a", AnswerState.SUPERSEDED), ("b", AnswerState.SUPERSEDED), ("a", AnswerState.STANDING)]


def test_early_work_is_kept_and_published_in_the_step_that_makes_the_study_complete(db: Database) -> None:
    job = answered(db, early(db), "a")
    assert (job.state, job.early, sent(db)) == (JobState.KEPT, True, [])
    published = stable(db)
    assert published is not None
    assert (published.job_id, published.state) == (job.job_id, JobState.REPORTED)
    assert sent(db) == ["2.25.a.0"]
    assert queue.get(db, job.job_id).state is JobState.DONE


def test_a_better_series_replaces_what_was_kept_and_nothing_of_it_was_sent(db: Database) -> None:
    first = outbox.results_of_job(db, answered(db, early(db), "a").job_id)
    job = answered(db, early(db, 2), "b")
    assert said(db) == [("a", AnswerState.DISCARDED), ("b", AnswerState.KEPT)]
    assert [each.sop_instance_uid for each in outbox.results_of_job(db, job.job_id)] == ["2.25.b.0"]
    stable(db)
    assert sent(db) == ["2.25.b.0"]
    assert outbox.result(db, first[0].sop_instance_uid) is None


def test_a_series_that_changes_nothing_leaves_what_was_kept(db: Database) -> None:
    answered(db, early(db), "a")
    assert answered(db, early(db, 2), "a").state is JobState.KEPT
    assert said(db) == [("a", AnswerState.KEPT)]
    stable(db)
    assert sent(db) == ["2.25.a.0"]


def test_what_grew_since_is_worked_on_again_with_all_attempts(db: Database) -> None:
    answered(db, early(db), "a")
    stored.received(db, 2)
    job = stable(db)
    assert job is not None
    assert (job.state, job.early, job.attempt, sent(db)) == (JobState.QUEUED, False, 0, [])
    assert answered(db, stored.claimed(db), "a").state is JobState.REPORTED


def test_a_study_that_is_complete_while_early_work_runs_is_published_at_its_end(db: Database) -> None:
    job = early(db)
    due = stable(db)
    assert due is not None
    assert (due.job_id, due.state, due.early) == (job.job_id, JobState.RUNNING, False)
    assert answered(db, job, "a").state is JobState.REPORTED


def test_one_that_grew_while_early_work_ran_is_worked_on_again(db: Database) -> None:
    job = early(db)
    stored.received(db, 2)
    stable(db)
    assert answered(db, job, "a").state is JobState.QUEUED
    assert answered(db, stored.claimed(db), "b").state is JobState.REPORTED
    assert sent(db) == ["2.25.b.0"]


def test_early_work_that_fails_is_no_failure_of_the_study(db: Database) -> None:
    job = queue.fail(db, early(db), "broken", {}, NOW)
    assert (job.state, job.reason) == (JobState.KEPT, "early work failed: broken")
    again = stable(db)
    assert again is not None
    assert (again.job_id, again.state, again.attempt) == (job.job_id, JobState.QUEUED, 0)
    assert queue.fail(db, stored.claimed(db), "broken", {}, NOW).state is JobState.FAILED


def test_a_worker_that_died_of_early_work_leaves_all_attempts_to_the_complete_study(db: Database) -> None:
    early(db)
    queue.release(db, "worker:", NOW)
    job = stable(db)
    assert job is not None
    assert (job.state, job.attempt, queue.get(db, job.job_id)) == (JobState.QUEUED, 0, job)


def test_early_work_gives_way_to_work_on_complete_studies(db: Database) -> None:
    stored.received(db, 1, study="1.1")
    studies.work_early(db, studies.get(db, "1.1"), "a series is here", 3, NOW)
    stored.queued(db, study="1.2")
    assert [stored.claimed(db, owner=f"w:{n}").study_instance_uid for n in (1, 2)] == ["1.2", "1.1"]


def test_what_an_overtaken_job_worked_out_is_published_by_the_next(db: Database) -> None:
    first = stored.running(db)
    stored.received(db, 2)  # the study is received again while its first revision is worked on
    assert answered(db, first, "a").state is JobState.KEPT
    assert sent(db) == []
    assert stable(db) is not None
    assert queue.get(db, first.job_id).state is JobState.CANCELLED
    second = answered(db, stored.claimed(db), "a")
    assert (second.job_id, second.state) == (2, JobState.REPORTED)
    assert [each.job_id for each in answers.of_study(db, STUDY)] == [2]
    assert sent(db) == ["2.25.a.0"]


def test_no_result_waits_until_it_is_published_and_is_said_once(db: Database) -> None:
    job = answered(db, stored.running(db), "none", AnswerKind.NO_RESULT)
    assert (job.state, sent(db)) == (JobState.SKIPPED, [])
    ((study, waiting),) = answers.waiting(db)
    assert (study.study_instance_uid, waiting.key) == (STUDY, "none")
    assert answers.publish_waiting(db, waiting, "nothing came for 3600 s", after(3600))
    assert not answers.publish_waiting(db, waiting, "nothing came for 3600 s", after(3600))
    assert sent(db) == ["2.25.none.0"]
    late = answered(db, stored.running(db, number=2), "none", AnswerKind.NO_RESULT)
    assert (late.state, answers.waiting(db), sent(db)) == (JobState.DONE, [], [])


def test_no_result_that_waits_speaks_of_all_that_came_and_goes_when_a_result_comes(db: Database) -> None:
    answered(db, stored.running(db), "none", AnswerKind.NO_RESULT)
    answered(db, stored.running(db, number=2), "none", AnswerKind.NO_RESULT)
    assert said(db) == [("none", AnswerState.DISCARDED), ("none", AnswerState.KEPT)]
    answered(db, stored.running(db, number=3), "a")
    assert sent(db) == ["2.25.a.0"]
    assert answers.waiting(db) == []


def test_a_result_supersedes_a_published_no_result(db: Database) -> None:
    answered(db, stored.running(db), "none", AnswerKind.NO_RESULT)
    answers.publish_waiting(db, answers.waiting(db)[0][1], "the exam is over", NOW)
    assert [each.sop_instance_uid for each in outbox.standing_report(db, stored.queued(db, number=2))] == [
        "2.25.none.0"
    ]
    answered(db, stored.claimed(db), "a")
    assert said(db) == [("none", AnswerState.SUPERSEDED), ("a", AnswerState.STANDING)]


def test_at_once_a_result_is_published_and_what_comes_then_is_the_next_revision(db: Database) -> None:
    job = answered(db, early(db), "a", at_once=True)
    assert (job.state, sent(db)) == (JobState.REPORTED, ["2.25.a.0"])
    second = answered(db, early(db, 2), "b", at_once=True)
    assert (second.revision, second.state, sent(db)) == (2, JobState.REPORTED, ["2.25.b.0"])
    last = stable(db)
    assert last is not None
    assert answered(db, stored.claimed(db), "b").reason == "nothing new: the answer of job 2 stands"


def test_a_cancelled_job_forgets_what_was_kept_and_a_study_that_grows_is_worked_on(db: Database) -> None:
    job = answered(db, early(db), "a")
    queue.cancel(db, job.job_id, "by hand", NOW)
    assert said(db) == [("a", AnswerState.DISCARDED)]
    stored.received(db, 2)
    again = stable(db)
    assert again is not None
    assert again.state is JobState.QUEUED


def test_a_cancelled_job_of_all_that_came_stays_cancelled(db: Database) -> None:
    job = answered(db, early(db), "a")
    queue.cancel(db, job.job_id, "by hand", NOW)
    assert stable(db) is None
    assert queue.get(db, job.job_id).state is JobState.CANCELLED


def test_a_withdrawn_answer_is_not_sent_on_and_never_given_again(db: Database) -> None:
    job = answered(db, stored.running(db), "a")
    withdrawn = queue.withdraw(db, job.job_id, "wrong patient", NOW)
    assert (withdrawn.state, withdrawn.reason) == (JobState.CANCELLED, "withdrawn: wrong patient")
    assert (said(db), sent(db)) == ([("a", AnswerState.WITHDRAWN)], [])
    again = answered(db, stored.running(db, number=2), "a")
    assert (again.state, again.reason) == (JobState.SKIPPED, "the answer of job 1 was withdrawn: wrong patient")
    assert outbox.standing_report(db, stored.queued(db, number=3)) == []
    other = answered(db, stored.claimed(db), "b")
    assert (other.state, sent(db)) == (JobState.REPORTED, ["2.25.b.0"])


def test_an_answer_that_does_not_stand_cannot_be_withdrawn(db: Database) -> None:
    job = answered(db, early(db), "a")
    with pytest.raises(InvalidTransition, match="kept"):
        queue.withdraw(db, job.job_id, "wrong", NOW)
    with pytest.raises(InvalidTransition, match="no answer of its own"):
        queue.withdraw(db, stored.queued(db, study="1.1").job_id, "wrong", NOW)


def an(state: AnswerState, job_id: int, generation: int = 0, kind: AnswerKind = AnswerKind.RESULT) -> Answer:
    return Answer(1, STUDY, job_id, kind, "a", generation, state, "", NOW, NOW + timedelta(seconds=1))


@pytest.mark.parametrize(
    ("had", "is_recalled", "generation"),
    [
        (an(AnswerState.STANDING, 1), True, 1),
        (an(AnswerState.STANDING, 2, 4), False, 4),  # this very job's, at an operator's retry: the same objects again
        (an(AnswerState.KEPT, 1), True, 0),
        (an(AnswerState.KEPT, 1, kind=AnswerKind.NO_RESULT), False, 0),
        (an(AnswerState.WITHDRAWN, 1), True, 1),
        (an(AnswerState.SUPERSEDED, 1, 2), False, 3),
        (an(AnswerState.DISCARDED, 1), False, 0),
    ],
)
def test_what_is_recalled_and_which_generation_comes_next(had: Answer, is_recalled: bool, generation: int) -> None:
    assert (answers.recalled([had], 2, "a") is not None) is is_recalled
    assert answers.generation([had], 2, "a") == generation


def test_an_answer_of_an_older_version_has_no_key_and_is_never_recalled() -> None:
    assert answers.recalled([replace(an(AnswerState.STANDING, 1), key="")], 2, "") is None
