"""The questions that each series is asked, by its headers alone; a "no" is `SeriesRefused` with reason and numbers."""

import re
from collections.abc import Sequence

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID

from node.config import SelectionSettings
from node.dicom.acquisition import Acquisition
from node.dicom.frames import Frame, count, frames
from node.dicom.values import items, number, places, text, words
from node.series.body import other_part
from node.series.company import READABLE
from node.series.geometry import Stack, stack
from node.series.reasons import Reason, SeriesRefused
from node.series.study import Study
from node.series.weighting import weighting

INCOMPLETE = 1.5
SAME_ECHO_MS = 0.1
COARSE_MM, COARSE_PREPARED_MM, SHORT_TR_MS = 1.45, 2.5, 10.0
MOST_IMAGES = 20_000
COUNTS: dict[str, str | tuple[int, int]] = {
    "Images in Acquisition": "ImagesInAcquisition",
    "Number of Series Related Instances": "NumberOfSeriesRelatedInstances",
    "Number of Slices": "NumberOfSlices",
    "Philips: number of slices": (0x2001, 0x1018),
    "GE: locations in acquisition": (0x0021, 0x104F),
}
PARTS = {"W", "WATER", "F", "FAT", "IP", "OP", "IN_PHASE", "OUT_PHASE", "OPP_PHASE"}  # one acquisition, several series
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
COMPRESSION_CODES = {"113040", "121327"}  # lossy compression, full fidelity image
COMPRESSION = re.compile(r"compress|jpeg|lossy|komprim", re.IGNORECASE)


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


def is_t1_head(header: Dataset, made: Acquisition, study: Study) -> tuple[float, str]:
    """Score and description of an original T1-weighted image of a head. Raises SeriesRefused."""
    _is_original(header)
    found = weighting(made, study)
    if found.reason is not Reason.ELIGIBLE:
        raise SeriesRefused(found.reason, found.detail)
    other = other_part(header, made, study)
    if other:
        raise SeriesRefused(Reason.NOT_HEAD, other)
    return found.score, found.detail


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
    if trust_declared:
        _all_there(headers, len(found), settings)
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
    derived = (stated[0] == "DERIVED" and not compressed_only(header)) or stated[1:2] == ["SECONDARY"]
    processed = kind & (PROCESSED if derived else PROCESSED - PROCESSED_WHEN_DERIVED)
    techniques = (words(spot, "VolumeBasedCalculationTechnique") for spot in places(header))
    processed |= frozenset[str]().union(*techniques) - {"NONE"}
    if derived or processed:
        said = "image type " + "/".join(stated[:4] if derived else sorted(processed)).lower()
        raise SeriesRefused(Reason.DERIVED, f"{said}; a site rule can accept the series")


def compressed_only(header: Dataset) -> bool:
    """Whether DERIVED means no more than that an archive compressed the image (PS3.3 C.7.6.1.1.2, C.7.6.1.1.5)."""
    stated = text(header, "ImageType").upper().split("\\")
    if stated[:2] != ["DERIVED", "PRIMARY"] or text(header, "LossyImageCompression") != "01":
        return False
    codes = {text(item, "CodeValue") for item in items(header, "DerivationCodeSequence")}
    why = text(header, "DerivationDescription")
    return codes <= COMPRESSION_CODES and (not why or bool(COMPRESSION.search(why)))


def _one_kind(found: Sequence[Frame]) -> None:
    echoes = np.sort([frame.echo_ms or 0.0 for frame in found])
    kinds = len({frame.kind for frame in found}) + int((np.diff(echoes) > SAME_ECHO_MS).sum())
    if kinds > 1:
        raise SeriesRefused(
            Reason.MIXED_KINDS,
            f"{kinds} kinds of images, by image type, echo time, b-value, object or frame of reference",
        )


def like_a_scout(made: Acquisition, grid: Stack) -> bool:
    """Whether a 3D scan is so coarse, and so short, that any diagnostic one suits better."""
    finest = min(grid.spacing_mm)
    unprepared = made.gradient and not made.inversion and (made.tr or 0) < SHORT_TR_MS
    return made.three_d and finest >= (COARSE_MM if unprepared else COARSE_PREPARED_MM)


def _all_there(headers: Sequence[Dataset], planes: int, settings: SelectionSettings) -> None:
    """As many images as the headers say that there are (PS3.3 C.8.3.1.1.1, C.7.6.16.1.2, and the vendors' own)."""
    for name, declared in sorted(declared_counts(headers).items()):
        parts = declared % planes == 0 and any(words(each, "ImageType") & PARTS for each in headers[:1])
        if declared - planes > settings.maximum_gap_fraction * declared and not parts:
            raise SeriesRefused(Reason.GAPS, f"{planes} images are there, the header declares {declared} ({name})")


def declared_counts(headers: Sequence[Dataset]) -> dict[str, int]:
    """How many images the series has by its headers, by the name of the element that says so."""
    found: dict[str, int] = {}
    for header in headers:
        for name, element in COUNTS.items():
            stated = number(header, element)
            if stated is not None and 0 < stated <= MOST_IMAGES:
                found[name] = max(found.get(name, 0), int(stated))
    return found


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
