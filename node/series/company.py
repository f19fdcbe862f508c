"""The images of a series without what merely travels with them, and what is known of the whole study before judging.

A capture, a report or a lone overview under the Series Instance UID of a volume is left out and named; so is a lone
image of another size or orientation. The header that stands for a series is that of its first image by number, so that
the order of the files leaves no trace.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID, EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage, MRImageStorage

from node.dicom.acquisition import Acquisition, acquisition
from node.dicom.agent import contrast_bolus, injected
from node.dicom.clock import acquired
from node.dicom.values import items, number, numbers, text
from node.series import contrast
from node.series.pixels import Location
from node.series.study import ALONE, Study, shared_names

READABLE = {MRImageStorage, EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage}
FEW = 0.05
OTHER_DIRECTION = 0.1


@dataclass(frozen=True)
class SeriesHeaders:
    """The headers of one series, without pixels; the file of each, and where in it the pixels lie, if known."""

    series_instance_uid: str
    headers: tuple[Dataset, ...]
    paths: tuple[Path, ...]
    pixels: tuple[Location | None, ...] = ()


@dataclass(frozen=True)
class Images:
    """A series as it is judged.

    series    without what is no image of its volume;  left_out: that, in words, "" for nothing
    header    the one that stands for all;  made: how it was acquired, a contrast agent by any of the headers
    """

    series: SeriesHeaders
    left_out: str
    header: Dataset
    made: Acquisition


def images(series: SeriesHeaders) -> Images:
    """The images of this series."""
    foreign = _foreign(series.headers)
    kept = _without(series, foreign)
    header = min(kept.headers, key=_first, default=Dataset())
    made = acquisition(header)
    moments = [moment for each in kept.headers if (moment := acquired(each))]
    made = replace(
        made,
        contrast_bolus=frozenset[tuple[str, str]]().union(*map(contrast_bolus, kept.headers)),
        acquired=min(moments, default=None),
    )
    return Images(kept, _named(series.headers, foreign), header, made)


def study_of(every: Sequence[Images]) -> Study:
    """What the MR series among these say together."""
    mr = [each for each in every if each.series.headers and is_mr(each.header)]
    made = [each.made for each in mr]
    shared = shared_names(made)
    study = Study(shared=shared, protocols=len({each.protocol_name for each in made if each.protocol_name.strip()}))
    exam = {text(each.header, "StudyDescription") for each in mr} | shared
    signs = [(moment, each) for each in mr if contrast.by_itself(each.made, study) and (moment := _agent_from(each))]
    since, first = min(signs, key=lambda sign: sign[0], default=(None, None))
    number_of = (
        "another series" if first is None else f"series {text(first.header, 'SeriesNumber') or 'without number'}"
    )
    expected = any(contrast.hear(name).sign for name in exam)
    return replace(study, agent_since=since, agent_series=number_of, agent_expected=expected)


def is_mr(header: Dataset) -> bool:
    """Whether it is an MR image by its SOP class and modality."""
    return UID(text(header, "SOPClassUID")) in READABLE and text(header, "Modality").upper() == "MR"


def _agent_from(images: Images) -> tuple[str, float] | None:
    moments = [images.made.acquired, *map(injected, images.series.headers)]
    return min((moment for moment in moments if moment), default=None)


def _first(header: Dataset) -> tuple[float, str]:
    place = number(header, "InstanceNumber")
    return float("inf") if place is None else place, text(header, "SOPInstanceUID")


def _foreign(headers: Sequence[Dataset]) -> frozenset[int]:
    """Which of them are no images of the volume that the others make."""
    readable = [index for index, header in enumerate(headers) if UID(text(header, "SOPClassUID")) in READABLE]
    if not readable or items(headers[readable[0]], "PerFrameFunctionalGroupsSequence"):
        return frozenset(range(len(headers))) - set(readable) if readable else frozenset()
    odd = _lone([headers[index] for index in readable])
    return frozenset(range(len(headers))) - set(readable) | {readable[index] for index in odd}


def _lone(headers: Sequence[Dataset]) -> set[int]:
    """A few of many that lie or measure otherwise than all the rest."""
    layouts = [(number(each, "Rows"), number(each, "Columns")) for each in headers]
    directions = [numbers(each, "ImageOrientationPatient") for each in headers]
    usual = Counter(layouts).most_common(1)[0][0]
    known = [each for each in directions if len(each) == 6]
    middle = np.median(known, axis=0) if known else np.zeros(6)
    odd = {
        index
        for index, (layout, direction) in enumerate(zip(layouts, directions, strict=True))
        if layout != usual
        or (known and (len(direction) != 6 or np.abs(np.subtract(direction, middle)).max() > OTHER_DIRECTION))
    }
    return odd if len(odd) <= FEW * len(headers) else set()


def _without(series: SeriesHeaders, foreign: frozenset[int]) -> SeriesHeaders:
    if not foreign:
        return series
    keep = [index for index in range(len(series.headers)) if index not in foreign]
    return replace(
        series,
        headers=tuple(series.headers[index] for index in keep),
        paths=tuple(series.paths[index] for index in keep if index < len(series.paths)),
        pixels=tuple(series.pixels[index] for index in keep if index < len(series.pixels)),
    )


def _named(headers: Sequence[Dataset], foreign: frozenset[int]) -> str:
    if not foreign:
        return ""
    kinds = Counter(_kind(headers[index]) for index in foreign)
    return "left out: " + ", ".join(f"{count} x {kind}" for kind, count in sorted(kinds.items()))


def _kind(header: Dataset) -> str:
    sop_class = UID(text(header, "SOPClassUID"))
    if sop_class in READABLE:
        return "MR image of another size or orientation"
    return "unknown SOP class" if sop_class.name == str(sop_class) else sop_class.name


__all__ = ["ALONE", "Images", "SeriesHeaders", "images", "is_mr", "study_of"]
