"""Networks from the sizes in a recipe, ready to be trained."""

from model.classifier import SecondOrderClassifier
from model.encoder import MultiScaleViT2DEncoder
from model.manifest import Architecture


def build_encoder(size: Architecture, drop_path: float) -> MultiScaleViT2DEncoder:
    """An encoder with fresh weights from torch's global generator."""
    return MultiScaleViT2DEncoder(
        size.img_size,
        size.patch_size,
        size.embed_dim,
        size.depth,
        size.num_heads,
        size.mlp_ratio,
        drop_path_rate=drop_path,
        fusion_blocks=size.fusion_blocks,
    )


def build_classifier(size: Architecture, drop_path: float) -> SecondOrderClassifier:
    """Encoder and head with fresh weights from torch's global generator."""
    return SecondOrderClassifier(
        build_encoder(size, drop_path), size.num_classes, size.dropout, covariance_dim=size.covariance_dim
    )
