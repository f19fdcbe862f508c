"""What the node would do with a folder of DICOM files, without doing it: nothing is stored, nothing is sent.

The facts of `neurossl inspect`, as plain values: a verdict for every series, and for one of them the volume, the slices
and the measurements of the scope gate, through the same functions as in service.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from model import scope, slicing
from model.errors import VolumeError
from model.manifest import Subjects
from model.slicing import Preprocessing
from model.types import Scope, Slice, Volume
from node.config import SelectionSettings
from node.dicom.frames import frames
from node.dicom.values import number, unwarned
from node.errors import UnreadableInstance
from node.series.geometry import GeometryError, Stack, orientation, stack
from node.series.screening import planes
from node.series.selection import SeriesHeaders, Verdict, select
from node.series.volume import Unreadable, read_series, read_volume

Result = TypeVar("Result")


@dataclass(frozen=True)
class Looked:
    """One series, read as in service; `trouble` says why it could not be."""

    series: SeriesHeaders
    volume: Volume | None
    slices: tuple[Slice, ...]
    scope: Scope | None
    trouble: str


@dataclass(frozen=True)
class Inspection:
    """A folder: the verdicts, the series that would be read, and a closer look at one of them."""

    verdicts: tuple[Verdict, ...]
    shapes: tuple[str, ...]
    unreadable: tuple[Unreadable, ...]
    chosen: str | None
    looked: Looked | None
    took_s: Mapping[str, float]

    @property
    def trouble(self) -> str:
        """Why the chosen series cannot be read; "" where it can, or another one was looked at."""
        looked = self.looked
        return looked.trouble if looked is not None and looked.series.series_instance_uid == self.chosen else ""


@unwarned()
def inspect(
    paths: Sequence[Path],
    settings: SelectionSettings,
    maximum_bytes: int,
    preprocessing: Preprocessing,
    thresholds: Mapping[str, float] = scope.THRESHOLDS,
    series_number: int | None = None,
    subjects: Subjects | None = None,
) -> Inspection:
    """Look at the files, and closer at the series of that number, by default at the chosen one."""
    took_s: dict[str, float] = {}
    reading = _timed(took_s, "headers", lambda: read_series(paths))
    selection = _timed(took_s, "selection", lambda: select(reading.series, settings, subjects=subjects))
    numbered = (
        each
        for each, verdict in zip(reading.series, selection.verdicts, strict=True)
        if verdict.series_number == series_number
    )
    closer = selection.chosen if series_number is None else next(numbered, None)
    looked = None if closer is None else _look(closer, settings, maximum_bytes, preprocessing, thresholds, took_s)
    return Inspection(
        verdicts=selection.verdicts,
        shapes=tuple(_shape(each) for each in reading.series),
        unreadable=tuple(reading.unreadable),
        chosen=selection.chosen.series_instance_uid if selection.chosen else None,
        looked=looked,
        took_s=took_s,
    )


def facts(found: Inspection) -> dict[str, Any]:
    """Everything as JSON."""
    return {
        "chosen": found.chosen,
        "series": [
            {**vars(verdict), "reason": str(verdict.reason), "shape": shape}
            for verdict, shape in zip(found.verdicts, found.shapes, strict=True)
        ],
        "unreadable": [{"path": str(each.path), "reason": each.reason} for each in found.unreadable],
        "looked_at": None if found.looked is None else _looked_facts(found.looked),
        "took_s": {name: round(seconds, 4) for name, seconds in found.took_s.items()},
    }


def volume_facts(volume: Volume) -> dict[str, Any]:
    """Size, grid and values of a volume."""
    corners = volume.affine_mm @ np.array([[*(n - 1 for n in volume.voxels.shape), 1], [0, 0, 0, 1]]).T
    low, high = float(volume.voxels.min()), float(volume.voxels.max())
    return {
        "shape": list(volume.voxels.shape),
        "spacing_mm": [round(each, 4) for each in volume.spacing_mm],
        "orientation": orientation(volume.affine_mm),
        "first_voxel_mm": [round(float(each), 3) for each in corners[:3, 1]],
        "last_voxel_mm": [round(float(each), 3) for each in corners[:3, 0]],
        "values": [low, high],
    }


def _look(
    series: SeriesHeaders,
    settings: SelectionSettings,
    maximum_bytes: int,
    preprocessing: Preprocessing,
    thresholds: Mapping[str, float],
    took_s: dict[str, float],
) -> Looked:
    try:
        volume = _timed(took_s, "volume", lambda: read_volume(series, maximum_bytes, settings))
        slices = _timed(took_s, "slices", lambda: slicing.slices(volume, preprocessing))
        verdict = _timed(took_s, "scope", lambda: scope.assess(volume, slices, thresholds))
    except (GeometryError, UnreadableInstance, VolumeError) as error:
        return Looked(series, None, (), None, str(error))
    return Looked(series, volume, slices, verdict, "")


def _looked_facts(looked: Looked) -> dict[str, Any]:
    found: dict[str, Any] = {"series_instance_uid": looked.series.series_instance_uid, "trouble": looked.trouble}
    if looked.volume is None or looked.scope is None:
        return found
    return found | {
        "volume": volume_facts(looked.volume),
        "slices": [
            {
                "position_mm": None if item.position_mm is None else round(item.position_mm, 3),
                "source": item.source.sop_instance_uid if item.source else None,
                "frame": item.source.frame_number if item.source else None,
            }
            for item in looked.slices
        ],
        "scope": {**vars(looked.scope), "measurements": dict(looked.scope.measurements)},
    }


def _shape(series: SeriesHeaders) -> str:
    """Size, spacing and orientation in words, as far as they are known."""
    count = sum(planes(header) for header in series.headers)
    size = [int(number(series.headers[0], name) or 0) for name in ("Columns", "Rows")]
    if not all(size):
        return ""
    words = " x ".join(map(str, [*size, count]))
    try:
        grid: Stack = stack(frames(series.headers))
    except GeometryError:
        return words
    d, h, w = grid.spacing_mm
    return f"{words}, {w:.2f} x {h:.2f} x {d:.2f} mm, {orientation(grid.affine_mm)}"


def _timed(took_s: dict[str, float], name: str, act: Callable[[], Result]) -> Result:
    began_s = time.perf_counter()
    try:
        return act()
    finally:
        took_s[name] = time.perf_counter() - began_s
