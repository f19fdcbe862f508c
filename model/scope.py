"""Is it a T1-weighted head at all? Eight numbers of what the network would see, each with its limits.

| number | what it says | real heads | what it refuses |
| --- | --- | --- | --- |
| head_ml | tissue down to 110 mm below the crown, ml | 1010 to 3280 | small objects, trunks, fields of noise |
| top_fraction | area at the crown, of the largest | 0.36 to 0.74: a dome | limbs, bottles, cut-off tops |
| length_to_width | front-back over left-right extent | 1.09 to 1.41 | balls, limbs, heads turned by wrong headers |
| texture | spread of detail of 5 to 25 mm deep inside, of its mean | 0.08 to 0.36 | fluid phantoms |
| grain | spread of finer detail, of the texture | 0.2 to 0.9 | noise |
| furrows | skewness of the texture: dark furrows in bright tissue | -0.38 to -0.02 | T2, diffusion, perfusion |
| mirror | likeness of the inside to its left-right mirror image | 0.53 to 0.99 | random texture, trunks, fruit |
| mirror_lead | the same, above that of front and back | 0.05 to 0.72 | what is as symmetric both ways |

"Real heads" are whole, de-faced and skull-stripped T1 volumes of five scanners, turned by up to 20 degrees, scaled by
0.82 to 1.15, with noise, shading, 5 mm slices or a cut-off top added, and central slices of 136 people up to 96 years
old. The limits lie outside of that; they are part of the bundle. Likeness is measured after the head's own tilt is
found. Skewness is Bowley's coefficient at 5 and 95 %, so that a few very dark or bright spots do not count.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from model import head as heads
from model.types import Scope, Slice, Volume

THRESHOLDS: Mapping[str, float] = MappingProxyType(
    {
        "head_ml_minimum": 900.0,
        "head_ml_maximum": 3500.0,
        "top_fraction_maximum": 0.85,
        "length_to_width_minimum": 1.05,
        "length_to_width_maximum": 1.6,
        "texture_minimum": 0.05,
        "texture_maximum": 0.45,
        "grain_maximum": 1.0,
        "furrows_maximum": 0.0,
        "mirror_minimum": 0.42,
        "mirror_lead_minimum": 0.03,
    }
)
WORDS: Mapping[str, str] = MappingProxyType(
    {
        "head_ml": "tissue of the head, ml",
        "top_fraction": "area at the crown, of the largest",
        "length_to_width": "length to width",
        "texture": "texture inside",
        "grain": "noise to texture",
        "furrows": "dark furrows in bright tissue",
        "mirror": "likeness of left and right",
        "mirror_lead": "its lead over front and back",
    }
)
CAP_MM = 110.0
LEVEL_MM = 10.0
GRID_MM = 2.0
RIM_MM = 15.0
FINE_MM, MIDDLE_MM, BROAD_MM, LOCAL_MM = 5.0, 24.0, 50.0, 80.0
MIRROR_FINE_MM = 8.0
CLIP = 0.25
MAXIMUM_YAW = 45.0
YAW_STEPS, ROLLS = (-6, 0, 6), (-18, -12, -6, 0, 6, 12, 18)
FINER = ((0, 0), (-3, 0), (3, 0), (0, -3), (0, 3))
FEW = 300

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]


def assess(volume: Volume | None, slices: Sequence[Slice], thresholds: Mapping[str, float] = THRESHOLDS) -> Scope:
    """Whether the slices, and the volume that they are from, look like what the model was trained on.

    `volume` is None for 2D pictures, of which only texture and grain are measured, because nothing tells how they lie.
    """
    return decide(measure(volume, slices), {**THRESHOLDS, **thresholds})


def measure(volume: Volume | None, slices: Sequence[Slice]) -> dict[str, float]:
    """The numbers; without those of the inside where nothing large enough is in the picture."""
    block = _block(slices)
    inside = _inside(block)
    if volume is None:
        return {name: inside[name] for name in ("texture", "grain") if name in inside}
    return {**_outline(volume, block), **inside, **_mirror(block)}


def decide(measured: Mapping[str, float], limits: Mapping[str, float]) -> Scope:
    """The verdict on the numbers; the reason names each that is outside of its limits."""
    outside = list(_outside(measured, limits))
    if "texture" not in measured:
        outside.insert(0, "nothing large enough is in the picture")
    if outside:
        return Scope(False, "; ".join(outside), measured)
    whole = "head_ml" in measured
    return Scope(True, "looks like a T1-weighted head" if whole else "looks like a slice of a head", measured)


@dataclass(frozen=True)
class _Block:
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


def _block(slices: Sequence[Slice]) -> _Block:
    pixels = np.stack([item.pixels for item in slices])
    spacing = _spacing_mm(slices)
    steps = [max(1, round(GRID_MM / step)) for step in spacing]
    rows, columns = (n - n % step for n, step in zip(pixels.shape[1:], steps[1:], strict=True))
    some = pixels[:: steps[0], :rows, :columns].astype(np.float32)
    image = some.reshape(len(some), rows // steps[1], steps[1], columns // steps[2], steps[2]).mean(axis=(2, 4))
    grid = (spacing[0] * steps[0], spacing[1] * steps[1], spacing[2] * steps[2])
    closed = ndimage.binary_closing(image > 0.7 * heads.otsu(image), np.ones((1, 5, 5)), iterations=2)
    head = np.stack([ndimage.binary_fill_holes(plane) for plane in closed])
    depth = [ndimage.distance_transform_edt(np.pad(plane, 1), sampling=grid[1:])[1:-1, 1:-1] for plane in head]
    return _Block(np.asarray(image, np.float32), head, np.stack(depth) > RIM_MM, grid)


def _spacing_mm(slices: Sequence[Slice]) -> tuple[float, float, float]:
    """Between slices, rows, columns; of pictures without geometry, as if a head filled them."""
    place = slices[0].affine_mm
    if place is None:
        return 1.0, 200 / slices[0].pixels.shape[0], 200 / slices[0].pixels.shape[1]
    columns, rows, between = np.linalg.norm(place[:3, [1, 0, 2]], axis=0)
    return float(between), float(rows), float(columns)


def _outline(volume: Volume, block: _Block) -> dict[str, float]:
    head = heads.find(volume)
    crown = head.crown_mm
    above = np.array([head.above_ml(level) for level in np.arange(crown, crown - CAP_MM - 1, -LEVEL_MM)])
    layers = np.diff(above)
    widest = block.head[int(block.head.sum(axis=(1, 2)).argmax())]
    measured = {"head_ml": float(above[-1]), "top_fraction": float(layers[0] / max(layers.max(), 1e-6))}
    if widest.any():
        ends = np.percentile(np.argwhere(widest), (0.5, 99.5), axis=0)
        length, width = np.maximum(ends[1] - ends[0], 1) * block.spacing_mm[1:]
        measured["length_to_width"] = float(length / width)
    return measured


def _inside(block: _Block) -> dict[str, float]:
    if block.inner.sum() < FEW:
        return {}
    even = _evened(block)
    fine = block.smooth(even, FINE_MM)
    detail = (fine - block.smooth(even, MIDDLE_MM))[block.inner]
    texture = _spread(detail)
    low, middle, high = np.percentile(detail, (5, 50, 95))
    return {
        "texture": texture,
        "grain": _spread((even - fine)[block.inner]) / max(texture, 1e-6),
        "furrows": float((high + low - 2 * middle) / max(high - low, 1e-6)),
    }


def _mirror(block: _Block) -> dict[str, float]:
    if block.inner.sum() < FEW:
        return {}
    even = _evened(block)
    band = np.clip(block.smooth(even, MIRROR_FINE_MM) - block.smooth(even, BROAD_MM), -CLIP, CLIP)
    between, rows, columns = block.spacing_mm
    thin = _Thin(band[::3, ::2, ::2], block.inner[::3, ::2, ::2], (3 * between, 2 * rows, 2 * columns))
    start = _yaw(block)
    tilts = [(start + yaw, roll) for yaw in YAW_STEPS for roll in ROLLS]
    yaw, roll = max(tilts, key=lambda tilt: thin.likeness(tilt[0], tilt[1], 2))
    near = [(yaw + more, roll + tilt) for more, tilt in FINER]
    yaw, roll = max(near, key=lambda tilt: thin.likeness(tilt[0], tilt[1], 2))
    likeness = thin.likeness(yaw, roll, 2)
    return {"mirror": likeness, "mirror_lead": likeness - thin.likeness(yaw, roll, 1)}


def _yaw(block: _Block) -> float:
    """Degrees by which the long axis of the head's outline is turned from front-back; 0 where it has none."""
    rows, columns = (np.argwhere(block.head)[:, 1:] * block.spacing_mm[1:]).T
    (yy, xy), (_, xx) = np.cov(rows, columns)
    angle = float(np.degrees(0.5 * np.arctan2(2 * xy, yy - xx)))
    return angle if abs(angle) <= MAXIMUM_YAW else 0.0


def _evened(block: _Block) -> Floats:
    """Brightness inside over its local mean, which removes the coil's shading; 0 outside."""
    local = np.maximum(block.smooth(block.image, LOCAL_MM), 1)
    return np.asarray(np.where(block.inner, block.image / local, 0), np.float32)


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


def _outside(measured: Mapping[str, float], limits: Mapping[str, float]) -> Iterator[str]:
    for name, value in measured.items():
        low, high = limits.get(f"{name}_minimum", -np.inf), limits.get(f"{name}_maximum", np.inf)
        if value < low:
            yield f"{WORDS[name]} {value:.3g}, at least {low:g} is expected"
        elif value > high:
            yield f"{WORDS[name]} {value:.3g}, at most {high:g} is expected"
