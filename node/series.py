"""Files -> series of headers -> `model.Volume`: order and spacing from positions, values in modality units.

`read_series` groups files by series without touching their pixels; `read_volume` checks the geometry and every size
before it allocates, then decodes file by file straight into the volume.
"""

from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from model.types import SourceFrame, Volume
from node.config import SelectionSettings
from node.elements import BROKEN, text
from node.errors import UnreadableInstance
from node.frames import Frame, frames
from node.geometry import GeometryError, Stack, stack
from node.pixels import Layout, Location, layout, open_header, read_frames
from node.reasons import Reason
from node.selection import SeriesHeaders

THREADS = 4


class Unreadable(NamedTuple):
    """A file that belongs to no series, and why."""

    path: Path
    reason: str


class Reading(NamedTuple):
    """What a set of files holds."""

    series: list[SeriesHeaders]
    unreadable: list[Unreadable]


def read_series(paths: Iterable[Path]) -> Reading:
    """The headers of these files, grouped by series in the order of the paths; files that are no DICOM are named."""
    groups: dict[str, dict[str, tuple[Dataset, Path]]] = defaultdict(dict)
    unreadable = []
    for path in paths:
        try:
            header = _header(path)
        except UnreadableInstance as error:
            unreadable.append(Unreadable(path, str(error)))
            continue
        series = groups[text(header, "SeriesInstanceUID")]
        if text(header, "SOPInstanceUID") in series:
            unreadable.append(Unreadable(path, "the same SOP Instance UID as another file"))
            continue
        series[text(header, "SOPInstanceUID")] = (header, path)
    found = [
        SeriesHeaders(uid, tuple(h for h, _ in each.values()), tuple(p for _, p in each.values()))
        for uid, each in groups.items()
    ]
    return Reading(found, unreadable)


def read_volume(series: SeriesHeaders, maximum_bytes: int, settings: SelectionSettings | None = None) -> Volume:
    """The voxels of a series in modality units on their grid in the patient.

    `maximum_bytes` limits the volume as float32. Raises GeometryError with its reason when the planes make no volume or
    the volume is larger, UnreadableInstance when a file is missing, altered or cannot be decoded.
    """
    planes = frames(series.headers)
    grid = stack(planes)
    allowed = (settings or SelectionSettings()).maximum_gap_fraction * len(grid.order)
    if grid.missing > allowed:
        raise GeometryError(Reason.GAPS, f"{grid.missing} of {len(grid.order)} slice positions are missing")
    shape = (len(grid.order), *grid.size)
    if 4 * np.prod(shape, dtype=object) > maximum_bytes:
        raise GeometryError(Reason.TOO_LARGE, f"{' x '.join(map(str, shape))} voxels need more than the limit")
    voxels = np.empty(shape, np.float32)
    place = {index: plane for plane, index in enumerate(grid.order) if index is not None}
    by_instance: dict[int, list[int]] = defaultdict(list)
    for index, frame in enumerate(planes):
        by_instance[frame.instance].append(index)

    def fill(instance: int) -> None:
        header, path = series.headers[instance], series.paths[instance]
        own = by_instance[instance]
        try:
            for index, values in zip(own, _values(header, path, len(own)), strict=True):
                _rescale(values, planes[index], voxels[place[index]])
        except UnreadableInstance as error:
            raise UnreadableInstance(f"{text(header, 'SOPInstanceUID')}: {error}") from error

    with ThreadPoolExecutor(min(THREADS, len(series.headers))) as pool:
        list(pool.map(fill, range(len(series.headers))))
    _bridge(voxels, grid)
    return Volume(voxels, grid.affine_mm, _sources(series, planes, grid))


def _header(path: Path) -> Dataset:
    try:
        with path.open("rb") as file:
            header, _ = open_header(file)
    except InvalidDicomError as error:
        raise UnreadableInstance("not a DICOM file") from error
    except (OSError, EOFError, RecursionError, MemoryError, *BROKEN) as error:
        raise UnreadableInstance(f"cannot be read: {type(error).__name__}") from error
    missing = [
        name
        for name in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
        if not text(header, name)
    ]
    if missing:
        raise UnreadableInstance(f"lacks {', '.join(missing)}")
    return header


def _values(header: Dataset, path: Path, expected: int) -> Iterable[NDArray[np.generic]]:
    shape: Layout = layout(header)
    if shape.frames != expected:
        raise UnreadableInstance(f"{shape.frames} frames, but {expected} are described")
    where: Location | None
    try:
        with path.open("rb") as file:
            _, where = open_header(file)
    except OSError as error:
        raise UnreadableInstance(f"cannot be read: {error.strerror}") from error
    return read_frames(path, where, shape)


def _rescale(values: NDArray[np.generic], frame: Frame, target: NDArray[np.float32]) -> None:
    target[:] = values
    if frame.slope != 1:
        target *= np.float32(frame.slope)
    if frame.intercept != 0:
        target += np.float32(frame.intercept)


def _bridge(voxels: NDArray[np.float32], grid: Stack) -> None:
    """Missing planes, where the settings allow them, lie between their neighbours."""
    there = [plane for plane, index in enumerate(grid.order) if index is not None]
    for plane, index in enumerate(grid.order):
        if index is None:
            below = max(each for each in there if each < plane)
            above = min(each for each in there if each > plane)
            part = np.float32((plane - below) / (above - below))
            voxels[plane] = voxels[below] * (1 - part) + voxels[above] * part


def _sources(series: SeriesHeaders, planes: list[Frame], grid: Stack) -> tuple[SourceFrame, ...]:
    there = [plane for plane, index in enumerate(grid.order) if index is not None]
    found = []
    for plane in range(len(grid.order)):
        index = grid.order[min(there, key=lambda each: abs(each - plane))]
        frame = planes[index if index is not None else 0]
        found.append(SourceFrame(text(series.headers[frame.instance], "SOPInstanceUID"), frame.number))
    return tuple(found)
