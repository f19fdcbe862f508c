"""Masked image modelling: the encoder sees a quarter of the patches, a small decoder draws the rest.

He et al. 2021 (arXiv:2111.06377). Visible tokens keep the positions that `MultiScaleViT2DEncoder.embed` gives them; the
target of a patch is its pixels minus their mean over their deviation. The decoder is thrown away afterwards.

N images, P patches, V visible ones, D = the encoder's width, E = the decoder's.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.encoder import Block, MultiScaleViT2DEncoder

EPSILON = 1e-6


class MaskedAutoencoder(nn.Module):
    """images and an order of their patches -> mean squared error on the hidden patches."""

    def __init__(
        self, encoder: MultiScaleViT2DEncoder, mask_ratio: float = 0.75, dim: int = 256, depth: int = 4, heads: int = 8
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.patch = encoder.patch_size[0]
        self.patches = encoder.grid[0] * encoder.grid[1]
        self.visible = max(1, round(self.patches * (1 - mask_ratio)))
        self.widen = nn.Linear(encoder.embed_dim, dim)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.positions = nn.Parameter(torch.zeros(1, 1 + self.patches, dim))
        self.blocks = nn.ModuleList(Block(dim, heads, mlp_ratio=4.0, dropout=0.0, drop_path=0.0) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        self.predict = nn.Linear(dim, self.patch**2)
        nn.init.normal_(self.mask_token, std=0.02)
        nn.init.trunc_normal_(self.positions, std=0.02)

    def forward(self, images: Tensor, order: Tensor) -> Tensor:
        """images (N, 1, S, S), z-scored; order (N, P), permutations whose first V entries are visible -> loss."""
        target, _, _ = standardised(patchify(images, self.patch))
        hidden = order[:, self.visible :, None].expand(-1, -1, target.shape[-1])
        return functional.mse_loss(self.drawn(images, order).gather(1, hidden), target.gather(1, hidden))

    def drawn(self, images: Tensor, order: Tensor) -> Tensor:
        """images (N, 1, S, S), order (N, P) -> every patch as the decoder draws it, standardised (N, P, patch²)."""
        return self.decode(self.encode_visible(images, order[:, : self.visible]), order)

    def encode_visible(self, images: Tensor, visible: Tensor) -> Tensor:
        """images (N, 1, S, S), visible (N, V) patch numbers -> encoded CLS and visible patches (N, 1 + V, D)."""
        tokens = self.encoder.embed(images)  # (N, 1 + P, D)
        patches = tokens[:, 1:].gather(1, visible[:, :, None].expand(-1, -1, tokens.shape[-1]))
        return self.encoder.encode(torch.cat([tokens[:, :1], patches], dim=1))

    def decode(self, encoded: Tensor, order: Tensor) -> Tensor:
        """encoded (N, 1 + V, D), order (N, P) -> (N, P, patch²), patches back in their places."""
        tokens = self.widen(encoded)  # (N, 1 + V, E)
        masks = self.mask_token.expand(len(tokens), self.patches - self.visible, -1)
        shuffled = torch.cat([tokens[:, 1:], masks.to(tokens.dtype)], dim=1)  # (N, P, E) in the given order
        places = order.argsort(dim=1)[:, :, None].expand(-1, -1, shuffled.shape[-1])
        tokens = torch.cat([tokens[:, :1], shuffled.gather(1, places)], dim=1) + self.positions
        for block in self.blocks:
            tokens, _ = block(tokens)
        patches: Tensor = self.predict(self.norm(tokens[:, 1:]))
        return patches

    def pictures(self, images: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
        """What the encoder saw, hidden patches grey, and what the decoder made of it: (N, 1, S, S) each."""
        patches = patchify(images, self.patch)
        _, mean, deviation = standardised(patches)
        drawn = self.drawn(images, order) * deviation + mean
        seen = torch.ones_like(order, dtype=torch.bool).scatter(1, order[:, self.visible :], False)[:, :, None]
        grey = images.mean(dim=(1, 2, 3))[:, None, None]
        return unpatchify(torch.where(seen, patches, grey), self.patch), unpatchify(
            torch.where(seen, patches, drawn), self.patch
        )


def patchify(images: Tensor, patch: int) -> Tensor:
    """(N, 1, S, S) -> (N, P, patch²), row by row, as PatchEmbedding counts them."""
    return functional.unfold(images, patch, stride=patch).transpose(1, 2)


def unpatchify(patches: Tensor, patch: int) -> Tensor:
    """The inverse of `patchify`, for square images: (N, P, patch²) -> (N, 1, S, S)."""
    side = round(patches.shape[1] ** 0.5) * patch
    return functional.fold(patches.transpose(1, 2), (side, side), patch, stride=patch)


def standardised(patches: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(N, P, K) -> each patch minus its mean over its deviation, and both (N, P, 1); an even patch becomes zeros."""
    mean = patches.mean(dim=-1, keepdim=True)
    deviation = (patches.var(dim=-1, keepdim=True) + EPSILON).sqrt()
    return (patches - mean) / deviation, mean, deviation
