"""Volume -> slices as the network sees them: the one pixel path of training and serving.

    volume ──► head (model/head.py) ──► slab of planes (model/planes.py), a stated way below its top, centred on it
           ──► one trilinear resampling of only those planes ──► intensity window to 8 bit ──► z-score per slice

Planes are those of the patient's coordinate system, whichever way the patient lay and the scanner cut. Every number is
a field of `Preprocessing`, which the bundle's manifest holds; nothing here is random, so the same volume gives the same
slices. A 2D image takes the card's way instead: grey, resized to the square, z-score.
"""

import math
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from model import head as heads
from model.errors import VolumeError
from model.head import Head
from model.planes import Slab, readable
from model.types import Slice, Volume

BRAINS = ("none", "deepbet")
OF_THE_BRAIN = ("brain", "above_middle_mm", "rim_mm", "brain_percentiles", "brain_values")
AXIAL = ("slices", "spacing_mm", "below_crown_mm", "field_mm", "directions", "above_middle_mm")
STRIPES = min(4, os.cpu_count() or 1)


@dataclass(frozen=True)
class Preprocessing:
    """How a volume or an image becomes what the network sees.

    size                side of the square image, pixels
    slices, spacing_mm  how many axial planes, and the distance between them, mm
    below_crown_mm      from the crown (the level above which 0.1 litre of the head lies) to the middle plane, mm
    field_mm            height and width of the patient that fill the square, mm, around the middle of the head
    directions          where row and column numbers grow to: L, R, P or A (patient's left, right, back, front)
    inner_mm            the intensity window is measured on what lies deeper than this below the head's surface, mm
    window_percentiles  of the slab's air and of the inner head: values that become 0 and 255
    brain               none, or deepbet: then the slices are those of an atlas that the brain is aligned to, without
                        skull (model/aligned.py); below_crown_mm, inner_mm and window_percentiles say nothing
    above_middle_mm     with a brain: from the middle of the atlas up to the middle plane, mm
    rim_mm              what is left out at the edge of the brain, where its fluid is, mm
    brain_percentiles   of the brain in the slab: what becomes brain_values, 0-255
    planes              the slabs that are read, one of a plane; without them the axial one of the numbers above, which
                        is read however coarse the volume is, and which planes leave nothing to say
    """

    size: int = 224
    slices: int = 61
    spacing_mm: float = 1.0
    below_crown_mm: float = 52.0
    field_mm: tuple[float, float] = (208.0, 176.0)
    directions: tuple[str, str] = ("P", "L")
    inner_mm: float = 18.0
    window_percentiles: tuple[float, float] = (1.0, 99.5)
    brain: str = "none"
    above_middle_mm: float = 3.5
    rim_mm: float = 2.0
    brain_percentiles: tuple[float, float] = (5.0, 95.0)
    brain_values: tuple[float, float] = (38.0, 249.0)
    planes: tuple[Slab, ...] = ()

    def __post_init__(self) -> None:
        if self.size < 1 or self.slices < 1 or min(self.spacing_mm, *self.field_mm) <= 0:
            raise ValueError("preprocessing: size, slices, spacing_mm and field_mm are positive")
        axes = {"LR".find(each) >= 0 for each in self.directions}
        if {*self.directions} - {*"LRPA"} or len(axes) != 2:
            raise ValueError(f"preprocessing: {self.directions} are no two axes out of L/R and A/P")
        for low, high in (self.window_percentiles, self.brain_percentiles):
            if not 0 <= low < high <= 100:
                raise ValueError("preprocessing: window_percentiles and brain_percentiles grow from 0 to 100")
        if not 0 <= self.brain_values[0] < self.brain_values[1] <= 255:
            raise ValueError("preprocessing: brain_values grow from 0 to 255")
        if self.brain not in BRAINS:
            raise ValueError(f"preprocessing: brain is {' or '.join(BRAINS)}, not {self.brain!r}")
        if len({slab.plane for slab in self.planes}) < len(self.planes):
            raise ValueError("preprocessing: planes has a plane twice")
        ours = type(self)
        if self.planes and any(getattr(self, name) != getattr(ours, name) for name in AXIAL):
            raise ValueError(f"preprocessing: with planes, {', '.join(AXIAL)} say nothing: leave them out")

    @classmethod
    def card(cls) -> Self:
        """The preset of the published model card: 224 x 224 bilinear, z-score; a 2D image is resized as a whole."""
        return cls()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a manifest, without those that say nothing, so that older hashes stay."""
        silent = {*(OF_THE_BRAIN if self.brain == "none" else ()), *(AXIAL if self.planes else ("planes",))}
        return {key: value for key, value in asdict(self).items() if key not in silent}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`; lists become tuples. Raises ValueError or TypeError for what does not fit."""
        plain: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        slabs = plain.pop("planes", ())
        return cls(**plain, planes=tuple(Slab.from_dict(each) for each in slabs))

    @property
    def slabs(self) -> tuple[Slab, ...]:
        """What is read of a volume: the one list for serving, training, calibration and evaluation."""
        if self.planes:
            return self.planes
        up = -self.below_crown_mm if self.brain == "none" else self.above_middle_mm
        where, lies = (0.0, 0.0, up), (self.field_mm, self.directions)
        return (Slab("axial", self.slices, self.spacing_mm, where, *lies, coarsest_mm=math.inf),)

    @property
    def weights(self) -> dict[str, float]:
        """Plane -> weight of its mean in a study's answer."""
        return {slab.plane: slab.weight for slab in self.slabs}

    def weighted(self, weights: Mapping[str, float]) -> Self:
        """The same with other weights of some planes; nothing changes where it names none."""
        slabs = (replace(slab, weight=weights.get(slab.plane, slab.weight)) for slab in self.planes)
        return replace(self, planes=tuple(slabs))

    @property
    def axial(self) -> Slab:
        """The axial slab, by which the scope is judged; where none is read, the standard one."""
        standard = Slab.standard("axial", brain=self.brain != "none")
        return next((slab for slab in self.slabs if slab.plane == "axial"), standard)


def slices(volume: Volume, preprocessing: Preprocessing) -> tuple[Slice, ...]:
    """The slices of a volume, plane by plane, axial ones from foot to head.

    Raises VolumeError for values that are not finite, TooCoarse where it is so for every plane.
    """
    head = heads.find(volume)
    read = readable(volume, preprocessing.slabs, lambda slab: slab.grid(head.anchor_mm, preprocessing.size)).slabs
    return tuple(item for slab in read for item in cut(volume, head, preprocessing, slab))


def cut(volume: Volume, head: Head, preprocessing: Preprocessing, slab: Slab) -> tuple[Slice, ...]:
    """The slices of one slab. Raises VolumeError for values that are not finite."""
    grid_mm = slab.grid(head.anchor_mm, preprocessing.size)
    shape = (slab.slices, preprocessing.size, preprocessing.size)
    planes = resample(volume, grid_mm, shape, outside=float(head.image.min()))
    low, high = window(planes, head, preprocessing, slab)
    planes -= np.float32(low)
    planes *= np.float32(255 / (high - low))
    return rounded(volume, planes, grid_mm, slab.plane)


def rounded(volume: Volume, planes: NDArray[np.float32], grid_mm: NDArray[np.float64], plane: str) -> tuple[Slice, ...]:
    """Planes (n, S, S), which this overwrites, as slices of 8 bit at their places in the volume."""
    pixels = np.rint(np.clip(planes, 0, 255, out=planes), out=planes).astype(np.uint8)
    return tuple(_slice(volume, image, grid_mm, index, plane) for index, image in enumerate(pixels))


def normalise(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, S, S) uint8 -> (N, 1, S, S) float32: value / 255, minus its slice's mean, / (sample deviation + 1e-8)."""
    scaled = np.asarray(pixels, np.float32) / np.float32(255)
    mean = scaled.mean(axis=(1, 2), keepdims=True, dtype=np.float64).astype(np.float32)
    deviation = scaled.std(axis=(1, 2), keepdims=True, ddof=1, dtype=np.float64).astype(np.float32)
    return np.asarray((scaled - mean) / (deviation + np.float32(1e-8)))[:, None]


def slice_from_image(image: Image.Image | NDArray[Any], preprocessing: Preprocessing) -> Slice:
    """A 2D picture the card's way: grey ("L"), resized to the square by Pillow's bilinear filter."""
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    side = preprocessing.size
    return Slice(np.asarray(picture.convert("L").resize((side, side), Image.Resampling.BILINEAR), np.uint8))


def resample(
    volume: Volume, grid_mm: NDArray[np.float64], shape: tuple[int, int, int], outside: float = 0.0
) -> NDArray[np.float32]:
    """The volume, trilinear, on the grid `shape` whose index (i, j, k, 1) lies at `grid_mm` LPS mm.

    `outside` is the value where the volume does not reach. Raises VolumeError for values that are not finite.
    """
    to_index = np.linalg.inv(volume.affine_mm) @ grid_mm
    planes = np.empty(shape, np.float32)
    stripes = [part for part in np.array_split(np.arange(shape[0]), STRIPES) if len(part)]

    def fill(part: NDArray[np.intp]) -> None:
        offset = to_index[:3, 3] + to_index[:3, 0] * part[0]
        target = planes[part[0] : part[-1] + 1]
        ndimage.affine_transform(volume.voxels, to_index[:3, :3], offset, target.shape, target, order=1, cval=outside)

    with ThreadPoolExecutor(len(stripes)) as pool:
        list(pool.map(fill, stripes))
    if not np.isfinite(planes).all():
        raise VolumeError("the volume holds values that are not finite")
    return planes


def window(planes: NDArray[np.float32], head: Head, preprocessing: Preprocessing, slab: Slab) -> tuple[float, float]:
    """The values that become 0 and 255: air, and the brightest of what lies deep in the head."""
    depth = head.depth_mm()
    middle = head.anchor_mm[slab.axis] + slab.middle_mm[slab.axis]
    reach = max(slab.slices * slab.spacing_mm / 2, 2 * heads.GRID_MM)
    depth[np.abs(head.places_mm(slab.axis) - middle) > reach] = 0
    inner = head.image[depth > min(preprocessing.inner_mm, float(depth.max()) / 2)]
    low = float(np.percentile(planes[:, ::8, ::8], preprocessing.window_percentiles[0]))
    high = float(np.percentile(inner, preprocessing.window_percentiles[1])) if inner.size else low
    return low, high if high > low else low + 1.0


def _slice(volume: Volume, image: NDArray[np.uint8], slab_mm: NDArray[np.float64], index: int, plane: str) -> Slice:
    place = np.eye(4)
    place[:3, 0], place[:3, 1], place[:3, 2] = slab_mm[:3, 1], slab_mm[:3, 2], slab_mm[:3, 0]
    place[:3, 3] = slab_mm[:3, 3] + slab_mm[:3, 0] * index
    if not volume.sources:
        return Slice(image, place, plane=plane)
    rows, columns = image.shape
    centre = place @ [(rows - 1) / 2, (columns - 1) / 2, 0, 1]
    nearest = round(float((np.linalg.inv(volume.affine_mm) @ centre)[0]))
    return Slice(image, place, volume.sources[min(max(nearest, 0), len(volume.sources) - 1)], plane)


def stack(items: Sequence[Slice]) -> NDArray[np.uint8]:
    """(N, S, S) uint8 of the slices' pixels."""
    return np.stack([item.pixels for item in items])
