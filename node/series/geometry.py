"""Do these planes make a volume? The regular grid they lie on, or the named reason why they lie on none.

Planes are ordered by position along their normal, never by InstanceNumber, and the spacing is fitted to the positions,
never taken from SliceThickness or SpacingBetweenSlices (PS3.3 C.7.6.2.1.1). highdicom's `get_volume_positions` decides
the same question, but cannot say what is wrong; the tests hold our grid against highdicom's and SimpleITK's.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from node.dicom.frames import Frame
from node.errors import Permanent
from node.series.reasons import Reason

SAME_PLACE_MM = 0.05
ORTHONORMAL = 2e-3
SAME_DIRECTION = 2e-3
IRREGULAR_FRACTION = 0.1
ROUNDED_MM = 0.09  # what rounding each coordinate to 0.1 mm moves a position by, at most
MOSTLY = 0.7
MAXIMUM_SHEAR_DEGREES = 1.0
OBLIQUE_DEGREES = 0.5

Floats = NDArray[np.float64]


class GeometryError(Permanent):
    """The planes of this series make no volume; `reason` names why, the message has the numbers."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True)
class Stack:
    """Planes on a regular grid.

    order      index of the frame on each plane along the normal; None where a position is missing
    affine_mm  (4, 4) (plane, row, column, 1) -> LPS mm
    size       rows, columns
    """

    order: tuple[int | None, ...]
    affine_mm: Floats
    size: tuple[int, int]

    @property
    def missing(self) -> int:
        """How many positions have no frame."""
        return sum(each is None for each in self.order)

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Between planes, rows and columns."""
        d, h, w = np.linalg.norm(self.affine_mm[:3, :3], axis=0)
        return float(d), float(h), float(w)

    @property
    def extent_mm(self) -> tuple[float, float, float]:
        """How far the grid reaches across planes, along rows of planes and along columns."""
        d, h, w = self.spacing_mm
        return d * len(self.order), h * self.size[0], w * self.size[1]


def stack(frames: Sequence[Frame]) -> Stack:
    """The regular grid of these planes. Raises GeometryError with the reason why there is none."""
    positions, rows, columns, spacing = _plane(frames)
    normal = np.cross(rows, columns)
    heights = positions @ normal
    order = np.argsort(heights, kind="stable")
    _no_duplicates(heights[order])
    number = _numbered(heights[order])
    step, origin = np.polynomial.polynomial.polyfit(number, positions[order], 1)[::-1]
    _straight(positions[order] - (origin + np.outer(number, step)), step, normal)
    affine = np.eye(4)
    affine[:3] = np.column_stack([step, columns * spacing[0], rows * spacing[1], origin])
    places: list[int | None] = [None] * (int(number[-1]) + 1)
    for index, place in zip(order, number, strict=True):
        places[int(place)] = int(index)
    return Stack(tuple(places), affine, frames[0].size)


def orientation(affine_mm: Floats) -> str:
    """Which way the planes lie in the patient, such as "sagittal, 3.9 degrees oblique".

    >>> orientation(np.diag([-1.0, 1.0, 2.0, 1.0])[:, [2, 1, 0, 3]])
    'axial'
    """
    normal = np.abs(np.cross(affine_mm[:3, 2], affine_mm[:3, 1]))
    normal /= np.linalg.norm(normal)
    name = ("sagittal", "coronal", "axial")[int(normal.argmax())]
    tilt = float(np.degrees(np.arccos(np.clip(normal.max(), -1, 1))))
    return name if tilt < OBLIQUE_DEGREES else f"{name}, {tilt:.1f} degrees oblique"


def _plane(frames: Sequence[Frame]) -> tuple[Floats, Floats, Floats, Floats]:
    if len(frames) < 2:
        raise GeometryError(Reason.TOO_FEW_SLICES, f"{len(frames)} image plane")
    lacking = sum(not (frame.position_mm and frame.orientation and frame.spacing_mm) for frame in frames)
    if lacking:
        raise GeometryError(
            Reason.NO_GEOMETRY, f"{lacking} of {len(frames)} images lack position, orientation or spacing"
        )
    orientations = np.array([frame.orientation for frame in frames])
    spacings = np.array([frame.spacing_mm for frame in frames])
    if len({frame.size for frame in frames}) > 1 or np.ptp(spacings, axis=0).max() > 1e-3 * spacings.max():
        raise GeometryError(Reason.MIXED_SIZES, "rows, columns or pixel spacing differ within the series")
    if spacings.min() <= 0:
        raise GeometryError(Reason.NO_GEOMETRY, "the pixel spacing is not positive")
    if np.ptp(orientations, axis=0).max() > SAME_DIRECTION:
        directions = len(np.unique(orientations.round(2), axis=0))
        raise GeometryError(Reason.MIXED_ORIENTATIONS, f"{directions} different orientations in {len(frames)} images")
    rows, columns = orientations.mean(axis=0).reshape(2, 3)
    lengths = np.linalg.norm([rows, columns], axis=1)
    if np.abs(lengths - 1).max() > ORTHONORMAL or abs(rows @ columns) > ORTHONORMAL:
        raise GeometryError(Reason.NO_GEOMETRY, "the image orientation is not a pair of perpendicular unit vectors")
    rows = rows / lengths[0]
    columns = columns - (columns @ rows) * rows
    return np.array([f.position_mm for f in frames]), rows, columns / np.linalg.norm(columns), spacings.mean(axis=0)


def _no_duplicates(heights: Floats) -> None:
    places = np.concatenate([[0], np.cumsum(np.diff(heights) > SAME_PLACE_MM)])
    counts = np.bincount(places)
    if counts.max() == 1:
        return
    doubled = int((counts > 1).sum())
    if doubled > len(counts) / 2:
        raise GeometryError(Reason.SEVERAL_VOLUMES, f"{len(heights)} images at {len(counts)} positions")
    raise GeometryError(Reason.DUPLICATE_POSITIONS, f"{doubled} of {len(counts)} positions hold more than one image")


def _numbered(heights: Floats) -> Floats:
    """The place of each sorted height on a regular scale from 0, with gaps where positions are missing."""
    gaps = np.diff(heights)
    steps = gaps / gaps.min()
    if np.abs(steps - steps.round()).max() > IRREGULAR_FRACTION:
        steps = gaps / np.median(gaps)
    if np.abs(steps - steps.round()).max() > IRREGULAR_FRACTION or steps.round().min() < 1:
        return _on_a_line(heights, gaps)
    return np.concatenate([[0.0], np.cumsum(steps.round())])


def _on_a_line(heights: Floats, gaps: Floats) -> Floats:
    """The same of positions that the scanner rounded: gap by gap they vary, along the line they do not."""
    about = float(np.median(gaps))
    units = gaps[np.abs(gaps - about) <= max(IRREGULAR_FRACTION * about, 2 * ROUNDED_MM)]
    places = np.concatenate([[0.0], np.cumsum((gaps / units.mean()).round())])
    for _ in range(2):
        step, start = np.polyfit(places, heights, 1)
        places = ((heights - start) / step).round() if step > 0 else places
    step, start = np.polyfit(places, heights, 1)
    worst = float(np.abs(heights - start - step * places).max())
    allowed = max(IRREGULAR_FRACTION * step, ROUNDED_MM)
    if len(units) < MOSTLY * len(gaps) or np.diff(places).min() < 1 or worst > allowed:
        raise GeometryError(Reason.IRREGULAR_SPACING, f"slices lie {gaps.min():.2f} to {gaps.max():.2f} mm apart")
    return np.asarray(places - places[0], np.float64)


def _straight(deviation: Floats, step: Floats, normal: Floats) -> None:
    length = float(np.linalg.norm(step))
    shear = float(np.degrees(np.arccos(np.clip(step @ normal / length, -1, 1))))
    if shear > MAXIMUM_SHEAR_DEGREES:
        raise GeometryError(Reason.SHEARED, f"the slices are stacked {shear:.1f} degrees off their normal")
    worst = float(np.linalg.norm(deviation, axis=1).max())
    if worst > max(IRREGULAR_FRACTION * length, ROUNDED_MM):
        raise GeometryError(Reason.IRREGULAR_SPACING, f"a slice lies {worst:.2f} mm beside the line of the others")
