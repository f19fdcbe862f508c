"""Files -> series of headers -> `model.Volume`: order and spacing from positions, values in modality units.

`read_series` groups files by series without touching their pixels; `read_volume` checks the geometry and every size
before it allocates, then decodes file by file straight into the volume.
"""

import gc
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from model.types import SourceFrame, Volume
from node.config import SelectionSettings
from node.dicom.frames import Frame, frames
from node.dicom.values import text, unwarned
from node.errors import UnreadableInstance
from node.series.geometry import GeometryError, Stack, stack
from node.series.pixels import Layout, Location, Stored, check_frames, layout, open_header, padded, read_frames
from node.series.reasons import Reason
from node.series.selection import SeriesHeaders

THREADS = 4
SAMPLE, DARKEST, AIR = 1_000_000, 0.1, 1.0
IDENTITY = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")


class UnreadableFile(NamedTuple):
    """A file that belongs to no series, and why."""

    path: Path
    reason: str


class Reading(NamedTuple):
    """What a set of files holds."""

    series: list[SeriesHeaders]
    unreadable: list[UnreadableFile]

    @property
    def studies(self) -> dict[str, list[SeriesHeaders]]:
        """The series by Study Instance UID, each in the order of the paths."""
        found: dict[str, list[SeriesHeaders]] = defaultdict(list)
        for each in self.series:
            found[text(each.headers[0], "StudyInstanceUID")].append(each)
        return dict(found)


def read_series(paths: Iterable[Path]) -> Reading:
    """The headers of these files, grouped by series in the order of the paths; a file that belongs to none is named."""
    groups: dict[str, dict[str, tuple[Dataset, Path, Location | None]]] = defaultdict(dict)
    unreadable = []
    with _collector_paused(), unwarned():
        for path in paths:
            try:
                header, pixels = open_header(path)
                _identified(header)
                series = groups[text(header, "SeriesInstanceUID")]
                if text(header, "SOPInstanceUID") in series:
                    raise UnreadableInstance("the same SOP Instance UID as another file")  # noqa: TRY301
                series[text(header, "SOPInstanceUID")] = (header, path, pixels)
            except UnreadableInstance as error:
                unreadable.append(UnreadableFile(path, str(error)))
    found = [SeriesHeaders(uid, *zip(*each.values(), strict=True)) for uid, each in groups.items()]
    return Reading(found, unreadable)


@unwarned()
def read_volume(series: SeriesHeaders, maximum_bytes: int, settings: SelectionSettings | None = None) -> Volume:
    """The voxels of a series in modality units on their grid in the patient.

    `maximum_bytes` limits the volume as float32, and each file. Raises GeometryError with its reason when the planes
    make no volume or a larger one, UnreadableInstance when a file is missing, altered or cannot be decoded.
    """
    planes = frames(series.headers)
    grid = stack(planes)
    allowed = (settings or SelectionSettings()).maximum_gap_fraction
    if grid.missing > allowed * len(grid.order):
        raise GeometryError(Reason.GAPS, f"{grid.missing} of {len(grid.order)} slice positions are missing")
    shape = (len(grid.order), *grid.size)
    if 4 * shape[0] * shape[1] * shape[2] > maximum_bytes:
        raise GeometryError(Reason.TOO_LARGE, f"{' x '.join(map(str, shape))} voxels are more than the limit allows")
    voxels = np.zeros(shape, np.float32)
    padding = _fill(voxels, series, planes, grid, maximum_bytes)
    _without_padding(voxels, padding)
    _bridge(voxels, grid)
    return Volume(voxels, grid.affine_mm, _sources(series, planes, grid))


@unwarned()
def check_files(series: SeriesHeaders, maximum_bytes: int) -> None:
    """That the pixels of each file are there, as far as it shows without decoding. Raises UnreadableInstance."""
    own = Counter(frame.instance for frame in frames(series.headers))
    for instance in range(len(series.headers)):
        with _named(series, instance):
            shape = _shape(series, instance, own[instance])
            check_frames(series.paths[instance], _location(series, instance), shape, maximum_bytes)


def _fill(
    voxels: NDArray[np.float32], series: SeriesHeaders, planes: list[Frame], grid: Stack, maximum_bytes: int
) -> NDArray[np.bool_]:
    """Put the planes in their places; gives which voxels are padding."""
    padding = np.zeros(voxels.shape, np.bool_)
    place = {index: plane for plane, index in enumerate(grid.order) if index is not None}
    own: dict[int, list[int]] = defaultdict(list)
    for index, frame in enumerate(planes):
        own[frame.instance].append(index)

    def decode(instance: int) -> None:
        with _named(series, instance):
            shape = _shape(series, instance, len(own[instance]))
            values = read_frames(series.paths[instance], _location(series, instance), shape, maximum_bytes)
            for index, image in zip(own[instance], values, strict=True):
                target, found = voxels[place[index]], padded(image, shape)
                _rescale(image, planes[index], target)
                if found is not None:
                    padding[place[index]] = found

    with ThreadPoolExecutor(min(THREADS, len(series.headers))) as pool:
        list(pool.map(decode, range(len(series.headers))))
    return padding


def _shape(series: SeriesHeaders, instance: int, expected: int) -> Layout:
    shape = layout(series.headers[instance])
    if shape.frames != expected:
        raise UnreadableInstance(f"{shape.frames} frames, but {expected} are described")
    return shape


def _location(series: SeriesHeaders, instance: int) -> Location | None:
    return series.pixels[instance] if series.pixels else open_header(series.paths[instance])[1]


@contextmanager
def _named(series: SeriesHeaders, instance: int) -> Iterator[None]:
    """What cannot be read says which instance it is."""
    try:
        try:
            yield
        except OSError as error:
            raise UnreadableInstance(f"cannot be read: {error.strerror}") from error
    except UnreadableInstance as error:
        raise UnreadableInstance(f"{text(series.headers[instance], 'SOPInstanceUID')}: {error}") from error


def _rescale(image: Stored, frame: Frame, target: NDArray[np.float32]) -> None:
    if frame.slope == 0:
        raise UnreadableInstance("its rescale slope is zero")
    target[:] = image
    if frame.slope != 1:
        target *= np.float32(frame.slope)
    if frame.intercept != 0:
        target += np.float32(frame.intercept)


def _without_padding(voxels: NDArray[np.float32], padding: NDArray[np.bool_]) -> None:
    """Padding becomes the darkest that the image has, unless it is as dark as its air: it is no tissue."""
    if not padding.any():
        return
    image = voxels[~padding]
    floor, air = np.percentile(image[:: max(1, image.size // SAMPLE)], (DARKEST, AIR)) if image.size else (0, 0)
    voxels[padding & ((voxels < min(floor, 0)) | (voxels > air))] = floor


def _bridge(voxels: NDArray[np.float32], grid: Stack) -> None:
    """Missing planes, where the settings allow them, lie between their neighbours."""
    there = np.array([plane for plane, index in enumerate(grid.order) if index is not None])
    for plane in np.setdiff1d(np.arange(len(grid.order)), there):
        below, above = there[there < plane].max(), there[there > plane].min()
        part = np.float32((plane - below) / (above - below))
        voxels[plane] = voxels[below] * (1 - part) + voxels[above] * part


def _sources(series: SeriesHeaders, planes: list[Frame], grid: Stack) -> tuple[SourceFrame, ...]:
    """The frame of each plane; where a plane is missing, the one below it."""
    uids = [text(header, "SOPInstanceUID") for header in series.headers]
    found: list[SourceFrame] = []
    for index in grid.order:
        frame = None if index is None else planes[index]
        found.append(found[-1] if frame is None else SourceFrame(uids[frame.instance], frame.number))
    return tuple(found)


def _identified(header: Dataset) -> None:
    missing = [keyword for keyword in IDENTITY if not text(header, keyword)]
    if missing:
        raise UnreadableInstance(f"no DICOM instance: lacks {', '.join(missing)}")


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Headers are many small objects that live: walking them again and again costs a quarter of the reading time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
