"""Held against the recorded answers of the published network, with its 249 million weights filled from a seed."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from model import Bundle, MultiScaleViT2DEncoder, SecondOrderClassifier
from model.calibration import probability
from model.hub import find
from model.importer import import_checkpoint
from model.manifest import Manifest
from model.network import load
from model.onepass import OnePass
from model.openvino_engine import OpenVinoEngine, computes_in
from model.rollout import RolloutOrder, rollout
from model.slicing import normalise
from model.uncertainty import DropoutHead

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
SAMPLES = 200


@pytest.fixture(scope="module")
def filling(reference: Path) -> ModuleType:
    """The functions that make weights and images from a seed."""
    spec = importlib.util.spec_from_file_location("fill", reference / "fill.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def expected(reference: Path) -> dict[str, np.ndarray]:
    """What the published network answered."""
    recorded = json.loads((reference / "expected_2025.json").read_text())
    return {name: np.asarray(value) for name, value in recorded.items()}


@pytest.fixture(scope="module")
def checkpoint(reference: Path, filling: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`checkpoint_best.pt` in the published format, beside a JPEG."""
    folder = tmp_path_factory.mktemp("published")
    shapes = {name: tuple(shape) for name, shape in json.loads((reference / "state_dict.json").read_text()).items()}
    weights = filling.fill(shapes, 2025)
    state = {name: torch.from_numpy(value) for name, value in weights.items()}
    torch.save({"model_state": state, "epoch": 20, "val_auc": np.float64(0.893)}, folder / "checkpoint_best.pt")
    Image.fromarray(filling.images(2025)[0]).save(folder / "brain_mri.jpg", quality=95)
    yield folder / "checkpoint_best.pt"
    (folder / "checkpoint_best.pt").unlink()


@pytest.fixture(scope="module")
def bundle(checkpoint: Path) -> Bundle:
    """The checkpoint, imported and saved, with as many dropout samples as were recorded."""
    manifest = Manifest.checked(trained=True, dropout_samples=SAMPLES)
    import_checkpoint(find(str(checkpoint)), manifest).save(checkpoint.parent / "bundle")
    yield Bundle.load(checkpoint.parent / "bundle")
    (checkpoint.parent / "bundle" / "weights.safetensors").unlink()


@pytest.fixture(scope="module")
def images(filling: ModuleType, expected: dict[str, np.ndarray]) -> np.ndarray:
    """The two images, normalised."""
    pixels = filling.images(2025)
    np.testing.assert_allclose(pixels.mean(axis=(1, 2)), expected["image_mean"])
    return normalise(pixels)


def close(found: np.ndarray, wanted: np.ndarray, atol: float = 1e-4) -> None:
    np.testing.assert_allclose(np.asarray(found).reshape(wanted.shape), wanted, atol=atol, rtol=0)


def test_names_and_shapes_are_the_published_ones(reference: Path) -> None:
    with torch.device("meta"):
        state = SecondOrderClassifier(MultiScaleViT2DEncoder()).state_dict()
    recorded = json.loads((reference / "state_dict.json").read_text())
    assert {name: list(value.shape) for name, value in state.items()} == recorded


def test_the_two_classes_give_the_recorded_answers(
    bundle: Bundle, images: np.ndarray, expected: dict[str, np.ndarray]
) -> None:
    network = load(bundle)
    with torch.inference_mode():
        logits = network(torch.from_numpy(images))
        features = network.features(torch.from_numpy(images))
        attentions = network.encoder(torch.from_numpy(images), return_all_tokens=True)[2]
    close(logits, expected["logits"])
    close(probability(logits.numpy()), expected["probability_T1"])
    close(probability(logits.numpy(), 1.6995), expected["probability_calibrated"])
    close(features.cls[:, :8], expected["cls_first8"])
    close(features.second_order[:, :8], expected["second_order_first8"])
    close(features.multi_scale[:, :8], expected["multi_scale_first8"])
    for order in RolloutOrder:
        close(rollout(attentions, order), expected[f"rollout_{order}"], atol=1e-7)


def test_openvino_gives_the_recorded_answers(
    bundle: Bundle, images: np.ndarray, expected: dict[str, np.ndarray]
) -> None:
    engine, head = OpenVinoEngine(bundle), DropoutHead.read(bundle.weights.read)
    encoded = engine.encode(images)
    logits = engine.answer(images, head.masks(b"a study", SAMPLES, 0.3)).logits
    close(logits[0], expected["logits"])
    close(encoded.cls[:, :8], expected["cls_first8"])
    close(head.second_order(encoded.hidden)[:, :8], expected["second_order_first8"])
    close(encoded.rollout, expected["rollout_last_to_first"], atol=1e-7)
    samples = probability(logits[1:])
    sampling_error = np.hypot(1, 1) * expected["mc200_std"] / SAMPLES**0.5  # ours and theirs
    assert (np.abs(samples.mean(axis=0) - expected["mc200_mean"]) < 4 * sampling_error).all()
    assert (np.abs(samples.std(axis=0) - expected["mc200_std"]) < 4 * sampling_error).all()


@pytest.mark.skipif(not computes_in("bfloat16"), reason="this CPU has no bfloat16")
def test_openvino_in_bfloat16_keeps_probabilities_within_a_hundredth(
    bundle: Bundle, images: np.ndarray, expected: dict[str, np.ndarray]
) -> None:
    engine, head = OpenVinoEngine(bundle, "bfloat16"), DropoutHead.read(bundle.weights.read)
    logits = engine.answer(images, head.masks(b"a study", 2, 0.3)).logits[0]
    close(probability(logits), expected["probability_T1"], atol=0.01)
    close(probability(logits, 1.6995), expected["probability_calibrated"], atol=0.01)


def test_the_folded_network_in_torch_gives_the_recorded_answers(
    bundle: Bundle, images: np.ndarray, expected: dict[str, np.ndarray]
) -> None:
    network, head = OnePass(bundle, torch.device("cpu"), torch.float32), DropoutHead.read(bundle.weights.read)
    with torch.inference_mode():
        cls, hidden, row = (each.numpy() for each in network(torch.from_numpy(images)))
    close(head.logits(cls, hidden, head.masks(b"", 2, 0.3))[0], expected["logits"])
    close(row, expected["rollout_last_to_first"], atol=1e-7)


def test_half_precision_weights_keep_probabilities_within_a_hundredth(
    checkpoint: Path, images: np.ndarray, expected: dict[str, np.ndarray]
) -> None:
    made = import_checkpoint(find(str(checkpoint)), Manifest(trained=True), half=True)
    with torch.inference_mode():
        logits = load(made)(torch.from_numpy(images)).numpy()
    close(probability(logits), expected["probability_T1"], atol=0.01)


def test_dropout_as_torch_samples_it_has_the_recorded_spread(
    bundle: Bundle, images: np.ndarray, expected: dict[str, np.ndarray]
) -> None:
    torch.manual_seed(0)
    network = load(bundle)
    with torch.inference_mode():
        tokens = network.encoder(torch.from_numpy(images))
        for layer in network.modules():
            layer.train(isinstance(layer, nn.Dropout))
        samples = np.stack([probability(network.classify(tokens).numpy()) for _ in range(60)])
    error = expected["mc200_std"] * (1 / 60 + 1 / SAMPLES) ** 0.5
    assert (np.abs(samples.mean(axis=0) - expected["mc200_mean"]) < 4 * error).all()


USAGE = """
import numpy as np
import torch
from huggingface_hub import hf_hub_download
from PIL import Image
from model import MultiScaleViT2DEncoder, SecondOrderClassifier

encoder = MultiScaleViT2DEncoder(
    img_size=(224, 224), patch_size=(16, 16), embed_dim=384, depth=12, num_heads=6, drop_path_rate=0.0
)
model = SecondOrderClassifier(encoder, num_classes=2, dropout=0.3, use_second_order=True)
ckpt = torch.load("checkpoint_best.pt", map_location="cpu", weights_only=False)
model.load_state_dict(ckpt["model_state"])
model.eval()
img = Image.open("brain_mri.jpg").convert("L").resize((224, 224))
tensor = torch.from_numpy(np.array(img, dtype=np.float32)).unsqueeze(0) / 255.0
mu, std = tensor.mean(), tensor.std() + 1e-8
tensor = ((tensor - mu) / std).unsqueeze(0)
with torch.no_grad():
    logits = model(tensor)
    probs = torch.softmax(logits / 1.6995, dim=1)
    print(f"Dementia probability: {probs[0, 1]:.4f}")
"""


def test_the_usage_of_the_model_card_runs_as_written_and_predict_says_the_same(
    checkpoint: Path, bundle: Bundle
) -> None:
    def run(*command: str) -> str:
        return subprocess.run(command, cwd=checkpoint.parent, capture_output=True, text=True, check=True).stdout

    said = run(sys.executable, "-c", USAGE)
    assert said.startswith("Dementia probability: 0.")
    ours = json.loads(run(sys.executable, "-m", "node", "predict", "brain_mri.jpg", "--bundle", "bundle", "--json"))
    assert ours[0]["probability"] == pytest.approx(float(said.split(":")[1]), abs=1e-4)
    assert bundle.manifest.temperature == 1.6995
