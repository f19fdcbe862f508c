"""How full an accelerator is: said by the process that holds it, at its start, while it works and while it waits."""

import json
import os
from io import BytesIO

import pytest

from model.engine import DeviceMemory
from node.work import inference
from node.work.inference import Teller


class Card:
    """A predictor on a device whose memory fills by a MiB each time it is asked for."""

    def __init__(self) -> None:
        self.used_mib = 0

    @property
    def memory(self) -> DeviceMemory | None:
        """So far."""
        self.used_mib += 1
        return DeviceMemory("A Card", self.used_mib << 20, 80 << 20)


def said(channel: BytesIO) -> list[str]:
    return [json.loads(line)["kind"] for line in channel.getvalue().splitlines()]


def test_each_stage_tells_how_full_the_device_is() -> None:
    channel, card = BytesIO(), Card()
    tell = Teller(channel, lambda: inference._tell_device(card, channel))  # type: ignore[arg-type]
    for done in (1, 2, 3):
        tell("predicts", done, 3)
    assert said(channel) == ["progress", "device"]
    told = json.loads(channel.getvalue().splitlines()[1])
    assert (told["name"], told["used_mib"], told["total_mib"]) == ("A Card", 1, 80)


def test_of_a_processor_nothing_is_said() -> None:
    class Processor:
        memory = None

    channel = BytesIO()
    inference._tell_device(Processor(), channel)  # type: ignore[arg-type]
    assert channel.getvalue() == b""


def test_while_no_task_comes_the_device_is_looked_at_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[str] = []
    reading, writing = os.pipe()

    def look() -> None:
        looks.append("idle")
        if len(looks) == 3:
            os.write(writing, b"a task\n")

    monkeypatch.setattr(inference, "IDLE_S", 0.01)
    with os.fdopen(reading) as tasks:
        monkeypatch.setattr("sys.stdin", tasks)
        assert inference._next_line(look) == b"a task\n"
        os.close(writing)
        assert inference._next_line(look) == b""
    assert looks == ["idle"] * 3
