"""A bundle as the two network classes, in torch: for training, for features, and for holding the engines against."""

import torch

from model.bundle import Bundle
from model.classifier import SecondOrderClassifier
from model.encoder import MultiScaleViT2DEncoder
from model.manifest import Architecture


def build(architecture: Architecture, drop_path_rate: float = 0.0) -> SecondOrderClassifier:
    """The network of an architecture, with weights as torch initialises them."""
    encoder = MultiScaleViT2DEncoder(
        architecture.img_size,
        architecture.patch_size,
        architecture.embed_dim,
        architecture.depth,
        architecture.num_heads,
        architecture.mlp_ratio,
        drop_path_rate=drop_path_rate,
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
