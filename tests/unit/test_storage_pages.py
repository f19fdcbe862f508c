"""Jobs by the page, what they are found by, and what an operator says of studies and the node."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from storage import (
    Database,
    DataFolder,
    accessions,
    backlog,
    events,
    outbox,
    pages,
    priorities,
    queue,
    readings,
    retention,
    schema,
    switches,
    tallies,
)
from storage.errors import FolderUnusable, InvalidTransition, NotFound
from storage.pages import Order, Wanted
from storage.records import Proof, SwitchName, Word
from storage.states import DeliveryState, JobState
from tests import stored
from tests.stored import NOW, STUDY, after


def ids(db: Database, **wanted: Any) -> list[int]:
    """The jobs of one page."""
    return [row.job.job_id for row in pages.page(db, Wanted(**wanted)).rows]


def all_pages(db: Database, **wanted: Any) -> list[int]:
    """The jobs of every page, two on each."""
    found, place = [], None
    while True:
        page = pages.page(db, Wanted(limit=2, after=place, **wanted))
        found += [row.job.job_id for row in page.rows]
        place = page.next
        if place is None:
            return found


@pytest.fixture
def seven(db: Database) -> Database:
    """Seven jobs: 2 failed first, 5 after it; 3 is urgent, 6 more so, 1 can wait."""
    for number in range(1, 8):
        stored.queued(db, study=f"1.2.826.{number}", now=after(number))
    for job_id in (2, 5):
        queue.cancel(db, job_id, "not wanted", after(100 + job_id))
    for study, priority in (("1.2.826.3", 5), ("1.2.826.6", 9), ("1.2.826.1", -1)):
        priorities.set_priority(db, study, priority, "uid 0", NOW)
    return db


def test_the_pages_of_each_order_hold_every_job_once_and_in_that_order(seven: Database) -> None:
    assert all_pages(seven) == [7, 6, 5, 4, 3, 2, 1]
    assert all_pages(seven, order=Order.OLDEST) == [1, 2, 3, 4, 5, 6, 7]
    assert all_pages(seven, order=Order.CHANGED) == [5, 2, 7, 6, 4, 3, 1]
    assert all_pages(seven, order=Order.PRIORITY) == [6, 3, 7, 5, 4, 2, 1]


@pytest.mark.parametrize("order", Order)
def test_the_pages_of_some_states_and_of_some_studies_hold_only_these(seven: Database, order: Order) -> None:
    assert sorted(all_pages(seven, order=order, states=[JobState.CANCELLED])) == [2, 5]
    assert sorted(all_pages(seven, order=order, states=[JobState.CANCELLED, JobState.QUEUED])) == [1, 2, 3, 4, 5, 6, 7]
    assert all_pages(seven, order=order, states=[]) == []
    assert sorted(all_pages(seven, order=order, studies=["1.2.826.2", "1.2.826.7", "1.2.826.4"])) == [2, 4, 7]
    assert all_pages(seven, order=order, studies=["1.2.826.2", "1.2.826.7"], states=[JobState.CANCELLED]) == [2]


def test_what_comes_in_meanwhile_shifts_no_page(seven: Database) -> None:
    first = pages.page(seven, Wanted(limit=3))
    stored.queued(seven, study="1.2.826.8")
    assert ids(seven, limit=3, after=first.next) == [4, 3, 2]


def test_a_row_says_what_the_study_holds_and_leaves_the_outcome_out(db: Database) -> None:
    job = stored.reported(db)
    priorities.set_priority(db, STUDY, 3, "uid 0", NOW)
    (row,) = pages.page(db, Wanted()).rows
    assert (row.job.job_id, row.job.outcome, row.priority, row.instances) == (job.job_id, None, 3, 1)
    assert row.calling_ae_titles == ("MODALITY",)


def test_a_page_is_read_by_indexes_alone(seven: Database) -> None:
    """Nothing is sorted, but the few studies that have a priority."""
    with seven.reading() as connection:
        for order in Order:
            for query in pages._lists(Wanted(states=[JobState.DONE], order=order)):
                text = str(query.compile(connection, compile_kwargs={"literal_binds": True}))
                plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")]
                few = any(re.match("SCAN priorities", line) for line in plan)
                assert few or not [line for line in plan if "TEMP B-TREE" in line], plan


def test_a_study_is_found_by_everything_that_names_it(db: Database) -> None:
    job = stored.reported(db)
    stored.queued(db, study="9.9.9")
    folder = stored.folder(db)
    accessions.note(db, {STUDY: accessions.keyed_hash(folder, "A-77")})
    (first, *_) = outbox.results_of_job(db, job.job_id)

    def found(text: str) -> list[str]:
        return pages.matching(db, text, accessions.keyed_hash(folder, text))

    for text in (STUDY, f"{STUDY}.1", f"{STUDY}.1.1", first.sop_instance_uid, "A-77", " A-77", STUDY[:9], "1"):
        assert found(text) == [STUDY], text
    for text in ("A-7", "1.2", "77", "%", "A-77'--"):
        assert found(text) == [], text


def test_an_accession_number_is_nowhere_but_in_its_keyed_hash(db: Database) -> None:
    folder = stored.folder(db)
    stored.received(db)
    accessions.note(db, {STUDY: accessions.keyed_hash(folder, "A-77"), "1.9 that is not here": "x"})
    (row,) = stored.rows(db, schema.accessions)
    assert re.fullmatch("[0-9a-f]{64}", row[1])
    key = folder.root / accessions.KEY_FILE
    assert (key.stat().st_mode & 0o777, key.stat().st_size) == (0o600, 32)
    assert accessions.keyed_hash(folder, "A-77") == row[1]
    key.write_bytes(b"short")
    with pytest.raises(FolderUnusable, match="no key"):
        accessions.keyed_hash(folder, "A-77")


def test_another_data_folder_has_another_key(tmp_path: Path) -> None:
    folders = [DataFolder(tmp_path / name) for name in "ab"]
    for folder in folders:
        folder.create()
    assert len({accessions.keyed_hash(folder, "A-77") for folder in folders}) == 2


def test_the_most_urgent_study_is_worked_on_first(seven: Database) -> None:
    claimed = [stored.claimed(seven, owner=f"w{number}", now=after(200)).job_id for number in range(5)]
    assert claimed == [6, 3, 4, 7, 1]


def test_a_priority_is_an_event_is_kept_over_revisions_and_goes_with_its_study(db: Database) -> None:
    stored.delivered(db)
    assert priorities.set_priority(db, STUDY, 5, "uid 0", NOW)
    assert not priorities.set_priority(db, STUDY, 5, "uid 0", NOW)
    stored.queued(db, number=2)
    assert {row.priority for row in pages.page(db, Wanted()).rows} == {5}
    last = [event for event in events.of_study(db, STUDY) if event.name == "priority set"]
    assert [(event.before, event.after, event.reason) for event in last] == [("0", "5", "by uid 0")]
    with pytest.raises(NotFound):
        priorities.set_priority(db, "9.9", 1, "uid 0", NOW)
    with pytest.raises(ValueError, match="-10 to 10"):
        priorities.set_priority(db, STUDY, 11, "uid 0", NOW)
    assert priorities.set_priority(db, STUDY, 0, "uid 0", NOW)
    assert stored.rows(db, schema.priorities) == []


def test_what_an_operator_holds_up_is_not_claimed_until_it_is_let_go(db: Database) -> None:
    stored.reported(db)
    stored.queued(db, study="1.2.9")
    switches.turn_on(db, SwitchName.SENDING, "uid 0", "the PACS is moved", NOW)
    assert outbox.claim(db, "pacs", NOW) is None
    claimed = queue.claim(db, "w", 60, NOW)
    assert claimed is not None, "sending alone is held up"
    queue.give_back(db, claimed, "again", NOW, NOW)
    switches.turn_off(db, SwitchName.SENDING, "uid 0", NOW)
    switches.turn_on(db, SwitchName.DRAIN, "uid 0", "new disk", NOW)
    assert (outbox.claim(db, "pacs", NOW), queue.claim(db, "w", 60, NOW)) == (None, None)
    switches.turn_off(db, SwitchName.DRAIN, "uid 0", NOW)
    assert (outbox.claim(db, "pacs", NOW) is None, queue.claim(db, "w", 60, NOW) is None) == (False, False)


def test_a_switch_that_is_on_stays_with_who_turned_it_on_also_over_a_restart(db: Database) -> None:
    first = switches.turn_on(db, SwitchName.INTAKE, "anna", "full", NOW)
    assert switches.turn_on(db, SwitchName.INTAKE, "ben", "too", after(5)) == first
    with stored.opened(stored.folder(db).root) as again:
        assert switches.on(again) == {SwitchName.INTAKE: first}
    assert (
        switches.turn_off(db, SwitchName.INTAKE, "ben", NOW),
        switches.turn_off(db, SwitchName.INTAKE, "ben", NOW),
    ) == (
        True,
        False,
    )
    names = [(event.name, event.reason) for event in events.newest(db, 10)]
    assert names == [("intake on", "by anna: full"), ("intake off", "by ben")]


def test_a_readers_word_is_kept_for_each_reader_and_answer(db: Database) -> None:
    job = stored.reported(db)
    assert job.answer_id
    said = [
        readings.say(db, job.answer_id, Word.DISAGREE, "motion", "anna", NOW),
        readings.say(db, job.answer_id, Word.DISAGREE, "motion", "anna", after(1)),
        readings.say(db, job.answer_id, Word.AGREE, "", "anna", after(2)),
        readings.say(db, job.answer_id, Word.NOT_USABLE, "", "ben", after(3)),
    ]
    assert [each.reading_id for each in said] == [1, 1, 2, 3]
    assert readings.of_study(db, STUDY) == [said[0], said[2], said[3]]
    assert [event.after for event in events.of_job(db, job.job_id) if event.name == "reader's word"] == [
        "disagree",
        "agree",
        "not usable",
    ]
    with pytest.raises(NotFound):
        readings.say(db, 99, Word.AGREE, "", "anna", NOW)


def test_nobody_has_read_an_answer_that_was_not_published(db: Database) -> None:
    job = stored.running(db)
    stored.received(db, 2)  # the study goes on: what is worked out is kept
    kept = stored.complete(db, job)
    assert kept.answer_id
    with pytest.raises(InvalidTransition, match="nobody has read it"):
        readings.say(db, kept.answer_id, Word.AGREE, "", "anna", NOW)


def test_retention_takes_what_was_said_of_a_study_with_it(db: Database) -> None:
    job = stored.delivered(db)
    assert job.answer_id
    readings.say(db, job.answer_id, Word.AGREE, "", "anna", NOW)
    priorities.set_priority(db, STUDY, 1, "anna", NOW)
    accessions.note(db, {STUDY: "hash"})
    late = NOW + timedelta(days=9)
    retention.purge_studies(db, stored.folder(db), late, late)
    assert len(stored.rows(db, schema.priorities)) == 1, "its job is still there"
    retention.purge_results(db, stored.folder(db), late, late)
    for table in (schema.studies, schema.readings, schema.priorities, schema.accessions, schema.events):
        assert stored.rows(db, table) == [], table.name


def test_the_backlog_says_how_many_results_wait_and_since_when(db: Database) -> None:
    assert backlog.of_destinations(db) == {}
    stored.reported(db, proof=Proof.COMMITMENT, count=3)
    outbox.sent(db, stored.taken(db), "0x0000", after(50))
    waits = backlog.of_destinations(db)
    assert {key: (wait.count, wait.since) for key, wait in waits.items()} == {
        ("pacs", DeliveryState.PENDING): (2, NOW),
        ("pacs", DeliveryState.SENT): (1, after(50)),
    }


def test_tallies_add_up_by_name_labels_and_hour(db: Database) -> None:
    one, other = {"peer": "PACS", "host": "a"}, {"peer": "MR", "host": "b"}
    tallies.add(db, [("associations", one, 2), ("associations", other, 1)], NOW)
    tallies.add(db, [("associations", {"host": "a", "peer": "PACS"}, 3), ("echoes", one, 1)], after(10))
    tallies.add(db, [("associations", one, 7)], after(3600))
    hours = [(each.labels["peer"], each.value, each.at) for each in tallies.since(db, "associations", NOW)]
    assert hours == [("PACS", 5, after(10)), ("MR", 1, NOW), ("PACS", 7, after(3600))]
    assert [each.value for each in tallies.since(db, "associations", after(3600))] == [7]
    totals = [
        (each.name, each.labels["peer"], each.value, each.at) for each in tallies.totals(db, "associations", "echoes")
    ]
    assert totals == [
        ("associations", "PACS", 12, after(3600)),
        ("associations", "MR", 1, NOW),
        ("echoes", "PACS", 1, after(10)),
    ]


def test_old_hours_are_folded_and_no_sum_shrinks(db: Database) -> None:
    tallies.add(db, [("associations", {}, 2)], NOW)
    tallies.add(db, [("associations", {}, 3)], after(7200))
    late = NOW + tallies.KEPT + timedelta(days=1)
    tallies.add(db, [("associations", {}, 4)], late)
    assert (tallies.fold(db, late), tallies.fold(db, late)) == (2, 0)
    assert [(each.value, each.at) for each in tallies.totals(db, "associations")] == [(9, late)]
    assert [each.slot.year for each in tallies.since(db, "associations", datetime(1970, 1, 1, tzinfo=UTC))] == [
        1970,
        late.year,
    ]
    tallies.add(db, [("associations", {}, 1)], NOW)  # of a clock that was set back
    assert tallies.fold(db, late) == 1
    assert tallies.totals(db, "associations")[0].value == 10


def test_a_measure_takes_the_place_of_the_one_of_the_same_hour(db: Database) -> None:
    for value in (40.0, 41.5):
        tallies.measure(db, "disk_used_percent", {}, value, NOW)
    assert [each.value for each in tallies.since(db, "disk_used_percent", NOW)] == [41.5]


def test_an_event_is_added_up_once_whoever_asks(db: Database) -> None:
    stored.delivered(db)
    seen = tallies.unseen_events(db, "reader", 3)
    counted = [(NOW, ("seen", {}, 1.0)) for _ in seen]
    assert tallies.add_events(db, "reader", seen, counted)
    assert not tallies.add_events(db, "reader", seen, counted), "another office was quicker"
    rest = tallies.unseen_events(db, "reader", 100)
    assert [event.event_id for event in (*seen, *rest)] == [event.event_id for event in events.newest(db, 100)]
    assert tallies.totals(db, "seen")[0].value == 3
    with db.reading() as connection:
        assert connection.execute(sa.select(schema.cursors.c.event_id)).scalar_one() == seen[-1].event_id
