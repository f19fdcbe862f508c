"""Which series of a study the model may read, and the named reason for every other. Pure: headers in, verdicts out.

Each series is asked in turn: is it an MR image of ours to read, a plain magnitude image, T1-weighted, of a head, on one
regular grid that is large enough? The first "no" is its verdict. Of the eligible ones the highest score is chosen: what
suits the model best (inversion-prepared 3D first), less what its coarsest spacing costs. Ties go to more slices, then
to the lower series number, then to the lower Series Instance UID.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    EnhancedMRImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    MRImageStorage,
    SecondaryCaptureImageStorage,
)

from node.acquisition import SCOUT, acquisition, weighting
from node.config import SelectionSettings
from node.elements import number, places, text, words
from node.frames import frames
from node.geometry import GeometryError, Stack, stack
from node.pixels import Location
from node.reasons import Reason

READABLE = {MRImageStorage, EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage}
HEAD = {"HEAD", "BRAIN", "SKULL", "HEADNECK", "HEAD AND NECK", "CEREBRUM", "NEURO"}
OTHER_PARTS = re.compile(
    r"\b(knee|spine|[clt]-?spine|cervical|thoracic|lumbar|shoulder|pelvis|hip|abdomen|liver|prostate|cardiac|heart|breast|"
    r"foot|ankle|wrist|hand|elbow|femur|thigh)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class SeriesHeaders:
    """The headers of one series, without pixels; the file of each, and where in it the pixels lie, if known."""

    series_instance_uid: str
    headers: tuple[Dataset, ...]
    paths: tuple[Path, ...]
    pixels: tuple[Location | None, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """What becomes of a series, and why. Nothing in it identifies the patient."""

    series_instance_uid: str
    series_number: int | None
    description: str
    modality: str
    instances: int
    eligible: bool
    score: float
    reason: Reason
    detail: str


@dataclass(frozen=True)
class Selection:
    """The series to read, None when there is none, and the verdict on every series."""

    chosen: SeriesHeaders | None
    verdicts: tuple[Verdict, ...]


class _Refused(Exception):
    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def select(
    series: Sequence[SeriesHeaders], settings: SelectionSettings, own_manufacturer: str = "NeuroSSL"
) -> Selection:
    """The verdict on every series, and the best of the eligible ones."""
    verdicts = tuple(judge(each, settings, own_manufacturer) for each in series)
    order = sorted(
        (index for index, verdict in enumerate(verdicts) if verdict.eligible),
        key=lambda index: _rank(verdicts[index], len(frames(series[index].headers))),
    )
    return Selection(series[order[0]] if order else None, verdicts)


def judge(series: SeriesHeaders, settings: SelectionSettings, own_manufacturer: str = "NeuroSSL") -> Verdict:
    """The verdict on one series."""
    header = series.headers[0]
    try:
        score, detail = _examine(series, settings, own_manufacturer)
        reason = Reason.ELIGIBLE
    except (_Refused, GeometryError) as error:
        score, reason, detail = 0.0, error.reason, error.detail
    stated = number(header, "SeriesNumber")
    return Verdict(
        series_instance_uid=series.series_instance_uid,
        series_number=None if stated is None else int(stated),
        description=text(header, "SeriesDescription")[:64],
        modality=text(header, "Modality")[:16],
        instances=len(series.headers),
        eligible=reason is Reason.ELIGIBLE,
        score=score,
        reason=reason,
        detail=detail,
    )


def _rank(verdict: Verdict, planes: int) -> tuple[float, int, float, str]:
    number_ = float("inf") if verdict.series_number is None else verdict.series_number
    return -verdict.score, -planes, number_, verdict.series_instance_uid


def _examine(series: SeriesHeaders, settings: SelectionSettings, own_manufacturer: str) -> tuple[float, str]:
    header = series.headers[0]
    _object(series, own_manufacturer)
    _pixels(header)
    _kind(header)
    made = weighting(acquisition(header))
    if made.reason is not Reason.ELIGIBLE:
        raise _Refused(made.reason, made.detail)
    _head(header)
    grid = _grid(series, settings)
    coarsest = max(grid.spacing_mm)
    planes = len(grid.order)
    return made.score - 5 * max(coarsest - 1, 0), f"{made.detail}, {planes} slices {grid.spacing_mm[0]:.2f} mm apart"


def _object(series: SeriesHeaders, own_manufacturer: str) -> None:
    header = series.headers[0]
    sop_class, modality = UID(text(header, "SOPClassUID")), text(header, "Modality")
    if text(header, "Manufacturer").strip().casefold() == own_manufacturer.casefold():
        raise _Refused(Reason.OWN_RESULT, "made by this node")
    if sop_class == SecondaryCaptureImageStorage or "secondary capture" in sop_class.name.lower():
        raise _Refused(Reason.SECONDARY_CAPTURE, sop_class.name)
    if sop_class not in READABLE or modality != "MR":
        raise _Refused(
            Reason.NOT_MR, f"{sop_class.name if sop_class.name != sop_class else 'unknown object'}, {modality}"
        )


def _pixels(header: Dataset) -> None:
    if not (number(header, "Rows") and number(header, "Columns") and number(header, "BitsAllocated")):
        raise _Refused(Reason.NO_PIXELS, "the header describes no pixels")
    if text(header, "PhotometricInterpretation").upper() not in {"MONOCHROME1", "MONOCHROME2"}:
        raise _Refused(Reason.COLOUR, "not a grey image")
    if (number(header, "SamplesPerPixel") or 1) != 1:
        raise _Refused(Reason.COLOUR, "more than one sample per pixel")


def _kind(header: Dataset) -> None:
    kind = words(header, "ImageType")
    first = text(header, "ImageType").upper().split("\\")
    if "LOCALIZER" in kind or (
        SCOUT.search(text(header, "SeriesDescription")) and "IR" not in words(header, "ScanningSequence")
    ):
        raise _Refused(Reason.LOCALIZER, "made for planning")
    if first[0] == "DERIVED" or (len(first) > 1 and first[1] == "SECONDARY"):
        raise _Refused(Reason.DERIVED, "image type " + "\\".join(first[:4]))


def _head(header: Dataset) -> None:
    stated = frozenset().union(*(words(spot, "BodyPartExamined") for spot in places(header)))
    if stated and not stated & HEAD:
        raise _Refused(Reason.NOT_HEAD, f"body part {', '.join(sorted(stated))[:40]}")
    hint = OTHER_PARTS.search(f"{text(header, 'SeriesDescription')} {text(header, 'StudyDescription')}")
    if not stated and hint:
        raise _Refused(Reason.NOT_HEAD, f"the description says {hint.group().lower()}")


def _grid(series: SeriesHeaders, settings: SelectionSettings) -> Stack:
    planes = frames(series.headers)
    if len(planes) < settings.minimum_slices:
        raise _Refused(Reason.TOO_FEW_SLICES, f"{len(planes)}, at least {settings.minimum_slices} are needed")
    grid = stack(planes)
    if grid.missing > settings.maximum_gap_fraction * len(grid.order):
        raise _Refused(Reason.GAPS, f"{grid.missing} of {len(grid.order)} slice positions are missing")
    smallest = min(grid.extent_mm)
    if smallest < settings.minimum_coverage_mm:
        raise _Refused(
            Reason.SMALL_COVERAGE, f"{smallest:.0f} mm, at least {settings.minimum_coverage_mm:.0f} are needed"
        )
    return grid
