"""The order of arrival leaves no trace: whatever the associations, pauses, duplicates, orders, kills and restarts were,
once everything is here and quiet, what stands is what stands when the whole study arrives at once."""

from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage import answers, queue
from storage.records import Answer
from storage.states import AnswerKind, AnswerState, JobState
from tests.exam import Hospital, Name

STUDY = "1.7"
SHORT, QUIET, OVER = 10.0, 61.0, 3700.0  # seconds: within an exam, the quiet period, and when no result is said
SERIES = ("odd", "best", "second", "t2", "localizer", "report")


@dataclass(frozen=True)
class Arrival:
    """One association, and what happens after it."""

    names: tuple[Name, ...]
    pause_s: float
    office_restarts: bool
    worker: str  # works, sleeps or dies


exams = st.lists(st.tuples(st.sampled_from(SERIES), st.integers(1, 3)), min_size=1, max_size=12, unique=True)


@st.composite
def arrivals(draw: st.DrawFn, exam: list[Name], pauses: tuple[float, ...]) -> list[Arrival]:
    """Every instance of the exam at least once, in any order, in any number of associations."""
    rest = draw(st.permutations(exam))
    found = []
    while rest:
        count = draw(st.integers(1, len(rest)))
        again = draw(st.lists(st.sampled_from(exam), max_size=3))
        found.append(
            Arrival(
                names=(*rest[:count], *again),
                pause_s=draw(st.sampled_from(pauses)),
                office_restarts=draw(st.booleans()),
                worker=draw(st.sampled_from(["works", "works", "sleeps", "dies"])),
            )
        )
        rest = rest[count:]
    return found


def come(hospital: Hospital, plan: list[Arrival]) -> None:
    for arrival in plan:
        hospital.arrive(STUDY, arrival.names)
        hospital.wait(arrival.pause_s, work=arrival.worker == "works")
        if arrival.worker == "dies":
            hospital.work(dies=True)
        if arrival.office_restarts:
            hospital.restart_office()


def quiet_down(hospital: Hospital) -> None:
    hospital.wait(0.5)
    for _ in range(4):
        hospital.wait(OVER)


def whole_at_once(exam: list[Name], patient: str = "") -> tuple[Answer | None, list[bytes]]:
    with Hospital() as hospital:
        hospital.arrive(STUDY, sorted(exam), patient=patient)
        quiet_down(hospital)
        answer = hospital.standing(STUDY)
        return answer, hospital.content(answer) if answer else []


def check_what_stands(hospital: Hospital, exam: list[Name], patient: str = "") -> None:
    expected, content = whole_at_once(exam, patient)
    answer = hospital.standing(STUDY)
    assert answer is not None
    assert expected is not None
    assert (answer.kind, answer.key) == (expected.kind, expected.key)
    if answer.kind is AnswerKind.RESULT:  # what there is none of is said once for a set of reasons
        assert hospital.content(answer)[-len(content) :] == content


def check_what_was_sent(hospital: Hospital, *ended: AnswerState) -> None:
    """Each published answer once, and nothing of one that was not published."""
    uids = [uid for _, uid in hospital.sent]
    assert len(set(uids)) == len(uids)
    every = answers.of_study(hospital.db, STUDY)
    assert {each.state for each in every} <= {AnswerState.STANDING, AnswerState.DISCARDED, *ended}
    published = [each for each in every if each.state is not AnswerState.DISCARDED]
    assert {uid.rsplit(".", 2)[0] for uid in uids} <= {f"{STUDY}.9.{int(each.key[:12], 16)}" for each in published}
    assert {job.state for job in queue.listing(hospital.db)} <= {JobState.DONE, JobState.SKIPPED, JobState.CANCELLED}


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), exam=exams)
def test_however_an_exam_arrives_what_stands_is_that_of_the_whole(data: st.DataObject, exam: list[Name]) -> None:
    plan = data.draw(arrivals(exam, (0.2, SHORT, QUIET, OVER)))
    with Hospital() as hospital:
        come(hospital, plan)
        quiet_down(hospital)
        check_what_stands(hospital, exam)
        check_what_was_sent(hospital, AnswerState.SUPERSEDED)
        sent = len(hospital.sent)
        hospital.arrive(STUDY, exam, sender="ARCHIVE")  # all of it again
        quiet_down(hospital)
        assert len(hospital.sent) == sent


@pytest.mark.slow
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), exam=exams)
def test_an_exam_without_pauses_longer_than_the_quiet_period_has_one_answer(
    data: st.DataObject, exam: list[Name]
) -> None:
    plan = data.draw(arrivals(exam, (0.2, SHORT, 50.0)))
    with Hospital() as hospital:
        for arrival in plan:
            hospital.arrive(STUDY, arrival.names)
            hospital.wait(arrival.pause_s, work=arrival.worker != "sleeps")
        quiet_down(hospital)
        check_what_stands(hospital, exam)
        check_what_was_sent(hospital, AnswerState.SUPERSEDED)
        every = answers.of_study(hospital.db, STUDY)
        assert [each.state for each in every if each.state is not AnswerState.DISCARDED] == [AnswerState.STANDING]


@pytest.mark.slow
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), exam=exams)
def test_results_that_go_out_at_once_end_with_the_same_answer(data: st.DataObject, exam: list[Name]) -> None:
    plan = data.draw(arrivals(exam, (0.2, SHORT, QUIET)))
    with Hospital(publish="at_once") as hospital:
        come(hospital, plan)
        quiet_down(hospital)
        check_what_stands(hospital, exam)
        check_what_was_sent(hospital, AnswerState.SUPERSEDED)


@pytest.mark.slow
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), exam=exams)
def test_a_name_that_its_archive_corrects_ends_with_the_answer_of_the_right_name(
    data: st.DataObject, exam: list[Name]
) -> None:
    """Whatever came before, in however many associations the correction comes, and who dies meanwhile."""
    first, correction = (data.draw(arrivals(exam, (0.2, SHORT, QUIET))) for _ in range(2))
    with Hospital() as hospital:
        come(hospital, first)
        for arrival in correction:
            hospital.arrive(STUDY, arrival.names, sender="ARCHIVE", patient=" Right^Name")
            hospital.wait(arrival.pause_s, work=arrival.worker == "works")
            if arrival.worker == "dies":
                hospital.work(dies=True)
        quiet_down(hospital)
        check_what_stands(hospital, exam, " Right^Name")
        check_what_was_sent(hospital, AnswerState.SUPERSEDED)


@pytest.mark.slow
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), exam=exams)
def test_whenever_instances_are_rejected_what_stands_is_that_of_the_rest(data: st.DataObject, exam: list[Name]) -> None:
    """The notes come before, between or after what they reject, which may come again after them."""
    rejected = data.draw(st.lists(st.sampled_from(exam), max_size=len(exam) - 1, unique=True))
    plan = data.draw(arrivals(exam, (0.2, SHORT, QUIET, OVER)))
    notes = data.draw(st.lists(st.integers(0, len(plan)), min_size=len(rejected), max_size=len(rejected)))
    with Hospital() as hospital:
        for place in range(len(plan) + 1):
            for name in [each for each, at in zip(rejected, notes, strict=True) if at == place]:
                hospital.reject(STUDY, [name])
                hospital.wait(data.draw(st.sampled_from((0.2, QUIET, OVER))))
            come(hospital, plan[place : place + 1])
        quiet_down(hospital)
        check_what_stands(hospital, [each for each in exam if each not in rejected])
        check_what_was_sent(hospital, AnswerState.SUPERSEDED, AnswerState.REVOKED)


@pytest.mark.parametrize("series", ["localizer", "t2"])
def test_no_result_is_said_once_and_a_result_after_it_supersedes_it(series: str) -> None:
    with Hospital() as hospital:
        hospital.arrive(STUDY, [(series, 1), (series, 2)])
        hospital.wait(QUIET)
        hospital.wait(1800)
        assert hospital.sent == []
        hospital.wait(1800)
        assert len(hospital.sent) == 2
        hospital.arrive(STUDY, [(series, 3)])  # the same reasons
        quiet_down(hospital)
        assert len(hospital.sent) == 2
        hospital.arrive(STUDY, [("best", 1), ("best", 2)])
        hospital.wait(QUIET)
        hospital.wait(1)
        answer = hospital.standing(STUDY)
        assert answer is not None
        assert (answer.kind, len(hospital.sent)) == (AnswerKind.RESULT, 4)


def test_a_study_without_any_mr_image_gets_no_word() -> None:
    with Hospital() as hospital:
        hospital.arrive(STUDY, [("report", 1)])
        quiet_down(hospital)
        assert hospital.sent == []
