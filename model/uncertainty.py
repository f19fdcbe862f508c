"""Monte Carlo dropout: the same features through many thinned heads, and what their disagreement means.

Each sample is one draw of the network from its approximate posterior (Gal & Ghahramani 2016, arXiv:1506.02142): one
mask for each of the three dropout layers, the same for every slice of a study. Everything before the first mask is
deterministic and is computed once; the samples differ only in the small layers behind it, and go through them together.

Masks come from a counter-based generator keyed by the study, so that the same study and bundle give the same numbers
again, on every engine and device, in any batch size.

S samples (of which the first may be free of dropout), N slices, H hidden width of the projector, D = embed_dim.
"""

import hashlib
from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Array = Any  # numpy's or torch's: the same arithmetic runs on both, and so on every device


@dataclass(frozen=True)
class Masks:
    """What each sample multiplies by at the three places: 0 where dropped, 1 / (1 - rate) where kept.

    hidden (S, H) inside the projector · cls, second (S, D) on the joined features · head_cls, head_second (S, D) behind
    the head's norm
    """

    hidden: Array
    cls: Array
    second: Array
    head_cls: Array
    head_second: Array

    @classmethod
    def draw(cls, seed: bytes, samples: int, hidden: int, dim: int, rate: float) -> Self:
        """`samples` masks, preceded by one that drops nothing: 1 + samples in all.

        Philox (Salmon et al. 2011, doi 10.1145/2063384.2063405), raw 64-bit words: the same for ever, unlike floats.
        """
        width = hidden + 4 * dim
        key = int.from_bytes(hashlib.sha256(seed).digest()[:16], "little")
        words = np.random.Philox(key=key).random_raw(samples * width).reshape(samples, width)
        kept = (words >= np.uint64(int(rate * 2**64))).astype(np.float32) / np.float32(1 - rate)
        factors = np.concatenate([np.ones((1, width), np.float32), kept])
        return cls(*np.split(factors, hidden + dim * np.arange(4), axis=1))

    def on(self, move: Callable[[NDArray[np.float32]], Array]) -> Self:
        """The same masks as another library's arrays, or on another device."""
        return type(self)(*(move(np.ascontiguousarray(each)) for each in astuple(self)))


@dataclass(frozen=True)
class DropoutHead:
    """The layers behind the encoder's features; D = embed_dim, each pair for the CLS half and the second-order half.

    project_weight (D, H), project_bias (D,): `cov_proj.3` · norm_weight, norm_bias (2, D): `head.0` ·
    weight (2 halves, 2 classes, D), bias (2,): `head.2`
    """

    project_weight: Array
    project_bias: Array
    norm_weight: Array
    norm_bias: Array
    weight: Array
    bias: Array

    @classmethod
    def read(cls, parameter: Callable[[str], NDArray[np.float32]]) -> Self:
        """From parameters by their names in the state dict."""
        return cls(
            parameter("cov_proj.3.weight"),
            parameter("cov_proj.3.bias"),
            parameter("head.0.weight").reshape(2, -1),
            parameter("head.0.bias").reshape(2, -1),
            np.stack(np.split(parameter("head.2.weight"), 2, axis=1)),
            parameter("head.2.bias"),
        )

    def on(self, move: Callable[[NDArray[np.float32]], Array]) -> Self:
        """The same layers as another library's arrays, or on another device."""
        return type(self)(*(move(np.ascontiguousarray(each)) for each in astuple(self)))

    def masks(self, seed: bytes, samples: int, rate: float) -> Masks:
        """Masks of the widths of these layers."""
        dim, hidden = self.project_weight.shape
        return Masks.draw(seed, samples, hidden, dim, rate)

    def logits(self, cls: Array, hidden: Array, masks: Masks) -> Array:
        """cls (N, D), hidden (N, H) after the projector's GELU -> (S, N, 2)."""
        second = self.second_order(hidden[None] * masks.hidden[:, None])  # (S, N, D)
        halves = (cls[None] * masks.cls[:, None], second * masks.second[:, None])
        mean = sum(half.mean(axis=-1, keepdims=True) for half in halves) / 2
        halves = tuple(half - mean for half in halves)
        variance = sum((half * half).mean(axis=-1, keepdims=True) for half in halves) / 2
        logits = self.bias
        for index, (half, mask) in enumerate(zip(halves, (masks.head_cls, masks.head_second), strict=True)):
            normed = half / (variance + 1e-5) ** 0.5 * self.norm_weight[index] + self.norm_bias[index]  # nn.LayerNorm
            logits = logits + (normed * mask[:, None]) @ self.weight[index].T
        return logits

    def second_order(self, hidden: Array) -> Array:
        """Hidden (…, H) -> second-order features (…, D), unit length."""
        projected = hidden @ self.project_weight.T + self.project_bias
        length = (projected * projected).sum(axis=-1, keepdims=True) ** 0.5
        return projected / length.clip(1e-12)


@dataclass(frozen=True)
class Uncertainty:
    """How far the samples disagree about one thing, a slice or a study.

    spread              standard deviation of the class-1 probability over the samples, at T = 1 as the card does it
    predictive_entropy  H[mean p], nats: all the uncertainty
    mutual_information  H[mean p] - mean H[p], nats: the part that the network's own doubt explains, and more training
                        data would lower (Houlsby et al. 2011, arXiv:1112.5745; Depeweg et al. 2018, arXiv:1710.07283)
    """

    spread: float
    predictive_entropy: float
    mutual_information: float

    @classmethod
    def of(cls, probabilities: NDArray[np.floating]) -> Self:
        """Class-1 probabilities of the samples, (S,).

        >>> Uncertainty.of(np.array([0.5, 0.5])).mutual_information
        0.0
        """
        p = np.asarray(probabilities, np.float64)
        total = float(entropy(p.mean()))
        return cls(float(p.std()), total, max(0.0, total - float(entropy(p).mean())))


def entropy(p: NDArray[np.float64] | np.float64) -> NDArray[np.float64]:
    """Of a yes-or-no answer with probability p, in nats.

    >>> float(entropy(np.float64(0.5)).round(4)), float(entropy(np.float64(1.0)))
    (0.6931, 0.0)
    """
    chances = np.stack([p, 1 - p])
    return np.asarray(-(chances * np.log(np.where(chances > 0, chances, 1))).sum(axis=0) + 0.0)
