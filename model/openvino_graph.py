"""The folded network as OpenVINO graphs, written op by op: no tracing, no torch, compiled in well under a second.

Two graphs, because their best batch sizes differ. The encoder takes one slice at a time: its activations then stay in
the cache of the core that works on it, and cores share nothing but weights. The projector takes all slices at once: its
weights are by far the largest array, and going through memory once for each slice would cost more than the arithmetic.

N slices, T tokens, D = embed_dim, C = covariance size, H hidden width of the projector.
"""

from collections.abc import Sequence

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset15 as op

from model.folding import FoldedBlock, FoldedEncoder, Linear, upper
from model.rollout import RolloutOrder

EPSILON = 1e-5  # nn.LayerNorm's default


def encoder_graph(folded: FoldedEncoder, order: RolloutOrder) -> ov.Model:
    """One slice (1, 1, S, S) -> cls (1, D), half of P times the covariance (1, C (C + 1) / 2), rollout (1, P)."""
    architecture = folded.architecture
    image = op.parameter([1, 1, architecture.img_size, architecture.img_size], np.float32, name="image")
    tokens = _start(image, folded)
    attentions = []
    for block in folded.blocks:
        tokens, attention = _block(tokens, block, architecture.num_heads)
        attentions.append(attention)
    normed = op.add(op.multiply(_norm(tokens), _constant(folded.norm_weight)), _constant(folded.norm_bias))
    cls = op.reshape(_rows(normed, 0, 1), _ints([1, -1]), special_zero=False)
    outputs = [cls, _half_covariance(normed, folded), _rollout(attentions, order)]
    return ov.Model([op.result(output) for output in outputs], [image], "encoder")


def projector_graph(weight: ov.Tensor, bias: NDArray[np.float32]) -> ov.Model:
    """Half of P times the covariances (N, C (C + 1) / 2) -> hidden (N, H) after GELU.

    weight (H, C (C + 1) / 2), divided by P, float32 or bfloat16.

    The weights stand on the left of the product, where OpenVINO reads them in place; on the right it would keep a
    second, reordered copy of the largest array there is.
    """
    covariances = op.parameter([-1, weight.shape[1]], np.float32, name="covariances")
    narrowed = op.convert(covariances, weight.element_type.to_string())
    product = op.matmul(
        op.constant(weight, shared_memory=True), narrowed, transpose_a=False, transpose_b=True
    )  # (H, N)
    hidden = op.add(op.transpose(op.convert(product, "f32"), _ints([1, 0])), _constant(bias))
    return ov.Model([op.result(op.gelu(hidden, "erf"))], [covariances], "projector")


def _start(image: ov.Node, folded: FoldedEncoder) -> ov.Node:
    size, dim = folded.architecture.patch_size, folded.architecture.embed_dim
    kernel = _constant(folded.patch.reshape(dim, 1, size, size))
    patches = op.convolution(image, kernel, [size, size], [0, 0], [0, 0], [1, 1])
    patches = op.transpose(op.reshape(patches, _ints([1, dim, -1]), special_zero=False), _ints([0, 2, 1]))  # (1, P, D)
    first, others = folded.start[None, :1], folded.start[None, 1:]
    return op.concat([_constant(first), op.add(patches, _constant(others))], 1)  # (1, T, D)


def _block(tokens: ov.Node, block: FoldedBlock, heads: int) -> tuple[ov.Node, ov.Node]:
    """Tokens (1, T, D) -> the same shape, and the attention averaged over heads (1, T, T)."""
    count, dim = tokens.shape[1], tokens.shape[2]
    packed = op.reshape(_linear(_norm(tokens), block.qkv), _ints([1, count, 3, heads, -1]), special_zero=False)
    apart = op.split(op.transpose(packed, _ints([2, 0, 3, 1, 4])), _ints(0), 3).outputs()
    queries, keys, values = (op.squeeze(each, _ints([0])) for each in apart)  # (1, heads, T, D / heads)
    attention = op.softmax(op.matmul(queries, keys, transpose_a=False, transpose_b=True), -1)  # (1, heads, T, T)
    mixed = op.transpose(op.matmul(attention, values, transpose_a=False, transpose_b=False), _ints([0, 2, 1, 3]))
    mixed = op.reshape(mixed, _ints([1, count, dim]), special_zero=False)
    tokens = op.add(tokens, _linear(mixed, block.out))
    raised = op.gelu(_linear(_norm(tokens), block.up), "erf")
    return op.add(tokens, _linear(raised, block.down)), op.reduce_mean(attention, _ints([1]), keep_dims=False)


def _half_covariance(normed: ov.Node, folded: FoldedEncoder) -> ov.Node:
    patches = _rows(normed, 1, normed.shape[1])  # (1, P, D)
    if folded.reduce is not None:
        patches = op.matmul(patches, _constant(folded.reduce), transpose_a=False, transpose_b=True)  # (1, P, C)
    centred = op.subtract(patches, op.reduce_mean(patches, _ints([1]), keep_dims=True))
    features = op.transpose(centred, _ints([0, 2, 1]))  # (1, C, P)
    products = op.matmul(features, features, transpose_a=False, transpose_b=True)  # (1, C, C)
    return op.gather(op.reshape(products, _ints([1, -1]), special_zero=False), _ints(upper(patches.shape[2])), _ints(1))


def _rollout(attentions: Sequence[ov.Node], order: RolloutOrder) -> ov.Node:
    """The row vector of model.rollout through the layers, here on attentions averaged over heads."""
    layers = list(attentions) if order is RolloutOrder.FIRST_TO_LAST else list(reversed(attentions))
    count = layers[0].shape[2]
    cls = _constant(np.eye(1, count, dtype=np.float32)[None])
    row = op.multiply(op.add(_rows(layers[0], 0, 1), cls), _constant(np.float32(0.5)))  # (1, 1, T)
    for attention in layers[1:]:
        passed = op.matmul(row, attention, transpose_a=False, transpose_b=False)
        row = op.multiply(op.add(row, passed), _constant(np.float32(0.5)))
    return op.slice(
        op.reshape(row, _ints([1, count]), special_zero=False), _ints([1]), _ints([count]), _ints([1]), _ints([1])
    )


def _norm(tokens: ov.Node) -> ov.Node:
    return op.mvn(tokens, _ints([-1]), True, EPSILON, "inside_sqrt")


def _linear(inputs: ov.Node, layer: Linear) -> ov.Node:
    product = op.matmul(inputs, _constant(layer.weight), transpose_a=False, transpose_b=True)
    return op.add(product, _constant(layer.bias))


def _rows(array: ov.Node, start: int, stop: int) -> ov.Node:
    return op.slice(array, _ints([start]), _ints([stop]), _ints([1]), _ints([1]))


def _constant(array: NDArray[np.float32] | np.float32) -> ov.Node:
    return op.constant(np.ascontiguousarray(array, np.float32))


def _ints(values: Sequence[int] | NDArray[np.intp] | int) -> ov.Node:
    return op.constant(np.asarray(values, np.int64))
