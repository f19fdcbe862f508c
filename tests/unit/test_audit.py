"""The audit trail: what it says, by which way, and that nobody waits for it."""

import socket
import ssl
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog

from node.config import Settings, Tls
from node.dicom.header import Header
from node.dicom.received import Receipt
from node.dimse.tls import server_context
from node.errors import ConfigurationError
from node.observe import audit_message, syslog
from node.observe.audit import Trail, note_configuration, trail_of
from node.observe.audit_message import AuditEvent
from node.service.ledger import Ledger
from node.service.witness import Reception
from storage import DataFolder
from tests import audit
from tests.certificates import site
from tests.destination import wait_until

AT = datetime(2026, 3, 29, 0, 59, 30, 123456, tzinfo=UTC)
MR, STUDY = "1.2.840.10008.5.1.4.1.1.4", "1.2.826.0.1.7"
US, PACS, HOST = "NEUROSSL", "PACS", "10.1.0.20"

EVENTS = {
    "start": (audit_message.activity(US, "service", audit_message.START), "110100", "110120"),
    "stop": (audit_message.activity(US, "service", audit_message.STOP), "110100", "110121"),
    "refused": (audit_message.association_refused(US, "EVIL\n<>", "::1", "calling AE"), "110113", "110126"),
    "refused before it spoke": (audit_message.association_refused(US, "", "", "no TLS"), "110113", "110126"),
    "configuration": (audit_message.configuration_changed(US, "0a", "0b"), "110113", "110131"),
    "received": (audit_message.received(US, PACS, HOST, STUDY, {MR: 48}), "110104", ""),
    "sending": (audit_message.sending_begins(US, PACS, "pacs.example", STUDY, {MR: 3}), "110102", ""),
    "sent": (audit_message.sent(US, PACS, HOST, STUDY, {MR: 2}, complete=False), "110104", ""),
    "told": (audit_message.exported("|NEUROSSL", "HIS|RIS", HOST, STUDY), "110106", ""),
    "deleted": (audit_message.study_deleted(US, STUDY), "110105", ""),
    "tried again": (audit_message.operated(US, "uid 0", STUDY, "retry"), "110103", ""),
    "held up": (audit_message.held_up(US, "uid 0", "intake on", "a new disk"), "110113", "110131"),
    "withdrawn": (audit_message.withdrawn(US, "uid 0", STUDY), "110103", ""),
}


def settings(folder: Path, **values: Any) -> Settings:
    return Settings(data_folder=folder, audit=values)


def event(number: int = 1) -> AuditEvent:
    return audit_message.study_deleted(US, f"{STUDY}.{number}")


@pytest.mark.parametrize("name", EVENTS)
def test_each_event_is_a_message_by_the_schema_of_the_standard(name: str) -> None:
    told, code, kind = EVENTS[name]
    message = audit.checked(audit_message.encode(told, US, AT))
    assert (audit.event(message), audit.kind(message)) == (code, kind)


def test_the_rules_notice_what_is_not_by_the_schema() -> None:
    good = audit_message.encode(EVENTS["received"][0], US, AT)
    for before, after in (
        (b"EventOutcomeIndicator", b"Outcome"),
        (b'UserIsRequestor="true"', b'UserIsRequestor="yes"'),
        (b"<ParticipantObjectName>study</ParticipantObjectName>", b""),
        (b'NumberOfInstances="48"', b'NumberOfInstances="many"'),
        (b"AuditSourceIdentification", b"ActiveParticipant"),
    ):
        assert before in good
        with pytest.raises(AssertionError):
            audit.checked(good.replace(before, after))


def test_a_transfer_says_from_whom_to_whom_which_study_and_how_many_and_no_patient() -> None:
    message = audit.checked(audit_message.encode(EVENTS["sent"][0], US, AT))
    people = [(each.get("UserID"), each.get("UserIsRequestor")) for each in message.iter("ActiveParticipant")]
    assert people == [(US, "true"), (PACS, "false")]
    assert [each.get("csd-code") for each in message.iter("RoleIDCode")] == ["110153", "110152"]
    assert (audit.study(message), audit.counts(message)) == (STUDY, {MR: 2})
    identification = message.find("EventIdentification")
    assert identification is not None
    assert identification.get("EventOutcomeIndicator") == "4"
    assert identification.get("EventDateTime") == "2026-03-29T00:59:30.123Z"
    patient = message.findall("ParticipantObjectIdentification")[1]
    assert patient.get("ParticipantObjectID") == patient.findtext("ParticipantObjectName") == "withheld"


def test_a_syslog_message_is_of_rfc_5424_and_its_severity_follows_the_outcome() -> None:
    parts = audit.parsed(syslog.message(b"<x/>", syslog.NOTICE, "listener", AT))
    assert parts["pri"] == b"85"  # facility 10, severity 5
    assert parts["at"] == b"2026-03-29T00:59:30.123456Z"
    assert (parts["app"], parts["id"], parts["body"]) == (b"neurossl-listener", b"DICOM+RFC3881", b"<x/>")
    assert audit.parsed(syslog.message(b"", syslog.WARNING, "x", AT))["pri"] == b"84"


def test_messages_go_by_udp(tmp_path: Path) -> None:
    with audit.udp_receiver() as receiver:
        chosen = settings(tmp_path, transport="udp", host="127.0.0.1", port=receiver.port)
        with trail_of(chosen, "service") as trail:
            trail.note(event())
        wait_until(lambda: len(receiver.raw) == 3, "three messages", 10)
    assert [audit.kind(each) or audit.study(each) for each in receiver.messages] == ["110120", f"{STUDY}.1", "110121"]


def test_messages_go_by_tcp_and_go_on_after_the_receiver_was_away(tmp_path: Path) -> None:
    with audit.stream_receiver() as first:
        chosen = settings(tmp_path, transport="tcp", host="127.0.0.1", port=first.port)
        trail = Trail(chosen, "service").__enter__()
        trail.note(event(1))
        wait_until(lambda: len(first.raw) == 1, "the first message", 10)
    trail.note(event(2))
    time.sleep(0.3)
    with audit.stream_receiver(port=first.port) as second:
        trail.note(event(3))
        wait_until(lambda: len(second.raw) == 2, "what waited", 20)
        trail.__exit__()
    assert [audit.study(each) for each in second.messages] == [f"{STUDY}.2", f"{STUDY}.3"]
    assert trail.lost == 0


def test_messages_go_by_tls_with_a_certificate_on_both_sides(tmp_path: Path) -> None:
    node, peer = site(tmp_path)
    with audit.stream_receiver(server_context(peer)) as receiver:
        chosen = settings(tmp_path, transport="tls", host="127.0.0.1", port=receiver.port, tls=node.model_dump())
        with Trail(chosen, "service") as trail:
            for number in range(50):
                trail.note(event(number))
        wait_until(lambda: len(receiver.raw) == 50, "all messages", 10)
    assert [audit.study(each) for each in receiver.messages] == [f"{STUDY}.{number}" for number in range(50)]


def test_a_receiver_with_a_certificate_of_strangers_hears_nothing(tmp_path: Path) -> None:
    node, _ = site(tmp_path / "ours")
    stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _, other = site(tmp_path / "theirs")
    stranger.load_cert_chain(other.certificate, other.key)
    with audit.stream_receiver(stranger) as receiver:
        chosen = settings(tmp_path, transport="tls", host="127.0.0.1", port=receiver.port, tls=node.model_dump())
        with Trail(chosen, "service") as trail:
            trail.note(event())
    assert (receiver.raw, trail.lost) == ([], 1)


def test_messages_go_to_a_file_for_this_user_alone_which_may_be_rotated(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    with Trail(settings(tmp_path, transport="file", file=file), "service") as trail:
        trail.note(event(1))
        wait_until(file.exists, "the file", 10)
        time.sleep(0.2)
        file.rename(tmp_path / "audit.log.1")
        trail.note(event(2))
    assert file.stat().st_mode & 0o777 == 0o600
    for path, number in ((tmp_path / "audit.log.1", 1), (file, 2)):
        (line,) = path.read_bytes().splitlines()
        assert audit.study(audit.checked(audit.parsed(line)["body"])) == f"{STUDY}.{number}"


@pytest.mark.parametrize("answers", ["nobody", "a receiver that reads nothing"])
def test_a_dead_receiver_delays_nothing_and_what_is_lost_is_counted_and_said(tmp_path: Path, answers: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        if answers == "nobody":
            listening.close()
        chosen = settings(tmp_path, transport="tcp", host="127.0.0.1", port=port, maximum_waiting=10)
        with structlog.testing.capture_logs() as logs:
            with Trail(chosen, "service") as trail:
                began_s = time.monotonic()
                for number in range(20_000):
                    trail.note(event(number))
                took_s = time.monotonic() - began_s
                began_s = time.monotonic()
            closing_s = time.monotonic() - began_s
    assert took_s < 20  # a second or less; each of them waiting for the receiver would take hours
    assert closing_s < 4
    assert trail.lost > 10_000
    said = [each["lost"] for each in logs if each["event"] == "audit messages lost"]
    assert sum(said) == trail.lost
    if answers == "nobody":
        assert trail.lost == 20_000


def test_without_a_receiver_nothing_runs(tmp_path: Path) -> None:
    threads = threading.active_count()
    with trail_of(settings(tmp_path), "service") as trail:
        trail.note(event())
        assert threading.active_count() == threads
    assert trail.lost == 0


def test_a_changed_configuration_is_noted_once_by_its_hash(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"
    first = settings(tmp_path, transport="file", file=file)
    second = first.model_copy(update={"stop_timeout_s": 19.0})
    for chosen in (first, first, second, second):
        with Trail(chosen, "service") as trail:
            note_configuration(trail, chosen)
    told = [audit.details(audit.checked(audit.parsed(line)["body"])) for line in file.read_bytes().splitlines()]
    assert len(told) == 2
    assert told[0]["before"] == "unknown"
    assert told[1]["before"] == told[0]["after"] != told[1]["after"]


@pytest.mark.parametrize(
    ("values", "missing"),
    [({"transport": "udp"}, "host"), ({"transport": "tls", "host": "h"}, "tls"), ({"transport": "file"}, "file")],
)
def test_a_way_without_what_it_needs_is_refused(values: dict[str, Any], missing: str) -> None:
    with pytest.raises(ValueError, match=missing):
        Settings(audit=values)


def test_tls_files_that_cannot_work_are_named_before_anything_starts(tmp_path: Path) -> None:
    gone = Tls(certificate=tmp_path / "a", key=tmp_path / "b", authorities=tmp_path / "c")
    with pytest.raises(ConfigurationError, match=r"audit\.tls\.certificate"):
        Trail(settings(tmp_path, transport="tls", host="127.0.0.1", tls=gone.model_dump()), "service")


def test_what_came_is_counted_by_association_which_is_a_thread_and_by_study(tmp_path: Path) -> None:
    file = tmp_path / "audit.log"

    def associate(reception: Reception, calling: str, uids: list[str], receipt: Receipt) -> None:
        for uid in uids:
            header = Header(sop_class_uid=MR, study_instance_uid=uid)
            reception.answered(calling, HOST, header, receipt, 1)
        reception.answered(calling, HOST, None, Receipt.UNPARSABLE, 1)
        reception.ended()

    with Trail(settings(tmp_path, transport="file", file=file), "listener") as trail:
        reception = Reception(trail, Ledger(DataFolder(tmp_path), ()))
        for arguments in (
            ("ONE", [STUDY, STUDY, "1.2.9"], Receipt.STORED),
            ("TWO", [STUDY], Receipt.HERE_ALREADY),
            ("THREE", [STUDY], Receipt.NO_ROOM),
        ):
            thread = threading.Thread(target=associate, args=(reception, *arguments))
            thread.start()
            thread.join()
    told = [audit.checked(audit.parsed(line)["body"]) for line in file.read_bytes().splitlines()]
    assert [(audit.user(each), audit.study(each), audit.counts(each)) for each in told] == [
        ("ONE", STUDY, {MR: 2}),
        ("ONE", "1.2.9", {MR: 1}),
        ("TWO", STUDY, {MR: 1}),
    ]
