"""The parameter names and shapes of an architecture, without building the network: what a file must hold to fit it.

A test holds this list equal to the networks' own `state_dict()`.
"""

from model.manifest import Architecture


def parameter_shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """Name -> shape, in the order of the state dict."""
    dim, size, hidden = architecture.embed_dim, architecture.covariance_size, 4 * architecture.embed_dim
    shapes: dict[str, tuple[int, ...]] = {
        "encoder.cls_token": (1, 1, dim),
        "encoder.pos_embed": (1, 1 + architecture.grid**2, dim),
        "encoder.patch_embed.proj.weight": (dim, 1, architecture.patch_size, architecture.patch_size),
        "encoder.patch_embed.proj.bias": (dim,),
    }
    for block in range(architecture.depth):
        shapes |= {f"encoder.blocks.{block}.{name}": shape for name, shape in _block(architecture).items()}
    shapes |= {f"encoder.norm.{part}": (dim,) for part in ("weight", "bias")}
    shapes |= _linear("encoder.scale_fusion.0", dim * len(architecture.fused), dim)
    shapes |= {f"encoder.scale_fusion.2.{part}": (dim,) for part in ("weight", "bias")}
    if architecture.covariance_dim is not None:
        shapes["cov_reduce.weight"] = (size, dim)
    shapes |= _linear("cov_proj.0", size * size, hidden) | _linear("cov_proj.3", hidden, dim)
    shapes |= {f"head.0.{part}": (2 * dim,) for part in ("weight", "bias")}
    return shapes | _linear("head.2", 2 * dim, architecture.num_classes)


def _block(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    dim = architecture.embed_dim
    hidden = int(dim * architecture.mlp_ratio)
    norm1, norm2 = ({f"norm{index}.{part}": (dim,) for part in ("weight", "bias")} for index in (1, 2))
    packed: dict[str, tuple[int, ...]] = {"attn.in_proj_weight": (3 * dim, dim), "attn.in_proj_bias": (3 * dim,)}
    attention = packed | _linear("attn.out_proj", dim, dim)
    return norm1 | attention | norm2 | _linear("mlp.0", dim, hidden) | _linear("mlp.3", hidden, dim)


def _linear(name: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}
