"""The ways of the benchmark that are not ours: the card's, a bare forward, and the device's own peak."""

import math
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from model.benchmark import Run
from model.bundle import Bundle
from model.classifier import SecondOrderClassifier
from model.engine import Array
from model.network import build, load
from model.openvino_engine import TYPES
from model.torch_engine import DTYPES, products_in, torch_device

PRODUCTS = ((2048, 2048, 2048), (1576, 384, 1536), (1576, 1536, 384), (4096, 1536, 1536))
CUDA_PRODUCTS = ((8192, 8192, 8192),)
ROUNDS = 30


def peak(device: str, precisions: list[str]) -> dict[str, dict[str, float]]:
    """Float operations per second of the fastest of some matrix products, by precision; on a CPU by either library."""
    shapes = PRODUCTS if device == "cpu" else CUDA_PRODUCTS
    best = dict.fromkeys(precisions, 0.0)
    for precision in best:
        for shape in shapes:
            products = [_torch_product(shape, precision, device)]
            products += [_openvino_product(shape, precision)] if device == "cpu" else []
            with products_in(precision):
                seconds = min(_seconds(each, device) for each in products for _ in range(ROUNDS))
            best[precision] = max(best[precision], 2.0 * math.prod(shape) / seconds)
    return {"flops": best}


def _torch_product(shape: tuple[int, int, int], precision: str, device: str) -> Callable[[], object]:
    rows, inner, columns = shape
    left = torch.randn(rows, inner, device=torch_device(device)).to(DTYPES[precision])
    right = torch.randn(columns, inner, device=torch_device(device)).to(DTYPES[precision])
    return lambda: functional.linear(left, right)


def _openvino_product(shape: tuple[int, int, int], precision: str) -> Callable[[], object]:
    import openvino as ov
    from openvino import opset15 as op

    rows, inner, columns = shape
    left = op.parameter([rows, inner], np.float32)
    right = op.constant(np.random.default_rng(0).standard_normal((columns, inner), np.float32))
    graph = ov.Model([op.result(op.matmul(left, right, transpose_a=False, transpose_b=True))], [left])
    compiled = ov.Core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": TYPES[precision]})
    request, values = compiled.create_infer_request(), np.ones((rows, inner), np.float32)
    return lambda: request.infer([values], share_inputs=True)


def cards_way(bundle: Bundle, device: str, dropout_passes: int) -> Run:
    """As on the card: a network, a checkpoint loaded into it, and twelve passes for each slice, one slice at a time.

    The published blocks compute attention weights in every pass; the rollout multiplies whole matrices.
    """
    network = build(bundle.manifest.architecture)
    checkpoint = {name: torch.from_numpy(bundle.weights.read(name)) for name in bundle.weights.shapes}
    network.load_state_dict(checkpoint)
    network.to(torch_device(device))

    @torch.no_grad()
    def run(pixels: Array) -> Array:
        slices = [torch.from_numpy(each[None]).to(torch_device(device)) for each in pixels]
        return np.concatenate([_passes(network, each, dropout_passes) for each in slices])

    return run


def _passes(network: SecondOrderClassifier, image: Tensor, dropout_passes: int) -> Array:
    network.eval()
    logits = network.classify(network.encoder(image, return_all_tokens=True)[0])
    for layers in (network.dropout, network.head, network.cov_proj):
        layers.train()
    for _ in range(dropout_passes):
        network.classify(network.encoder(image, return_all_tokens=True)[0]).softmax(dim=-1)
    network.eval()
    identity = torch.eye(network.encoder.pos_embed.shape[1], device=image.device)
    product = identity
    for attention in network.encoder(image, return_all_tokens=True)[2]:
        mixed = attention.mean(dim=1)[0] + identity
        product = (mixed / mixed.sum(dim=-1, keepdim=True)) @ product
    return np.asarray(logits.cpu().numpy())


def bare_openvino(bundle: Bundle, precision: str, batch: int) -> Run:
    """What one would deploy instead: the network converted as it is, one forward, no dropout samples and no rollout."""
    import openvino as ov

    network = load(bundle)
    torch.backends.mha.set_fastpath_enabled(value=False)  # it cannot be traced
    size = network.encoder.img_size
    converted = ov.convert_model(network, example_input=torch.zeros(1, 1, *size), input=[batch, 1, *size])
    settings = {"INFERENCE_PRECISION_HINT": TYPES[precision], "PERFORMANCE_HINT": "LATENCY"}
    request = ov.Core().compile_model(converted, "CPU", settings).create_infer_request()

    def run(pixels: Array) -> Array:
        filled = np.resize(pixels, (-(-len(pixels) // batch) * batch, *pixels.shape[1:]))
        parts = [request.infer([part])[0].copy() for part in np.split(filled, len(filled) // batch)]
        return np.concatenate(parts)[: len(pixels)]

    return run


def bare_torch(bundle: Bundle, precision: str, device: str, batch: int) -> Run:
    """The same on a CUDA device: the network as it is, eager, in batches from pinned memory."""
    where, dtype = torch_device(device), DTYPES[precision]
    network = load(bundle).to(where, dtype)

    def forward(part: Array) -> Tensor:
        given = torch.from_numpy(part)
        given = given if where.type == "cpu" else given.pin_memory()
        logits: Tensor = network(given.to(where, non_blocking=True).to(dtype))
        return logits

    @torch.inference_mode()
    def run(pixels: Array) -> Array:
        with products_in(precision):
            parts = [forward(pixels[start : start + batch]) for start in range(0, len(pixels), batch)]
            return np.asarray(torch.cat(parts).float().cpu().numpy())

    return run


def _seconds(act: Callable[[], object], device: str) -> float:
    if device != "cpu":
        torch.cuda.synchronize(device)
    began_s = time.perf_counter()
    act()
    if device != "cpu":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began_s
