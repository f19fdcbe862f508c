"""Attention rollout: how much of each patch has reached the CLS token through all blocks.

Abnar & Zuidema 2020 (arXiv:2005.00928, equations 1 and 2): average the heads, add the identity for the residual path,
make rows sum to 1, and multiply the layers from the last to the first. The published code multiplies from the first to
the last, so that the row it takes describes what flows out of CLS in the first block rather than what arrives at CLS in
the last. The paper's order is therefore the default; the published order stays selectable in the bundle.

Only the CLS row is wanted, so a row vector is carried through the layers: T² work a layer, where the full product
costs T³.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor


class RolloutOrder(StrEnum):
    """In which order the layers are multiplied."""

    LAST_TO_FIRST = "last_to_first"  # the paper
    FIRST_TO_LAST = "first_to_last"  # the published code


def rollout(attentions: "Sequence[Tensor]", order: RolloutOrder = RolloutOrder.LAST_TO_FIRST) -> "Tensor":
    """Attention of each block, (N, heads, T, T), first block first -> what CLS has of each patch (N, P).

    A softmax row sums to 1, so after adding the identity each row sums to 2: half of the row vector passes
    unchanged, and the whole keeps the sum 1.
    """
    layers = list(attentions) if order is RolloutOrder.FIRST_TO_LAST else list(reversed(attentions))
    row = layers[0].new_zeros(layers[0].shape[0], layers[0].shape[-1])  # (N, T)
    row[:, 0] = 1
    for attention in layers:
        row = (row + (row[:, None, None] @ attention).mean(dim=1).squeeze(1)) / 2
    return row[:, 1:]


def scaled(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Maps (N, h, w) -> the same, each stretched to 0-1; a flat map becomes zeros.

    >>> scaled(np.array([[[1, 2], [3, 5]]], np.float32)).tolist()
    [[[0.0, 0.25], [0.5, 1.0]]]
    """
    low = maps.min(axis=(1, 2), keepdims=True)
    extent = maps.max(axis=(1, 2), keepdims=True) - low
    stretched: NDArray[np.float32] = (maps - low) / np.where(extent > 0, extent, 1)
    return stretched
