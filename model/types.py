"""What goes into the model and what comes out: frozen values, numpy only, no torch.

Coordinates are DICOM's patient coordinate system (PS3.3 C.7.6.2.1.1): millimetres, +x to the patient's left, +y to the
back (posterior), +z to the head (superior), short LPS.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from model.errors import VolumeError

PLANES = ("sagittal", "coronal", "axial")  # across the axes x, y, z


@dataclass(frozen=True)
class SourceFrame:
    """Where a slice of voxels was read: an instance, and the frame (from 1) within it when it is multi-frame."""

    sop_instance_uid: str
    frame_number: int | None = None


@dataclass(frozen=True)
class Volume:
    """Voxels on a regular grid in the patient.

    voxels     (D, H, W) float32, modality units; D runs along the stack, H down the rows, W along the columns
    affine_mm  (4, 4) float64, (d, h, w, 1) index of a voxel's centre -> (x, y, z, 1) LPS mm
    sources    D frames: where plane d was read; empty when the volume is not from DICOM
    """

    voxels: NDArray[np.float32]
    affine_mm: NDArray[np.float64]
    sources: tuple[SourceFrame, ...] = ()

    def __post_init__(self) -> None:
        if self.voxels.ndim != 3 or 0 in self.voxels.shape:
            raise VolumeError(f"a volume has three non-empty axes, this has shape {self.voxels.shape}")
        if self.affine_mm.shape != (4, 4) or not np.isfinite(self.affine_mm).all():
            raise VolumeError("the affine of a volume is a finite 4 x 4 matrix")
        if abs(np.linalg.det(self.affine_mm[:3, :3])) < 1e-6:
            raise VolumeError("the affine of this volume is singular: its voxels have no extent")
        if self.sources and len(self.sources) != self.voxels.shape[0]:
            raise VolumeError(f"{len(self.sources)} sources for {self.voxels.shape[0]} planes")

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between voxel centres along D, H and W, in mm."""
        d, h, w = np.linalg.norm(self.affine_mm[:3, :3], axis=0)
        return float(d), float(h), float(w)


@dataclass(frozen=True)
class Slice:
    """One image as the network sees it, and its place in the patient.

    pixels     (S, S) uint8 after the intensity window, before the z-score
    affine_mm  (4, 4) float64, (row, column, 0, 1) index of a pixel's centre -> (x, y, z, 1) LPS mm; None for a 2D image
    source     the source frame whose centre lies nearest to this slice's centre; None when there is none
    plane      axial, sagittal or coronal; axial is said of a 2D image of which nobody knows
    """

    pixels: NDArray[np.uint8]
    affine_mm: NDArray[np.float64] | None = None
    source: SourceFrame | None = None
    plane: str = "axial"

    @property
    def position_mm(self) -> float | None:
        """Where the slice's centre lies along the patient's axis across its plane, of axial ones its height, in mm."""
        if self.affine_mm is None:
            return None
        rows, columns = self.pixels.shape
        return float((self.affine_mm @ [(rows - 1) / 2, (columns - 1) / 2, 0, 1])[PLANES.index(self.plane)])


class Band(StrEnum):
    """What a probability, or it and its spread, mean by the bands of the bundle (`model.bands`)."""

    HIGH_LIKELIHOOD = "high likelihood"
    INDETERMINATE = "indeterminate"
    NO_SIGNIFICANT_CHANGES = "no significant changes"
    LOW_CONFIDENCE = "low confidence"
    UNLIKE = "unlike anything seen"


@dataclass(frozen=True)
class Standing:
    """Where a study's probability lies among the calibration subjects of one label, 0 or 1.

    subjects   how many there are;  lower: of them with a lower probability
    histogram  how many in each of as many equal parts, from 0 to 1
    """

    label: int
    subjects: int
    lower: int
    histogram: tuple[int, ...]


@dataclass(frozen=True)
class SlicePrediction:
    """What the model says of one slice.

    logits              (2,) float32, deterministic pass, before temperature; class 1 is "dementia-related changes"
    probability         calibrated softmax(logits / T)[1], 0-1
    spread              standard deviation of the class-1 probability over the dropout samples
    predictive_entropy  H[mean p], nats; mutual_information: H[mean p] - mean H[p], nats
    rollout             (14, 14) float32, attention rollout of the CLS token, scaled to 0-1 within this slice
    """

    slice: Slice
    logits: NDArray[np.float32]
    probability: float
    spread: float
    predictive_entropy: float
    mutual_information: float
    rollout: NDArray[np.float32]


@dataclass(frozen=True)
class ModelId:
    """Which weights answered, with every number that shaped the answer; all of it goes into the report."""

    name: str
    version: str
    sha256: str
    trained: bool
    temperature: float
    dropout_samples: int
    rollout_order: str
    thresholds: Mapping[str, float]


@dataclass(frozen=True)
class Scope:
    """Whether the input looks like what the model was trained on, by named, measured numbers.

    remarks  sentences on what a reader should know of an input that is inside all the same
    """

    inside: bool
    reason: str
    measurements: Mapping[str, float]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prediction:
    """What the model says of a study. When `scope.inside` is false, nothing was classified and `slices` is empty.

    standing  where the probability lies among calibration subjects; empty where the bundle does not carry theirs
    remarks   sentences on the series that was read, which a reader should know beside the numbers
    """

    scope: Scope
    slices: tuple[SlicePrediction, ...]
    probability: float | None
    spread: float | None
    predictive_entropy: float | None
    mutual_information: float | None
    band: Band | None
    model: ModelId
    remarks: tuple[str, ...] = ()
    standing: tuple[Standing, ...] = ()
