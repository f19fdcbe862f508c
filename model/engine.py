"""How the network is run: one small interface, which each way of running it fulfils.

An engine computes what lies before the first dropout once per slice (the CLS token, the projector's hidden layer, and
the attention rollout from that same pass), and then what lies behind for all dropout samples together.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from model.uncertainty import Masks

Array = NDArray[np.float32]
Progress = Callable[[int, int], None]
PRECISIONS = ("float32", "tf32", "bfloat16", "float16")


@dataclass(frozen=True)
class Encoded:
    """What the deterministic part of the network says of N slices, numpy's or torch's arrays.

    cls (N, D) after the encoder's norm · hidden (N, H) after the projector's GELU · rollout (N, P), sums below 1
    """

    cls: Any
    hidden: Any
    rollout: Any


@dataclass(frozen=True)
class Answer:
    """logits (1 + samples, N, 2), the first without dropout · rollout (N, P), sums below 1."""

    logits: Array
    rollout: Array


@dataclass(frozen=True)
class DeviceMemory:
    """Of an accelerator, whoever uses it."""

    device: str  # what its maker calls it
    used_bytes: int
    total_bytes: int


class Engine(Protocol):
    """One way of running the network, on one device, in one precision."""

    @property
    def name(self) -> str:
        """For people."""

    @property
    def device(self) -> str:
        """cpu, or cuda:N."""

    @property
    def precision(self) -> str:
        """What the large matrix products are computed in: one of PRECISIONS."""

    @property
    def memory(self) -> DeviceMemory | None:
        """Of the device, now; None where it computes in the memory of the machine, or does not say."""

    def answer(self, images: Array, masks: Masks, progress: Progress | None = None) -> Answer:
        """images (N, 1, S, S), z-scored; `progress` hears how many of them are done, and of how many.

        Raises DeviceOutOfMemory when even one slice does not fit.
        """


def available_cores() -> int:
    """Cores that this process may use: its affinity, and the quota of its control group where there is one."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))
