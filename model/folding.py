"""What can be computed before the first image comes: the same network with fewer and smaller arrays, exactly.

Each step is an identity in real numbers, so that answers differ from the published forward by rounding only:

- a norm's weight and bias go into the linear layer behind it;  the attention's 1 / sqrt(d) into the queries
- a constant added to all logits of a softmax row does nothing, so the keys' bias goes; softmax rows sum to 1, so the
  values' bias passes through and joins the bias behind them
- both additions of the position embedding, the patch bias and the CLS token become one constant for each token
- a covariance is symmetric, so the projector's weights for (i, j) and (j, i) are added and half of the matrix remains
- the multi-scale fusion feeds no logit, so it is left out
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from model.bundle import Bundle
from model.manifest import Architecture
from model.weights import Weights

Array = NDArray[np.float32]
ROWS = 32  # of the projector folded at a time, so that the whole and the half never stand in memory together


@dataclass(frozen=True)
class Linear:
    """weight (outputs, inputs), bias (outputs,)."""

    weight: Array
    bias: Array


@dataclass(frozen=True)
class FoldedBlock:
    """qkv (3D, D) behind a plain norm, queries scaled, keys without bias · out (D, D) · up (4D, D), down (D, 4D)."""

    qkv: Linear
    out: Linear
    up: Linear
    down: Linear


@dataclass(frozen=True)
class FoldedEncoder:
    """patch (D, pixels) without bias · start (T, D): what each token begins with · blocks · norm weight and bias (D,)
    · reduce (C, D) before the covariance, where the architecture has it."""

    architecture: Architecture
    patch: Array
    start: Array
    blocks: tuple[FoldedBlock, ...]
    norm_weight: Array
    norm_bias: Array
    reduce: Array | None

    @classmethod
    def of(cls, bundle: Bundle) -> Self:
        """Read and fold the encoder of a bundle."""
        weights, architecture = bundle.weights, bundle.manifest.architecture
        position, patch_bias = weights.read("encoder.pos_embed")[0], weights.read("encoder.patch_embed.proj.bias")
        cls_token = weights.read("encoder.cls_token")[0] + position[:1]  # its position once, the patches' twice
        return cls(
            architecture,
            weights.read("encoder.patch_embed.proj.weight").reshape(architecture.embed_dim, -1),
            np.concatenate([cls_token, patch_bias + 2 * position[1:]]),
            tuple(_block(weights, f"encoder.blocks.{index}.", architecture) for index in range(architecture.depth)),
            weights.read("encoder.norm.weight"),
            weights.read("encoder.norm.bias"),
            weights.read("cov_reduce.weight") if architecture.covariance_dim else None,
        )


def _block(weights: Weights, prefix: str, architecture: Architecture) -> FoldedBlock:
    def read(name: str) -> NDArray[np.float64]:
        return weights.read(prefix + name).astype(np.float64)

    def behind_norm(norm: str, weight: str, bias: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        matrix = read(weight)
        return matrix * read(f"{norm}.weight"), read(bias) + matrix @ read(f"{norm}.bias")

    qkv, bias = behind_norm("norm1", "attn.in_proj_weight", "attn.in_proj_bias")
    dim = architecture.embed_dim
    out, value_bias = read("attn.out_proj.weight"), bias[2 * dim :].copy()
    scale = (dim // architecture.num_heads) ** -0.5
    qkv[:dim] *= scale
    bias[:dim] *= scale
    bias[dim:] = 0
    return FoldedBlock(
        _linear(qkv, bias),
        _linear(out, read("attn.out_proj.bias") + out @ value_bias),
        _linear(*behind_norm("norm2", "mlp.0.weight", "mlp.0.bias")),
        _linear(read("mlp.3.weight"), read("mlp.3.bias")),
    )


def _linear(weight: NDArray[np.float64], bias: NDArray[np.float64]) -> Linear:
    return Linear(weight.astype(np.float32), bias.astype(np.float32))


def upper(size: int) -> NDArray[np.intp]:
    """Places of the upper triangle, row by row, in a flattened size x size matrix: size (size + 1) / 2 of them.

    >>> upper(3).tolist()
    [0, 1, 2, 4, 5, 8]
    """
    rows, columns = np.triu_indices(size)
    return np.asarray(rows * size + columns)


def folded_projector(bundle: Bundle) -> Iterator[tuple[slice, Array]]:
    """`cov_proj.0.weight` folded onto the upper triangle, a few rows at a time: (rows, (rows, C (C + 1) / 2))."""
    size = bundle.manifest.architecture.covariance_size
    rows, columns = np.triu_indices(size)
    above, below, diagonal = rows * size + columns, columns * size + rows, np.flatnonzero(rows == columns)
    hidden = bundle.weights.shapes["cov_proj.0.weight"][0]
    for start in range(0, hidden, ROWS):
        whole = bundle.weights.read("cov_proj.0.weight", start, start + ROWS)
        half = whole.take(above, axis=1)
        diagonals = half[:, diagonal]
        half += whole.take(below, axis=1)
        half[:, diagonal] = diagonals
        yield slice(start, start + len(half)), half
