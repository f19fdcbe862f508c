"""What each process of the node does for itself."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from node.process.hardening import RestartDelay


def run(code: str, **options: object) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, **options)  # type: ignore[call-overload,no-any-return]


def test_files_are_private_and_no_core_is_dumped(tmp_path: Path) -> None:
    made = tmp_path / "made"
    code = (
        "import node.process.hardening, resource, pathlib\n"
        "node.process.hardening.harden()\n"
        f"pathlib.Path({str(made)!r}).touch()\n"
        "print(resource.getrlimit(resource.RLIMIT_CORE))"
    )
    output, _ = run(code).communicate(timeout=30)
    assert made.stat().st_mode & 0o777 == 0o600
    assert output == "(0, 0)\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks_the_process_to_stop(number: signal.Signals) -> None:
    code = (
        "import node.process.hardening as ours\nstop = ours.stop_on_signals()\n"
        "print('up', flush=True)\nstop.wait()\nprint('end')"
    )
    process = run(code)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.send_signal(number)
    assert process.communicate(timeout=10)[0] == "end\n"
    assert process.returncode == 0


def test_a_second_interrupt_ends_a_process_that_does_not_stop() -> None:
    code = (
        "import node.process.hardening as ours, time\nours.stop_on_signals()\nprint('up', flush=True)\ntime.sleep(60)"
    )
    process = run(code)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
    process.stdout.close()


CHILDREN = {
    "end_with_parent": "node.process.hardening.end_with_parent(lambda: os._exit(0))",
    "die_with_parent": "node.process.hardening.die_with_parent(os.getppid())",
}


@pytest.mark.parametrize("way", CHILDREN)
def test_a_child_ends_when_its_parent_is_killed(way: str) -> None:
    child = f"import node.process.hardening, os, time; {CHILDREN[way]}; print(os.getpid(), flush=True); time.sleep(60)"
    parent = (
        "import subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, '-c', {child!r}], stdin=subprocess.PIPE)\n"
        "time.sleep(60)"
    )
    process = run(parent)
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    process.kill()
    process.wait()
    deadline = time.monotonic() + 10
    while _runs(pid):
        assert time.monotonic() < deadline, "the child outlived its parent"
        time.sleep(0.05)
    process.stdout.close()


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z" and pid != os.getpid()


def test_inference_is_the_first_to_go_when_memory_runs_out() -> None:
    """F25."""
    code = "import node.process.hardening as ours\nours.first_to_go()\nprint(open('/proc/self/oom_score_adj').read())"
    output, _ = run(code).communicate(timeout=30)
    assert int(output) >= 500


def test_each_restart_in_a_row_waits_longer_and_a_long_life_begins_anew() -> None:
    """F11."""
    delay = RestartDelay()
    waits = [delay.after(0.1) for _ in range(10)]
    assert waits == sorted(waits)
    assert waits[:3] == [1, 2, 4]
    assert waits[-1] == RestartDelay.LONGEST_S
    assert delay.after(3600) == 1
