"""Signs of life in the data folder."""

import json
import os
from contextlib import suppress
from pathlib import Path

import pytest

from node.process import heartbeat
from node.process.heartbeat import STALE_S, Heartbeat, pulse, pulses


def test_a_process_that_beats_is_alive_and_tells_its_facts(tmp_path: Path) -> None:
    with Heartbeat(tmp_path, "listener") as heart:
        heart.beat("ready", port=11112)
        sign = pulse(tmp_path, "listener")
    assert sign is not None
    assert (sign.state, sign.pid, sign.facts, sign.beats) == ("ready", os.getpid(), {"port": 11112}, True)


def test_a_process_that_stopped_or_fell_silent_is_not_alive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Heartbeat(tmp_path, "office"):
        pass
    heart = Heartbeat(tmp_path, "listener")
    heart.beat()
    now = heartbeat.time.monotonic()
    monkeypatch.setattr(heartbeat.time, "monotonic", lambda: now + STALE_S + 1)
    assert [(each.role, each.beats) for each in pulses(tmp_path)] == [("listener", False), ("office", False)]


def test_a_process_that_failed_is_not_taken_for_one_that_was_stopped(tmp_path: Path) -> None:
    with suppress(RuntimeError), Heartbeat(tmp_path, "office"):
        raise RuntimeError
    sign = pulse(tmp_path, "office")
    assert sign is not None
    assert (sign.state, sign.beats) == ("failed", False)


def test_a_sign_from_before_this_boot_is_not_alive(tmp_path: Path) -> None:
    heart = Heartbeat(tmp_path, "office")
    heart.beat()
    path = tmp_path / "office.alive"
    path.write_text(json.dumps({**json.loads(path.read_text()), "boot": "another"}))
    sign = pulse(tmp_path, "office")
    assert sign is not None
    assert not sign.beats


def test_a_sign_is_written_over_the_last_one_without_growing(tmp_path: Path) -> None:
    heart = Heartbeat(tmp_path, "worker-1")
    sizes = set()
    for length in (1, 3000, 2, 100_000, 0):
        heart.beat("ready", stage="x" * length)
        sizes.add((tmp_path / "worker-1.alive").stat().st_size)
        sign = pulse(tmp_path, "worker-1")
        assert sign is not None
        assert sign.state == "ready"
    assert sizes == {heartbeat.LENGTH_BYTES}


def test_the_signs_of_the_dead_are_forgotten_on_request(tmp_path: Path) -> None:
    with Heartbeat(tmp_path, "worker-2"):
        pass
    heart = Heartbeat(tmp_path, "listener")
    heart.beat()
    heartbeat.forget_the_dead(tmp_path)
    assert [each.role for each in pulses(tmp_path)] == ["listener"]


def test_what_cannot_be_read_is_no_sign(tmp_path: Path) -> None:
    (tmp_path / "office.alive").write_bytes(b"\x00garbage")
    assert pulses(tmp_path) == ()
    assert pulse(tmp_path, "nobody") is None
