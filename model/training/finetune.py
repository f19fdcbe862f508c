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

from model import network as networks
from model import slicing
from model.classifier import SecondOrderClassifier
from model.training import checkpoints, loop, metrics
from model.training.datasets import Slices
from model.training.errors import NoTrainingData
from model.training.initial import initialise
from model.training.loop import Group, Numbers, Run
from model.training.pretrain import load_encoder
from model.training.recipes import Augmentation, Finetuning, Recipe
from model.training.tables import COVARIATES

ASSESSED_AT_ONCE = 64


def finetune(
    fabric: Fabric, training: Slices, validation: Slices | None, recipe: Recipe, run: Run, encoder: Path | None
) -> SecondOrderClassifier:
    """Train on `training`, from a pre-trained encoder or from scratch; writes `history.json` -> network, on the CPU.

    With `validation`, its loss is recorded every epoch; only with patience has it a say in which weights are kept.
    """
    choices = recipe.finetuning
    torch.manual_seed(loop.seed_of(recipe.seed, "initial", run.stage))
    learner = Learner(networks.build(recipe.architecture, choices.drop_path), len(choices.auxiliary))
    initialise(learner.network.encoder)
    if encoder is not None:
        load_encoder(encoder, learner.network.encoder)
    learner.network.encoder.scale_fusion.requires_grad_(False)  # no logit sees it
    task = _Classifying.of(training, validation, choices, learner.patches)
    groups = list(layer_groups(learner, choices))
    fitted = loop.fit(fabric, learner, task, groups, training, choices.schedule, run, choices.patience)
    if fabric.is_global_zero:
        checkpoints.write_json(run.folder / "history.json", list(fitted.history))
    learner.cpu().load_state_dict(dict(fitted.weights))
    return learner.network.eval()


class Learner(nn.Module):
    """The classifier as it is trained: on some of the patches, and with answers of its own to auxiliary questions."""

    def __init__(self, network: SecondOrderClassifier, auxiliary: int) -> None:
        super().__init__()
        self.network = network
        self.patches = network.encoder.grid[0] * network.encoder.grid[1]
        self.auxiliary = nn.Linear(2 * network.encoder.embed_dim, auxiliary) if auxiliary else None

    def forward(self, images: Tensor, visible: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """images (N, 1, S, S), visible (N, V) patch numbers, None for all -> logits (N, 2), answers (N, K) or None."""
        network = self.network
        tokens = network.encoder.embed(images)
        if visible is not None:
            patches = tokens[:, 1:].gather(1, visible[:, :, None].expand(-1, -1, tokens.shape[-1]))
            tokens = torch.cat([tokens[:, :1], patches], dim=1)
        tokens = network.encoder.encode(tokens)
        if self.auxiliary is None:
            return network.classify(tokens), None
        joined = torch.cat([tokens[:, 0], network.second_order(tokens)], dim=-1)
        return network.head(network.dropout(joined)), self.auxiliary(joined)


@dataclass(frozen=True)
class _Classifying:
    """The task: tell label 1 from label 0.

    labels (N,), targets (N, K) standardised, nan where unknown: of the training slices; class_weights (2,): mean 1
    """

    choices: Finetuning
    labels: Tensor
    targets: Tensor
    class_weights: Tensor
    patches: int
    validation: Slices | None

    @classmethod
    def of(cls, training: Slices, validation: Slices | None, choices: Finetuning, patches: int) -> "_Classifying":
        columns = [COVARIATES.index(name) for name in choices.auxiliary]
        targets = training.covariates[:, columns]
        for column, name in enumerate(choices.auxiliary):
            if np.isnan(targets[:, column]).all():
                raise NoTrainingData(f"the recipe asks for {name}, which no training subject has")
        if columns:
            deviation = np.nanstd(targets, axis=0)
            targets = (targets - np.nanmean(targets, axis=0)) / np.where(deviation > 0, deviation, 1)
        weights = _class_weights(training, choices.class_weights)
        labels = torch.from_numpy(training.labels)
        return cls(choices, labels, torch.from_numpy(targets), weights, patches, validation)

    @property
    def augmentation(self) -> Augmentation:
        return self.choices.augmentation

    def draw(self, count: int, random: torch.Generator) -> Tensor:
        """(count, 1 + P): share of each image in its mixture, at least a half, and numbers that order the patches."""
        order = torch.rand(count, self.patches, generator=random)
        if not self.choices.mixup:
            return torch.cat([torch.ones(count, 1), order], dim=1)
        numpy = np.random.default_rng(int(torch.randint(2**62, (), generator=random)))
        share = numpy.beta(self.choices.mixup, self.choices.mixup, (count, 1))
        return torch.cat([torch.from_numpy(np.maximum(share, 1 - share)).float(), order], dim=1)

    def loss(self, network: nn.Module, images: Tensor, numbers: Tensor, drawn: Tensor) -> Tensor:
        """Each image is mixed with the one at the mirrored place in its share of the batch, and so are the losses."""
        share, other = drawn[:, 0], numbers.flip(0)
        mixed = share[:, None, None, None] * images + (1 - share)[:, None, None, None] * images.flip(0)
        logits, answers = network(mixed, self._visible(drawn[:, 1:]))
        loss = share * self._entropy(logits, self.labels[numbers]) + (1 - share) * self._entropy(
            logits, self.labels[other]
        )
        if answers is None:
            return loss.mean()
        wanted = share[:, None] * self.targets[numbers].to(share) + (1 - share)[:, None] * self.targets[other].to(share)
        error = torch.nan_to_num(answers.float() - wanted).square().mean()
        return loss.mean() + self.choices.auxiliary_weight * error

    def assess(self, network: nn.Module) -> Numbers:
        if self.validation is None or not isinstance(network, Learner):
            return {}
        logits = predict(network.network, self.validation)
        loss = self._entropy(logits, torch.from_numpy(self.validation.labels), smoothing=0.0).mean()
        scores = (logits[:, 1] - logits[:, 0]).double().numpy()
        return {"validation_loss": float(loss), "validation_auroc": metrics.auroc(self.validation.labels, scores)}

    def _visible(self, order: Tensor) -> Tensor | None:
        count = round(self.patches * self.choices.keep_patches)
        return None if count >= self.patches else order.argsort(dim=1)[:, :count]

    def _entropy(self, logits: Tensor, labels: Tensor, smoothing: float | None = None) -> Tensor:
        smoothing = self.choices.label_smoothing if smoothing is None else smoothing
        labels = labels.to(logits.device)
        entropy = functional.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none")
        return entropy * self.class_weights.to(logits.device)[labels]


def layer_groups(learner: Learner, choices: Finetuning) -> Iterator[Group]:
    """Head at full rate; block b of B at layer_decay^(B - b); embeddings one deeper. No decay for what has one axis."""
    depth = learner.network.encoder.depth
    members: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in learner.named_parameters():
        if parameter.requires_grad:
            members.setdefault((_level(name, depth), parameter.ndim > 1), []).append(parameter)
    for (level, decays), parameters in sorted(members.items(), key=lambda item: item[0]):
        weight_decay = choices.schedule.weight_decay if decays else 0.0
        yield Group(parameters, choices.layer_decay ** (depth + 1 - level), weight_decay)


@torch.inference_mode()
def predict(network: SecondOrderClassifier, slices: Slices) -> Tensor:
    """Logits (N, 2) on the CPU, as in serving: no variation, no dropout, every patch."""
    device = next(network.parameters()).device
    network.eval()
    parts = [
        network(torch.from_numpy(slicing.normalise(slices.take(part))).to(device)).float().cpu()
        for part in np.array_split(np.arange(len(slices)), max(1, -(-len(slices) // ASSESSED_AT_ONCE)))
    ]
    return torch.cat(parts)


def _level(name: str, depth: int) -> int:
    if block := re.match(r"network\.encoder\.blocks\.(\d+)\.", name):
        return int(block[1]) + 1
    if name.startswith(tuple(f"network.encoder.{each}" for each in ("patch_embed", "cls_token", "pos_embed"))):
        return 0
    return depth + 1


def _class_weights(training: Slices, wanted: bool) -> Tensor:
    counts = np.bincount(training.labels, minlength=2).astype(np.float32)
    if not wanted or not counts.all():
        return torch.ones(2)
    return torch.from_numpy(counts.sum() / (2 * counts))
