"""Every engine computes what the two network classes compute; where one differs, it is by rounding."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from model import engine as engines
from model.bundle import Bundle
from model.calibration import probability
from model.errors import DeviceError, DeviceOutOfMemory
from model.folding import FoldedEncoder, folded_projector, upper
from model.manifest import Architecture
from model.network import load
from model.onepass import OnePass
from model.openvino_engine import OpenVinoEngine, bfloat16, computes_in
from model.predictor import choose
from model.rollout import RolloutOrder, rollout
from model.slicing import normalise
from model.torch_engine import TorchEngine, fitted_batch, in_batches, padded, torch_device
from model.uncertainty import DropoutHead
from tests import bundles

ARCHITECTURES = [bundles.SMALL, bundles.REDUCED]
ORDERS = [*RolloutOrder]


def by_the_classes(bundle: Bundle, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logits and rollout from the network as it is written."""
    network = load(bundle)
    with torch.inference_mode():
        tokens, _, attentions = network.encoder(torch.from_numpy(images), return_all_tokens=True)
        return network.classify(tokens).numpy(), rollout(attentions, bundle.manifest.rollout_order).numpy()


def answer(engine: engines.Engine, bundle: Bundle, images: np.ndarray, samples: int = 4) -> engines.Answer:
    masks = DropoutHead.read(bundle.weights.read).masks(b"a study", samples, bundle.manifest.architecture.dropout)
    return engine.answer(images, masks)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_openvino_answers_as_the_classes_do(architecture: Architecture, order: RolloutOrder) -> None:
    bundle = bundles.bundle(architecture, rollout_order=order)
    images = normalise(bundles.pixels(5))
    logits, maps = by_the_classes(bundle, images)
    found = answer(OpenVinoEngine(bundle), bundle, images)
    np.testing.assert_allclose(found.logits[0], logits, atol=2e-5)
    np.testing.assert_allclose(found.rollout, maps, atol=1e-6)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_torch_answers_as_the_classes_do(architecture: Architecture, order: RolloutOrder) -> None:
    bundle = bundles.bundle(architecture, rollout_order=order)
    images = normalise(bundles.pixels(11))
    logits, maps = by_the_classes(bundle, images)
    found = answer(TorchEngine(bundle, "cpu", way="eager"), bundle, images)
    np.testing.assert_allclose(found.logits[0], logits, atol=2e-5)
    np.testing.assert_allclose(found.rollout, maps, atol=1e-6)


def test_engines_agree_on_every_dropout_sample() -> None:
    bundle, images = bundles.bundle(), normalise(bundles.pixels(3))
    first = answer(OpenVinoEngine(bundle), bundle, images, samples=20)
    second = answer(TorchEngine(bundle, "cpu", way="eager"), bundle, images, samples=20)
    assert first.logits.shape == (21, 3, 2)
    np.testing.assert_allclose(first.logits, second.logits, atol=2e-5)
    assert np.ptp(first.logits[1:, 0, 0]) > 0.01


@pytest.mark.parametrize("count", [1, 2, 7, 70])
def test_a_slice_has_the_same_answer_in_any_company(count: int) -> None:
    bundle = bundles.bundle()
    engine, images = OpenVinoEngine(bundle, threads=2), normalise(bundles.pixels(count))
    found = answer(engine, bundle, images)
    alone = answer(engine, bundle, images[-1:])
    np.testing.assert_allclose(found.logits[:, -1:], alone.logits, atol=1e-5)
    np.testing.assert_allclose(found.rollout[-1:], alone.rollout, atol=1e-7)


@pytest.mark.parametrize("threads", [1, 3])
def test_the_number_of_threads_changes_no_number(threads: int) -> None:
    bundle, images = bundles.bundle(), normalise(bundles.pixels(4))
    found = answer(OpenVinoEngine(bundle, threads=threads), bundle, images)
    np.testing.assert_allclose(
        found.logits, answer(OpenVinoEngine(bundle, threads=2), bundle, images).logits, atol=1e-6
    )


@pytest.mark.skipif(not computes_in("bfloat16"), reason="this CPU has no bfloat16")
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_bfloat16_stays_near_float32(architecture: Architecture) -> None:
    bundle, images = bundles.bundle(architecture), normalise(bundles.pixels(6))
    exact = by_the_classes(bundle, images)
    for engine in (OpenVinoEngine(bundle, "bfloat16"), TorchEngine(bundle, "cpu", "bfloat16", "eager")):
        found = answer(engine, bundle, images)
        assert engine.precision == "bfloat16"
        assert np.abs(probability(found.logits[0]) - probability(exact[0])).max() < 0.02
        assert 0 < np.abs(found.rollout - exact[1]).max() < 2e-3


def test_progress_counts_up_to_all_slices() -> None:
    bundle, images = bundles.bundle(), normalise(bundles.pixels(5))
    masks = DropoutHead.read(bundle.weights.read).masks(b"", 2, 0.3)
    heard: list[tuple[int, int]] = []
    OpenVinoEngine(bundle, threads=1).answer(images, masks, lambda *done: heard.append(done))
    assert heard == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]


def test_the_folded_projector_is_the_whole_one_on_symmetric_matrices() -> None:
    bundle = bundles.bundle()
    folded = np.empty((192, 48 * 49 // 2), np.float32)
    for rows, half in folded_projector(bundle):
        folded[rows] = half
    random = np.random.default_rng(0).standard_normal((48, 48)).astype(np.float32)
    symmetric = random + random.T
    whole = bundle.weights.read("cov_proj.0.weight") @ symmetric.ravel()
    np.testing.assert_allclose(folded @ symmetric.ravel()[upper(48)], whole, rtol=1e-4, atol=1e-4)


def test_folding_keeps_one_start_for_each_token() -> None:
    bundle = bundles.bundle()
    folded, encoder = FoldedEncoder.of(bundle), load(bundle).encoder
    with torch.inference_mode():
        start = encoder.embed(torch.zeros(1, 1, 64, 64))[0]
    np.testing.assert_allclose(folded.start, start, atol=1e-6)


def test_the_upper_half_is_counted_row_by_row() -> None:
    matrix = np.arange(16).reshape(4, 4)
    assert matrix.ravel()[upper(4)].tolist() == matrix[np.triu_indices(4)].tolist()


def test_bfloat16_rounds_to_the_nearest_as_torch_does() -> None:
    values = np.random.default_rng(0).standard_normal(10_000).astype(np.float32)
    ours = bfloat16(values).astype(np.uint32) << 16
    assert np.array_equal(ours.view(np.float32), torch.from_numpy(values).bfloat16().float().numpy())


def test_auto_is_float32_and_says_what_it_chose() -> None:
    chosen = choose(bundles.bundle(), "cpu", "auto", 1)
    assert (chosen.name, chosen.device, chosen.precision) == ("OpenVINO", "cpu", "float32")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_an_error_and_not_another_device() -> None:
    for device in ("cuda", "cuda:1"):
        with pytest.raises(DeviceError, match="finds no CUDA device"):
            choose(bundles.bundle(), device)
    assert choose(bundles.bundle(), "auto", threads=1).device == "cpu"


def test_a_cuda_device_beyond_the_last_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert torch_device("cuda") == torch.device("cuda", 0)
    assert torch_device("cuda:1").index == 1
    with pytest.raises(DeviceError, match="cuda:2: this machine has 2 CUDA devices"):
        torch_device("cuda:2")


@pytest.mark.parametrize(
    ("device", "precision"), [("tpu", "auto"), ("cpu", "int8"), ("cpu", "float16"), ("cpu", "tf32")]
)
def test_what_cannot_be_computed_is_refused_by_name(device: str, precision: str) -> None:
    with pytest.raises(DeviceError):
        choose(bundles.bundle(), device, precision)


def test_bfloat16_is_refused_where_the_cpu_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.openvino_engine.computes_in", lambda precision: precision == "float32")
    with pytest.raises(DeviceError, match="does not compute in bfloat16"):
        choose(bundles.bundle(), "cpu", "bfloat16")


class Device:
    """Has room for so many slices at once."""

    def __init__(self, room: int) -> None:
        self.room, self.tried, self.done, self.forgotten = room, [], [], 0

    def run(self, images: np.ndarray) -> None:
        self.tried.append(len(images))
        if len(images) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.done.extend(images[:, 0, 0, 0].tolist())

    def forget(self) -> None:
        self.forgotten += 1


def test_a_batch_that_does_not_fit_is_halved_and_no_slice_is_lost_or_repeated() -> None:
    device, images = Device(room=5), np.arange(21, dtype=np.float32).reshape(21, 1, 1, 1)
    assert in_batches(images, 16, device.run, device.forget) == 4
    assert device.done == [*range(21)]
    assert device.tried == [16, 8, 4, 4, 4, 4, 4, 1]
    assert device.forgotten == 2


def test_a_single_slice_that_does_not_fit_is_the_end() -> None:
    device = Device(room=0)
    with pytest.raises(DeviceOutOfMemory, match="no room for a single slice"):
        in_batches(np.zeros((3, 1, 1, 1), np.float32), 4, device.run, device.forget)
    assert device.tried == [3, 2, 1]
    assert device.forgotten == 3


def test_memory_that_runs_out_once_costs_speed_and_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    bundle, images = bundles.bundle(), normalise(bundles.pixels(9))
    engine = TorchEngine(bundle, "cpu", way="eager")
    whole, calls = OnePass.forward, []

    def short_of_memory(self: OnePass, part: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        calls.append(len(part))
        if len(part) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(self, part)

    monkeypatch.setattr(OnePass, "forward", short_of_memory)
    found = answer(engine, bundle, images)
    np.testing.assert_allclose(found.logits[0], by_the_classes(bundle, images)[0], atol=2e-5)
    assert calls[:3] == [8, 4, 2]


@pytest.mark.parametrize(("count", "batch", "size"), [(1, 256, 1), (3, 256, 4), (61, 256, 64), (61, 32, 32), (5, 4, 4)])
def test_few_batch_sizes_are_ever_captured(count: int, batch: int, size: int) -> None:
    assert padded(count, batch) == size


def test_the_batch_fits_into_half_of_the_free_memory() -> None:
    for free in (2**28, 2**31, 2**37):
        batch = fitted_batch(free, 30 * 2**20)
        assert batch == 1 or batch * 30 * 2**20 <= free / 2


@pytest.mark.slow
def test_the_cpu_worker_needs_no_torch() -> None:
    code = (
        "import sys; from model import Bundle, Predictor, Volume; from tests import bundles;"
        "Predictor(bundles.bundle(), 'cpu'); Predictor(bundles.bundle(), 'auto');"
        "sys.exit('torch' in sys.modules)"
    )
    if torch.cuda.is_available():
        pytest.skip("auto would rightly import torch here")
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", engines.PRECISIONS)
def test_cuda_answers_as_the_cpu_does(precision: str) -> None:
    bundle, images = bundles.bundle(bundles.FULL_FIELD), normalise(bundles.pixels(37, 224))
    exact = answer(OpenVinoEngine(bundle), bundle, images)
    found = answer(TorchEngine(bundle, "cuda", precision), bundle, images)
    atol = 1e-4 if precision == "float32" else 0.02
    np.testing.assert_allclose(probability(found.logits), probability(exact.logits), atol=atol)
    np.testing.assert_allclose(found.rollout, exact.rollout, atol=atol)
