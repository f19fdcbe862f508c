"""Rates by layer, some of the patches, auxiliary questions: what a training step does, and what it leaves behind."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model import network as networks
from model.shapes import parameter_shapes
from model.training import datasets, loop, sources
from model.training.datasets import Slices
from model.training.errors import NoTrainingData
from model.training.finetune import Learner, finetune, layer_groups
from model.training.hardware import start
from model.training.initial import initialise
from model.training.loop import Run, batches, generator, learning_rate
from model.training.recipes import Finetuning, Schedule
from tests import training_data
from tests.training_data import TINY


def learner(auxiliary: int = 0) -> Learner:
    torch.manual_seed(0)
    return Learner(networks.build(TINY.architecture), auxiliary).eval()


@pytest.fixture
def slices(tmp_path: Path) -> Slices:
    """Six subjects whose table tells the brain's volume, but not of the last."""
    table = training_data.table(tmp_path / "data", [0, 1] * 3)
    lines = (table / "labels.csv").read_text().splitlines()
    told = ["nwbv", "0.80", "0.70", "0.81", "0.69", "0.79", ""]
    (table / "labels.csv").write_text("\n".join(f"{line},{cell}" for line, cell in zip(lines, told, strict=True)))
    return datasets.load(sources.find(table), TINY.preprocessing, tmp_path / "cache").slices


def test_deeper_layers_learn_slower_and_every_parameter_once() -> None:
    given, choices = learner(2), Finetuning(layer_decay=0.5)
    names = {id(parameter): name for name, parameter in given.named_parameters()}
    scale = {names[id(each)]: group.scale for group in layer_groups(given, choices) for each in group.parameters}
    decay = {names[id(each)]: group.weight_decay for group in layer_groups(given, choices) for each in group.parameters}
    assert len(scale) == len(names)
    assert scale["network.head.2.weight"] == scale["auxiliary.weight"] == scale["network.cov_proj.0.weight"] == 1
    assert [scale[f"network.encoder.blocks.{block}.mlp.0.weight"] for block in range(4)] == [
        1 / 16,
        1 / 8,
        1 / 4,
        1 / 2,
    ]
    assert scale["network.encoder.patch_embed.proj.weight"] == scale["network.encoder.pos_embed"] == 1 / 32
    assert decay["network.head.2.weight"] > 0
    assert decay["network.head.2.bias"] == decay["network.encoder.norm.weight"] == 0


def test_with_every_patch_the_learner_is_the_network_that_is_served() -> None:
    given, images = learner(2), torch.randn(3, 1, 32, 32)
    logits, answers = given(images)
    torch.testing.assert_close(logits, given.network(images))
    assert answers.shape == (3, 2)
    torch.testing.assert_close(given(images, torch.arange(16).expand(3, 16))[0], logits, atol=1e-5, rtol=1e-4)


def test_patches_that_are_left_out_are_not_seen() -> None:
    given, images = learner(), torch.randn(2, 1, 32, 32)
    changed = images.clone()
    changed[:, :, :8, :8] += 3  # patch 0
    visible = torch.arange(1, 16).expand(2, 15)
    torch.testing.assert_close(given(images, visible)[0], given(changed, visible)[0])
    assert not torch.allclose(given(images)[0], given(changed)[0])


def test_auxiliary_questions_are_asked_and_their_answers_thrown_away(slices: Slices, tmp_path: Path) -> None:
    asked = replace(TINY, finetuning=replace(TINY.finetuning, auxiliary=("nwbv",), keep_patches=0.5, mixup=0.3))
    network = finetune(start("cpu"), slices, None, asked, Run(tmp_path / "run", "final", 1, "x"), None)
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert shapes == parameter_shapes(TINY.architecture)
    assert all(torch.isfinite(value).all() for value in network.state_dict().values())


def test_a_question_that_no_subject_can_answer_is_refused(slices: Slices, tmp_path: Path) -> None:
    asked = replace(TINY, finetuning=replace(TINY.finetuning, auxiliary=("mmse",)))
    with pytest.raises(NoTrainingData, match="asks for mmse, which no training subject has"):
        finetune(start("cpu"), slices, None, asked, Run(tmp_path / "run", "final", 1, "x"), None)


def test_positions_are_waves_that_tell_every_place_apart() -> None:
    given = learner().network.encoder
    initialise(given)
    patches = given.pos_embed[0, 1:]
    distances = torch.cdist(patches, patches) + torch.eye(16) * 9
    assert distances.min() > 0.1
    near, far = (patches[0] - patches[1]).norm(), (patches[0] - patches[15]).norm()
    assert near < far


def test_the_learning_rate_rises_and_falls() -> None:
    schedule = Schedule(learning_rate=1.0)
    rates = [learning_rate(step, 100, 10, 256, schedule) for step in range(101)]
    assert rates[10] == max(rates) == 1.0
    assert rates[0] == 0
    assert rates[100] == pytest.approx(0)
    assert learning_rate(10, 100, 10, 64, schedule) == 0.25


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_an_epoch_shows_every_slice_and_shares_it_evenly(world_size: int) -> None:
    epoch = batches(103, 16, generator(1))
    assert sorted(np.concatenate(epoch).tolist()) == list(range(103))
    for batch in epoch:
        shared = [batch[loop.share(len(batch), rank, world_size)[0]] for rank in range(world_size)]
        assert np.concatenate(shared).tolist() == batch.tolist()
        assert max(map(len, shared)) - min(map(len, shared)) <= 1


def test_seeds_of_stages_and_epochs_differ() -> None:
    seeds = {loop.seed_of(seed, stage, epoch) for seed in (1, 2) for stage in ("a", "b") for epoch in range(5)}
    assert len(seeds) == 20
