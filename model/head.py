"""Where the head is in a volume: one coarse mask for field of view, intensity window and scope gate.

The volume is sampled every few millimetres, smoothed, and split into air and tissue by Otsu's threshold (IEEE Trans.
SMC 9(1), 1979); the largest connected piece of tissue, with what it encloses, is the head. A coil that sees one end of
the head much darker than the other moves that threshold through the dark end, so it is only the start: the head grows
from there by a threshold that is a share of the brightness of the tissue around, and is then taken by a larger share.

Where the area of the head grows again towards its top, the other end of the body is folded onto it, and the head ends
below. Where the volume ends before the head does, the dome above is that of the ellipsoid which its upper part follows.
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
LOCAL_MM, SHARE, ROUNDS, SETTLED = 15.0, 0.33, 10, 0.001
DIMMEST, NOISE = 0.15, 1.8
SLAB_MM = 85.0
HEAD_MM, FOLDED_MM, UPPER_MM, DOME_MM = 110.0, 40.0, 40.0, 40.0
GROWS_CM2, FLAT_CM2, FEWEST, FLATTER = 12.0, 15.0, 6, 0.8


@dataclass(frozen=True)
class Head:
    """The head on a coarse grid.

    image      (d, h, w) float32, smoothed samples;  mask: (d, h, w) bool, what is head
    affine_mm  (4, 4) index of a coarse sample -> LPS mm
    threshold  modality units between air and tissue
    veil       noise above the crown level, of what tells tissue there: over 1 it hides where the head ends
    flat_cm2   area of the head's uppermost plane, where the volume or its usable part ends there; 0 where it does not
    """

    image: NDArray[np.float32]
    mask: NDArray[np.bool_]
    affine_mm: NDArray[np.float64]
    threshold: float
    veil: float = 0.0
    flat_cm2: float = 0.0

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
        return self.places_mm(2)

    def places_mm(self, axis: int) -> NDArray[np.float64]:
        """(d, h, w) where every sample lies along an axis of LPS, mm."""
        d, h, w = np.ogrid[tuple(slice(0, n) for n in self.mask.shape)]
        along = self.affine_mm[axis]
        return np.asarray(d * along[0] + h * along[1] + w * along[2] + along[3], np.float64)

    @property
    def upper_end(self) -> tuple[int, bool]:
        """The axis that runs most nearly from feet to head, and whether its index grows upwards."""
        along = self.affine_mm[2, :3]
        axis = int(np.abs(along).argmax())
        return axis, bool(along[axis] > 0)

    def areas_cm2(self) -> NDArray[np.float64]:
        """(n,) area of the head in each plane across the axis of `upper_end`, counted upwards."""
        axis, upwards = self.upper_end
        others = np.delete(self.affine_mm[:3, :3], axis, axis=1)
        area = float(np.linalg.norm(np.cross(others[:, 0], others[:, 1]))) / 100
        counts = np.moveaxis(self.mask, axis, 0).sum(axis=(1, 2))
        return np.asarray(area * (counts if upwards else counts[::-1]), np.float64)

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
        return max(found[2], self.flat_cm2), found[0], found[1]

    def centre_mm(self) -> tuple[float, float]:
        """Centre of mass (x, y, LPS mm) of the part of the head down to `CAP_MM` below the crown: no face, no neck."""
        points = self.points_mm
        x, y, _ = points[points[:, 2] >= self.crown_mm - CAP_MM].mean(axis=0)
        return float(x), float(y)

    @cached_property
    def anchor_mm(self) -> NDArray[np.float64]:
        """(3,) LPS mm of what slabs hang from: the middle of the head at the level of its crown."""
        return np.array([*self.centre_mm(), self.crown_mm])


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
    least, veil = _limits(plain, spacing)
    found = replace(plain, mask=_skin(image > np.maximum(least, veil), spacing))
    cap = found.mask & (found.heights_mm >= found.crown_mm)
    found = replace(found, veil=float(np.median(veil / least[cap])) if cap.any() and least[cap].all() else 0.0)
    return with_dome(_unfolded(found, image > np.maximum(least, veil), spacing))


def _limits(plain: Head, spacing_mm: NDArray[np.float64]) -> tuple[NDArray[np.float32], float]:
    """(d, h, w) the same share of the tissue's brightness around, which tissue exceeds; and what noise hardly does."""
    image, found = plain.image, plain.mask
    air = image[~found]
    if not air.size or not found.any() or not plain.threshold > 0:
        return np.full_like(image, plain.threshold), float(image.min())
    floor = min(NOISE * float(np.median(air[air <= 2 * np.median(air)])), plain.threshold)
    least, local = DIMMEST * float(np.median(image[found])), image
    for _ in range(ROUNDS):
        local = np.maximum(_local(image, found, spacing_mm), least)
        grown = _head(image > np.maximum(SHARE * local, floor), spacing_mm)
        changed = int((grown != found).sum())
        found = grown
        if changed <= SETTLED * found.sum():
            break
    return np.asarray(SHARE * local, np.float32), floor


def _local(image: NDArray[np.float32], mask: NDArray[np.bool_], spacing_mm: NDArray[np.float64]) -> NDArray[np.float32]:
    """Mean of the image around each sample, of what is in the mask."""
    widths = LOCAL_MM / spacing_mm
    weight = ndimage.gaussian_filter(mask.astype(np.float32), widths, mode="nearest")
    total = ndimage.gaussian_filter(np.where(mask, image, 0), widths, mode="nearest")
    return np.asarray(total / np.maximum(weight, 1e-4), np.float32)


def _unfolded(head: Head, tissue: NDArray[np.bool_], spacing_mm: NDArray[np.float64]) -> Head:
    """The head without what is folded onto its top: where its area grows again, it ends where it was smallest."""
    axis, upwards = head.upper_end
    areas = head.areas_cm2()
    top = int(np.flatnonzero(areas).max(initial=0))
    step = spacing_mm[axis]
    first, last = max(0, top - round(HEAD_MM / step)), max(0, top - round(FOLDED_MM / step))
    widest = first + int(areas[first : last + 1].argmax())
    rest = areas[widest : top + 1]
    grown = np.flatnonzero(rest - np.minimum.accumulate(rest) > GROWS_CM2)
    if not grown.size:
        return head
    end = widest + int(rest[: grown[0] + 1].argmin())
    seen = np.moveaxis(tissue.copy(), axis, 0)
    (seen if upwards else seen[::-1])[end + 1 :] = False
    return replace(head, mask=_skin(np.moveaxis(seen, 0, axis), spacing_mm), flat_cm2=float(areas[end]))


def with_dome(head: Head) -> Head:
    """The head with the dome that is missing where the volume ends before it does; the grid grows upwards for it.

    The areas of an ellipsoid's planes follow a parabola, so that of the planes below says what is above; heads are
    flatter by `FLATTER` (measured on five). The planes of the dome have the shape of the last one, shrunk.
    """
    axis, upwards = head.upper_end
    step = float(np.linalg.norm(head.affine_mm[:3, axis]))
    areas = head.areas_cm2()
    top = int(np.flatnonzero(areas).max(initial=0))
    flat = max(head.flat_cm2, areas[-1])
    below = areas[max(0, top + 1 - round(UPPER_MM / step)) : top + 1]
    if flat < FLAT_CM2 or len(below) < FEWEST:
        return replace(head, flat_cm2=float(flat))
    curve = np.polynomial.Polynomial.fit(step * np.arange(1 - len(below), -1), below[:-2], 2)
    heights = step * np.arange(-1, round(DOME_MM / step) + 1)
    dome = curve(np.where(heights > 0, heights / FLATTER, heights))
    dome = dome[: int(np.argmin(np.append(dome, 0.0) > 0))]
    mask = np.moveaxis(head.mask, axis, 0)[:: 1 if upwards else -1][: top + 1]
    planes = [_shrunk(mask[-1], min(1.0, area / areas[top]))[None] for area in dome]
    return _extended(head, np.concatenate([mask[:-2], *(planes or [mask[-2:]])]), float(flat))


def _extended(head: Head, mask: NDArray[np.bool_], flat_cm2: float) -> Head:
    """The head by a mask that is counted upwards along the upper end's axis and may reach beyond the image."""
    axis, upwards = head.upper_end
    image = np.moveaxis(head.image, axis, 0)[:: 1 if upwards else -1]
    more = len(mask) - len(image)
    if more > 0:
        image = np.concatenate([image, np.full((more, *image.shape[1:]), image.min(), image.dtype)])
    else:
        mask = np.concatenate([mask, np.zeros((-more, *mask.shape[1:]), np.bool_)])
    affine = head.affine_mm.copy()
    if not upwards:
        image, mask = image[::-1], mask[::-1]
        affine[:3, 3] -= max(more, 0) * affine[:3, axis]
    return replace(
        head,
        image=np.ascontiguousarray(np.moveaxis(image, 0, axis)),
        mask=np.ascontiguousarray(np.moveaxis(mask, 0, axis)),
        affine_mm=affine,
        flat_cm2=flat_cm2,
    )


def _shrunk(plane: NDArray[np.bool_], share: float) -> NDArray[np.bool_]:
    """That share of the plane which lies deepest within it."""
    depth = ndimage.distance_transform_edt(np.pad(plane, 1))[1:-1, 1:-1]
    keep = round(share * float(plane.sum()))
    if keep == 0:
        return np.zeros_like(plane)
    return np.asarray((depth >= np.sort(depth[plane])[-keep]) & plane, bool)


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


def _skin(tissue: NDArray[np.bool_], spacing_mm: NDArray[np.float64]) -> NDArray[np.bool_]:
    """The head without the one sample by which smoothing spreads it into the air."""
    head = _head(tissue, spacing_mm)
    inner = np.asarray(ndimage.binary_erosion(head, border_value=1), bool)
    return inner if inner.any() else head


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
