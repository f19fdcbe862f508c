"""First weights of a network that is trained from scratch.

torch's own are kept but for two: positions start as sines and cosines of row and column instead of small noise, so that
attention and covariance can tell places apart from the first step on (He et al. 2021, arXiv:2111.06377, appendix A;
Beyer et al. 2022, arXiv:2205.01580), and the patch projection starts as a linear layer would.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.encoder import MultiScaleViT2DEncoder


@torch.no_grad()
def initialise(encoder: MultiScaleViT2DEncoder) -> None:
    """Set positions and patch projection. `embed` adds positions to patches twice, so they are stored at half size."""
    encoder.pos_embed.copy_(positions(encoder.grid, encoder.embed_dim)[None] / 2)
    projection = encoder.patch_embed.proj
    nn.init.xavier_uniform_(projection.weight.view(len(projection.weight), -1))
    if projection.bias is not None:
        nn.init.zeros_(projection.bias)


def positions(grid: tuple[int, int], dim: int, longest: float = 10_000.0) -> Tensor:
    """(1 + P, dim): zeros for CLS, then patch by patch, a quarter each for sine and cosine of its row and its column.

    >>> positions((14, 14), 96).shape
    torch.Size([197, 96])
    """
    quarter = dim // 4
    rates = longest ** (-torch.arange(quarter) / max(1, quarter))
    rows, columns = (
        axis.flatten()[:, None] * rates for axis in torch.meshgrid(*(torch.arange(n) for n in grid), indexing="ij")
    )
    waves = torch.cat([rows.sin(), rows.cos(), columns.sin(), columns.cos()], dim=1)
    return functional.pad(waves, (0, dim - waves.shape[1], 1, 0))
