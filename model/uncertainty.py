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
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Masks:
    """What each sample multiplies by at the three places: 0 where dropped, 1 / (1 - rate) where kept.

    hidden (S, H) inside the projector · joined (S, 2D) on the joined features · head (S, 2D) behind the head's norm
    """

    hidden: Array
    joined: Array
    head: Array

    @classmethod
    def draw(cls, seed: bytes, samples: int, widths: tuple[int, int], rate: float) -> Self:
        """`samples` masks for layers of widths (H, 2D), preceded by one that drops nothing: 1 + samples in all.

        Philox (Salmon et al. 2011, doi 10.1145/2063384.2063405), raw 64-bit words: the same for ever, unlike floats.
        """
        hidden, joined = widths
        key = int.from_bytes(hashlib.sha256(seed).digest()[:16], "little")
        words = np.random.Philox(key=key).random_raw(samples * (hidden + 2 * joined))
        kept = (words >= np.uint64(int(rate * 2**64))).astype(np.float32) / np.float32(1 - rate)
        kept = np.concatenate([np.ones(hidden + 2 * joined, np.float32), kept]).reshape(1 + samples, -1)
        return cls(*np.split(kept, [hidden, hidden + joined], axis=1))


@dataclass(frozen=True)
class Head:
    """The layers behind the encoder's features, as arrays.

    project_weight (D, H), project_bias (D,): `cov_proj.3` · norm_weight, norm_bias (2D,): `head.0` ·
    weight (2, 2D), bias (2,): `head.2` · rate: of dropout
    """

    project_weight: Array
    project_bias: Array
    norm_weight: Array
    norm_bias: Array
    weight: Array
    bias: Array
    rate: float

    @classmethod
    def read(cls, parameter: Callable[[str], Array], rate: float) -> Self:
        """From parameters by their names in the state dict."""
        return cls(
            project_weight=parameter("cov_proj.3.weight"),
            project_bias=parameter("cov_proj.3.bias"),
            norm_weight=parameter("head.0.weight"),
            norm_bias=parameter("head.0.bias"),
            weight=parameter("head.2.weight"),
            bias=parameter("head.2.bias"),
            rate=rate,
        )

    def masks(self, seed: bytes, samples: int) -> Masks:
        """Masks of the widths of these layers."""
        return Masks.draw(seed, samples, (self.project_weight.shape[1], self.weight.shape[1]), self.rate)

    def logits(self, cls: Array, hidden: Array, masks: Masks) -> Array:
        """cls (N, D), hidden (N, H) after the projector's GELU -> (S, N, 2)."""
        projected = self.second_order(hidden[None] * masks.hidden[:, None])  # (S, N, D)
        joined = np.concatenate([np.broadcast_to(cls, projected.shape), projected], axis=-1) * masks.joined[:, None]
        joined -= joined.mean(axis=-1, keepdims=True)
        joined /= np.sqrt(np.square(joined).mean(axis=-1, keepdims=True) + np.float32(1e-5))  # nn.LayerNorm
        thinned = (joined * self.norm_weight + self.norm_bias) * masks.head[:, None]  # (S, N, 2D)
        return np.asarray(thinned @ self.weight.T + self.bias)

    def second_order(self, hidden: Array) -> Array:
        """Hidden (…, H) -> second-order features (…, D), unit length."""
        projected = hidden @ self.project_weight.T + self.project_bias
        length = np.linalg.norm(projected, axis=-1, keepdims=True)
        return np.asarray(projected / np.maximum(length, np.float32(1e-12)))


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
