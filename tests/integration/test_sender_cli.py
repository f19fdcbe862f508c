"""`neurossl send` and `neurossl echo`, as a person at a shell sees them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner

from node.cli import app
from node.dicom.received import Receipt, Received
from tests import factories, wire


@pytest.fixture(autouse=True)
def _listener_keeps_its_log_to_itself() -> Iterator[None]:
    """It runs in this process, where it would write among the output of the command."""
    with structlog.testing.capture_logs():
        yield


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Six instances in two folders, a text and a DICOMDIR."""
    series = factories.mr_series(slices=6, rows=32, columns=32)
    factories.write(series[:3], tmp_path / "study" / "a")
    factories.write(series[3:], tmp_path / "study" / "b" / "c")
    (tmp_path / "study" / "readme.txt").write_text("hello")
    directory = factories.mr_series(slices=1, rows=4, columns=4, SOPClassUID="1.2.840.10008.1.3.10")
    factories.write(directory, tmp_path / "study" / "dicomdir")
    return tmp_path / "study"


def run(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(each) for each in arguments], catch_exceptions=False)
    return done.exit_code, done.stdout


def test_a_folder_is_sent_to_its_depths(study: Path) -> None:
    got: list[str] = []

    def take(received: Received) -> Receipt:
        got.append(received.sop_instance_uid)
        return wire.take(received)

    with wire.listener(take) as server:
        code, text = run("send", study, "--to", f"NEUROSSL@127.0.0.1:{server.port}", "--calling", "TESTER")
    assert code == 0
    assert len(set(got)) == 6
    assert "6" in text
    assert "success (0x0000)" in text
    assert "2 files" in text


def test_one_file_is_sent_alone(study: Path) -> None:
    with wire.listener() as server:
        to = f"NEUROSSL@127.0.0.1:{server.port}"
        code, text = run("send", study / "a" / "00001.dcm", "--to", to, "--calling", "TESTER", "--json")
    assert code == 0
    assert json.loads(text)["instances"] == 1


def test_what_was_refused_is_named_and_is_exit_code_1(study: Path) -> None:
    def refuse_one(received: Received) -> Receipt:
        wire.take(received)
        return next(answers)

    answers = iter([Receipt.STORED, Receipt.NO_ROOM, Receipt.UNPARSABLE, *[Receipt.STORED] * 3])
    with wire.listener(refuse_one) as server:
        to = f"NEUROSSL@127.0.0.1:{server.port}"
        code, text = run("send", study, "--to", to, "--calling", "TESTER", "--json")
    facts = json.loads(text)
    assert code == 1
    assert (facts["instances"], facts["accepted"]) == (6, 4)
    assert facts["outcomes"] == {
        "success (0x0000)": 4,
        "out of resources (0xA700)": 1,
        "cannot understand (0xC000)": 1,
    }
    assert [(each["status"], each["transient"]) for each in facts["refused"]] == [(0xA700, True), (0xC000, False)]
    assert facts["refused"][0]["path"].endswith("a/00002.dcm")
    assert len(facts["skipped"]) == 2


def test_a_peer_that_does_not_know_us_is_exit_code_1(study: Path) -> None:
    with wire.listener() as server:
        code, text = run("send", study, "--to", f"NEUROSSL@127.0.0.1:{server.port}", "--calling", "STRANGER")
    assert code == 1
    assert "1/1/3" in text


def test_a_folder_without_dicom_is_exit_code_1(tmp_path: Path) -> None:
    code, text = run("send", tmp_path, "--to", "PACS@127.0.0.1:104")
    assert code == 1
    assert "no DICOM instance" in text


def test_an_echo_is_answered_with_its_time() -> None:
    with wire.listener() as server:
        code, text = run("echo", f"NEUROSSL@127.0.0.1:{server.port}", "--calling", "TESTER")
        assert code == 0
        assert "answers in" in text
        code, text = run("echo", f"NEUROSSL@127.0.0.1:{server.port}", "--calling", "TESTER", "--json")
        assert json.loads(text)["milliseconds"] > 0
        code, text = run("echo", f"OTHER@127.0.0.1:{server.port}", "--calling", "TESTER")
        assert code == 1
        assert "1/1/7" in text


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:104", "PACS@127.0.0.1", "PACS@:104", "PACS@h:0", "PACS@h:70000", "PACS@h:x", "LONGER-THAN-SIXTEEN@h:1"],
)
def test_an_address_that_is_none_is_told_before_anything_is_sent(address: str) -> None:
    code, _ = run("echo", address)
    assert code == 2


def test_ipv6_and_incomplete_tls() -> None:
    with wire.listener(host="::1") as server:
        assert run("echo", f"NEUROSSL@[::1]:{server.port}", "--calling", "TESTER")[0] == 0
        assert run("echo", f"NEUROSSL@[::1]:{server.port}", "--tls-key", "x.pem")[0] == 2
