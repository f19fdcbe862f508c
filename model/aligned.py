"""Brain -> atlas -> slices without skull: the pixel path of `preprocessing.brain: deepbet`.

The atlas is that of the training slices (OASIS-1: Talairach space, 176 x 208 x 176 mm), with its origin in the middle.
Its brain, `model/atlas/shape.npy`, is the mask that `model.brain` finds in the ICBM 2009a template, turned by 1.6
degrees and scaled to 0.942 of its width, 0.977 of its length and 0.958 of its height: so the template is most like the
means of 136 training slices in all three planes. A brain is turned, shifted and stretched along the axes of the atlas,
never sheared, until its mask is most like that one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize
from scipy.spatial.transform import Rotation

from model import slicing
from model.brain import Brain, Floats, Mask, dice
from model.planes import Slab
from model.slicing import Preprocessing
from model.types import Slice, Volume

SHAPE = Path(__file__).parent / "atlas" / "shape.npy"
GRID_MM, BLUR_MM = 6.0, 3.0
TURN_DEGREES, STRETCH, SHIFT_MM = 50.0, 1.8, 60.0  # how far from the first guess the atlas is looked for
STEPS = np.repeat([0.05, 0.05, 3.0], 3)  # of turns in radians, logarithms of stretches, shifts in mm: of like effect
TRIES, ENOUGH = 20, 1e-4

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Aligned:
    """A brain in the atlas.

    affine_mm  (4, 4) atlas mm (to the left, the back, the top) -> LPS mm of the patient; its columns are orthogonal
    likeness   Dice overlap of the mask with the atlas' brain, 0-1
    """

    affine_mm: Matrix
    likeness: float

    def grid(self, slab: Slab, size: int) -> Matrix:
        """(4, 4) from (slice, row, column, 1) of a slab to LPS mm of the patient."""
        return np.asarray(self.affine_mm @ slab.grid(np.zeros(3), size))


def slices(
    volume: Volume, brain: Brain, aligned: Aligned, preprocessing: Preprocessing, slab: Slab | None = None
) -> tuple[Slice, ...]:
    """The slices of a slab of the atlas, by default the axial one from foot to head, black outside the brain."""
    slab = slab or preprocessing.axial
    grid = aligned.grid(slab, preprocessing.size)
    shape = (slab.slices, preprocessing.size, preprocessing.size)
    planes = slicing.resample(volume, grid, shape)
    mask = Volume(brain.mask.astype(np.float32), brain.affine_mm)
    inside = _without_rim(slicing.resample(mask, grid, shape) > 0.5, preprocessing, slab)
    planes = np.where(inside, _windowed(planes, inside, preprocessing), np.float32(0))
    return slicing.rounded(volume, planes, grid, slab.plane)


def _without_rim(inside: Mask, preprocessing: Preprocessing, slab: Slab) -> Mask:
    """What lies deeper than the rim in its plane."""
    pixel_mm = np.divide(slab.field_mm, preprocessing.size)
    depths = [ndimage.distance_transform_edt(plane, sampling=pixel_mm) for plane in inside]
    return np.stack(depths) > preprocessing.rim_mm


def _windowed(planes: Floats, inside: Mask, preprocessing: Preprocessing) -> Floats:
    """The percentiles of the brain become the values that those of the training slices have."""
    if not inside.any():
        return planes
    low, high = np.percentile(planes[inside], preprocessing.brain_percentiles)
    dark, bright = preprocessing.brain_values
    scale = (bright - dark) / (high - low) if high > low else 1.0
    return np.asarray(dark + (planes - low) * scale, np.float32)


def align(brain: Brain) -> Aligned:
    """The affine under which a brain is most like the atlas' one; of an empty mask the atlas itself, likeness 0."""
    if not brain.mask.any():
        return Aligned(np.eye(4), 0.0)
    target = atlas_brain()
    middle, litres = _middle_and_litres(target)
    start = np.zeros(9)
    start[3:6] = np.log(brain.litres / litres) / 3
    centre = brain.points_mm.mean(axis=0) - np.exp(start[3]) * middle
    sampled = _sampler(brain, centre, target.shape)
    reach = np.repeat([np.radians(TURN_DEGREES), np.log(STRETCH), SHIFT_MM], 3)
    found = optimize.least_squares(
        lambda parameters: sampled(parameters) - target.ravel(),
        start,
        bounds=(start - reach, start + reach),
        x_scale=STEPS,
        xtol=ENOUGH,
        ftol=ENOUGH,
        max_nfev=TRIES,
    )
    likeness = dice(sampled(found.x) > 0.5, target.ravel() > 0.5)
    return Aligned(_affine(found.x, centre), likeness)


@cache
def atlas_brain() -> Floats:
    """The brain of the atlas, 0-1 each `GRID_MM` around its middle, along axes to the left, the back, the top."""
    return np.asarray(np.load(SHAPE) / np.float32(255), np.float32)


def _middle_and_litres(target: Floats) -> tuple[Matrix, float]:
    points = _points_mm(target.shape)[:3, target.ravel() > 0.5]
    return np.asarray(points.mean(axis=1)), points.shape[1] * GRID_MM**3 / 1e6


def _points_mm(shape: tuple[int, ...]) -> Matrix:
    """(4, n) atlas mm of the grid's points."""
    places = np.indices(shape).reshape(3, -1) - (np.reshape(shape, (3, 1)) - 1) / 2
    return np.vstack([GRID_MM * places, np.ones(places.shape[1])])


def _sampler(brain: Brain, centre: Matrix, shape: tuple[int, ...]) -> Callable[[Matrix], Floats]:
    """The blurred mask at the atlas' points, as a function of the nine parameters."""
    spacing = np.linalg.norm(brain.affine_mm[:3, :3], axis=0)
    steps = np.maximum(1, BLUR_MM // spacing).astype(int)
    blurred = ndimage.gaussian_filter(np.pad(brain.mask, steps[0]).astype(np.float32), BLUR_MM / spacing)
    image = np.ascontiguousarray(blurred[:: steps[0], :: steps[1], :: steps[2]])
    to_index = np.linalg.inv(brain.affine_mm)
    to_index[:3, 3] += steps[0]
    to_index[:3] /= steps[:, None]
    points = _points_mm(shape)

    def sampled(parameters: Matrix) -> Floats:
        places = (to_index @ _affine(parameters, centre) @ points)[:3]
        return np.asarray(ndimage.map_coordinates(image, places, order=1), np.float32)

    return sampled


def _affine(parameters: Matrix, centre: Matrix) -> Matrix:
    """Three turns, the logarithms of three stretches, three shifts -> (4, 4)."""
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_rotvec(parameters[:3]).as_matrix() * np.exp(parameters[3:6])
    affine[:3, 3] = centre + parameters[6:]
    return affine
