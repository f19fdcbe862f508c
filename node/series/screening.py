"""The questions that each series is asked, by its headers alone; a "no" is `SeriesRefused` with reason and numbers."""

import re
from collections.abc import Sequence

from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    EnhancedMRImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    MRImageStorage,
)

from node.config import SelectionSettings
from node.dicom.acquisition import acquisition, described
from node.dicom.frames import Frame, count, frames
from node.dicom.values import items, number, places, text, words
from node.series.geometry import Stack, stack
from node.series.reasons import Reason, SeriesRefused
from node.series.weighting import weighting

READABLE = {MRImageStorage, EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage}
HEAD = {"HEAD", "BRAIN", "SKULL", "HEADNECK", "HEAD AND NECK", "CEREBRUM", "NEURO", "CRANIUM", "WHOLE HEAD"}
OTHER_PARTS = re.compile(
    r"\b(knee|spine|[clt]-?spine|cervical|thora(x|cic)|lumbar|shoulder|pelvis|hip|abdomen|liver|prostate|cardiac|heart|"
    r"breast|foot|ankle|wrist|hand|elbow|femur|thigh|neck|phantom)\b",
    re.IGNORECASE,
)
INCOMPLETE = 1.5
PROCESSED = {
    "MPR",
    "MIP",
    "MINIP",
    "MNIP",
    "MAX_IP",
    "MIN_IP",
    "PROJECTION IMAGE",
    "REFORMATTED",
    "SUBTRACTION",
    "MOSAIC",
}
PROCESSED_WHEN_DERIVED = {"MPR"}


def planes(header: Dataset) -> int:
    """How many image planes the instance has."""
    return len(items(header, "PerFrameFunctionalGroupsSequence")) or 1


def is_mr(header: Dataset, own_manufacturer: str) -> None:
    """An MR image of somebody else's making. Raises SeriesRefused."""
    sop_class, modality = UID(text(header, "SOPClassUID")), text(header, "Modality").upper()
    if own_manufacturer and text(header, "Manufacturer").strip().casefold() == own_manufacturer.casefold():
        raise SeriesRefused(Reason.OWN_RESULT, "made by this node, never read again")
    if "Secondary Capture" in sop_class.name:
        raise SeriesRefused(Reason.SECONDARY_CAPTURE, sop_class.name)
    if sop_class not in READABLE or modality != "MR":
        name = "unknown SOP class" if sop_class.name == str(sop_class) else sop_class.name
        raise SeriesRefused(Reason.NOT_MR, f"{name}, modality {modality[:16] or 'not given'}")


def has_pixels(header: Dataset) -> None:
    """A description of grey pixels. Raises SeriesRefused."""
    if not (number(header, "Rows") and number(header, "Columns") and number(header, "BitsAllocated")):
        encrypted = items(header, "EncryptedAttributesSequence")
        raise SeriesRefused(Reason.ENCRYPTED if encrypted else Reason.NO_PIXELS, "rows, columns or bits are not given")
    grey = text(header, "PhotometricInterpretation").upper() in {"MONOCHROME1", "MONOCHROME2"}
    if not grey or (number(header, "SamplesPerPixel") or 1) != 1:
        raise SeriesRefused(Reason.COLOUR, "not one grey value per pixel")


def is_t1_head(header: Dataset) -> tuple[float, str]:
    """Score and description of an original T1-weighted image of a head. Raises SeriesRefused."""
    _is_original(header)
    made = weighting(acquisition(header))
    if made.reason is not Reason.ELIGIBLE:
        raise SeriesRefused(made.reason, made.detail)
    _is_head(header)
    return made.score, made.detail


def has_grid(headers: Sequence[Dataset], settings: SelectionSettings, *, trust_declared: bool) -> Stack:
    """The regular grid of a series of one kind of images. Raises SeriesRefused and GeometryError.

    `trust_declared`: that slices lie much farther apart than the header says is taken for missing slices.
    """
    for header in headers:
        described = len(items(header, "PerFrameFunctionalGroupsSequence"))
        if count(header) > 1 and count(header) != described:
            raise SeriesRefused(
                Reason.NO_GEOMETRY, f"{count(header)} frames, of which {described} have functional groups"
            )
    found = frames(headers)
    if len(found) < settings.minimum_slices:
        raise SeriesRefused(Reason.TOO_FEW_SLICES, f"{len(found)}, at least {settings.minimum_slices} are needed")
    grid = stack(found)
    _one_kind(found)
    if grid.missing > settings.maximum_gap_fraction * len(grid.order):
        raise SeriesRefused(Reason.GAPS, f"{grid.missing} of {len(grid.order)} slice positions have no image")
    if trust_declared:
        _as_declared(headers[0], grid)
    if max(grid.spacing_mm) > settings.maximum_spacing_mm:
        raise SeriesRefused(
            Reason.TOO_COARSE, f"{max(grid.spacing_mm):.1f} mm, at most {settings.maximum_spacing_mm:g} are allowed"
        )
    smallest = min(grid.extent_mm)
    if smallest < settings.minimum_coverage_mm:
        raise SeriesRefused(
            Reason.SMALL_COVERAGE, f"{smallest:.0f} mm, at least {settings.minimum_coverage_mm:g} are needed"
        )
    return grid


def _is_original(header: Dataset) -> None:
    stated = text(header, "ImageType").upper().split("\\")
    kind = words(header, "ImageType")
    if "LOCALIZER" in kind:
        raise SeriesRefused(Reason.LOCALIZER, "image type localizer")
    derived = stated[0] == "DERIVED" or stated[1:2] == ["SECONDARY"]
    processed = kind & (PROCESSED if derived else PROCESSED - PROCESSED_WHEN_DERIVED)
    techniques = (words(spot, "VolumeBasedCalculationTechnique") for spot in places(header))
    processed |= frozenset[str]().union(*techniques) - {"NONE"}
    if derived or processed:
        said = "image type " + "/".join(stated[:4] if derived else sorted(processed)).lower()
        raise SeriesRefused(Reason.DERIVED, f"{said}; a site rule can accept the series")


def _is_head(header: Dataset) -> None:
    spots = places(header)
    stated = frozenset[str]().union(*(words(spot, "BodyPartExamined") for spot in spots))
    regions = [region for spot in spots for region in items(spot, "AnatomicRegionSequence")]
    stated |= {text(region, "CodeMeaning").upper() for region in regions} - {""}
    if stated and not any(part in HEAD or "BRAIN" in part or "HEAD" in part for part in stated):
        raise SeriesRefused(Reason.NOT_HEAD, f"body part {', '.join(sorted(stated)).lower()[:40]}")
    said = described(header, "SeriesDescription", "ProtocolName", "StudyDescription")
    hint = None if stated else OTHER_PARTS.search(said)
    if hint:
        raise SeriesRefused(Reason.NOT_HEAD, f"no body part is given, the description says {hint.group().lower()}")


def _one_kind(found: Sequence[Frame]) -> None:
    kinds = len({frame.kind for frame in found})
    if kinds > 1:
        raise SeriesRefused(
            Reason.MIXED_KINDS,
            f"{kinds} kinds of images, by image type, echo time, b-value, object or frame of reference",
        )


def _as_declared(header: Dataset, grid: Stack) -> None:
    """Every second slice missing leaves a regular grid: only the declared spacing tells (of GE it is the gap in 2D)."""
    spots = places(header)
    thickness = next((each for spot in spots if (each := number(spot, "SliceThickness"))), 0.0)
    between = next((each for spot in spots if (each := number(spot, "SpacingBetweenSlices"))), 0.0)
    three_d = any("3D" in words(spot, "MRAcquisitionType") for spot in spots)
    centre_to_centre = between if between >= 0.99 * thickness else 0.0
    declared = centre_to_centre or (thickness if three_d else 0.0)
    if declared > 0 and grid.spacing_mm[0] > INCOMPLETE * declared:
        raise SeriesRefused(
            Reason.GAPS, f"slices lie {grid.spacing_mm[0]:.2f} mm apart where the header declares {declared:.2f} mm"
        )
