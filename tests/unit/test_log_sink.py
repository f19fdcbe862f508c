"""A reader of the log that stalls stops nobody: lines are dropped, and counted."""

import json
import logging
import os
import subprocess
import sys
import time

import pytest

from node.log_sink import Sink
from tests.destination import wait_until


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("node", logging.INFO, "", 0, text, None, None)


def rest_of(reading: int, writing: int) -> list[str]:
    """Everything that comes out of a pipe once it is closed."""
    os.close(writing)
    with os.fdopen(reading) as file:
        return file.read().splitlines()


def test_a_full_pipe_drops_lines_and_the_next_one_that_gets_out_counts_them() -> None:
    reading, writing = os.pipe()
    sink = Sink("listener", writing, most_lines=10)
    began_s = time.monotonic()
    for number in range(300):
        sink.emit(record(f"{number} " + "x" * 1000))
    assert time.monotonic() - began_s < 1
    assert sink.dropped > 150
    read = bytearray()
    while sink.dropped:
        read += os.read(reading, 4096)
    sink.flush()
    lines = (read.decode() + "\n".join(rest_of(reading, writing))).splitlines()
    (told,) = [json.loads(line) for line in lines if line.startswith("{")]
    assert (told["level"], told["process"]) == ("warning", "listener")
    assert told["lines"] == 300 - (len(lines) - 1)


def test_lines_keep_their_order_and_all_of_them_get_out_when_somebody_reads() -> None:
    reading, writing = os.pipe()
    sink = Sink("listener", writing)
    for number in range(500):
        sink.emit(record(str(number)))
    sink.flush()
    assert rest_of(reading, writing) == [str(number) for number in range(500)]


def test_a_reader_that_has_gone_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    sink = Sink("listener", writing)
    sink.emit(record("to nobody"))
    sink.flush()
    wait_until(lambda: not sink._lines.unfinished_tasks, "the line to be dropped", 5)
    os.close(writing)


@pytest.mark.slow
def test_a_process_whose_log_nobody_reads_ends_all_the_same() -> None:
    code = (
        "import node.logs, node.config, structlog\n"
        "node.logs.configure(node.config.Log(), 'worker')\n"
        "for number in range(5000): structlog.get_logger().info('x' * 100)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) as process:
        assert process.wait(30) == 0
