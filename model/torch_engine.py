"""The engine for CUDA devices: torch, each batch size captured once as a CUDA graph and replayed.

The batch is fitted to the memory that is free, and halved when the device runs out of it all the same. The same engine
also runs eagerly or through torch.compile, and on a CPU; that is how the benchmark tries what was not chosen.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from model.bundle import Bundle
from model.engine import Answer, Array, DeviceMemory, Encoded, Progress
from model.errors import DeviceError, DeviceOutOfMemory
from model.onepass import OnePass
from model.uncertainty import DropoutHead, Masks

DTYPES = {"float32": torch.float32, "tf32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
LARGEST_BATCH = 256
CPU_BATCH = 8
MEMORY_SHARE = 0.5  # of the free memory, for one batch
Way = Literal["eager", "compiled", "captured"]
Pool = Any  # an opaque handle of torch
Network = Callable[[Tensor], tuple[Tensor, ...]]


class TorchEngine:
    """torch on one device; raises DeviceError when it is not there."""

    def __init__(self, bundle: Bundle, device: str = "cuda", precision: str = "float32", way: Way = "captured") -> None:
        self._where = torch_device(device)
        self.name, self.device, self.precision = f"torch {way}", str(self._where), precision
        self._network, self._way = OnePass(bundle, self._where, DTYPES[precision]).eval(), way
        self._head = DropoutHead.read(bundle.weights.read).on(self._moved)
        self._side = bundle.manifest.architecture.img_size
        self._ready: dict[int, Network] = {}
        self._pool: Pool = None
        if self._where.type == "cuda":
            torch.cuda.set_device(self._where)  # capture takes the current device
            self._pool = torch.cuda.graph_pool_handle()
        self._batch = self._fitted()

    @torch.inference_mode()
    def answer(self, images: Array, masks: Masks, progress: Progress | None = None) -> Answer:
        """See Engine.answer."""
        moved = masks.on(self._moved)
        logits, rollouts = [], []

        def one(part: Array) -> None:
            encoded = self._encode(part)
            logits.append(self._head.logits(encoded.cls, encoded.hidden, moved))
            rollouts.append(encoded.rollout)
            if progress is not None:
                progress(sum(len(each) for each in rollouts), len(images))

        self._batch = in_batches(images, self._batch, one, self._forget)
        return Answer(torch.cat(logits, dim=1).cpu().numpy(), torch.cat(rollouts).cpu().numpy())

    @property
    def memory(self) -> DeviceMemory | None:
        """See Engine.memory. A device that is in trouble says so at its work, not here."""
        if self._where.type != "cuda":
            return None
        try:
            free, total = torch.cuda.mem_get_info(self._where)
            return DeviceMemory(torch.cuda.get_device_name(self._where), total - free, total)
        except RuntimeError:
            return None

    def _encode(self, images: Array) -> Encoded:
        size = padded(len(images), self._batch)
        if size not in self._ready:
            self._ready[size] = self._made_ready(size)
        with products_in(self.precision):
            outputs = self._ready[size](self._filled(images, size))
        return Encoded(*(each[: len(images)].clone() for each in outputs))

    def _filled(self, images: Array, size: int) -> Tensor:
        """On the device, filled up with zeros; from pinned memory, so that nobody waits for the copy."""
        filled, given = torch.zeros(size, *images.shape[1:], device=self._where), torch.from_numpy(images)
        filled[: len(images)].copy_(given.pin_memory() if filled.is_cuda else given, non_blocking=True)
        return filled

    def _made_ready(self, size: int) -> Network:
        """The network for one batch size."""
        if self._way == "captured":
            with products_in(self.precision):
                return Graph(self._network, (size, 1, self._side, self._side), self._where, self._pool).replay
        if self._way == "eager":
            return self._network
        from torch._inductor import config  # weights become constants of the compiled code

        config.freezing = True
        compiled: Network = torch.compile(self._network, dynamic=False)
        return compiled

    def _forget(self) -> None:
        """Give captured graphs and cached blocks back before a smaller batch is tried."""
        self._ready.clear()
        gc.collect()
        torch.cuda.empty_cache()

    def _moved(self, array: Array) -> Tensor:
        return torch.from_numpy(array).to(self._where)

    @torch.inference_mode()
    def _fitted(self) -> int:
        """The largest power of two whose activations fit into the free memory, measured with one pass of 8 slices."""
        if self._where.type != "cuda":
            return CPU_BATCH
        torch.cuda.reset_peak_memory_stats(self._where)
        before = torch.cuda.memory_allocated(self._where)
        try:
            self._network(torch.zeros(8, 1, self._side, self._side, device=self._where))
        except torch.OutOfMemoryError:
            return 1
        each = max(1, (torch.cuda.max_memory_allocated(self._where) - before) // 8)
        free, _ = torch.cuda.mem_get_info(self._where)
        return fitted_batch(free, each)


class Graph:
    """One forward of fixed shape, captured; replaying it costs one launch instead of some hundred.

    Graphs of an engine share the memory of their activations: one is replayed at a time, and its outputs are copied.
    """

    def __init__(self, network: Network, shape: tuple[int, ...], device: torch.device, pool: Pool) -> None:
        self._input = torch.zeros(shape, device=device)
        stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch has no annotation here
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):  # capture needs a warm-up on a side stream
            for _ in range(2):
                network(self._input)
        torch.cuda.current_stream(device).wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, pool=pool):
            self._outputs = network(self._input)

    def replay(self, images: Tensor) -> tuple[Tensor, ...]:
        """images of the captured shape -> the outputs, valid until the next replay."""
        self._input.copy_(images)
        self._graph.replay()
        return self._outputs


@contextmanager
def products_in(precision: str) -> Iterator[None]:
    """Matrix products of float32 numbers in all their digits, whatever the environment says, unless tf32 is asked for.

    A captured graph keeps what it was captured with.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def torch_device(name: str) -> torch.device:
    """Raises DeviceError when this torch or this machine does not have the device."""
    if name == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise DeviceError(f"device {name}: torch {torch.__version__} finds no CUDA device on this machine")
    device = torch.device(name if ":" in name else f"{name}:0")
    if device.index >= torch.cuda.device_count():
        raise DeviceError(f"device {name}: this machine has {torch.cuda.device_count()} CUDA devices, counted from 0")
    return device


def fitted_batch(free_bytes: int, slice_bytes: int) -> int:
    """The largest power of two, at most LARGEST_BATCH, whose slices take at most their share of the free memory.

    >>> fitted_batch(80 * 2**30, 30 * 2**20), fitted_batch(2**30, 30 * 2**20), fitted_batch(0, 1)
    (256, 16, 1)
    """
    room = min(LARGEST_BATCH, int(free_bytes * MEMORY_SHARE) // slice_bytes)
    return 1 << max(0, room.bit_length() - 1)


def padded(count: int, batch: int) -> int:
    """The captured size for a part of `count` slices: a power of two, so that few sizes are ever captured.

    >>> padded(61, 64), padded(61, 256), padded(5, 256), padded(1, 1)
    (64, 64, 8, 1)
    """
    return min(batch, 1 << (count - 1).bit_length())


def in_batches(images: Array, batch: int, run: Callable[[Array], None], forget: Callable[[], None]) -> int:
    """Run `images` in parts of `batch`, halved as often as the device runs out of memory; returns what fitted.

    Raises DeviceOutOfMemory when a single slice does not fit.
    """
    done = 0
    while done < len(images):
        try:
            run(np.ascontiguousarray(images[done : done + batch]))
        except torch.OutOfMemoryError as error:
            forget()
            if batch == 1:
                raise DeviceOutOfMemory(f"the device has no room for a single slice: {error}") from error
            batch //= 2
        else:
            done += batch
    return batch
