"""Instances are registered once, and a study becomes a job once for each revision."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as some

from storage import Database, events, files, instances, queue, schema, studies
from storage.errors import NotFound
from storage.instances import Arrival
from storage.records import Registration
from storage.states import JobState, StudyState
from tests import stored
from tests.stored import NOW, STUDY, after


def test_the_first_instance_opens_its_study(db: Database) -> None:
    record = stored.received(db, sender="MR1", expected=2)
    study = studies.get(db, STUDY)
    assert (study.state, study.revision, study.instances, study.expected_instances) == (StudyState.RECEIVING, 1, 1, 2)
    assert study.first_received_at == study.last_received_at == NOW
    assert study.calling_ae_titles == ("MR1",)
    assert instances.find(db, record.sop_instance_uid) == record
    assert [event.name for event in events.of_study(db, STUDY)] == ["study receiving"]


def test_each_further_instance_is_counted(db: Database) -> None:
    for number in (3, 1, 2):
        stored.received(db, number, now=after(number), sender=f"MR{number % 2}")
    study = studies.get(db, STUDY)
    assert (study.instances, study.first_received_at, study.last_received_at) == (3, after(3), after(2))
    assert study.calling_ae_titles == ("MR1", "MR0")
    assert [record.sop_instance_uid[-1] for record in instances.of_study(db, STUDY)] == ["1", "2", "3"]
    assert stored.rows(db, schema.series) == [(STUDY, f"{STUDY}.1", "MR", 3)]


def test_what_comes_for_one_study_changes_no_other(db: Database) -> None:
    other = stored.received(db, study="1.9")
    before = studies.get(db, "1.9"), stored.rows(db, schema.series)
    first = stored.received(db, 1, now=after(1), expected=2)
    stored.received(db, 2, now=after(2), sender="MR2")
    again = replace(stored.instance(1, sha256=first.sha256, sender="MR3"), path="instances/00/again")
    stored.folder(db).path(first.path).unlink()
    instances.register(db, stored.folder(db), again, expected_instances=None, now=after(3))
    studies.set_expected(db, STUDY, 3)
    studies.mark_stable(db, studies.get(db, STUDY), "complete", 3, after(4))
    stored.received(db, 3, now=after(5))
    assert studies.get(db, "1.9") == before[0]
    assert instances.of_study(db, "1.9") == [other]
    assert [row for row in stored.rows(db, schema.series) if row[0] == "1.9"] == before[1]
    assert queue.counts(db)[JobState.QUEUED] == 1


def test_the_study_that_has_been_silent_longest_comes_first(db: Database) -> None:
    for study, received_s in (("1.9", 3), ("1.7", 1), ("1.8", 2)):
        stored.received(db, study=study, now=after(received_s))
    assert [each.study_instance_uid for each in studies.receiving(db)] == ["1.7", "1.8", "1.9"]


def test_the_same_instance_twice_is_one_row(db: Database) -> None:
    first = stored.received(db, sender="MR1")
    before = studies.get(db, STUDY)
    again = stored.instance(sha256=first.sha256, sender="MR1")
    assert (
        instances.register(db, stored.folder(db), again, expected_instances=None, now=after(9))
        is Registration.DUPLICATE
    )
    assert studies.get(db, STUDY) == before
    assert instances.of_study(db, STUDY) == [first]


def test_a_duplicate_does_not_open_a_study_that_is_stable(db: Database) -> None:
    stored.delivered(db)
    again = stored.instance(sha256=instances.of_study(db, STUDY)[0].sha256)
    assert (
        instances.register(db, stored.folder(db), again, expected_instances=None, now=after(9))
        is Registration.DUPLICATE
    )
    assert studies.get(db, STUDY).state is StudyState.STABLE
    assert queue.counts(db)[JobState.DONE] == 1


def test_a_duplicate_from_another_peer_adds_it_to_the_senders(db: Database) -> None:
    first = stored.received(db, sender="PACS1")
    again = stored.instance(sha256=first.sha256, sender="PACS2")
    assert (
        instances.register(db, stored.folder(db), again, expected_instances=None, now=after(9))
        is Registration.DUPLICATE
    )
    assert studies.get(db, STUDY).calling_ae_titles == ("PACS1", "PACS2")


@pytest.mark.parametrize("damage", ["gone", "cut short", "a folder"])
def test_a_duplicate_replaces_a_file_that_is_lost(db: Database, damage: str) -> None:
    first = stored.received(db)
    path = stored.folder(db).path(first.path)
    path.unlink()
    if damage == "cut short":
        path.write_bytes(b"data")
    if damage == "a folder":
        path.mkdir()
    file = files.write(stored.folder(db), first.sop_instance_uid, [b"data set 1 of " + STUDY.encode()])
    again = stored.instance(path=file.path, sha256=file.sha256, size_bytes=file.size_bytes)
    assert (
        instances.register(db, stored.folder(db), again, expected_instances=None, now=after(9))
        is Registration.DUPLICATE
    )
    files.discard(stored.folder(db), db, file.path)
    found = instances.of_study(db, STUDY)[0]
    files.verify(stored.folder(db), found.path, found.sha256)
    assert events.of_study(db, STUDY)[-1].name == "instance stored again"
    assert files.sweep(stored.folder(db), db, NOW).doomed == 1
    assert path.exists() == (damage == "a folder")


def test_another_content_under_the_same_uid_is_refused_and_noted(db: Database) -> None:
    first = stored.received(db)
    other = stored.instance(sha256="f" * 64, sender="MR2")
    assert (
        instances.register(db, stored.folder(db), other, expected_instances=None, now=after(9)) is Registration.CONFLICT
    )
    assert instances.of_study(db, STUDY) == [first]
    assert studies.get(db, STUDY).calling_ae_titles == ("MODALITY",)
    last = events.of_study(db, STUDY)[-1]
    assert last.name == "instance refused"
    assert "MR2" in last.reason


def test_the_same_uid_in_another_study_is_a_conflict_too(db: Database) -> None:
    first = stored.received(db)
    other = stored.instance(study="1.9", sha256="f" * 64)
    stolen = type(other)(**(vars(other) | {"sop_instance_uid": first.sop_instance_uid}))
    assert instances.register(db, stored.folder(db), stolen, expected_instances=None, now=NOW) is Registration.CONFLICT
    with pytest.raises(NotFound, match=r"no study 1\.9"):
        studies.get(db, "1.9")


def test_an_expected_count_is_kept_until_another_is_told(db: Database) -> None:
    stored.received(db, 1, expected=10)
    stored.received(db, 2)
    assert studies.get(db, STUDY).expected_instances == 10
    stored.received(db, 3, expected=12)
    assert studies.get(db, STUDY).expected_instances == 12
    studies.set_expected(db, STUDY, 14)
    assert studies.get(db, STUDY).expected_instances == 14
    with pytest.raises(NotFound):
        studies.set_expected(db, "1.9", 14)


def test_studies_that_still_grow_are_listed_longest_silent_first(db: Database) -> None:
    stored.received(db, study="1.1", now=after(20))
    stored.received(db, study="1.2", now=after(10))
    stored.queued(db, study="1.3")
    assert [study.study_instance_uid for study in studies.receiving(db)] == ["1.2", "1.1"]


def test_a_complete_study_and_its_job_are_one_step(db: Database) -> None:
    stored.received(db)
    job = studies.mark_stable(db, studies.get(db, STUDY), "all 1 instances are here", 3, after(60))
    assert job == queue.get(db, 1)
    assert job is not None
    assert (job.state, job.revision, job.attempt, job.maximum_attempts) == (JobState.QUEUED, 1, 0, 3)
    assert job.created_at == job.available_at == after(60)
    assert studies.get(db, STUDY).state is StudyState.STABLE
    assert [event.name for event in events.of_study(db, STUDY)] == ["study receiving", "study stable", "job queued"]


def test_an_instance_that_came_meanwhile_keeps_the_study_open(db: Database) -> None:
    stored.received(db, 1)
    seen = studies.get(db, STUDY)
    stored.received(db, 2)
    assert studies.mark_stable(db, seen, "nothing came", 3, after(60)) is None
    assert studies.get(db, STUDY).state is StudyState.RECEIVING
    assert queue.listing(db) == []


def test_two_offices_make_one_job(db: Database) -> None:
    stored.received(db)
    seen = studies.get(db, STUDY)
    assert studies.mark_stable(db, seen, "nothing came", 3, after(60)) is not None
    assert studies.mark_stable(db, seen, "nothing came", 3, after(60)) is None
    assert len(queue.listing(db)) == 1


def test_a_late_instance_begins_the_next_revision(db: Database) -> None:
    done = stored.delivered(db)
    stored.received(db, 2, now=after(100))
    study = studies.get(db, STUDY)
    assert (study.state, study.revision, study.instances) == (StudyState.RECEIVING, 2, 2)
    assert "revision 2 begins" in events.of_study(db, STUDY)[-1].reason
    second = studies.mark_stable(db, study, "nothing came", 3, after(200))
    assert second is not None
    assert (second.revision, second.job_id) == (2, done.job_id + 1)
    assert queue.get(db, done.job_id).state is JobState.DONE


def test_a_job_is_about_the_instances_of_its_revision(db: Database) -> None:
    first = stored.running(db, number=1)
    stored.received(db, 2)
    second = studies.mark_stable(db, studies.get(db, STUDY), "nothing came", 3, NOW)
    stored.received(db, 3)
    assert second is not None
    for job, wanted in ((first, 1), (second, 2)):
        found = instances.of_study(db, STUDY, up_to_revision=job.revision)
        assert len(found) == wanted
    assert len(instances.of_study(db, STUDY)) == 3


def test_a_job_that_waits_is_overtaken_by_the_next_revision(db: Database) -> None:
    first = stored.queued(db, number=1)
    second = stored.queued(db, number=2)
    cancelled = queue.get(db, first.job_id)
    assert (cancelled.state, cancelled.reason) == (JobState.CANCELLED, "overtaken by revision 2")
    assert stored.claimed(db).job_id == second.job_id


def test_a_job_that_runs_is_not_overtaken(db: Database) -> None:
    first = stored.running(db, number=1)
    stored.queued(db, number=2)
    assert queue.get(db, first.job_id).state is JobState.RUNNING


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Database, Database]]:
    """Two databases that hear of the same instances."""
    with stored.opened(tmp_path_factory.mktemp("one")) as one, stored.opened(tmp_path_factory.mktemp("all")) as all_:
        yield one, all_


ROUNDS = count(1)
ARRIVALS = some.lists(
    some.tuples(
        some.integers(1, 9),
        some.integers(1, 3),
        some.integers(1, 2),
        some.sampled_from(["MR1", "MR2"]),
        some.none() | some.integers(1, 5),
    ),
    unique_by=lambda each: each[:2],
    min_size=1,
)


@examples(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=ARRIVALS, is_stable=some.booleans(), coming=ARRIVALS)
def test_many_at_once_leave_the_rows_that_one_after_the_other_leaves(
    pair: tuple[Database, Database], before: list[tuple], is_stable: bool, coming: list[tuple]
) -> None:
    def arrival(number: int, study: int, series: int, sender: str, expected: int | None) -> Arrival:
        record = stored.instance(number, study=f"1.{study}.{round_}", sender=sender)
        return Arrival(replace(record, series_instance_uid=f"1.{study}.{round_}.{series}"), expected)

    def register(db: Database, arrivals: list[Arrival]) -> None:
        for each in arrivals:
            instances.register(
                db, stored.folder(db), each.instance, expected_instances=each.expected_instances, now=NOW
            )

    round_ = next(ROUNDS)
    early, late = ([arrival(*each) for each in drawn] for drawn in (before, coming))
    for db in pair:
        register(db, early)
        for study in studies.receiving(db) if is_stable else []:
            studies.mark_stable(db, study, "", 3, NOW)
    register(pair[0], late)
    known = instances.register_all(pair[1], late, NOW)
    assert known == [
        each for each in late if each.instance.sop_instance_uid in {e.instance.sop_instance_uid for e in early}
    ]
    for each in known:
        register(pair[1], [each])
    for table in (schema.studies, schema.series, schema.instances):
        assert sorted(stored.rows(pair[0], table)) == sorted(stored.rows(pair[1], table))
    told = [sorted((e.study_instance_uid or "", e.name, e.reason) for e in events.newest(db, 200)) for db in pair]
    assert told[0] == told[1]
