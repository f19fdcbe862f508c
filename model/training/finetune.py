"""Fine-tuning: encoder and head on labelled slices, deep layers slower than shallow ones."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional

from model import slicing
from model.classifier import SecondOrderClassifier
from model.training import checkpoints, loop, metrics
from model.training.datasets import Slices
from model.training.loop import Fitted, Group, Numbers, Run
from model.training.networks import build_classifier
from model.training.pretrain import load_encoder
from model.training.recipes import Augmentation, Finetuning, Recipe

ASSESSED_AT_ONCE = 64


@dataclass(frozen=True)
class _Classifying:
    """The task: tell label 1 from label 0. class_weights (2,): mean 1 over the training slices."""

    choices: Finetuning
    class_weights: Tensor
    validation: Slices | None

    @property
    def augmentation(self) -> Augmentation:
        return self.choices.augmentation

    def draw(self, count: int, random: torch.Generator) -> Tensor:
        """Share of each image in its mixture (count, 1), at least a half; 1 without mixup."""
        if not self.choices.mixup:
            return torch.ones(count, 1)
        numpy = np.random.default_rng(int(torch.randint(2**62, (), generator=random)))
        share = numpy.beta(self.choices.mixup, self.choices.mixup, (count, 1))
        return torch.from_numpy(np.maximum(share, 1 - share)).float()

    def loss(self, network: nn.Module, images: Tensor, labels: Tensor, drawn: Tensor) -> Tensor:
        """Each image is mixed with the one at the mirrored place in its share of the batch, and so are the losses."""
        share = drawn[:, 0]
        mixed = share[:, None, None, None] * images + (1 - share)[:, None, None, None] * images.flip(0)
        logits = network(mixed)
        own, other = self._entropy(logits, labels), self._entropy(logits, labels.flip(0))
        return (share * own + (1 - share) * other).mean()

    def assess(self, network: nn.Module) -> Numbers:
        if self.validation is None:
            return {}
        logits = predict(network, self.validation)
        labels = torch.from_numpy(self.validation.labels)
        loss = self._entropy(logits, labels, smoothing=0.0).mean()
        scores = (logits[:, 1] - logits[:, 0]).double().numpy()
        return {"validation_loss": float(loss), "validation_auroc": metrics.auroc(self.validation.labels, scores)}

    def _entropy(self, logits: Tensor, labels: Tensor, smoothing: float | None = None) -> Tensor:
        smoothing = self.choices.label_smoothing if smoothing is None else smoothing
        entropy = functional.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none")
        return entropy * self.class_weights.to(logits.device)[labels]


def finetune(
    fabric: Fabric, training: Slices, validation: Slices | None, recipe: Recipe, run: Run, encoder: Path | None
) -> SecondOrderClassifier:
    """Train on `training`, from a pre-trained encoder or from scratch; writes `history.json` -> network, on the CPU.

    With `validation`, its loss is recorded every epoch; only with patience has it a say in which weights are kept.
    """
    choices = recipe.finetuning
    torch.manual_seed(loop.seed_of(recipe.seed, "initial", run.stage))
    network = build_classifier(recipe.architecture, choices.drop_path)
    if encoder is not None:
        load_encoder(encoder, network.encoder)
    network.encoder.scale_fusion.requires_grad_(False)  # no logit sees it
    task = _Classifying(choices, _class_weights(training, choices.class_weights), validation)
    groups = list(layer_groups(network, choices))
    fitted: Fitted = loop.fit(fabric, network, task, groups, training, choices.schedule, run, choices.patience)
    if fabric.is_global_zero:
        checkpoints.write_json(run.folder / "history.json", list(fitted.history))
    network.cpu().load_state_dict(dict(fitted.weights))
    return network.eval()


def layer_groups(network: SecondOrderClassifier, choices: Finetuning) -> Iterator[Group]:
    """Head at full rate; block b of B at layer_decay^(B - b); embeddings one deeper. No decay for what has one axis."""
    depth = network.encoder.depth
    members: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            members.setdefault((_level(name, depth), parameter.ndim > 1), []).append(parameter)
    for (level, decays), parameters in sorted(members.items(), key=lambda item: item[0]):
        weight_decay = choices.schedule.weight_decay if decays else 0.0
        yield Group(parameters, choices.layer_decay ** (depth + 1 - level), weight_decay)


@torch.inference_mode()
def predict(network: nn.Module, slices: Slices) -> Tensor:
    """Logits (N, 2) on the CPU, as in serving: no variation, no dropout."""
    device = next(network.parameters()).device
    network.eval()
    parts = [
        network(torch.from_numpy(slicing.normalise(slices.take(part))).to(device)).float().cpu()
        for part in np.array_split(np.arange(len(slices)), max(1, -(-len(slices) // ASSESSED_AT_ONCE)))
    ]
    return torch.cat(parts)


def _level(name: str, depth: int) -> int:
    if block := re.match(r"encoder\.blocks\.(\d+)\.", name):
        return int(block[1]) + 1
    if name.startswith(("encoder.patch_embed", "encoder.cls_token", "encoder.pos_embed")):
        return 0
    return depth + 1


def _class_weights(training: Slices, wanted: bool) -> Tensor:
    counts = np.bincount(training.labels, minlength=2).astype(np.float32)
    if not wanted or not counts.all():
        return torch.ones(2)
    return torch.from_numpy(counts.sum() / (2 * counts))
