"""One way of computing, measured in this process: a task as JSON on standard input, what it cost on standard output.

torch is imported only for the ways that need it, so that the memory of the one that does without is its own.
"""

import json
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from model.benchmark import BARE, CARD, Run, images
from model.bundle import Bundle
from model.engine import Engine
from model.openvino_engine import OpenVinoEngine
from model.uncertainty import DropoutHead

DROPOUT_PASSES = 10
CARD_SLICES = 4
BARE_BATCHES = (8, 16)
CUDA_BATCHES = (64, 256)


def main() -> None:
    """Read the task, measure, write the result."""
    task = json.loads(sys.stdin.read())
    if task["task"] == "peak":
        from model.benchmark_torch import peak

        result = peak(task["device"], task["precisions"])
    else:
        result = way(task)
    sys.stdout.write(json.dumps(result) + "\n")


def way(task: dict[str, Any]) -> dict[str, Any]:
    """Get ready, answer once, then time the repeats."""
    kind = task["way"]["kind"]
    began_s = time.perf_counter()
    bundle = Bundle.load(Path(task["bundle"]))
    count = min(task["slices"], CARD_SLICES) if kind == CARD else task["slices"]
    pixels = images(count, bundle.manifest.architecture.img_size)
    best_s, ready_s, logits = float("inf"), 0.0, np.empty((0, 2))
    for run in _candidates(kind, task["way"]["engine"], task["way"]["precision"], bundle, task["device"]):
        logits = np.asarray(run(pixels))
        ready_s = ready_s or time.perf_counter() - began_s
        for _ in range(task["repeats"]):
            repeat_s = time.perf_counter()
            run(pixels)
            best_s = min(best_s, time.perf_counter() - repeat_s)
    memory = _memory_mib(task["device"])
    return {"ms": best_s / count * 1e3, "memory_mib": memory, "ready_s": ready_s, "logits": logits.tolist()}


def _candidates(kind: str, engine: str, precision: str, bundle: Bundle, device: str) -> Iterator[Run]:
    """Ways of running one row; the best of them counts."""
    if kind == CARD:
        from model.benchmark_torch import cards_way

        yield cards_way(bundle, device, DROPOUT_PASSES)
    elif kind == BARE and engine == "OpenVINO":
        from model.benchmark_torch import bare_openvino

        for batch in BARE_BATCHES:
            yield bare_openvino(bundle, precision, batch)
    elif kind == BARE:
        from model.benchmark_torch import bare_torch

        for batch in CUDA_BATCHES:
            yield bare_torch(bundle, precision, device, batch)
    else:
        yield full_answer(_engine(engine, precision, bundle, device), bundle)


def _engine(name: str, precision: str, bundle: Bundle, device: str) -> Engine:
    if name == "OpenVINO":
        return OpenVinoEngine(bundle, precision)
    from model.torch_engine import TorchEngine

    return TorchEngine(bundle, device, precision, name.removeprefix("torch "))  # type: ignore[arg-type]  # a Way


def full_answer(engine: Engine, bundle: Bundle) -> Run:
    """Ours: probability, dropout samples and rollout from one pass."""
    rate = bundle.manifest.architecture.dropout
    masks = DropoutHead.read(bundle.weights.read).masks(b"benchmark", DROPOUT_PASSES, rate)
    return lambda pixels: engine.answer(pixels, masks).logits[0]


def _memory_mib(device: str) -> float:
    """Peak: resident in this process, or allocated by torch on the CUDA device."""
    if device == "cpu":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    import torch

    return torch.cuda.max_memory_allocated(device) / 2**20


if __name__ == "__main__":
    main()
