"""The folded network in torch: what the CUDA engine captures, and what torch.compile is measured with.

N slices, T tokens, F >= T places for them, D = embed_dim, C = covariance size, H hidden width of the projector.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from model.bundle import Bundle
from model.folding import Array, FoldedBlock, FoldedEncoder, Linear, folded_projector, upper
from model.rollout import RolloutOrder

ALIGNED = 8  # tensor cores want rows of 16 bytes: 197 tokens stand in 200 places, and nobody attends to the last three


class OnePass(nn.Module):
    """Images -> everything that lies before the first dropout; weights in `dtype`, features and rollout in float32."""

    def __init__(self, bundle: Bundle, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__()
        self.encoder = OnePassEncoder(FoldedEncoder.of(bundle), bundle.manifest.rollout_order, device, dtype)
        size, hidden = bundle.manifest.architecture.covariance_size, bundle.weights.shapes["cov_proj.0.bias"][0]
        projector = torch.empty(hidden, size * (size + 1) // 2, dtype=dtype, device=device)
        for rows, half in folded_projector(bundle):
            projector[rows] = torch.from_numpy(half).to(device, dtype)
        self.register_buffer("projector", projector)
        self.register_buffer("bias", torch.from_numpy(bundle.weights.read("cov_proj.0.bias")).to(device, dtype))
        self.projector: Tensor
        self.bias: Tensor

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """images (N, 1, S, S) -> cls (N, D), hidden (N, H) after GELU, rollout (N, P)."""
        cls, covariance, row = self.encoder(images)
        return cls, self.project(covariance), row

    def project(self, covariance: Tensor) -> Tensor:
        """Half covariances (N, C (C + 1) / 2) -> hidden (N, H) after GELU, float32."""
        return functional.gelu(
            functional.linear(covariance.to(self.projector.dtype), self.projector, self.bias).float()
        )


class OnePassEncoder(nn.Module):
    """The encoder, the covariance and the rollout."""

    def __init__(self, folded: FoldedEncoder, order: RolloutOrder, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__()

        def place(array: Array) -> nn.Parameter:
            return nn.Parameter(torch.from_numpy(array).to(device, dtype), requires_grad=False)

        self.order, self.heads, self.patch_size = order, folded.architecture.num_heads, folded.architecture.patch_size
        self.tokens = len(folded.start)
        self.patch = place(folded.patch)
        self.start = place(np.pad(folded.start, ((0, -self.tokens % ALIGNED), (0, 0))))
        self.norm_weight, self.norm_bias = place(folded.norm_weight), place(folded.norm_bias)
        self.reduce = place(folded.reduce) if folded.reduce is not None else None
        self.blocks = nn.ModuleList(OnePassBlock(block, self.heads, device, dtype) for block in folded.blocks)
        half = torch.from_numpy(upper(folded.architecture.covariance_size)).to(device)
        self.register_buffer("upper_half", half)
        self.upper_half: Tensor

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """images (N, 1, S, S) -> cls (N, D), half covariance (N, C (C + 1) / 2), rollout (N, P), float32."""
        tokens, attentions = self._start(images), []
        for block in self.blocks:
            tokens, attention = block(tokens, self.tokens)
            attentions.append(attention)
        tokens = tokens[:, : self.tokens]
        normed = functional.layer_norm(tokens, tokens.shape[-1:], self.norm_weight, self.norm_bias)
        return normed[:, 0].float(), self._half_covariance(normed[:, 1:]), self._rollout(attentions)

    def _start(self, images: Tensor) -> Tensor:
        size, side = self.patch_size, images.shape[-1] // self.patch_size
        cut = images.to(self.patch.dtype).view(-1, side, size, side, size).transpose(2, 3)
        patches = cut.reshape(-1, side * side, size * size) @ self.patch.T + self.start[1 : self.tokens]  # (N, P, D)
        cls, empty = (part.expand(len(images), -1, -1) for part in (self.start[:1], self.start[self.tokens :]))
        return torch.cat([cls, patches, empty], dim=1)  # (N, F, D)

    def _half_covariance(self, patches: Tensor) -> Tensor:
        patches = (patches if self.reduce is None else functional.linear(patches, self.reduce)).float()
        centred = patches - patches.mean(dim=1, keepdim=True)
        product = centred.transpose(1, 2) @ centred / centred.shape[1]
        return product.flatten(1).index_select(1, self.upper_half)

    def _rollout(self, attentions: list[Tensor]) -> Tensor:
        layers = attentions if self.order is RolloutOrder.FIRST_TO_LAST else attentions[::-1]
        row = torch.zeros_like(layers[0][:, :1], dtype=torch.float32)
        row[:, :, 0] = 1
        for attention in layers:
            row = (row + row @ attention.float()) / 2
        return row[:, 0, 1 : self.tokens]


class OnePassBlock(nn.Module):
    """A folded transformer block that also gives its attention, averaged over heads."""

    def __init__(self, block: FoldedBlock, heads: int, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__()
        self.heads = heads
        layers = (block.qkv, block.out, block.up, block.down)
        self.qkv, self.out, self.up, self.down = (_linear(layer, device, dtype) for layer in layers)

    def forward(self, tokens: Tensor, attended: int) -> tuple[Tensor, Tensor]:
        """Tokens (N, F, D), of which the first `attended` are attended to -> the same shape, and (N, F, F)."""
        count, dim = tokens.shape[1:]
        packed = self.qkv(functional.layer_norm(tokens, (dim,))).view(-1, count, 3, self.heads, dim // self.heads)
        queries, keys, values = packed.permute(2, 0, 3, 1, 4)  # (N, heads, F, D / heads)
        scores = queries @ keys.transpose(-1, -2)  # (N, heads, F, F)
        scores[..., attended:] = -torch.inf
        attention = scores.softmax(dim=-1)
        mixed = (attention @ values).transpose(1, 2).flatten(2)
        tokens = tokens + self.out(mixed)
        raised = functional.gelu(self.up(functional.layer_norm(tokens, (dim,))))
        return tokens + self.down(raised), attention.mean(dim=1)


def _linear(layer: Linear, device: torch.device, dtype: torch.dtype) -> nn.Linear:
    module = nn.Linear(layer.weight.shape[1], layer.weight.shape[0], device="meta")
    module.weight = nn.Parameter(torch.from_numpy(layer.weight).to(device, dtype), requires_grad=False)
    module.bias = nn.Parameter(torch.from_numpy(layer.bias).to(device, dtype), requires_grad=False)
    return module
