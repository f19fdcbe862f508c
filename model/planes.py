"""The planes that a bundle reads: where the slices of each lie, and which of them a volume can give.

| plane | slices run | rows grow | columns grow |
| --- | --- | --- | --- |
| axial | from foot to head | to the back | to the left |
| sagittal | from right to left | to the foot | to the front |
| coronal | from front to back | to the foot | to the left |

Rows and columns are those of the labelled OASIS-1 slices, and a slab can name others. A slice of another plane than the
scanner's is resampled through many images, and is as coarse as they lie apart. So a volume gives a plane where it is
sampled at least every `coarsest_mm` along the rows and along the columns of its slices: a 3D series gives all planes, a
2D series with 5 mm between its images that of its images alone.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from model.errors import TooCoarse
from model.types import PLANES, Volume

DIRECTIONS: Mapping[str, tuple[float, float, float]] = MappingProxyType(
    {"L": (1, 0, 0), "R": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0), "H": (0, 0, 1), "F": (0, 0, -1)}
)
LIES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {"axial": ("P", "L"), "sagittal": ("F", "A"), "coronal": ("F", "L")}
)
FIELDS_MM: Mapping[str, tuple[float, float]] = MappingProxyType(
    {"axial": (208.0, 176.0), "sagittal": (176.0, 208.0), "coronal": (176.0, 176.0)}
)
ABOVE_MIDDLE_MM: Mapping[str, float] = MappingProxyType({"axial": 3.5, "sagittal": 0.0, "coronal": 0.0})
CROWN_MM = 55.5  # from the middle of the atlas up to the crown
COARSEST_MM = 3.0

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Slab:
    """Parallel slices of one plane.

    plane               axial, sagittal or coronal
    slices, spacing_mm  how many, and the distance between them, mm
    middle_mm           where the middle of the middle slice lies: to the left, the back and the top, in mm, of the
                        middle of the head at the level of its crown, or with a brain of the middle of the atlas
    field_mm            height and width of the patient that fill the square, mm
    directions          where row and column numbers grow to: L, R, P, A, H or F (left, right, back, front, head, foot)
    weight              of the mean of its slices in the study's answer
    coarsest_mm         the plane is read where the volume is sampled at least this often within it, mm
    """

    plane: str
    slices: int = 61
    spacing_mm: float = 1.0
    middle_mm: tuple[float, float, float] = (0.0, 0.0, -CROWN_MM)
    field_mm: tuple[float, float] = (176.0, 176.0)
    directions: tuple[str, str] = ("F", "L")
    weight: float = 1.0
    coarsest_mm: float = COARSEST_MM

    def __post_init__(self) -> None:
        if self.plane not in PLANES:
            raise ValueError(f"preprocessing: {self.plane!r} is no plane: {', '.join(PLANES)}")
        if self.slices < 1 or min(self.spacing_mm, *self.field_mm) <= 0:
            raise ValueError("preprocessing: slices, spacing_mm and field_mm are positive")
        if not (0 < self.weight < math.inf and self.coarsest_mm > 0 and np.isfinite(self.middle_mm).all()):
            raise ValueError("preprocessing: weight and coarsest_mm are positive, middle_mm is finite")
        axes = {int(np.flatnonzero(DIRECTIONS.get(each, (0, 0, 0))).max(initial=-1)) for each in self.directions}
        if axes | {PLANES.index(self.plane)} != {0, 1, 2}:
            raise ValueError(f"preprocessing: {self.directions} are no two axes within a slice that is {self.plane}")

    @classmethod
    def standard(cls, plane: str, *, brain: bool = False, **changes: Any) -> Self:
        """That of a plane as the labelled OASIS-1 slices have it; without a brain it hangs from the crown.

        >>> Slab.standard("coronal", slices=5).middle_mm
        (0.0, 0.0, -55.5)
        """
        if plane not in PLANES:
            raise ValueError(f"{plane!r} is no plane: {', '.join(PLANES)}")
        up = ABOVE_MIDDLE_MM[plane] - (0.0 if brain else CROWN_MM)
        return cls(
            plane, **{"middle_mm": (0.0, 0.0, up), "field_mm": FIELDS_MM[plane], "directions": LIES[plane], **changes}
        )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`; lists become tuples. Raises ValueError or TypeError for what does not fit."""
        plain: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        return cls(**plain)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a manifest."""
        return asdict(self)

    @property
    def axis(self) -> int:
        """Along which its slices lie one behind the other: 0, 1 or 2, of LPS."""
        return PLANES.index(self.plane)

    def grid(self, anchor_mm: Matrix, size: int) -> Matrix:
        """(4, 4) from (slice, row, column, 1) to mm, of `size` x `size` pixels; it hangs from `anchor_mm` (3,)."""
        matrix = np.eye(4)
        matrix[:3, 0] = self.spacing_mm * np.eye(3)[self.axis]
        steps = np.divide(self.field_mm, size)
        matrix[:3, 1] = np.multiply(DIRECTIONS[self.directions[0]], steps[0])
        matrix[:3, 2] = np.multiply(DIRECTIONS[self.directions[1]], steps[1])
        half = np.array([self.slices - 1, size - 1, size - 1]) / 2
        matrix[:3, 3] = anchor_mm + self.middle_mm - matrix[:3, :3] @ half
        return matrix


class Readable(NamedTuple):
    """The slabs that a volume gives, in the order given, and how coarse it is within the other planes, mm."""

    slabs: tuple[Slab, ...]
    too_coarse_mm: Mapping[str, float]

    @property
    def remark(self) -> str:
        """Which planes were read and which could not be, in a sentence for the reader of an answer."""
        weights = shares([slab.plane for slab in self.slabs], {slab.plane: slab.weight for slab in self.slabs})
        read = ", ".join(
            f"{slab.plane} ({slab.slices} slices, weight {100 * weights[slab.plane]:.0f} %)" for slab in self.slabs
        )
        coarse = ", ".join(f"{plane} (sampled every {mm:.1f} mm)" for plane, mm in self.too_coarse_mm.items())
        return f"Planes read: {read}." + (f" Not read, too coarse in this series: {coarse}." if coarse else "")


def readable(volume: Volume, slabs: Sequence[Slab], grid_of: Callable[[Slab], Matrix]) -> Readable:
    """Which of the slabs a volume gives; `grid_of` as `Slab.grid`, LPS mm. Raises TooCoarse where there is none."""
    sampled = {slab: within_mm(volume, grid_of(slab)) for slab in slabs}
    read = tuple(slab for slab, mm in sampled.items() if mm <= slab.coarsest_mm)
    coarse = {slab.plane: mm for slab, mm in sampled.items() if mm > slab.coarsest_mm}
    if not read:
        said = ", ".join(f"{plane} slices would be sampled every {mm:.1f} mm" for plane, mm in coarse.items())
        raise TooCoarse(f"is too coarse for every plane that the model reads: {said}")
    return Readable(read, coarse)


def within_mm(volume: Volume, grid_mm: Matrix) -> float:
    """How far samples of a volume lie apart along the rows or the columns of a slab, where they lie farther, mm."""
    along = grid_mm[:3, 1:3] / np.linalg.norm(grid_mm[:3, 1:3], axis=0)
    return float(np.linalg.norm(along.T @ volume.affine_mm[:3, :3], axis=1).max())


def shares(planes: Sequence[str], weights: Mapping[str, float]) -> dict[str, float]:
    """The weights of the planes that are there, which sum to 1; one that the bundle does not name weighs 1.

    >>> shares(["axial", "axial", "coronal"], {"axial": 3.0, "sagittal": 1.0})
    {'axial': 0.75, 'coronal': 0.25}
    """
    found = {plane: weights.get(plane, 1.0) for plane in planes}
    return {plane: weight / sum(found.values()) for plane, weight in found.items()}
