"""Where the brain is in a T1-weighted volume, found by deepbet 1.0.2 (Fisch et al. 2024, Comput Biol Med 179:108845).

    volume, axes to right, front, top ──► 128 x 128 x 128 ──► box network ──► its box and a tenth around it
                                      ──► that box in 256 x 256 x 256 ──► brain network ──► largest piece, filled

Both networks are the trained ones of the package on PyPI (MIT, `model/deepbet/LICENSE`), as `model/brain_weights.py`
made them of its wheel; the package itself is not installed, because it brings a graphical interface and a top-level
package `data`. The steps around the networks are the package's. They run on the CPU, whatever the device.
"""

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from model.engine import available_cores
from model.errors import VolumeError
from model.types import Volume

FOLDER = Path(__file__).parent / "deepbet"
SMALL, LARGE = (128, 128, 128), (256, 256, 256)
DARKEST, BRIGHTEST = 0.005, 0.995
MEAN, DEVIATION = np.float32(0.449), np.float32(0.226)
LIKELY, MARGIN, OCCUPIED = 0.5, 0.1, 0.02
RAS = np.array([-1, -1, 1])  # of an axis in LPS, whether it grows as deepbet's axes do
NOTHING = (slice(0, 0),) * 3

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]
Box = tuple[slice, ...]
T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True)
class Brain:
    """The brain on a grid in the patient; the whole is what the brain network says, filled.

    mask       (i, j, k) bool;  affine_mm: (4, 4) index -> LPS mm
    agreement  Dice overlap of both networks' masks, 0-1
    shape      of the volume that the grid is a part of, first: where the grid begins there
    """

    mask: Mask
    affine_mm: NDArray[np.float64]
    agreement: float
    shape: tuple[int, ...]
    first: tuple[int, ...]

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel in millilitres."""
        return float(abs(np.linalg.det(self.affine_mm[:3, :3]))) / 1000

    @property
    def litres(self) -> float:
        """Volume of the brain with its fluid."""
        return float(self.mask.sum()) * self.voxel_ml / 1000

    @cached_property
    def points_mm(self) -> NDArray[np.float64]:
        """(n, 3) LPS mm of the voxels in the mask."""
        return np.argwhere(self.mask) @ self.affine_mm[:3, :3].T + self.affine_mm[:3, 3]

    def cut_cm2(self) -> float:
        """Area of the brain on the end of the volume where it is largest: what is missing lies behind it."""
        found = 0.0
        for axis in range(3):
            others = np.delete(self.affine_mm[:3, :3], axis, axis=1)
            area = float(np.linalg.norm(np.cross(others[:, 0], others[:, 1]))) / 100
            last = self.first[axis] + self.mask.shape[axis] == self.shape[axis]
            for end, reached in ((0, self.first[axis] == 0), (-1, last)):
                if reached:
                    found = max(found, area * float(np.take(self.mask, end, axis).sum()))
        return found


def find(volume: Volume) -> Brain:
    """The brain of a volume; of what has none, an empty mask. Raises VolumeError when a sample is not finite."""
    if not np.isfinite(volume.voxels).all():
        raise VolumeError("the volume holds values that are not finite")
    voxels, affine = upright(volume)
    small = nearest(voxels, SMALL)
    low, high = (np.float32(each) for each in np.quantile(small, (DARKEST, BRIGHTEST)))
    nothing = Brain(np.zeros((1, 1, 1), bool), affine, 0.0, voxels.shape, (0, 0, 0))
    if not high > low:
        return nothing
    coarse = largest(infer("box", normalised(small, low, high)) > LIKELY)
    box = box_of(coarse, voxels.shape)
    part = voxels[box]
    if not part.size:
        return nothing
    fine = infer("brain", normalised(nearest(part, LARGE), low, high)) > LIKELY
    mask = filled(largest(nearest(fine, part.shape)))
    first = tuple(each.start for each in box)
    placed = affine.copy()
    placed[:3, 3] += affine[:3, :3] @ first
    return Brain(mask, placed, dice(nearest(coarse, voxels.shape)[box], mask), voxels.shape, first)


def upright(volume: Volume) -> tuple[Floats, NDArray[np.float64]]:
    """The voxels with axes that run most nearly to the right, the front and the top, and their affine in LPS mm."""
    directions = volume.affine_mm[:3, :3] / np.linalg.norm(volume.affine_mm[:3, :3], axis=0)
    order = _nearest_axes(np.abs(directions))
    affine = volume.affine_mm[:, [*order, 3]]
    voxels = volume.voxels.transpose(order)
    for axis in range(3):
        if affine[axis, axis] * RAS[axis] < 0:
            voxels = np.flip(voxels, axis)
            affine[:3, 3] += affine[:3, axis] * (voxels.shape[axis] - 1)
            affine[:3, axis] *= -1
    return voxels, affine


def _nearest_axes(nearness: NDArray[np.float64]) -> tuple[int, ...]:
    """For x, y and z the array axis along it: the pairs that lie closest first."""
    left, order = nearness.copy(), [0, 0, 0]
    for _ in range(3):
        way, axis = np.unravel_index(left.argmax(), left.shape)
        order[int(way)] = int(axis)
        left[way], left[:, axis] = -1, -1
    return tuple(order)


def nearest(voxels: NDArray[T], shape: tuple[int, ...]) -> NDArray[T]:
    """The voxels on a grid of another shape over the same extent, each the one that its centre lies in."""
    places = [((np.arange(n) + 0.5) * (old / n)).astype(np.intp) for old, n in zip(voxels.shape, shape, strict=True)]
    return voxels[np.ix_(*places)]


def normalised(voxels: Floats, low: np.float32, high: np.float32) -> Floats:
    """Cut off at both values, then to the mean and deviation that the networks know."""
    cut = np.clip((voxels - low) / (high - low), 0, 1)
    return np.asarray(
        DEVIATION * ((cut - cut.mean(dtype=np.float64)) / cut.std(ddof=1, dtype=np.float64)) + MEAN, np.float32
    )


def infer(name: str, voxels: Floats) -> Floats:
    """What a network gives for each voxel: the probability that it is brain."""
    request = network(name).create_infer_request()
    return np.array(request.infer([voxels[None, None]])[0][0, 1])


@cache
def network(name: str) -> Any:
    """`box` or `brain`, ready to run on the CPU."""
    import openvino as ov  # large, and only what finds a brain needs it

    settings = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": available_cores(),
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,
    }
    return ov.Core().compile_model(FOLDER / f"{name}.xml", "CPU", settings)


def largest(mask: Mask) -> Mask:
    """The largest piece; voxels that touch by a corner belong together."""
    labels, count = ndimage.label(mask, np.ones((3, 3, 3)))
    return np.asarray(labels == 1 + np.bincount(labels.ravel())[1:].argmax() if count else mask, bool)


def filled(mask: Mask) -> Mask:
    """With the holes that no way through faces leads out of."""
    labels, count = ndimage.label(~mask)
    faces = [np.take(labels, end, axis).ravel() for axis in range(3) for end in (0, -1)]
    outside = np.zeros(count + 1, bool)
    outside[np.concatenate(faces)] = True
    outside[0] = False
    return np.asarray(~outside[labels], bool)


def box_of(mask: Mask, shape: tuple[int, ...]) -> Box:
    """The box of a coarse mask, in voxels of a volume of that shape, with a tenth of its size around it."""
    sides = []
    for axis in range(3):
        others = tuple(each for each in range(3) if each != axis)
        there = np.flatnonzero(mask.mean(axis=others) > OCCUPIED)
        if not there.size:
            return NOTHING
        scale = np.float32(shape[axis] / mask.shape[axis])
        middle = np.round(scale * np.float32((there[-1] + 1 + there[0]) / 2))
        size = np.round(np.float32(1 + 2 * MARGIN) * scale * np.float32(there[-1] + 1 - there[0]))
        sides.append(slice(max(0, int(middle - size / 2)), min(shape[axis], int(middle + size / 2))))
    return tuple(sides)


def dice(one: Mask, two: Mask) -> float:
    """Overlap of two masks, 0-1; 0 where both are empty."""
    total = int(one.sum()) + int(two.sum())
    return 2 * int((one & two).sum()) / total if total else 0.0
