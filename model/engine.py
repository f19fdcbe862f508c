"""How the network is run: one small interface, and the choice of the engine for a device.

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

from model.bundle import Bundle
from model.errors import DeviceError
from model.uncertainty import Masks

Array = NDArray[np.float32]
Progress = Callable[[int, int], None]
PRECISIONS = ("float32", "bfloat16", "float16")


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
        """What the large matrix products are computed in: float32, bfloat16 or float16."""

    def answer(self, images: Array, masks: Masks, progress: Progress | None = None) -> Answer:
        """images (N, 1, S, S), z-scored; `progress` hears how many of them are done, and of how many.

        Raises DeviceOutOfMemory when even one slice does not fit.
        """


def choose(bundle: Bundle, device: str = "auto", precision: str = "auto", threads: int = 0) -> Engine:
    """The engine for a device: OpenVINO on CPUs, torch with graph capture on CUDA.

    `auto` as a device is the first CUDA device where there is one, else the CPU. `auto` as a precision is float32 on
    every device: its answers agree within 1e-4 wherever they were computed, while half precision, about twice as fast
    on a CPU, moves a probability by up to 0.01 and is therefore chosen by name.

    Raises DeviceError when the named device or precision is not there; nothing falls back.
    """
    precision = "float32" if precision == "auto" else precision
    if precision not in PRECISIONS:
        raise DeviceError(f"{precision!r} is no precision: auto, {', '.join(PRECISIONS)}")
    if device == "auto":
        device = "cuda:0" if _cuda_is_there() else "cpu"
    if device == "cpu":
        from model.openvino_engine import OpenVinoEngine

        return OpenVinoEngine(bundle, precision, threads)
    if device.partition(":")[0] == "cuda":
        from model.torch_engine import TorchEngine

        return TorchEngine(bundle, device, precision)
    raise DeviceError(f"{device!r} is no device: auto, cpu, cuda or cuda:N")


def _cuda_is_there() -> bool:
    """Whether torch can use a CUDA device; torch is only imported where a driver is, because it is large."""
    if not any(Path(each).exists() for each in ("/dev/nvidiactl", "/dev/dxg")):
        return False
    import torch

    return torch.cuda.is_available()


def available_cores() -> int:
    """Cores that this process may use: its affinity, and the quota of its control group where there is one."""
    cores = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return cores
    return cores if quota == "max" else max(1, min(cores, int(quota) // int(period)))
