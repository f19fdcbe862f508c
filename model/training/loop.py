"""The training loop that pre-training and fine-tuning share.

Everything random in an epoch comes from (seed, stage, epoch), so a run resumed at an epoch's end goes on as if it had
never stopped, and a killed run loses one epoch at most. Batches, variations and masks are drawn for the whole
batch on every process, each of which then takes its share and counts for as much, so the number of processes does not
change what is learnt (up to rounding, the masks of dropout and the partners of mixup).
"""

import copy
import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn

from model.training import augment, checkpoints
from model.training.datasets import Slices
from model.training.errors import Diverged
from model.training.recipes import Augmentation, Schedule

MIRRORED_VIEWS = ("axial", "coronal")
Numbers = dict[str, float]
Report = Callable[[str, int, int, Numbers], None]


class Task(Protocol):
    """What is learnt: how a batch becomes a loss, and what is measured after an epoch."""

    @property
    def augmentation(self) -> Augmentation:
        """How training images are varied."""

    def draw(self, count: int, random: torch.Generator) -> Tensor:
        """Random numbers (count, …) that the loss of a batch needs, beyond the variations."""

    def loss(self, network: nn.Module, images: Tensor, numbers: Tensor, drawn: Tensor) -> Tensor:
        """images (n, 1, S, S), numbers (n,) of their slices, drawn (n, …) -> mean loss of this share of a batch."""

    def assess(self, network: nn.Module) -> Numbers:
        """Numbers of the weights that would be kept, in eval mode; `validation_loss` among them if there is one."""


@dataclass(frozen=True)
class Group:
    """Parameters that share a learning rate (times `scale`) and a weight decay."""

    parameters: Sequence[nn.Parameter]
    scale: float
    weight_decay: float


@dataclass(frozen=True)
class Run:
    """Where a run keeps its checkpoint, what it is called, and who is told of its epochs."""

    folder: Path
    stage: str
    seed: int
    fingerprint: str
    resume: bool = False
    report: Report | None = None


@dataclass(frozen=True)
class Fitted:
    """Weights that are kept, by name, on the CPU; one entry of history per epoch; the epoch they are of, from 0."""

    weights: Mapping[str, Tensor]
    history: tuple[Numbers, ...]
    epoch: int


def fit(
    fabric: Fabric,
    network: nn.Module,
    task: Task,
    groups: Sequence[Group],
    slices: Slices,
    schedule: Schedule,
    run: Run,
    patience: int | None = None,
) -> Fitted:
    """Train `network`; with patience, stop early and keep the weights of the smallest validation loss.

    Raises Diverged when the loss is not finite, ResumeError when the checkpoint does not belong to this run.
    """
    optimizer = torch.optim.AdamW(
        [{"params": list(each.parameters), "weight_decay": each.weight_decay, "lr": 0.0} for each in groups],
        betas=schedule.betas,
    )
    state = _State(network, schedule, fabric.device)
    wrapped, wrapped_optimizer = fabric.setup(network, optimizer)
    checkpoint = run.folder / "checkpoint.pt"
    if run.resume and checkpoint.exists():
        state.restore(checkpoints.load(checkpoint, run.fingerprint), optimizer)
    fabric.barrier()
    trainer = _Epochs(fabric, wrapped, wrapped_optimizer, task, groups, slices, schedule, run)
    while state.epoch < schedule.epochs and not state.is_stale(patience):
        started = time.monotonic()
        loss = trainer.run_epoch(state)
        numbers = fabric.broadcast({"loss": loss, **task.assess(state.kept())})  # all stop at the same epoch
        state.finish_epoch(numbers | {"seconds": round(time.monotonic() - started, 2)}, patience)
        if fabric.is_global_zero:
            checkpoints.save(checkpoint, state.to_dict(optimizer, run.fingerprint))
        if run.report is not None and fabric.is_global_zero:
            run.report(run.stage, state.epoch, schedule.epochs, numbers)
    fabric.barrier()
    return state.fitted()


def generator(*parts: object) -> torch.Generator:
    """A CPU generator whose seed is a hash of the parts."""
    return torch.Generator().manual_seed(seed_of(*parts))


def seed_of(*parts: object) -> int:
    """A 63-bit seed from the parts.

    >>> seed_of(1, "a") == seed_of(1, "a"), seed_of(1, "a") == seed_of("1a")
    (True, False)
    """
    return int.from_bytes(hashlib.sha256("\0".join(map(str, parts)).encode()).digest()[:8], "little") >> 1


def learning_rate(step: float, steps: float, warmup: float, batch_size: int, schedule: Schedule) -> float:
    """Linear warm-up, then a cosine to zero; scaled linearly with the batch.

    >>> learning_rate(5, 100, 10, 256, Schedule(learning_rate=1.0))
    0.5
    """
    peak = schedule.learning_rate * batch_size / 256
    if step < warmup:
        return peak * step / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1e-9, steps - warmup)))


def batches(count: int, batch_size: int, random: torch.Generator) -> list[NDArray[np.int64]]:
    """A shuffled epoch as batches of nearly equal size."""
    order = torch.randperm(count, generator=random).numpy()
    return np.array_split(order, max(1, math.ceil(count / batch_size)))


def share(count: int, rank: int, world_size: int) -> tuple[slice, float]:
    """A process's part of a batch, and the weight with which the mean over the processes is that over the batch.

    >>> share(5, 0, 2), share(5, 1, 2)
    ((slice(0, 2, None), 0.8), (slice(2, 5, None), 1.2))

    A process for which nothing is left takes a part that counts for nothing.

    >>> share(1, 0, 2)
    (slice(0, 1, None), 0.0)
    """
    start, stop = count * rank // world_size, count * (rank + 1) // world_size
    return slice(start, max(stop, start + 1)), (stop - start) * world_size / count


class _Epochs:
    """One epoch after another of one run; holds what does not change between them."""

    def __init__(
        self,
        fabric: Fabric,
        network: Any,
        optimizer: Any,
        task: Task,
        groups: Sequence[Group],
        slices: Slices,
        schedule: Schedule,
        run: Run,
    ) -> None:
        self.fabric, self.network, self.optimizer, self.task = fabric, network, optimizer, task
        self.groups, self.slices, self.schedule, self.run = groups, slices, schedule, run
        self.mirrored = torch.from_numpy(np.isin(slices.views, MIRRORED_VIEWS))

    def run_epoch(self, state: "_State") -> float:
        """-> mean loss of the epoch, over all processes."""
        random = generator(self.run.seed, self.run.stage, state.epoch)
        torch.manual_seed(seed_of(self.run.seed, self.run.stage, state.epoch, self.fabric.global_rank))
        epoch = batches(len(self.slices), self.schedule.batch_size, random)
        self.network.train()
        total = torch.zeros((), device=self.fabric.device)
        for number, batch in enumerate(epoch):
            self._set_learning_rate(state.epoch * len(epoch) + number + 1, len(epoch), len(batch))
            total += self._step(batch, random)
            state.average()
        mean = float(torch.as_tensor(self.fabric.all_reduce(total / len(epoch), reduce_op="mean")))
        if not math.isfinite(mean):
            raise Diverged(f"{self.run.stage}: the loss of epoch {state.epoch + 1} is {mean}; lower the learning rate")
        return mean

    def _step(self, batch: NDArray[np.int64], random: torch.Generator) -> Tensor:
        device, size = self.fabric.device, self.slices.pixels.shape[-1]
        variations = augment.draw(self.task.augmentation, self.mirrored[batch], size, random)
        drawn = self.task.draw(len(batch), random)
        own, weight = share(len(batch), self.fabric.global_rank, self.fabric.world_size)
        numbers = batch[own]
        pixels = torch.from_numpy(self.slices.take(numbers)).to(device)
        images = augment.apply(pixels, variations.part(own.start, own.stop).to(device))
        loss = weight * self.task.loss(self.network, images, torch.from_numpy(numbers), drawn[own].to(device))
        self.optimizer.zero_grad()
        self.fabric.backward(loss)
        self.fabric.clip_gradients(
            self.network, self.optimizer, max_norm=self.schedule.clip_norm, error_if_nonfinite=False
        )
        self.optimizer.step()
        return loss.detach()

    def _set_learning_rate(self, step: int, steps_per_epoch: int, batch_size: int) -> None:
        schedule = self.schedule
        warmup, steps = schedule.warmup_epochs * steps_per_epoch, schedule.epochs * steps_per_epoch
        rate = learning_rate(step, steps, warmup, batch_size, schedule)
        for options, group in zip(self.optimizer.param_groups, self.groups, strict=True):
            options["lr"] = rate * group.scale


class _State:
    """What changes from epoch to epoch, and is in the checkpoint."""

    def __init__(self, network: nn.Module, schedule: Schedule, device: torch.device) -> None:
        self.network, self.decay = network, schedule.average_decay
        self.averaged = copy.deepcopy(network).requires_grad_(False).to(device) if self.decay else None
        self.epoch, self.history = 0, list[Numbers]()
        self.best_epoch, self.best = -1, dict[str, Tensor]()

    def average(self) -> None:
        if self.averaged is not None:
            for mean, value in zip(self.averaged.parameters(), self.network.parameters(), strict=True):
                mean.lerp_(value.detach(), 1 - self.decay)

    def kept(self) -> nn.Module:
        """The network whose weights would be kept now."""
        return (self.network if self.averaged is None else self.averaged).eval()

    def finish_epoch(self, numbers: Numbers, patience: int | None) -> None:
        self.history.append(numbers)
        best = min(
            (each["validation_loss"] for each in self.history[:-1] if "validation_loss" in each), default=math.inf
        )
        if patience is not None and numbers.get("validation_loss", -math.inf) < best:
            self.best_epoch, self.best = self.epoch, _on_cpu(self.kept())
        self.epoch += 1

    def is_stale(self, patience: int | None) -> bool:
        return patience is not None and self.best_epoch >= 0 and self.epoch - 1 - self.best_epoch >= patience

    def fitted(self) -> Fitted:
        if self.best:
            return Fitted(self.best, tuple(self.history), self.best_epoch)
        return Fitted(_on_cpu(self.kept()), tuple(self.history), self.epoch - 1)

    def to_dict(self, optimizer: torch.optim.Optimizer, fingerprint: str) -> dict[str, Any]:
        return {
            "fingerprint": fingerprint,
            "epoch": self.epoch,
            "history": self.history,
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict() if self.averaged is not None else None,
            "optimizer": optimizer.state_dict(),
            "best_epoch": self.best_epoch,
            "best": self.best,
        }

    def restore(self, state: Mapping[str, Any], optimizer: torch.optim.Optimizer) -> None:
        self.epoch, self.history = state["epoch"], list(state["history"])
        self.best_epoch, self.best = state["best_epoch"], dict(state["best"])
        self.network.load_state_dict(state["network"])
        if self.averaged is not None:
            self.averaged.load_state_dict(state["averaged"])
        optimizer.load_state_dict(state["optimizer"])


def _on_cpu(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}
