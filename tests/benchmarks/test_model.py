"""What the model costs. The numbers to quote come from `neurossl model benchmark` on a quiet machine; these bounds are
wide enough for a busy one and still fail when something that was left out creeps back in."""

import time
from pathlib import Path

import numpy as np
import pytest

from model import Bundle, benchmark
from model.manifest import Architecture
from model.openvino_engine import OpenVinoEngine
from model.uncertainty import DropoutHead

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the published shape, random weights."""
    folder = tmp_path_factory.mktemp("published")
    Bundle.untrained(2025, "published").save(folder)
    yield folder
    (folder / "weights.safetensors").unlink()


def child(folder: Path, kind: str, engine: str, slices: int = 8) -> dict[str, object]:
    """One row of the benchmark, in a process of its own."""
    way = {"kind": kind, "engine": engine, "precision": "float32"}
    return benchmark.in_child(
        {"task": "way", "bundle": str(folder), "device": "cpu", "slices": slices, "repeats": 1, "way": way}
    )


def test_the_full_answer_needs_far_less_time_and_memory_than_the_card_s_way(folder: Path) -> None:
    card, ours = child(folder, benchmark.CARD, "torch eager", 1), child(folder, benchmark.OURS, "OpenVINO")
    assert ours["ms"] < card["ms"] / 8
    assert ours["memory_mib"] < 0.7 * card["memory_mib"]
    assert np.abs(np.subtract(ours["logits"][:1], card["logits"])).max() < 1e-4


def test_dropout_samples_and_rollout_add_little_to_one_pass(folder: Path) -> None:
    bundle = Bundle.load(folder)
    engine, head = OpenVinoEngine(bundle, threads=1), DropoutHead.read(bundle.weights.read)
    pixels = benchmark.images(8, 224)
    encoded = engine.encode(pixels)
    masks = head.masks(b"a study", 10, 0.3)
    encoder_s = cpu_seconds(lambda: engine.encode(pixels))
    head_s = cpu_seconds(lambda: head.logits(encoded.cls, encoded.hidden, masks))
    assert head_s < 0.05 * encoder_s


def test_the_engine_is_ready_in_seconds(folder: Path) -> None:
    bundle = Bundle.load(folder)
    assert cpu_seconds(lambda: OpenVinoEngine(bundle), repeats=1) < 20


def test_the_work_of_a_slice_is_what_is_divided_by() -> None:
    assert benchmark.flop(Architecture()) == pytest.approx(9.41e9, rel=0.01)


def cpu_seconds(act: object, repeats: int = 3) -> float:
    """The least processor time of some calls: what others do on the machine counts little."""
    taken = []
    for _ in range(repeats):
        began = time.process_time()
        act()
        taken.append(time.process_time() - began)
    return min(taken)
