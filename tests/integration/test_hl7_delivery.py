"""Results as HL7: a real receiver that takes, refuses, is silent, or goes away; and what it is told later."""

import ssl
import threading
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from node.config import DeliverySettings, Hl7Receiver, Settings
from node.deliver.courier import Courier
from node.hl7.receiver import ByHl7
from node.observe import jobs as job_facts
from node.observe.audit import Trail
from node.service.housekeeping import retract
from node.service.witness import Telling
from storage import Database, answers, outbox, queue, retraction
from storage.outbox import NewDelivery
from storage.records import Job
from storage.states import AnswerKind, DeliveryState, JobState
from tests import audit, mllp, stored
from tests.certificates import site
from tests.destination import wait_until
from tests.integration.test_delivery import CAPTURES, _encoded, now
from tests.mail import http_server
from tests.services import service, studies

PENDING, SENDING, SENT, COMMITTED, REFUSED = DeliveryState


class Line:
    """A node with one HL7 receiver."""

    def __init__(self, db: Database, port: int, timeout_s: float = 5.0, **values: Any) -> None:
        self.receiver = Hl7Receiver(**{"name": "ris", "host": "127.0.0.1", "port": port, **values})
        delivery = DeliverySettings(backoff_s=0.05, maximum_backoff_s=0.2, timeout_s=timeout_s)
        folder = stored.folder(db)
        self.settings = Settings(data_folder=folder.root, delivery=delivery, hl7=(self.receiver,))
        way = ByHl7(self.receiver, delivery.timeout_s, db)
        self.courier = Courier(self.receiver, way, self.settings, folder, db, threading.Event())
        self.db = db

    def carry(self, job: Job, *until: JobState) -> Job:
        """Rounds until the job is in one of these states."""

        def ended() -> bool:
            self.courier.round()
            return queue.get(self.db, job.job_id).state in until

        wait_until(ended, f"job {job.job_id} to be {until}", timeout_s=15)
        return queue.get(self.db, job.job_id)

    def retract(self) -> None:
        """What the office does now and then."""
        retract(self.settings, self.db)


def reported(
    db: Database, number: int = 1, kind: AnswerKind = AnswerKind.RESULT, names: tuple[str, ...] = ("ris",)
) -> Job:
    """One more answer of the study 1.2.3, and its report on the way to the receiver."""
    job = stored.queued(db, study="1.2.3", number=number, now=now())
    job = stored.claimed(db, now=now())
    result = _encoded(db, job, CAPTURES)
    deliveries = [NewDelivery(result.sop_instance_uid, name) for name in names]
    outcome = {"prediction": None}
    ended = outbox.complete(db, stored.folder(db), job, stored.answer(job, kind), [result], deliveries, outcome, now())
    for _, waiting in answers.waiting(db):  # the exam is over
        answers.publish_waiting(db, waiting, "nothing came for 3600 s", now())
    return ended


def said(ris: mllp.Receiver) -> list[tuple[str, str]]:
    """OBR-25, and OBX-11 of the probability, of each message."""
    return [(str(each.segment("OBR")(25)), str(each.segments("OBX")[0](11))) for each in ris.messages]


@pytest.mark.parametrize("answer", ["AA", "CA", mllp.OTHER])
def test_a_result_that_is_acknowledged_is_delivered(db: Database, answer: str) -> None:
    job = reported(db)
    with mllp.receiver(answer) as ris:
        assert Line(db, ris.port).carry(job, JobState.DONE).state is JobState.DONE
    (delivery,) = outbox.of_job(db, job.job_id)
    assert (delivery.state, delivery.attempt) == (SENT, 1)
    assert delivery.reason.endswith("told as first")
    (message,) = ris.messages
    assert str(message.segment("PID")(5)) == "Muster^Erika^^^^^L^A"
    facts = job_facts.of_job(stored.folder(db), db, job.job_id, now()).as_json()
    assert facts["deliveries"][0]["destination"] == "ris"
    assert "Muster" not in str(facts)


@pytest.mark.parametrize("answer", ["AE", "AR", "CE", "CR", mllp.NONSENSE])
def test_a_refusal_is_tried_a_few_times_and_ends_without_the_words_of_the_receiver(db: Database, answer: str) -> None:
    job = reported(db)
    with mllp.receiver(answer) as ris:
        failed = Line(db, ris.port).carry(job, JobState.FAILED)
        assert len(set(ris.control_ids)) == 1
        assert len(ris.messages) == 3
        assert "Muster" not in failed.reason
        ris.answers[:] = ["AA"]
        queue.retry(db, stored.folder(db), job.job_id, now())
        Line(db, ris.port).carry(job, JobState.DONE)
        assert len(set(ris.control_ids)) == 1


@pytest.mark.parametrize("answer", [mllp.NOTHING, mllp.CUT])
def test_a_receiver_that_does_not_answer_is_tried_until_it_does(db: Database, answer: str) -> None:
    job = reported(db)
    with mllp.receiver(answer, answer, "AA") as ris:
        line = Line(db, ris.port, timeout_s=0.5)
        line.courier.round()
        assert "acknowledgement" in line.courier.trouble
        assert line.courier.is_down
        line.carry(job, JobState.DONE)
        assert (line.courier.trouble, line.courier.is_down) == ("", False)
    assert len(ris.messages) >= 3
    assert len(set(ris.control_ids)) == 1


def test_a_receiver_that_is_down_gets_the_results_in_order_once_it_is_up(db: Database, free_port: Any) -> None:
    port = free_port()
    first, second = reported(db, 1), reported(db, 2)
    line = Line(db, port)
    line.courier.round()
    assert "Connection refused" in line.courier.trouble
    with mllp.receiver(port=port) as ris:
        line.carry(second, JobState.DONE)
        assert queue.get(db, first.job_id).state is JobState.DONE
    assert said(ris) == [("P", "X"), ("C", "X")]
    assert len(set(ris.control_ids)) == 2
    line.retract()
    assert retraction.untold(db, ["ris"]) == []


def test_the_audit_trail_hears_whom_a_result_was_told_and_whether_it_was_taken(db: Database, tmp_path: Path) -> None:
    job, file = reported(db), tmp_path / "audit.log"
    configured = Settings(data_folder=stored.folder(db).root, audit={"transport": "file", "file": file})
    with mllp.receiver("AE", "AA") as ris, Trail(configured, "office") as trail:
        line = Line(db, ris.port, receiving_facility="HOSPITAL", receiving_application="RIS")
        line.courier.witness = Telling(trail, line.receiver)
        line.carry(job, JobState.DONE)
    told = [audit.checked(audit.parsed(each)["body"]) for each in file.read_bytes().splitlines()]
    assert [(audit.user(each), audit.study(each)) for each in told] == [("|NEUROSSL", "1.2.3")] * 2
    text = file.read_text()
    assert text.count('EventOutcomeIndicator="4"') == text.count('EventOutcomeIndicator="0"') == 1
    assert text.count("HOSPITAL|RIS") == 2
    assert "Muster" not in text


def test_a_withdrawal_is_told_once_and_the_job_ends_again(db: Database) -> None:
    job = reported(db)
    with mllp.receiver() as ris:
        line = Line(db, ris.port)
        line.carry(job, JobState.DONE)
        queue.withdraw(db, job.job_id, "wrong head of Muster", now())
        line.retract()
        assert queue.get(db, job.job_id).state is JobState.REPORTED
        line.carry(job, JobState.DONE)
        line.retract()
        line.courier.round()
    assert said(ris) == [("P", "X"), ("C", "W")]
    assert b"wrong head" not in ris.raw[1]


def test_a_withdrawal_reaches_a_receiver_that_may_have_heard_and_spares_one_that_has_not(db: Database) -> None:
    heard = reported(db, names=("ris", "other"))
    with mllp.receiver(mllp.CUT, "AE", "AA") as ris:
        line = Line(db, ris.port)
        line.courier.round()
        queue.withdraw(db, heard.job_id, "wrong", now())
        assert queue.get(db, heard.job_id).state is JobState.CANCELLED
        assert [each.destination for each in retraction.untold(db, ["ris", "other"])] == ["ris"]
        line.retract()
        ended = line.carry(heard, JobState.DONE, JobState.CANCELLED, JobState.FAILED)
    assert ended.state is JobState.CANCELLED
    assert [status for _, status in said(ris)] == ["X", "W", "W"]


def test_a_result_that_gives_way_to_none_is_told_to_be_wrong(db: Database) -> None:
    job = reported(db)
    with mllp.receiver() as ris:
        line = Line(db, ris.port)
        line.carry(job, JobState.DONE)
        reported(db, 2, AnswerKind.OUT_OF_SCOPE, names=())
        line.retract()
        line.carry(job, JobState.DONE)
        again = reported(db, 3)
        line.retract()
        line.carry(again, JobState.DONE)
        line.retract()
        line.courier.round()
    assert said(ris) == [("P", "X"), ("C", "W"), ("C", "X")]


def test_a_message_goes_over_tls_and_not_to_whom_nobody_vouches_for(db: Database, tmp_path: Path) -> None:
    node, peer = site(tmp_path)
    (tmp_path / "stranger").mkdir()
    stranger, _ = site(tmp_path / "stranger")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(peer.certificate, peer.key)
    context.load_verify_locations(peer.authorities)
    context.verify_mode = ssl.CERT_REQUIRED
    job = reported(db)
    with mllp.receiver(context=context) as ris:
        wary = Line(db, ris.port, tls=stranger)
        wary.courier.round()
        assert "no TLS" in wary.courier.trouble
        assert ris.raw == []
        Line(db, ris.port, tls=node).carry(job, JobState.DONE)
    assert len(ris.messages) == 1


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_real_node_tells_probability_and_withdrawal_and_people_hear_of_a_killed_process(
    tmp_path: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the scanner to the information system, with no PACS; the log holds neither patient nor secret."""
    monkeypatch.setenv("NODE_SECRET", "geheim")
    with mllp.receiver() as ris, http_server() as hook:
        url = f"http://127.0.0.1:{hook.port}/"
        channel = {"name": "hook", "kind": "webhook", "url": url, "secret": "env:NODE_SECRET"}
        told = {"hl7": [{"name": "ris", "host": "127.0.0.1", "port": ris.port}]}
        notices = {"channels": [channel], "digest_s": 0, "pause_s": 0}
        with service(tmp_path, bundle, None, notifications=notices, **told) as node:
            ((study, paths),) = studies(tmp_path, 1).items()
            assert all(each.status == 0 for each in node.send(paths))
            job = node.ended(study)
            assert job.state is JobState.DONE
            prediction = (job.outcome or {})["prediction"]
            node.kill("listener")
            assert node.command("queue", "withdraw", str(job.job_id), "--reason", "wrong").returncode == 0
            wait_until(lambda: len(ris.raw) == 2, "the withdrawal", 60)

            def texts() -> str:
                return " ".join(body.decode() for _, body in hook.requests)

            wait_until(lambda: "Started anew: listener" in texts(), "word of the restart", 60)
            assert node.ended(study).state is JobState.DONE
            log = node.log.read_text()
    first, void = ris.messages
    probability = first.segments("OBX")[0]
    assert float(str(probability(5))) == pytest.approx(100 * prediction["probability"], abs=0.01)
    assert "UNTRAINED" in ris.raw[0].decode()
    assert str(void.segments("OBX")[0](11)) == "W"
    patient = str(dcmread(paths[0]).PatientName).partition("^")[0]
    assert patient in ris.raw[0].decode()
    assert patient not in log + texts()
    assert "geheim" not in log
