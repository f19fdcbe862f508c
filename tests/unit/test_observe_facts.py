"""Facts about peers, the node, a study and statistics, as every reader gets them; and what an operator does."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from node.config import AllowedPeer, Destination, Listener, Settings
from node.dicom.header import Header
from node.dicom.received import Receipt
from node.observe import peers, state, statistics, study, tally
from node.observe.actions import Operator
from node.observe.audit import Trail
from node.process.heartbeat import Heartbeat
from node.service.ledger import MOST_STRANGERS, OTHERS, Ledger
from storage import Database, DataFolder, events, outbox, pages, queue, switches, tallies
from storage.answers import NewAnswer
from storage.errors import InvalidTransition, NotFound
from storage.records import Job, SwitchName, Tally, Word
from storage.states import AnswerKind, JobState
from tests import outcomes, stored
from tests.stored import NOW, STUDY, after

DAY_S = 86400.0
SETTINGS = Settings(
    listener=Listener(allow=(AllowedPeer(ae_title="MODALITY"), AllowedPeer(ae_title="SPARE"))),
    destinations=(Destination(name="pacs", ae_title="PACS", host="127.0.0.1", port=104),),
)


@pytest.fixture
def operator(db: Database) -> Iterator[Operator]:
    with Trail(SETTINGS, "test") as trail:
        yield Operator("anna", stored.folder(db), db, trail, lambda: after(100))


def worked_out(db: Database) -> Job:
    """A study that was read, its results on their way."""
    job, row = stored.running(db), outcomes.outcome().as_row()
    row["scanner"] = {"manufacturer": "SIEMENS", "model": "Skyra"}
    row["selection"]["series"] += [
        outcomes.series(f"1.9.{number}", eligible=False, reason="not T1-weighted", detail="T2") for number in (1, 2)
    ]
    results = [stored.encoded(db, job, 1, "sr_comprehensive")]
    new = [outbox.NewDelivery(results[0].sop_instance_uid, "pacs")]
    return outbox.complete(
        db, stored.folder(db), job, NewAnswer(AnswerKind.RESULT, "key", "read"), results, new, row, after(42)
    )


def counted(db: Database, name: str) -> dict[str, float]:
    """The sums of all time, by the values of their labels."""
    return {" ".join(each.labels.values()): each.value for each in tallies.totals(db, name)}


# --- an operator


def test_a_retry_twice_is_one(db: Database, operator: Operator) -> None:
    job = stored.queued(db)
    queue.cancel(db, job.job_id, "oh", NOW)
    assert [operator.retry(job.job_id).state, operator.retry(job.job_id).state] == [JobState.QUEUED, JobState.QUEUED]
    again = [event for event in events.of_job(db, job.job_id) if event.before == "cancelled"]
    assert [event.reason for event in again] == ["a retry by anna"]


def test_what_is_done_is_not_tried_again(db: Database, operator: Operator) -> None:
    with pytest.raises(InvalidTransition):
        operator.retry(stored.delivered(db).job_id)


def test_a_cancel_and_a_withdrawal_twice_are_one(db: Database, operator: Operator) -> None:
    job = stored.reported(db)
    withdrawn = [operator.withdraw(job.job_id, "wrong side") for _ in range(2)]
    assert withdrawn[0] == withdrawn[1]
    assert withdrawn[0].reason == "withdrawn: wrong side"
    assert [each.reason for each in events.of_job(db, job.job_id) if each.name == "operator"] == ["withdrawn by anna"]
    other = stored.queued(db, study="1.2.9")
    cancelled = [operator.cancel(other.job_id, "not wanted") for _ in range(2)]
    assert cancelled[0] == cancelled[1]
    assert len([event for event in events.of_job(db, other.job_id) if event.after == "cancelled"]) == 1


def test_every_act_names_who_did_it_as_an_event(db: Database, operator: Operator) -> None:
    job = stored.reported(db)
    assert job.answer_id
    operator.prioritise(STUDY, 5)
    operator.say(job.answer_id, Word.AGREE)
    operator.hold_up(SwitchName.INTAKE, "new disk")
    assert (operator.let_go(SwitchName.INTAKE), operator.let_go(SwitchName.INTAKE)) == (True, False)
    said = [event.reason for event in events.newest(db, 4)]
    assert said == ["by anna", "anna", "by anna: new disk", "by anna"]
    assert switches.on(db) == {}


# --- peers


def test_peers_are_counted_by_the_listener_and_shown_by_day_and_week(db: Database) -> None:
    ledger = Ledger(stored.folder(db), ("MODALITY",))
    header = Header(study_instance_uid=STUDY, accession_number="A-77")
    stored.received(db)
    ledger.count("associations", "MODALITY", "10.1.0.2")
    ledger.count("echoes", "MODALITY", "10.1.0.2")
    for receipt in (Receipt.STORED, Receipt.HERE_ALREADY, Receipt.NO_ROOM):
        ledger.received("MODALITY", "10.1.0.2", header, receipt, 1000)
    ledger.refused("EVIL", "10.9.9.9", "calling AE title not recognized")
    ledger.write(db, NOW)
    found = peers.of_peers(SETTINGS, stored.folder(db), db, after(60))
    modality, spare, evil = found.senders
    assert (modality.instances_today, modality.bytes_today, modality.echoed_at, modality.hosts) == (
        2,
        2000,
        NOW,
        ["10.1.0.2"],
    )
    assert (modality.received_at, modality.silence.lasts_s, modality.refused_instances_week) == (
        NOW,
        60,
        {"no room": 1},
    )
    assert (spare.is_known, spare.seen_at, spare.silence.is_over_limit) == (True, None, False)
    assert (evil.is_known, evil.refused_week) == (False, {"calling AE title not recognized": 1})
    assert pages.matching(db, "", "") == []
    assert stored.rows(db, pages.accessions)[0][0] == STUDY


def test_strangers_who_choose_a_new_title_each_time_do_not_fill_the_database(db: Database) -> None:
    ledger = Ledger(stored.folder(db), ("MODALITY",))
    for number in range(3 * MOST_STRANGERS):
        ledger.refused(f"EVIL{number}", f"10.9.9.{number}", "calling AE title not recognized")
    ledger.refused("MODALITY", "10.1.0.2", "local limit exceeded")
    ledger.write(db, NOW)
    found = tallies.totals(db, "associations_refused")
    assert len(found) == MOST_STRANGERS + 2
    (others,) = (each for each in found if each.labels["peer"] == OTHERS)
    assert (others.value, others.labels["host"]) == (2 * MOST_STRANGERS, OTHERS)


def test_what_the_database_does_not_take_is_counted_later(db: Database, tmp_path: Path) -> None:
    ledger = Ledger(stored.folder(db), ())
    ledger.count("associations", "A", "h")
    with stored.opened(tmp_path / "closed") as closed:
        closed.transaction = stored_nothing  # type: ignore[method-assign, assignment]
        ledger.write(closed, NOW)
    ledger.count("associations", "A", "h")
    ledger.write(db, NOW)
    assert counted(db, "associations") == {"h A": 2}


def stored_nothing() -> None:
    from storage.errors import DatabaseBusy

    raise DatabaseBusy("held by another")


def test_a_sender_of_the_settings_shows_its_habit_and_a_stranger_has_none(db: Database) -> None:
    for day in range(10):
        for title in ("MODALITY", "STRANGER"):
            one = [("received_instances", {"peer": title, "host": "a"}, 1.0)]
            tallies.add(db, one, after(DAY_S * day))
    found = {each.ae_title: each for each in peers.of_peers(SETTINGS, stored.folder(db), db, after(12 * DAY_S)).senders}
    assert found["MODALITY"].silence.is_over_limit
    assert not found["STRANGER"].silence.is_over_limit
    assert found["SPARE"].silence.lasts_s is None


def test_a_destination_shows_when_it_last_answered_an_echo(db: Database) -> None:
    def echo() -> peers.Echo:
        return peers.of_peers(SETTINGS, stored.folder(db), db, after(300)).receivers[0].echo

    assert (echo(), echo().is_answered) == (peers.Echo(), None)
    pacs = {"destination": "pacs"}
    tallies.add(db, [("destination_echoes", {**pacs, "outcome": "answered"}, 1)], after(10))
    tallies.measure(db, "destination_echo_s", pacs, 0.012, after(10))
    assert (echo().answered_at, echo().took_s, echo().is_answered) == (after(10), 0.012, True)
    tallies.add(db, [("destination_echoes", {**pacs, "outcome": "unanswered"}, 1)], after(20))
    with Heartbeat(stored.folder(db).path("locks"), "office") as heart:
        heart.beat("ready", destinations={}, echoes={"pacs": "no connection"})
        assert (echo().answered_at, echo().trouble, echo().is_answered) == (after(10), "no connection", False)


def test_a_destination_shows_its_backlog_what_it_took_and_its_trouble(db: Database) -> None:
    stored.reported(db, count=3)
    outbox.sent(db, stored.taken(db), "0x0000", after(10))
    tally.count_events(db)
    with Heartbeat(stored.folder(db).path("locks"), "office") as heart:
        heart.beat("ready", destinations={"pacs": "no connection"})
        (pacs,) = peers.of_peers(SETTINGS, stored.folder(db), db, after(70)).receivers
    assert (pacs.name, pacs.trouble, pacs.backlog, pacs.oldest_s) == ("pacs", "no connection", 2, 70)
    assert (pacs.sent_today, pacs.sent_week, pacs.acknowledged_at) == (1, 1, after(10))


def test_where_no_office_runs_nothing_is_in_order_and_who_hears_by_hl7_is_shown_too(db: Database) -> None:
    settings = Settings(destinations=SETTINGS.destinations, hl7=[{"name": "ris", "host": "127.0.0.1", "port": 2575}])
    pacs, ris = peers.of_peers(settings, stored.folder(db), db, NOW).receivers
    assert (pacs.trouble, ris.trouble) == (peers.NO_OFFICE, peers.NO_OFFICE)
    assert (ris.name, ris.ae_title, ris.where) == ("ris", None, "127.0.0.1:2575")


# --- sums of what happened


def test_what_happened_is_added_up_once(db: Database) -> None:
    worked_out(db)
    outbox.sent(db, stored.taken(db, now=after(43)), "0x0000", after(44))
    for _ in range(2):
        tally.count_events(db)
    assert counted(db, "studies_received") == {"": 1}
    assert counted(db, "series_refused") == {"not T1-weighted": 2}
    assert counted(db, "predictions") == {"low confidence SIEMENS Skyra": 1}
    assert counted(db, "jobs_ended") == {"reported": 1, "done": 1}
    assert counted(db, "deliveries") == {"pacs sent": 1}
    assert counted(db, "report_s") == {"60": 1}
    assert counted(db, "report_s_sum") == {"": 42}
    assert counted(db, "stage_s")["1 prediction"] == 1
    assert sum(counted(db, "spread").values()) == 1


def test_statistics_are_by_day_band_reason_and_scanner(db: Database) -> None:
    job = worked_out(db)
    assert job.answer_id
    tally.count_events(db)
    found = statistics.of_days(db, 7, after(DAY_S))
    assert sorted(found.days.values()) == [0, 0, 0, 0, 0, 0, 1]
    assert (found.bands, found.refused, found.out_of_scope) == ({"low confidence": 1}, {"not T1-weighted": 2}, 0)
    assert [(each.name, each.studies) for each in found.scanners] == [("SIEMENS Skyra", 1)]
    assert (found.report_s.count, found.report_s.mean, found.report_s.quantile(0.5)) == (1, 42, 60)
    assert set(found.stages_s) == {"verify", "headers", "selection", "volume", "prediction", "report", "store"}
    later = statistics.of_days(db, 7, after(30 * DAY_S))
    assert (later.bands, later.report_s.mean, later.report_s.quantile(0.5)) == ({}, None, None)


# --- one study


def test_a_study_shows_its_steps_its_refusals_and_what_its_answer_stands_on(db: Database) -> None:
    job = worked_out(db)
    found = study.of_job(stored.folder(db), db, job.job_id, after(60))
    assert [(step.event.name, step.took_s) for step in found.steps][-2:] == [
        ("answer standing", 0),
        ("job reported", None),
    ]
    assert [(each.reason, len(each.series)) for each in found.refusals] == [("not T1-weighted", 2)]
    assert found.chosen
    assert found.chosen.description == "T1 MPRAGE"
    stands_on = study.provenance(db, found)
    assert stands_on["bundle"]["trained"] is False
    assert stands_on["scanner"] == {"manufacturer": "SIEMENS", "model": "Skyra"}
    assert [each["kind"] for each in stands_on["output"]] == ["sr_comprehensive"]
    assert stands_on["answer"] == "key"
    assert found.as_json()["current"]["job"]["job_id"] == job.job_id


def test_a_study_that_is_only_received_has_facts_too(db: Database) -> None:
    stored.received(db)
    found = study.of_study(stored.folder(db), db, STUDY, after(60))
    assert (found.current, found.chosen, found.refusals, list(found.jobs)) == (None, None, (), [])
    assert study.provenance(db, found)["input"] == {"series_instance_uid": None, "sop_instance_uids": []}
    with pytest.raises(NotFound):
        study.of_study(stored.folder(db), db, "9.9", NOW)


# --- the node


def measures(*values: float) -> list[Tally]:
    """One an hour until now."""
    return [
        Tally("disk_used_percent", {}, NOW, value, NOW - timedelta(hours=len(values) - 1 - number))
        for number, value in enumerate(values)
    ]


def test_the_disk_is_forecast_by_the_line_through_the_last_week() -> None:
    full_at = state.forecast(measures(50, 51, 52, 53, 54, 55), 55, 90, NOW)
    assert full_at is not None
    assert abs((full_at - NOW).total_seconds() - 35 * 3600) < 1
    assert state.forecast(measures(55, 54, 53, 52, 51, 50), 50, 90, NOW) is None
    assert state.forecast(measures(50, 51), 51, 90, NOW) is None, "two hours are no trend"
    assert state.forecast(measures(50, 50, 50, 50, 50, 50.00001), 50, 90, NOW) is None, "in centuries"
    assert state.forecast([], 95, 90, NOW) == NOW


def test_the_node_says_what_it_is_made_of_what_is_late_and_what_is_held_up(db: Database, operator: Operator) -> None:
    folder = stored.folder(db)
    settings = SETTINGS.model_copy(update={"data_folder": folder.root})
    operator.hold_up(SwitchName.SENDING, "the PACS is moved")
    acts = {"sweep": {"succeeded_s_ago": 3.5, "trouble": None}, "disk": {"succeeded_s_ago": None, "trouble": "oh"}}
    with Heartbeat(folder.path("locks"), "office") as office, Heartbeat(folder.path("locks"), "worker-1") as worker:
        office.beat("ready", late=["disk"], acts=acts)
        worker.beat("ready", bundle="demo", device="cpu")
        found = state.of_node(settings, folder, db, NOW)
    assert found.late == ["office: disk is late"]
    assert [(each.name, each.succeeded_s_ago, each.trouble) for each in found.acts] == [
        ("sweep", 3.5, ""),
        ("disk", None, "oh"),
    ]
    assert found.workers["worker-1"]["device"] == "cpu"
    assert found.switches[SwitchName.SENDING].words.endswith("by anna: the PACS is moved")
    assert found.disk.total_bytes > found.disk.free_bytes > 0
    assert found.database_bytes > 0
    assert "torch" in found.versions


def test_the_folder_of_data_is_needed_for_a_key(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "nowhere")
    ledger = Ledger(folder, ())
    ledger.received("A", "h", Header(study_instance_uid=STUDY, accession_number="A-1"), Receipt.STORED, 1)
