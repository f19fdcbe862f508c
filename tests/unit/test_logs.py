"""The log tells what happened, one line an event, and never quotes a data set."""

import json
import logging
import subprocess
import sys
import warnings
from collections.abc import Iterator

import pytest
import structlog
from pydicom import Dataset

from node import logs
from node.config import Log
from node.errors import UnreadableInstance


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root, hook = logging.getLogger(), sys.excepthook
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    sys.excepthook = hook
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_an_event_is_one_line_of_json_with_time_level_and_process(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Log(), "listener")
    structlog.get_logger().info("instance stored", sop_instance_uid="1.2.3")
    (line,) = lines(capsys)
    assert line["event"] == "instance stored"
    assert line["sop_instance_uid"] == "1.2.3"
    assert (line["level"], line["process"]) == ("info", "listener")
    assert str(line["timestamp"]).endswith("Z")


def test_a_level_below_the_configured_one_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Log(level="warning"), "listener")
    structlog.get_logger().info("instance stored")
    assert lines(capsys) == []


def test_the_text_of_a_librarys_record_is_withheld(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Log(level="debug"), "worker")
    for name in ("pydicom", "pynetdicom.dimse", "PIL.Image", "some.codec"):
        logging.getLogger(name).error("PatientName is %s", "Doe^Jane")
        logging.getLogger(name).info("PatientName is %s", "Doe^Jane")
    written = lines(capsys)
    assert [line["logger"] for line in written] == ["pydicom", "pynetdicom.dimse", "PIL.Image", "some.codec"]
    assert "Doe" not in json.dumps(written)


def test_pydicoms_warnings_about_values_do_not_get_out(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Log(level="debug"), "worker")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        Dataset().PatientBirthDate = "SECRETDATE"
        warnings.warn("SECRETDATE", stacklevel=1)
    assert "SECRET" not in capsys.readouterr().err


def test_an_exception_is_written_as_type_and_frames_without_a_foreign_text(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Log(), "worker")
    try:
        int("Doe^Jane")
    except ValueError:
        structlog.get_logger().exception("job failed", job_id=7)
    (line,) = lines(capsys)
    assert "Doe" not in json.dumps(line)
    assert str(line["error"]).startswith("ValueError")
    assert "test_logs.py" in str(line["frames"])


def test_the_text_of_our_own_exception_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Log(), "worker")
    structlog.get_logger().error("job failed", exc_info=UnreadableInstance("file of 1.2.3 is missing"))
    (line,) = lines(capsys)
    assert line["error"] == "UnreadableInstance: file of 1.2.3 is missing"


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_control_characters_cannot_forge_a_line_or_drive_a_terminal(
    capsys: pytest.CaptureFixture[str], log_format: str
) -> None:
    logs.configure(Log(format=log_format), "listener")
    title = "EVIL\r\n\x1b[2J\x00\x7f\x9b\u2028\u202e"
    structlog.get_logger().info("association rejected", calling_ae_title=title)
    written = capsys.readouterr().err
    assert written.count("\n") == 1
    assert set(written[:-1]).isdisjoint({"\r", "\x1b", "\x00", "\x7f", "\x9b", "\u2028", "\u202e"})


@pytest.mark.slow
def test_the_last_words_of_a_dying_process_quote_nothing() -> None:
    code = (
        "import node.logs, node.config, threading\n"
        "node.logs.configure(node.config.Log(), 'worker')\n"
        "thread = threading.Thread(target=lambda: int('Doe^Jane'))\n"
        "thread.start(); thread.join()\n"
        "int('Doe^John')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "Doe" not in ended.stderr
    assert len(ended.stderr.splitlines()) == 2


@pytest.mark.slow
def test_a_standard_error_that_cannot_be_written_stops_nobody() -> None:
    code = (
        "import node.logs, node.config, structlog\n"
        "node.logs.configure(node.config.Log(), 'worker')\n"
        "structlog.get_logger().info('x' * 100)\n"
        "print('still here')"
    )
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        ended = subprocess.run(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=full, text=True, check=False
        )
    assert ended.stdout == "still here\n"
