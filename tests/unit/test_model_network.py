"""The two network classes: names, shapes, and what they compute, held by a golden that was proved equal to the
recorded answers of the published network (tests/unit/test_model_reference.py)."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from model import MultiScaleViT2DEncoder, SecondOrderClassifier
from model.manifest import PRESETS, Architecture
from model.network import build, load
from model.rollout import RolloutOrder, rollout
from model.shapes import parameter_shapes
from model.slicing import normalise
from tests import bundles

GOLDEN = Path(__file__).resolve().parents[1] / "golden"


def test_without_arguments_the_network_has_the_published_names_and_shapes() -> None:
    with torch.device("meta"):
        network = SecondOrderClassifier(MultiScaleViT2DEncoder())
    found = {name: list(value.shape) for name, value in network.state_dict().items()}
    assert found == json.loads((GOLDEN / "model_state_dict.json").read_text())
    assert sum(value.numel() for value in network.state_dict().values()) == 249_147_266
    assert sum(value.numel() for value in network.encoder.state_dict().values()) == 22_060_032


def test_the_calls_of_the_model_card_build_the_published_network() -> None:
    with torch.device("meta"):
        encoder = MultiScaleViT2DEncoder(
            img_size=(224, 224), patch_size=(16, 16), embed_dim=384, depth=12, num_heads=6, drop_path_rate=0.0
        )
        network = SecondOrderClassifier(encoder, num_classes=2, dropout=0.3, use_second_order=True)
    assert len(network.state_dict()) == 162
    assert encoder.fusion_blocks == (2, 5, 8, 11)


@pytest.mark.parametrize(
    "architecture",
    [Architecture(), PRESETS["compact"], bundles.SMALL, bundles.REDUCED, Architecture(depth=2, fusion_blocks=(1,))],
)
def test_the_list_of_shapes_is_that_of_the_state_dict(architecture: Architecture) -> None:
    with torch.device("meta"):
        state = build(architecture).state_dict()
    assert {name: tuple(value.shape) for name, value in state.items()} == parameter_shapes(architecture)
    assert list(state) == list(parameter_shapes(architecture))


def test_the_compact_preset_has_the_size_that_the_card_states() -> None:
    shapes = parameter_shapes(PRESETS["compact"]).values()
    assert 24_500_000 < sum(int(np.prod(shape)) for shape in shapes) < 25_500_000


def test_the_small_networks_answer_as_recorded() -> None:
    golden = json.loads((GOLDEN / "model_answers.json").read_text())
    for name, architecture in (("small", bundles.SMALL), ("reduced", bundles.REDUCED)):
        found = answers(architecture)
        assert set(found) == set(golden[name])
        for key, value in found.items():
            np.testing.assert_allclose(value, golden[name][key], atol=1e-4, err_msg=f"{name}: {key}")


def answers(architecture: Architecture) -> dict[str, list[object]]:
    """What tests/golden/model_answers.json holds; `python -m tests.unit.test_model_network` writes it anew."""
    network = load(bundles.bundle(architecture))
    images = torch.from_numpy(normalise(bundles.pixels(2)))
    with torch.inference_mode():
        features = network.features(images)
        attentions = network.encoder(images, return_all_tokens=True)[2]
        found = {"logits": network(images), **features._asdict()}
        found |= {f"rollout_{order}": rollout(attentions, order) for order in RolloutOrder}
    return {name: value.numpy().round(7).tolist() for name, value in found.items()}


def test_attention_is_asked_for_or_not_and_the_answer_is_the_same() -> None:
    network = load(bundles.bundle())
    images = torch.from_numpy(normalise(bundles.pixels(2)))
    with torch.inference_mode():
        tokens, multi_scale, attentions = network.encoder(images, return_all_tokens=True)
        torch.testing.assert_close(network.encoder(images), tokens, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(network(images), network.classify(tokens), atol=1e-5, rtol=1e-5)
    assert multi_scale.shape == (2, 48)
    assert [attention.shape for attention in attentions] == 4 * [(2, 3, 17, 17)]


def test_the_covariance_is_that_of_numpy_without_bias_correction() -> None:
    network = load(bundles.bundle())
    tokens = torch.randn(2, 17, 48)
    with torch.inference_mode():
        found = network.covariance(tokens).numpy()
    for item, one in zip(found, tokens.numpy(), strict=True):
        np.testing.assert_allclose(item, np.cov(one[1:].T, bias=True), atol=1e-5)


def test_some_tokens_can_be_encoded_at_their_own_positions() -> None:
    encoder = load(bundles.bundle()).encoder
    images = torch.from_numpy(normalise(bundles.pixels(2)))
    with torch.inference_mode():
        tokens = encoder.embed(images)
        torch.testing.assert_close(encoder.encode(tokens), encoder(images))
        assert encoder.encode(tokens[:, [0, 3, 9]]).shape == (2, 3, 48)


def test_while_training_whole_branches_are_dropped_and_their_expectation_stays() -> None:
    torch.manual_seed(0)
    encoder = MultiScaleViT2DEncoder(32, 16, 8, 4, 2, drop_path_rate=0.5)
    rates = [block.drop_path.rate for block in encoder.blocks]
    assert rates == pytest.approx([0, 1 / 6, 1 / 3, 0.5])
    branch = torch.ones(4000, 1, 1)
    dropped = encoder.blocks[3].drop_path(branch)
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert dropped.mean().item() == pytest.approx(1, abs=0.1)
    encoder.eval()
    assert torch.equal(encoder.blocks[3].drop_path(branch), branch)


def test_every_parameter_that_reaches_a_logit_gets_a_gradient() -> None:
    network = build(bundles.REDUCED)
    network(torch.randn(2, 1, 64, 64)).sum().backward()
    without = {name for name, value in network.named_parameters() if value.grad is None}
    assert without == {f"encoder.scale_fusion.{layer}.{kind}" for layer in (0, 2) for kind in ("weight", "bias")}


if __name__ == "__main__":
    written = {"small": answers(bundles.SMALL), "reduced": answers(bundles.REDUCED)}
    (GOLDEN / "model_answers.json").write_text(json.dumps(written) + "\n")
