"""The plain way: the two network classes as they are, in torch, layer by layer; the others are held against it."""

import numpy as np
import torch
from torch.nn import functional

from model.bundle import Bundle
from model.classifier import SecondOrderClassifier
from model.encoder import MultiScaleViT2DEncoder
from model.engine import Array, Encoded, Progress
from model.manifest import Architecture
from model.rollout import rollout


def build(architecture: Architecture) -> SecondOrderClassifier:
    """The network of an architecture, with weights as torch initialises them."""
    encoder = MultiScaleViT2DEncoder(
        architecture.img_size,
        architecture.patch_size,
        architecture.embed_dim,
        architecture.depth,
        architecture.num_heads,
        architecture.mlp_ratio,
        fusion_blocks=architecture.fused,
    )
    return SecondOrderClassifier(
        encoder, architecture.num_classes, architecture.dropout, covariance_dim=architecture.covariance_dim
    )


def load(bundle: Bundle) -> SecondOrderClassifier:
    """The network of a bundle with its weights, float32, in eval mode."""
    with torch.device("meta"):
        network = build(bundle.manifest.architecture)
    state = {name: torch.from_numpy(bundle.weights.read(name)) for name in bundle.weights.shapes}
    network.load_state_dict(state, assign=True)
    return network.eval()


class EagerEngine:
    """torch, eager, on the CPU, float32."""

    name, device, precision = "torch eager", "cpu", "float32"

    def __init__(self, bundle: Bundle, batch: int = 8) -> None:
        self.network, self.batch = load(bundle), batch
        self.order = bundle.manifest.rollout_order

    @torch.inference_mode()
    def encode(self, images: Array, progress: Progress | None = None) -> Encoded:
        """See Engine.encode."""
        parts = []
        for start in range(0, len(images), self.batch):
            parts.append(self._encode(torch.from_numpy(images[start : start + self.batch])))
            if progress is not None:
                progress(min(start + self.batch, len(images)), len(images))
        return Encoded(*(np.concatenate(each) for each in zip(*parts, strict=True)))

    def _encode(self, images: torch.Tensor) -> tuple[Array, Array, Array]:
        tokens, _, attentions = self.network.encoder(images, return_all_tokens=True)
        covariance = self.network.covariance(tokens).flatten(1)
        hidden = functional.gelu(self.network.cov_proj[0](covariance))
        return tokens[:, 0].numpy(), hidden.numpy(), rollout(attentions, self.order).numpy()
