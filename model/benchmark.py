"""What the network costs on this machine: the card's way, a bare forward, and each way of ours, measured in one run.

Each way runs in a process of its own, so that its peak memory is its own; the processes run one after the other on the
same images (`model/benchmark_child.py`).
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from model.calibration import probability
from model.engine import PRECISIONS
from model.errors import ModelError
from model.manifest import Architecture, Manifest

Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]  # images -> logits (N, 2), all else computed on the way
CARD, BARE, OURS = "the card's way", "bare forward", "full answer"


@dataclass(frozen=True)
class Way:
    """One row of the table: what is computed, by which engine, in which precision."""

    kind: str
    engine: str
    precision: str


@dataclass(frozen=True)
class Measured:
    """What a way costs. Times are the best of the repeats, per slice; memory is the peak of its own process.

    memory_mib: resident on a CPU, allocated by torch on a CUDA device · ready_s: from the bundle to the first answer
    logits (N, 2): without dropout, on the benchmark's images
    """

    way: Way
    ms: float
    memory_mib: float
    ready_s: float
    logits: list[list[float]]


@dataclass(frozen=True)
class Peak:
    """Matrix products on this device, measured: float operations per second, by precision."""

    flops: dict[str, float]


@dataclass(frozen=True)
class Row:
    """A measured way, beside the others.

    speedup: times faster than the card's way · share: of the measured matrix peak of its precision, by `flop` ·
    difference: the largest of a calibrated probability from the card's way
    """

    measured: Measured
    speedup: float
    share: float
    difference: float


@dataclass(frozen=True)
class Report:
    """The table."""

    peak: Peak
    rows: tuple[Row, ...]
    gflop: float

    @classmethod
    def of(cls, results: Sequence[Peak | Measured], manifest: Manifest) -> Self:
        """From what `measure` yields; the card's way is among it."""
        peak = next(each for each in results if isinstance(each, Peak))
        measured = [each for each in results if isinstance(each, Measured)]
        card = next(each for each in measured if each.way.kind == CARD)
        work = flop(manifest.architecture)
        rows = [
            Row(
                each,
                card.ms / each.ms,
                work / (each.ms / 1e3) / peak.flops[each.way.precision],
                _difference(each, card, manifest.temperature),
            )
            for each in measured
        ]
        return cls(peak, tuple(rows), work / 1e9)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, without the logits."""
        rows = [
            {
                **asdict(row.measured.way),
                "ms_per_slice": row.measured.ms,
                "slices_per_s": 1e3 / row.measured.ms,
                "speedup": row.speedup,
                "peak_memory_mib": row.measured.memory_mib,
                "share_of_peak": row.share,
                "largest_probability_difference": row.difference,
                "ready_s": row.measured.ready_s,
            }
            for row in self.rows
        ]
        return {"gflop_per_slice": self.gflop, "peak_flops": self.peak.flops, "rows": rows}


def precisions(device: str) -> tuple[str, ...]:
    """Precisions that a device computes in."""
    if device != "cpu":
        return PRECISIONS
    from model.openvino_engine import computes_in

    return tuple(each for each in PRECISIONS if computes_in(each))


def ways(device: str, precisions: tuple[str, ...], *, everything: bool) -> list[Way]:
    """The rows for a device; `everything` adds the engines that were tried and not chosen."""
    if device == "cpu":
        bare, own, others = "OpenVINO", "OpenVINO", ("torch eager", "torch compiled")
    else:
        bare, own, others = "torch eager", "torch captured", ("torch eager", "torch compiled")
    rows = [Way(CARD, "torch eager", "float32")]
    rows += [Way(BARE, bare, precision) for precision in precisions]
    rows += [Way(OURS, engine, precision) for engine in others for precision in precisions if everything]
    return rows + [Way(OURS, own, precision) for precision in precisions]


def measure(bundle: Path, device: str, rows: list[Way], slices: int, repeats: int) -> Iterator[Peak | Measured]:
    """First the device's peak, then each row as it is measured. Raises ModelError when a child fails."""
    precisions = sorted({row.precision for row in rows})
    found = in_child({"task": "peak", "device": device, "precisions": precisions})
    yield Peak(found["flops"])
    for row in rows:
        task = {"task": "way", "bundle": str(bundle), "device": device, "slices": slices, "repeats": repeats}
        result = in_child({**task, "way": asdict(row)})
        yield Measured(row, **result)


def flop(architecture: Architecture) -> float:
    """Float operations of one slice's matrix products, folded: what no way of computing it exactly can leave out.

    >>> round(flop(Architecture()) / 1e9, 1)
    9.4
    """
    dim, patches = architecture.embed_dim, architecture.grid**2
    tokens, hidden = patches + 1, int(architecture.embed_dim * architecture.mlp_ratio)
    block = tokens * dim * (4 * dim + 2 * hidden) + 2 * tokens**2 * dim
    size = architecture.covariance_size
    pooling = patches * size**2 + 4 * dim * (size * (size + 1) // 2 + dim)
    return 2.0 * (patches * architecture.patch_size**2 * dim + architecture.depth * block + pooling)


def images(count: int, side: int) -> NDArray[np.float32]:
    """(count, 1, side, side): made-up slices of smooth blobs, z-scored, from a fixed seed."""
    y, x = np.mgrid[0:side, 0:side] / side
    stack = np.empty((count, side, side))
    for index in range(count):
        random = np.random.Generator(np.random.PCG64([2025, index]))
        waves = zip(random.uniform(1, 6, (8, 2)), random.uniform(0, 2 * np.pi, 8), strict=True)
        stack[index] = sum(np.cos(2 * np.pi * (down * y + along * x) + phase) for (down, along), phase in waves)
    stack -= stack.mean(axis=(1, 2), keepdims=True)
    return np.asarray(stack / stack.std(axis=(1, 2), ddof=1, keepdims=True), np.float32)[:, None]


def _difference(one: Measured, other: Measured, temperature: float) -> float:
    count = min(len(one.logits), len(other.logits))
    both = (probability(np.array(each.logits[:count]), temperature) for each in (one, other))
    return float(np.abs(np.subtract(*both)).max())


def in_child(task: dict[str, object]) -> dict[str, Any]:
    """The answer of a process of its own to one task. Raises ModelError with the end of what it complained of."""
    command = [sys.executable, "-m", "model.benchmark_child"]
    silent = {**os.environ, "CI": "true"}  # or OpenVINO's converter would report over the network that it was used
    done = subprocess.run(command, input=json.dumps(task), env=silent, capture_output=True, text=True, check=False)  # noqa: S603 - our own
    if done.returncode != 0:
        raise ModelError(f"the benchmark's process ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))
