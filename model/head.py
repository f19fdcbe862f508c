"""Where the head is in a volume: one coarse mask for field of view, intensity window and scope gate.

The volume is sampled every few millimetres, smoothed, and split into air and tissue by Otsu's threshold (IEEE Trans.
SMC 9(1), 1979); the largest connected piece of tissue, with what it encloses, is the head.

A coil that sees the vertex much darker than the neck moves that threshold above the vertex. So the head is found again
by a threshold that follows the local brightness of tissue; where its crown lies elsewhere, that one counts.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from model.errors import VolumeError
from model.types import Volume

GRID_MM = 4.0
CROWN_ML = 100.0
CROWN_PRECISION_MM = 0.05
CAP_MM = 60.0
BRIGHT = 1.5
BRIDGE_MM = 8.0
SAME_CROWN_MM = 3.0
LOCAL_MM, ROUNDS, NOISE_PERCENTILE = 30.0, 8, 60.0
SLAB_MM = 85.0


@dataclass(frozen=True)
class Head:
    """The head on a coarse grid.

    image      (d, h, w) float32, smoothed samples;  mask: (d, h, w) bool, what is head
    affine_mm  (4, 4) index of a coarse sample -> LPS mm
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

    @cached_property
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

    def above_ml(self, level_mm: float) -> float:
        """How much of the head lies above a level (z, LPS mm); each sample counts as spread over its own height."""
        heights = self.points_mm[:, 2]
        half = float(np.abs(self.affine_mm[2, :3]).sum()) / 2
        return float(np.clip((heights + half - level_mm) / (2 * half), 0, 1).sum()) * self.voxel_ml

    @cached_property
    def crown_mm(self) -> float:
        """The level (z, LPS mm) above which lies 0.1 litre of the head, some 20 mm below its top.

        A volume, not the highest sample: hair, noise and the phase of the coarse grid do not move it.
        """
        heights = self.points_mm[:, 2]
        low, high = float(heights.min()) - GRID_MM, float(heights.max()) + GRID_MM
        wanted = min(CROWN_ML, self.above_ml(low) / 2)
        while high - low > CROWN_PRECISION_MM:
            level = (low + high) / 2
            low, high = (level, high) if self.above_ml(level) > wanted else (low, level)
        return (low + high) / 2

    def cut_cm2(self) -> tuple[float, float, float]:
        """Area of the head on the ends of the volume, where it is largest: above, to the sides, to front and back.

        Not counted are the end towards the feet, and what lies deeper than `SLAB_MM` below the crown: neck, shoulders.
        """
        near = self.mask & (self.heights_mm >= self.crown_mm - SLAB_MM)
        found = {0: 0.0, 1: 0.0, 2: 0.0}
        for axis in range(3):
            others = np.delete(self.affine_mm[:3, :3], axis, axis=1)
            area = float(np.linalg.norm(np.cross(others[:, 0], others[:, 1]))) / 100
            step = self.affine_mm[:3, axis]
            way = int(np.abs(step).argmax())
            for end, outwards in ((0, -step), (-1, step)):
                if way < 2 or outwards[2] > 0:
                    found[way] = max(found[way], area * float(np.take(near, end, axis).sum()))
        return found[2], found[0], found[1]

    def centre_mm(self) -> tuple[float, float]:
        """Centre of mass (x, y, LPS mm) of the part of the head down to `CAP_MM` below the crown: no face, no neck."""
        points = self.points_mm
        x, y, _ = points[points[:, 2] >= self.crown_mm - CAP_MM].mean(axis=0)
        return float(x), float(y)


def find(volume: Volume) -> Head:
    """The head of a volume; where there is no contrast at all, the mask is the whole volume.

    Raises VolumeError when a sample is not finite.
    """
    steps = [max(1, round(GRID_MM / spacing)) for spacing in volume.spacing_mm]
    samples = volume.voxels[:: steps[0], :: steps[1], :: steps[2]]
    if not np.isfinite(samples).all():
        raise VolumeError("the volume holds values that are not finite")
    brightest = BRIGHT * float(np.percentile(samples, 99.5))
    some = np.minimum(samples, np.float32(brightest)) if brightest > 0 else np.asarray(samples, np.float32)
    image = ndimage.gaussian_filter(some, [1 if n > 2 else 0 for n in samples.shape])
    threshold = otsu(image)
    affine = volume.affine_mm @ np.diag([*map(float, steps), 1.0])
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    plain = Head(image, _head(image > threshold, spacing), affine, threshold)
    evened = replace(plain, mask=_evened(image, plain.mask, threshold, spacing))
    return evened if abs(evened.crown_mm - plain.crown_mm) > SAME_CROWN_MM else plain


def _evened(
    image: NDArray[np.float32], mask: NDArray[np.bool_], threshold: float, spacing_mm: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """The head by a threshold that is the same share of the brightness of the tissue around, everywhere."""
    air = image[~mask]
    if not air.size or not mask.any() or not threshold > 0:
        return mask
    share = threshold / max(float(np.median(image[mask])), 1e-6)
    noise = float(np.percentile(air, NOISE_PERCENTILE)) if air.size else 0.0
    widths = LOCAL_MM / spacing_mm
    found = mask
    for _ in range(ROUNDS):
        weight = ndimage.gaussian_filter(found.astype(np.float32), widths, mode="nearest")
        local = ndimage.gaussian_filter(np.where(found, image, 0), widths, mode="nearest") / np.maximum(weight, 1e-4)
        found = _head(image > np.maximum(share * local, min(noise, threshold)), spacing_mm)
    return found


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


def _head(tissue: NDArray[np.bool_], spacing_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The largest piece of tissue, with the dark ring of skull and fluid between scalp and brain closed and filled."""
    reach = [max(1, round(BRIDGE_MM / step)) for step in spacing_mm]
    z, y, x = np.ogrid[tuple(slice(-r, r + 1) for r in reach)]
    ball = (z / reach[0]) ** 2 + (y / reach[1]) ** 2 + (x / reach[2]) ** 2 <= 1
    padded = np.pad(tissue, [(r, r) for r in reach], mode="edge")
    closed = ndimage.binary_closing(padded, ball)[tuple(slice(r, -r) for r in reach)]
    labels, count = ndimage.label(ndimage.binary_fill_holes(closed))
    if count == 0:
        return np.ones_like(tissue)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(labels == sizes.argmax(), bool)
