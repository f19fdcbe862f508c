"""Where the head is in a volume: one coarse mask for field of view, intensity window and scope gate.

The volume is sampled every few millimetres, smoothed, and split into air and tissue by Otsu's threshold (IEEE Trans.
SMC 9(1), 1979); the largest connected piece of tissue, with its holes filled, is the head.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from model.errors import VolumeError
from model.types import Volume

GRID_MM = 4.0
TOP_AREA_MM2 = 500.0


@dataclass(frozen=True)
class Head:
    """The head on a coarse grid.

    image      (d, h, w) float32, smoothed samples;  mask: (d, h, w) bool, tissue with its holes filled
    affine_mm  (4, 4) index of a coarse sample -> LPS mm;  steps: voxels between samples along each axis
    threshold  modality units between air and tissue
    """

    image: NDArray[np.float32]
    mask: NDArray[np.bool_]
    affine_mm: NDArray[np.float64]
    threshold: float

    @property
    def voxel_ml(self) -> float:
        """Volume of a coarse sample in millilitres."""
        return float(abs(np.linalg.det(self.affine_mm[:3, :3]))) / 1000

    @property
    def points_mm(self) -> NDArray[np.float64]:
        """(n, 3) LPS mm of the samples in the mask."""
        return np.argwhere(self.mask) @ self.affine_mm[:3, :3].T + self.affine_mm[:3, 3]

    @property
    def heights_mm(self) -> NDArray[np.float64]:
        """(d, h, w) height (z, LPS mm) of every sample."""
        d, h, w = np.ogrid[tuple(slice(0, n) for n in self.mask.shape)]
        along = self.affine_mm[2]
        return np.asarray(d * along[0] + h * along[1] + w * along[2] + along[3], np.float64)

    def depth_mm(self) -> NDArray[np.float64]:
        """(d, h, w) distance of each sample in the mask from the nearest sample outside, in mm; 0 outside."""
        spacing = np.linalg.norm(self.affine_mm[:3, :3], axis=0)
        padded = np.pad(self.mask, 1)
        return np.asarray(ndimage.distance_transform_edt(padded, sampling=spacing)[1:-1, 1:-1, 1:-1], np.float64)

    def top_mm(self) -> float:
        """Height (z, LPS mm) of the highest level at which the head is as large as a fingertip's breadth each way."""
        heights = self.points_mm[:, 2]
        levels = np.floor(heights / GRID_MM).astype(int)
        area = np.bincount(levels - levels.min()) * self.voxel_ml * 1000 / GRID_MM
        wide = np.flatnonzero(area >= min(TOP_AREA_MM2, float(area.max())))
        return float((wide[-1] + levels.min() + 1) * GRID_MM)


def find(volume: Volume) -> Head:
    """The head of a volume; where there is no contrast at all, the mask is the whole volume.

    Raises VolumeError when a sample is not finite.
    """
    steps = [max(1, round(GRID_MM / spacing)) for spacing in volume.spacing_mm]
    samples = volume.voxels[:: steps[0], :: steps[1], :: steps[2]]
    if not np.isfinite(samples).all():
        raise VolumeError("the volume holds values that are not finite")
    image = ndimage.gaussian_filter(np.asarray(samples, np.float32), [1 if n > 2 else 0 for n in samples.shape])
    threshold = otsu(image)
    affine = volume.affine_mm @ np.diag([*map(float, steps), 1.0])
    return Head(image, _largest(image > threshold), affine, threshold)


def otsu(image: NDArray[np.float32], bins: int = 256) -> float:
    """The value that splits the image into two classes with the largest variance between them.

    >>> 1 < otsu(np.float32([0, 0, 1, 9, 10, 10])) < 9
    True
    """
    low, high = (float(value) for value in np.percentile(image, (0.0, 99.5)))
    if not high > low:
        return low
    counts, edges = np.histogram(np.clip(image, low, high), bins, (low, high))
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    best = np.nan_to_num(between)
    return float(edges[1 + int(np.flatnonzero(best == best.max()).mean())])


def _largest(tissue: NDArray[np.bool_]) -> NDArray[np.bool_]:
    labels, count = ndimage.label(tissue)
    if count == 0:
        return np.ones_like(tissue)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(ndimage.binary_fill_holes(labels == sizes.argmax()), bool)
