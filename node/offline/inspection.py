"""What the node would do with a folder of DICOM files, without doing it: nothing is stored, nothing is sent.

The facts of `neurossl inspect`, as plain values: for every study a verdict on each series, and for one of them the
volume, the slices and the measurements of the scope gate, through the same functions as in service.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from node.dicom.frames import frames
from node.dicom.values import number, unwarned
from node.series.choice import Choice, Limits, SeriesLook, choose, look
from node.series.geometry import GeometryError, Stack, orientation, stack
from node.series.reasons import SeriesRefused
from node.series.screening import planes
from node.series.selection import SeriesHeaders
from node.series.volume import UnreadableFile, read_series


@dataclass(frozen=True)
class Closer:
    """A closer look at one series; without one, `trouble` says why."""

    series_instance_uid: str
    look: SeriesLook | None
    trouble: str = ""


@dataclass(frozen=True)
class StudyInspection:
    """One study: what became of its series, the size of each in words, and a closer look at one of them."""

    study_instance_uid: str
    choice: Choice
    shapes: tuple[str, ...]
    closer: Closer | None


@dataclass(frozen=True)
class Inspection:
    """A folder, study by study, as the service would judge it."""

    studies: tuple[StudyInspection, ...]
    unreadable: tuple[UnreadableFile, ...]
    took_s: Mapping[str, float]

    @property
    def closer(self) -> Closer | None:
        """The first closer look there is, one that was granted before one that was not."""
        found = [study.closer for study in self.studies if study.closer is not None]
        return next((each for each in found if each.look is not None), found[0] if found else None)

    @property
    def whole(self) -> bool:
        """Whether there are studies, and in each of them a series that is read."""
        return bool(self.studies) and all(study.choice.look is not None for study in self.studies)


@unwarned()
def inspect(paths: Sequence[Path], limits: Limits, series_number: int | None = None) -> Inspection:
    """Look at the files, and closer at the series of that number, by default at the one that is read."""
    took_s: dict[str, float] = {}
    with _timed(took_s, "headers"):
        reading = read_series(paths)
    studies = (_study(uid, series, limits, series_number, took_s) for uid, series in reading.studies.items())
    return Inspection(tuple(studies), tuple(reading.unreadable), took_s)


def facts(found: Inspection) -> dict[str, Any]:
    """Everything as JSON; `chosen` and `looked_at` are those of the first study that has one."""
    closer = found.closer
    return {
        "chosen": next((study.choice.chosen for study in found.studies if study.choice.chosen), None),
        "series": [each for study in found.studies for each in _series_facts(study)],
        "unreadable": [{"path": str(each.path), "reason": each.reason} for each in found.unreadable],
        "looked_at": None if closer is None else _closer_facts(closer),
        "studies": [_study_facts(study) for study in found.studies],
        "took_s": {name: round(seconds, 4) for name, seconds in found.took_s.items()},
    }


def limits_facts(limits: Limits) -> dict[str, Any]:
    """The numbers that series were held against, beside the site's rules."""
    return {
        "own_manufacturer": limits.own_manufacturer,
        "maximum_bytes": limits.maximum_bytes,
        "preprocessing": limits.preprocessing.to_dict(),
        "scope": dict(limits.scope),
        "subjects": limits.subjects.model_dump(),
    }


def volume_facts(look: SeriesLook) -> dict[str, Any]:
    """Size, grid and values of a volume."""
    corners = look.affine_mm @ np.array([[*(n - 1 for n in look.shape), 1], [0, 0, 0, 1]]).T
    return {
        "shape": list(look.shape),
        "spacing_mm": [round(float(each), 4) for each in np.linalg.norm(look.affine_mm[:3, :3], axis=0)],
        "orientation": orientation(look.affine_mm),
        "first_voxel_mm": [round(float(each), 3) for each in corners[:3, 1]],
        "last_voxel_mm": [round(float(each), 3) for each in corners[:3, 0]],
        "values": list(look.values),
    }


def _study(
    uid: str, series: Sequence[SeriesHeaders], limits: Limits, series_number: int | None, took_s: dict[str, float]
) -> StudyInspection:
    choice = choose(series, limits, partial(_timed, took_s))
    closer = _closer(choice) if series_number is None else _numbered(series, choice, limits, series_number, took_s)
    return StudyInspection(uid, choice, tuple(_shape(each) for each in series), closer)


def _closer(choice: Choice) -> Closer | None:
    """At the series that is read, else at the best of those that could not be."""
    if choice.look is not None:
        return Closer(choice.look.series.series_instance_uid, choice.look)
    return next(
        (Closer(each.series_instance_uid, None, f"{each.reason}: {each.detail}") for each in choice.refused), None
    )


def _numbered(
    series: Sequence[SeriesHeaders], choice: Choice, limits: Limits, series_number: int, took_s: dict[str, float]
) -> Closer | None:
    pairs = zip(series, choice.verdicts, strict=True)
    asked = next((each for each, verdict in pairs if verdict.series_number == series_number), None)
    if asked is None:
        return None
    try:
        chosen = asked.series_instance_uid == choice.chosen
        found = choice.look if chosen else look(asked, limits, partial(_timed, took_s))
    except SeriesRefused as error:
        return Closer(asked.series_instance_uid, None, str(error))
    return Closer(asked.series_instance_uid, found)


def _study_facts(study: StudyInspection) -> dict[str, Any]:
    return {
        "study_instance_uid": study.study_instance_uid,
        "chosen": study.choice.chosen,
        "tried": list(study.choice.tried),
        "series": _series_facts(study),
        "looked_at": None if study.closer is None else _closer_facts(study.closer),
    }


def _series_facts(study: StudyInspection) -> list[dict[str, Any]]:
    return [
        {**vars(verdict), "reason": str(verdict.reason), "shape": shape}
        for verdict, shape in zip(study.choice.verdicts, study.shapes, strict=True)
    ]


def _closer_facts(closer: Closer) -> dict[str, Any]:
    found: dict[str, Any] = {"series_instance_uid": closer.series_instance_uid, "trouble": closer.trouble}
    if closer.look is None:
        return found
    return found | {
        "volume": volume_facts(closer.look),
        "slices": [
            {
                "plane": item.plane,
                "position_mm": None if item.position_mm is None else round(item.position_mm, 3),
                "source": item.source.sop_instance_uid if item.source else None,
                "frame": item.source.frame_number if item.source else None,
            }
            for item in closer.look.slices
        ],
        "scope": {**vars(closer.look.scope), "measurements": dict(closer.look.scope.measurements)},
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


@contextmanager
def _timed(took_s: dict[str, float], name: str) -> Iterator[None]:
    began_s = time.perf_counter()
    try:
        yield
    finally:
        took_s[name] = took_s.get(name, 0.0) + time.perf_counter() - began_s
