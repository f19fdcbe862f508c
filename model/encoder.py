"""The encoder: a vision transformer over one grey slice, which also fuses features from several depths.

Parameter names, shapes and behaviour are those of the published network, so that its checkpoint loads unchanged. Two of
its habits look like slips and are kept, because the weights were trained with them: position embeddings are added twice
to patch tokens and once to the CLS token, and the fused multi-scale features do not reach the classifier.

N images, D = embed_dim, P = patches of an image (14 x 14 for 224 / 16), T = 1 + P tokens with CLS first.
"""

from collections.abc import Sequence
from typing import Literal, overload

import torch
from torch import Tensor, nn

Pair = int | tuple[int, int]


class MultiScaleViT2DEncoder(nn.Module):
    """Image -> tokens; without arguments it is the published encoder (22,060,032 parameters).

    img_size, patch_size  rows and columns in pixels, one number for squares
    drop_path_rate        stochastic depth of the last block, rising linearly from 0 (Huang 2016, arXiv:1603.09382)
    fusion_blocks         blocks whose mean patch token is fused; None: the ends of the four quarters, 2, 5, 8, 11 of 12
    """

    def __init__(
        self,
        img_size: Pair = (224, 224),
        patch_size: Pair = (16, 16),
        embed_dim: int = 384,
        depth: int = 12,
        num_heads: int = 6,
        mlp_ratio: float = 4.0,
        dropout: float = 0.0,
        drop_path_rate: float = 0.1,
        *,
        fusion_blocks: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.img_size, self.patch_size = _pair(img_size), _pair(patch_size)
        self.embed_dim, self.depth, self.num_heads, self.mlp_ratio = embed_dim, depth, num_heads, mlp_ratio
        quarters = {max(0, quarter * depth // 4 - 1) for quarter in (1, 2, 3, 4)}
        self.fusion_blocks = tuple(sorted(quarters if fusion_blocks is None else fusion_blocks))
        self.grid = (self.img_size[0] // self.patch_size[0], self.img_size[1] // self.patch_size[1])

        self.patch_embed = PatchEmbedding(self.patch_size, embed_dim)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + self.grid[0] * self.grid[1], embed_dim))
        rates = [drop_path_rate * block / max(1, depth - 1) for block in range(depth)]
        self.blocks = nn.ModuleList(Block(embed_dim, num_heads, mlp_ratio, dropout, rate) for rate in rates)
        self.norm = nn.LayerNorm(embed_dim)
        self.scale_fusion = nn.Sequential(
            nn.Linear(embed_dim * len(self.fusion_blocks), embed_dim), nn.GELU(), nn.LayerNorm(embed_dim)
        )
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    @overload
    def forward(self, images: Tensor, return_all_tokens: Literal[False] = False) -> Tensor: ...
    @overload
    def forward(self, images: Tensor, return_all_tokens: Literal[True]) -> tuple[Tensor, Tensor, list[Tensor]]: ...

    def forward(self, images: Tensor, return_all_tokens: bool = False) -> Tensor | tuple[Tensor, Tensor, list[Tensor]]:
        """images (N, 1, H, W), z-scored -> tokens (N, T, D) after the last norm.

        With return_all_tokens also the fused multi-scale features (N, D) and each block's attention (N, heads, T, T).
        """
        tokens = self.embed(images)
        if not return_all_tokens:
            return self.encode(tokens)
        means, attentions = [], []
        for index, block in enumerate(self.blocks):
            tokens, attention = block(tokens, return_attention=True)
            attentions.append(attention)
            if index in self.fusion_blocks:
                means.append(tokens[:, 1:].mean(dim=1))  # (N, D)
        return self.norm(tokens), self.scale_fusion(torch.cat(means, dim=-1)), attentions

    def embed(self, images: Tensor) -> Tensor:
        """images (N, 1, H, W) -> tokens with their positions (N, T, D), before the first block."""
        patches = self.patch_embed(images) + self.pos_embed[:, 1:]  # (N, P, D)
        cls = self.cls_token.expand(images.shape[0], -1, -1)
        return torch.cat([cls, patches], dim=1) + self.pos_embed  # (N, T, D): the patches' second time

    def encode(self, tokens: Tensor) -> Tensor:
        """Embedded tokens (N, any number, D), all or some of them -> the same tokens after all blocks and the norm."""
        for block in self.blocks:
            tokens, _ = block(tokens)
        normed: Tensor = self.norm(tokens)
        return normed


class PatchEmbedding(nn.Module):
    """Cut the image into patches and project each: (N, 1, H, W) -> (N, P, D), row by row."""

    def __init__(self, patch_size: tuple[int, int], embed_dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(1, embed_dim, kernel_size=patch_size, stride=patch_size)

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, 1, H, W) -> patches (N, P, D)."""
        patches: Tensor = self.proj(images).flatten(2).transpose(1, 2)
        return patches


class Block(nn.Module):
    """Pre-norm transformer block: x + attention(norm(x)), then x + mlp(norm(x)); exact GELU."""

    def __init__(self, dim: int, heads: int, mlp_ratio: float, dropout: float, drop_path: float) -> None:
        super().__init__()
        hidden = int(dim * mlp_ratio)
        self.norm1 = nn.LayerNorm(dim)
        self.attn = nn.MultiheadAttention(dim, heads, dropout=dropout, batch_first=True)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(
            nn.Linear(dim, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, dim), nn.Dropout(dropout)
        )
        self.drop_path = DropPath(drop_path)

    def forward(self, tokens: Tensor, return_attention: bool = False) -> tuple[Tensor, Tensor | None]:
        """Tokens (N, T, D) -> the same shape, and the attention (N, heads, T, T) where it is asked for."""
        x = self.norm1(tokens)
        mixed, attention = self.attn(x, x, x, need_weights=return_attention, average_attn_weights=False)
        tokens = tokens + self.drop_path(mixed)
        return tokens + self.drop_path(self.mlp(self.norm2(tokens))), attention


class DropPath(nn.Module):
    """While training, drop the whole residual branch of an image with probability `rate`, and scale the rest up."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, branch: Tensor) -> Tensor:
        """Branch (N, T, D) -> the same shape."""
        if not self.training or self.rate == 0:
            return branch
        keep = torch.rand(len(branch), 1, 1, device=branch.device) >= self.rate
        return branch * keep / (1 - self.rate)


def _pair(value: Pair) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])
