"""How the network is run: one small interface, and one engine for each way.

An engine gives what lies before the first dropout, once per slice: the CLS token, the projector's hidden layer, and the
attention rollout from that same pass. What lies behind is small and the same for all engines (`model/uncertainty.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Encoded:
    """What the deterministic part of the network says of N slices.

    cls (N, D) after the encoder's norm · hidden (N, H) after the projector's GELU · rollout (N, P), sums below 1
    """

    cls: Array
    hidden: Array
    rollout: Array


class Engine(Protocol):
    """One way of running the network, on one device, in one precision."""

    @property
    def name(self) -> str: ...
    @property
    def device(self) -> str: ...
    @property
    def precision(self) -> str: ...

    def encode(self, images: Array, progress: Progress | None = None) -> Encoded:
        """images (N, 1, S, S), z-scored; `progress` hears how many of them are done, and of how many.

        Raises DeviceOutOfMemory when even one slice does not fit.
        """
