"""The classifier: second-order statistics of the patch tokens beside the CLS token, then one linear layer.

Covariance pooling after Li et al. 2017 (arXiv:1703.08050): how the features of the patches vary together, not only
their mean. Parameter names, shapes and behaviour are those of the published network.

N images, T = 1 + P tokens, D = embed_dim, C = what the covariance is taken over (D, or covariance_dim).
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.encoder import MultiScaleViT2DEncoder


class Features(NamedTuple):
    """What the network knows of N images on the way to its logits.

    cls (N, D) · second_order (N, D), unit length, before any dropout · multi_scale (N, D), which no logit sees
    """

    cls: Tensor
    second_order: Tensor
    multi_scale: Tensor


class SecondOrderClassifier(nn.Module):
    """Encoder and head; with the published encoder and defaults 249,147,266 parameters, of which cov_proj 227,084,160.

    The projector sees every entry of the D x D covariance, which is why it dwarfs the encoder. `covariance_dim`
    projects the tokens to that many dimensions first (40 gives 25.1 million parameters in all), for training anew.
    `dropout` acts at three places, all behind the encoder: in `cov_proj`, on the joined features, and in `head`.
    """

    def __init__(
        self,
        encoder: MultiScaleViT2DEncoder | None = None,
        num_classes: int = 2,
        dropout: float = 0.3,
        use_second_order: bool = True,
        *,
        covariance_dim: int | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder if encoder is not None else MultiScaleViT2DEncoder()
        self.num_classes, self.use_second_order, self.covariance_dim = num_classes, use_second_order, covariance_dim
        dim, size = self.encoder.embed_dim, covariance_dim or self.encoder.embed_dim
        joined = 2 * dim if use_second_order else dim
        if use_second_order and covariance_dim is not None:
            self.cov_reduce = nn.Linear(dim, covariance_dim, bias=False)  # a bias would vanish in the centring
        if use_second_order:
            self.cov_proj = nn.Sequential(
                nn.Linear(size * size, 4 * dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * dim, dim)
            )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Sequential(nn.LayerNorm(joined), nn.Dropout(dropout), nn.Linear(joined, num_classes))

    def forward(self, images: Tensor) -> Tensor:
        """images (N, 1, H, W), z-scored -> logits (N, classes)."""
        return self.classify(self.encoder(images))

    def classify(self, tokens: Tensor) -> Tensor:
        """Encoder's tokens (N, T, D) -> logits (N, classes)."""
        joined = tokens[:, 0]
        if self.use_second_order:
            joined = torch.cat([joined, self.second_order(tokens)], dim=-1)  # (N, 2D)
        logits: Tensor = self.head(self.dropout(joined))
        return logits

    def second_order(self, tokens: Tensor) -> Tensor:
        """Encoder's tokens (N, T, D) -> projected covariance of the patch tokens (N, D), unit length."""
        return functional.normalize(self.cov_proj(self.covariance(tokens).flatten(1)), dim=-1)

    def covariance(self, tokens: Tensor) -> Tensor:
        """Encoder's tokens (N, T, D) -> covariance of the patch tokens (N, C, C), divided by P (not P - 1)."""
        patches = tokens[:, 1:] if self.covariance_dim is None else self.cov_reduce(tokens[:, 1:])  # (N, P, C)
        centred = patches - patches.mean(dim=1, keepdim=True)
        return centred.transpose(1, 2) @ centred / centred.shape[1]

    def features(self, images: Tensor) -> Features:
        """images (N, 1, H, W), z-scored -> the three kinds of features; in eval mode they are free of dropout."""
        tokens, multi_scale, _ = self.encoder(images, return_all_tokens=True)
        return Features(tokens[:, 0], self.second_order(tokens), multi_scale)
