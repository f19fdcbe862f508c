"""A made-up head in LPS millimetres: scalp, skull, folded cortex, white matter, ventricles, eyes, neck; no patient.

Each structure is an ellipsoid with an edge a millimetre wide, painted one over the other with the brightness it has
in a T1-weighted image, so the same head can be sampled in any plane, orientation and spacing.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float32]
EDGE_MM = 1.2
NOISE = 12.0


@dataclass(frozen=True)
class Tissue:
    """An ellipsoid in LPS mm, and its brightness on a scale where white matter is 800."""

    centre_mm: tuple[float, float, float]
    semi_axes_mm: tuple[float, float, float]
    brightness: float
    folding: float = 0.0  # depth of the folds of its surface, as a fraction of its size

    def cover(self, axes: tuple[Points, Points, Points], folds: Points) -> Points:
        """How much of each point, given as its x, y and z, lies within, 0 to 1."""
        radius = np.zeros_like(folds)
        for values, centre, semi_axis in zip(axes, self.centre_mm, self.semi_axes_mm, strict=True):
            radius += ((values - np.float32(centre)) / np.float32(semi_axis)) ** 2
        np.sqrt(radius, out=radius)
        if self.folding:
            radius += np.float32(self.folding) * folds
        edge = np.float32(min(self.semi_axes_mm) / EDGE_MM)
        cover: Points = np.clip((1 - radius) * edge + np.float32(0.5), 0, 1)
        return cover


HEAD = (
    Tissue((0, 18, -110), (60, 64, 90), 880),  # neck: fat, then muscle
    Tissue((0, 18, -110), (54, 58, 88), 360),
    Tissue((0, -72, -62), (44, 38, 52), 620),  # face
    Tissue((-83, 0, 0), (6, 4, 4), 950),  # the capsule that marks the right side
    Tissue((0, 0, 0), (80, 102, 95), 900),  # scalp
    Tissue((0, 0, 1), (75, 97, 90), 70),  # outer table, marrow, inner table
    Tissue((0, 0, 1), (73.5, 95.5, 88.5), 260),
    Tissue((0, 0, 1), (71.5, 93.5, 86.5), 70),
    Tissue((0, -82, -46), (13, 16, 22), 15),  # nasal cavity
    Tissue((33, -76, -28), (17, 17, 16), 820),  # orbital fat and eyes
    Tissue((-33, -76, -28), (17, 17, 16), 820),
    Tissue((33, -79, -28), (12, 12, 12), 140),
    Tissue((-33, -79, -28), (12, 12, 12), 140),
    Tissue((0, 2, 6), (69, 89, 74), 130),  # cerebrospinal fluid
    Tissue((0, 47, -50), (52, 36, 30), 130),
    Tissue((0, 47, -48), (49, 32, 26), 540, 0.05),  # cerebellum
    Tissue((0, 47, -48), (38, 22, 17), 760, 0.12),
    Tissue((0, 18, -52), (14, 14, 52), 740),  # brain stem
    Tissue((0, 2, 8), (66, 85, 70), 520, 0.035),  # cerebrum: grey, then white, then the fissure between the hemispheres
    Tissue((0, 2, 9), (57, 75, 60), 800, 0.13),
    Tissue((0, 2, 46), (1.8, 92, 42), 150),
    Tissue((0, -60, 10), (1.8, 36, 30), 150),
    Tissue((52, -8, 0), (14, 24, 3.5), 150, 0.05),  # Sylvian fissures
    Tissue((-52, -8, 0), (14, 24, 3.5), 150, 0.05),
    Tissue((0, 4, 20), (10, 36, 9), 800),  # corpus callosum
    Tissue((15, 0, 6), (11, 20, 11), 610),  # deep grey
    Tissue((-15, 0, 6), (11, 20, 11), 610),
    Tissue((9, 4, 16), (5.5, 33, 9), 125),  # ventricles
    Tissue((-9, 4, 16), (5.5, 33, 9), 125),
    Tissue((0, 2, 0), (2.6, 14, 10), 125),
)


def _folds(axes: tuple[Points, Points, Points]) -> Points:
    """A smooth field between -1 and 1 whose ridges lie about a centimetre apart, like sulci and gyri."""
    x, y, z = (values / np.float32(3.4) for values in axes)
    bend = np.sin(x * np.float32(0.41) + z * np.float32(0.29)) * np.float32(1.5)
    ridges = np.sin(x + bend) * np.cos(y * np.float32(0.8) - bend) + np.sin(z + y * np.float32(0.3) + bend) / 2
    folds: Points = np.clip(ridges * 2, -1, 1)
    return folds


def head(points_mm: Points) -> Points:
    """Brightness of a T1-weighted image (air 0, white matter about 800) at points (..., 3) in LPS mm, without noise."""
    x, y, z = (np.ascontiguousarray(points_mm[..., axis]) for axis in range(3))  # several times faster than strided
    folds = _folds((x, y, z))
    image = np.zeros(points_mm.shape[:-1], np.float32)
    for tissue in HEAD:
        image += tissue.cover((x, y, z), folds) * (np.float32(tissue.brightness) - image)
    texture = 1 + np.float32(0.025) * np.sin(points_mm @ np.array([0.9, 0.7, 1.1], np.float32))
    coil = 1 + np.float32(0.08) * np.cos(points_mm @ np.array([0.006, -0.009, 0.004], np.float32))
    return image * texture * coil


@lru_cache(maxsize=16)
def sampled(shape: tuple[int, int, int], affine: tuple[float, ...], seed: int = 0) -> NDArray[np.uint16]:
    """The head with the noise of a scanner on a grid: `affine` is the flat (4, 4) from (d, h, w, 1) to LPS mm.

    Read-only, because the next test gets the same array.
    """
    matrix = np.asarray(affine, np.float32).reshape(4, 4)
    noise = np.random.default_rng(seed)
    planes = np.empty(shape, np.uint16)
    h, w = np.meshgrid(np.arange(shape[1]), np.arange(shape[2]), indexing="ij")
    for d in range(shape[0]):
        index = np.stack([np.full_like(h, d), h, w], axis=-1).astype(np.float32)
        signal = head(index @ matrix[:3, :3].T + matrix[:3, 3])
        real, imaginary = noise.normal(0, NOISE, (2, *signal.shape))
        planes[d] = np.clip(np.hypot(signal + real, imaginary), 0, 4095).round()
    planes.setflags(write=False)
    return planes
