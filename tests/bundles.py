"""Bundles for tests: small networks whose every parameter is random, so that nothing can be left out unnoticed."""

import numpy as np

from model.bundle import Bundle
from model.manifest import Architecture, Manifest
from model.shapes import parameter_shapes
from model.slicing import Preprocessing

SMALL = Architecture(img_size=64, embed_dim=48, depth=4, num_heads=3)
REDUCED = Architecture(img_size=64, embed_dim=48, depth=3, num_heads=4, covariance_dim=12, mlp_ratio=2.0)
FULL_FIELD = Architecture(embed_dim=24, depth=2, num_heads=2)  # 224 x 224, as slices of volumes are


def arrays(architecture: Architecture, seed: int = 7) -> dict[str, np.ndarray]:
    """A value for every parameter, keyed by seed and name; norms near 1, biases that matter."""
    values = {}
    for name, shape in parameter_shapes(architecture).items():
        random = np.random.Generator(np.random.PCG64([seed, *name.encode()]))
        noise = random.standard_normal(shape, dtype=np.float32)
        near_one = len(shape) == 1 and name.endswith("weight")
        scale = 0.2 if len(shape) == 1 else float(np.prod(shape[1:])) ** -0.5
        values[name] = noise * np.float32(scale) + np.float32(near_one)
    return values


def bundle(architecture: Architecture = SMALL, seed: int = 7, **manifest: object) -> Bundle:
    """A bundle of such values; `manifest` overrides its fields."""
    preprocessing = Preprocessing(size=architecture.img_size)
    fields = {"trained": True, "architecture": architecture, "preprocessing": preprocessing, **manifest}
    return Bundle.create(Manifest.checked(**fields), arrays(architecture, seed))


def pixels(count: int, side: int = 64, seed: int = 3) -> np.ndarray:
    """(count, side, side) uint8 with structure at every scale."""
    random = np.random.default_rng(seed)
    coarse = np.kron(random.integers(0, 128, (count, side // 8, side // 8)), np.ones((1, 8, 8), int))
    return (coarse + random.integers(0, 128, (count, side, side))).astype(np.uint8)
