"""The inside of the head as the slices show it: how its brightness varies, and how like its left and right are.

Everything is measured on a grid of about 2 mm, deeper than 15 mm below the outline in each slice, and relative to the
local mean, so that neither skull nor coil shading count.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from model.head import otsu
from model.types import Slice

GRID_MM = 2.0
RIM_MM = 15.0
FINE_MM, MIDDLE_MM, BROAD_MM, LOCAL_MM = 5.0, 24.0, 50.0, 80.0
MIRROR_FINE_MM = 8.0
CLIP = 0.25
FEW = 300
MAXIMUM_YAW = 45.0
YAW_STEPS, ROLLS = (-6, 0, 6), (-18, -12, -6, 0, 6, 12, 18)
FINER = ((0, 0), (-3, 0), (3, 0), (0, -3), (0, 3))

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Block:
    """The slices on a grid of about 2 mm: brightness, what is head, and what lies deep in the head."""

    image: Floats
    head: Mask
    inner: Mask
    spacing_mm: tuple[float, float, float]

    def smooth(self, values: Floats, width_mm: float) -> Floats:
        """Mean over a box of that width, of what lies inside."""
        sizes = [max(1, round(width_mm / step)) for step in self.spacing_mm]
        weight = self.inner.astype(np.float32)
        total = ndimage.uniform_filter(values * weight, sizes, mode="constant")
        share = ndimage.uniform_filter(weight, sizes, mode="constant")
        return np.asarray(np.where(self.inner, total / np.maximum(share, 1e-6), 0), np.float32)

    @cached_property
    def even(self) -> Floats:
        """Brightness inside over its local mean, which removes the coil's shading; 0 outside."""
        local = np.maximum(self.smooth(self.image, LOCAL_MM), 1)
        return np.asarray(np.where(self.inner, self.image / local, 0), np.float32)


def block_of(slices: Sequence[Slice]) -> Block:
    """The slices on the grid."""
    pixels = np.stack([item.pixels for item in slices])
    spacing = _spacing_mm(slices)
    steps = [max(1, round(GRID_MM / step)) for step in spacing]
    rows, columns = (n - n % step for n, step in zip(pixels.shape[1:], steps[1:], strict=True))
    some = pixels[:: steps[0], :rows, :columns].astype(np.float32)
    image = some.reshape(len(some), rows // steps[1], steps[1], columns // steps[2], steps[2]).mean(axis=(2, 4))
    grid = (spacing[0] * steps[0], spacing[1] * steps[1], spacing[2] * steps[2])
    closed = ndimage.binary_closing(image > 0.7 * otsu(image), np.ones((1, 5, 5)), iterations=2)
    head = np.stack([ndimage.binary_fill_holes(plane) for plane in closed])
    depth = [ndimage.distance_transform_edt(np.pad(plane, 1), sampling=grid[1:])[1:-1, 1:-1] for plane in head]
    return Block(np.asarray(image, np.float32), head, np.stack(depth) > RIM_MM, grid)


def _spacing_mm(slices: Sequence[Slice]) -> tuple[float, float, float]:
    """Between slices, rows, columns; of pictures without geometry, as if a head filled them."""
    place = slices[0].affine_mm
    if place is None:
        return 1.0, 200 / slices[0].pixels.shape[0], 200 / slices[0].pixels.shape[1]
    columns, rows, between = np.linalg.norm(place[:3, [1, 0, 2]], axis=0)
    return float(between), float(rows), float(columns)


def texture(block: Block) -> dict[str, float]:
    """texture, grain and furrows (model/scope.py); nothing when too little is inside."""
    if block.inner.sum() < FEW:
        return {}
    even = block.even
    fine = block.smooth(even, FINE_MM)
    detail = (fine - block.smooth(even, MIDDLE_MM))[block.inner]
    spread = _spread(detail)
    low, middle, high = np.percentile(detail, (5, 50, 95))
    return {
        "texture": spread,
        "grain": _spread((even - fine)[block.inner]) / max(spread, 1e-6),
        "furrows": float((high + low - 2 * middle) / max(high - low, 1e-6)),
    }


def mirror(block: Block) -> dict[str, float]:
    """mirror and mirror_lead (model/scope.py) after the head's tilt is found; nothing when too little is inside."""
    if block.inner.sum() < FEW:
        return {}
    even = block.even
    band = np.clip(block.smooth(even, MIRROR_FINE_MM) - block.smooth(even, BROAD_MM), -CLIP, CLIP)
    coarse, fine = _thinned(block, band, 3), _thinned(block, band, 2)
    start = _yaw(block)
    tilts = [(start + yaw, roll) for yaw in YAW_STEPS for roll in ROLLS]
    yaw, roll = max(tilts, key=lambda tilt: coarse.likeness(tilt[0], tilt[1], 2))
    near = [(yaw + more, roll + tilt) for more, tilt in FINER]
    yaw, roll = max(near, key=lambda tilt: fine.likeness(tilt[0], tilt[1], 2))
    likeness = fine.likeness(yaw, roll, 2)
    return {"mirror": likeness, "mirror_lead": likeness - fine.likeness(yaw, roll, 1)}


def _thinned(block: Block, band: Floats, step: int) -> "_Thin":
    """Every second sample within every `step`-th slice."""
    between, rows, columns = block.spacing_mm
    return _Thin(band[::step, ::2, ::2], block.inner[::step, ::2, ::2], (step * between, 2 * rows, 2 * columns))


def _yaw(block: Block) -> float:
    """Degrees by which the long axis of the head's outline is turned from front-back; 0 where it has none."""
    rows, columns = (np.argwhere(block.head)[:, 1:] * block.spacing_mm[1:]).T
    (yy, xy), (_, xx) = np.cov(rows, columns)
    angle = float(np.degrees(0.5 * np.arctan2(2 * xy, yy - xx)))
    return angle if abs(angle) <= MAXIMUM_YAW else 0.0


def _spread(values: Floats) -> float:
    low, high = np.percentile(values, (16, 84))
    return float(high - low) / 2


def _correlation(one: Floats, two: Floats, where: Mask) -> NDArray[np.float64]:
    """Of each slice, where the mask holds; both images are 0 elsewhere."""
    count = np.maximum(where.sum(axis=(1, 2)), 1)
    first, second = one.sum(axis=(1, 2)), two.sum(axis=(1, 2))
    both = (one * two).sum(axis=(1, 2)) - first * second / count
    left = (one * one).sum(axis=(1, 2)) - first * first / count
    right = (two * two).sum(axis=(1, 2)) - second * second / count
    return np.asarray(both / np.sqrt(np.maximum(left * right, 1e-12)), np.float64)


@dataclass(frozen=True)
class _Thin:
    """The detail inside on a thinner grid, to compare with its mirror images."""

    band: Floats
    inner: Mask
    spacing_mm: tuple[float, ...]

    def likeness(self, yaw: float, roll: float, axis: int) -> float:
        """Correlation with the mirror image, each slice at its best shift, after turning the head by these degrees."""
        turned = self._turned(self.inner.astype(np.float32), yaw, roll) > 0.5
        image = np.where(turned, self._turned(self.band, yaw, roll), 0)
        best = np.full(len(image), -1.0)
        for shift in range(-6, 7):
            both = np.roll(np.flip(turned, axis), shift, axis) & turned
            mirrored = np.roll(np.flip(image, axis), shift, axis)
            enough = both.sum(axis=(1, 2)) > 0.6 * turned.sum(axis=(1, 2))
            best = np.maximum(best, np.where(enough, _correlation(image * both, mirrored * both, both), -1))
        weight = turned.sum(axis=(1, 2))
        return float((best * weight).sum() / max(weight.sum(), 1))

    def _turned(self, values: Floats, yaw: float, roll: float) -> Floats:
        (sin_y, cos_y), (sin_r, cos_r) = ((np.sin(a), np.cos(a)) for a in np.radians((yaw, roll)))
        about_z = np.array([[1, 0, 0], [0, cos_y, -sin_y], [0, sin_y, cos_y]])
        about_y = np.array([[cos_r, 0, -sin_r], [0, 1, 0], [sin_r, 0, cos_r]])
        scale = np.diag(self.spacing_mm)
        matrix = np.linalg.inv(scale) @ about_z @ about_y @ scale
        middle = (np.array(values.shape) - 1) / 2
        return np.asarray(ndimage.affine_transform(values, matrix, middle - matrix @ middle, order=1), np.float32)
