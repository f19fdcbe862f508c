"""NIfTI and Analyze files -> Volume, and pictures and volumes -> the network's pixels through model.slicing."""

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError, SpatialImage
from numpy.typing import NDArray
from PIL import Image

from model.errors import VolumeError
from model.sight import slices
from model.slicing import Preprocessing, slice_from_image, stack
from model.types import Slice, Volume

NIFTI = (".nii", ".nii.gz")
PICTURES = (".jpg", ".jpeg", ".png")

# nibabel speaks RAS+, we speak LPS (model/types.py).
RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])

DAMAGE = (
    OSError,
    EOFError,
    ValueError,
    SyntaxError,  # Pillow's word for a broken PNG
    zlib.error,
    struct.error,
    ImageFileError,
    HeaderDataError,
    VolumeError,
    Image.DecompressionBombError,
)


class Unreadable(Exception):
    """A file is damaged, or not what its name says; it is named and skipped."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = path, reason


class Pixels(NamedTuple):
    """Slices (n, S, S), and the plane of each, as a volume's are known; none where somebody else has to say it."""

    pixels: NDArray[np.uint8]
    planes: tuple[str, ...] = ()


def picture_pixels(path: Path, preprocessing: Preprocessing) -> Pixels:
    """A PNG or JPEG the card's way -> one slice. Raises Unreadable, also for a picture of one single grey."""
    try:
        with Image.open(path) as image:
            image.load()
            pixels = slice_from_image(image, preprocessing).pixels
    except DAMAGE as error:
        raise Unreadable(path, _reason(error)) from error
    return Pixels(_with_contrast(path, pixels[None]))


def volume_pixels(path: Path, preprocessing: Preprocessing) -> Pixels:
    """A NIfTI or Analyze volume -> its slices in the planes that are read. Raises Unreadable."""
    try:
        return slice_pixels(path, slices(read(path), preprocessing))
    except DAMAGE as error:
        raise Unreadable(path, _reason(error)) from error


def slice_pixels(path: Path, items: Sequence[Slice]) -> Pixels:
    """The slices of a volume, however it was read. Raises Unreadable for one single grey."""
    return Pixels(_with_contrast(path, stack(items)), tuple(item.plane for item in items))


def read(path: Path) -> Volume:
    """A NIfTI (.nii, .nii.gz) or Analyze (.hdr with .img) file with one volume. Raises one of DAMAGE.

    Analyze files do not say how they lie. OASIS-1's atlas-aligned ones follow the format's default (x to the left), its
    raw ones are sagittal: first axis to the front, second up, third to the left.
    """
    image = nib.load(path)
    if not isinstance(image, SpatialImage):
        raise VolumeError(f"is a {type(image).__name__}, not a volume")
    voxels = np.asanyarray(image.dataobj, dtype=np.float32)
    while voxels.ndim > 3 and voxels.shape[-1] == 1:
        voxels = voxels[..., 0]
    if voxels.ndim != 3:
        raise VolumeError(f"has shape {voxels.shape}; one volume with three axes is needed")
    affine = np.asarray(image.affine, np.float64)
    if path.suffix == ".hdr" and path.parent.name == "RAW":
        i, j, k = (float(zoom) for zoom in image.header.get_zooms()[:3])
        affine = np.array([[0, 0, -k, 0], [i, 0, 0, 0], [0, j, 0, 0], [0, 0, 0, 1]])
    return Volume(voxels, RAS_TO_LPS @ affine)


def _with_contrast(path: Path, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if (pixels.reshape(len(pixels), -1).max(axis=1) == pixels.reshape(len(pixels), -1).min(axis=1)).all():
        raise Unreadable(path, "shows one single grey")
    return pixels


def _reason(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
