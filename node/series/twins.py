"""Series of one study that are as good as each other: made by one protocol, again, or of one acquisition, twice.

Preferred, in this order: distortion corrected, brightness normalised, all echoes combined, in-phase before water, as it
was acquired, more slices, the later acquisition (it was repeated because the first failed). Where the study's name
tells of a contrast agent it is the earlier one: the later may have the agent in it, without a word.
"""

import numpy as np
from pydicom.dataset import Dataset

from node.dicom.acquisition import Acquisition
from node.dicom.values import number, numbers, places, text
from node.series import words
from node.series.spelling import pattern, said
from node.series.study import Study

COMBINED, REPEATED = pattern(words.COMBINED), pattern(words.REPEATED)
NORMALISED, UNCORRECTED, UNNORMALISED = map(pattern, (words.NORMALISED, words.UNCORRECTED, words.UNNORMALISED))
COMBINED_TYPES, WATER = {"MEAN", "RMS", "SOS"}, {"W", "WATER"}
CORRECTED = {"DIS3D": 0, "DIS2D": 1, "ND": 3}
SAME, SAME_DEGREES = 0.02, 1.0
DAY_S = 86_400.0

Rank = tuple[float, ...]


def processing(header: Dataset, made: Acquisition) -> Rank:
    """How much was done to make it look right; the lower the better."""
    kind, name = made.image_type, said(made.series_description)
    stated = min((CORRECTED[each] for each in CORRECTED if each in kind), default=2)
    normalised = ("NORM" in kind or NORMALISED.search(name)) and not UNNORMALISED.search(name)
    combined = bool(COMBINED.search(name) or kind & COMBINED_TYPES)
    return (
        3 if UNCORRECTED.search(name) else stated,
        0 if normalised else 1,
        0 if combined else 1,
        1 if combined else number(header, "EchoNumbers") or 1,
        1 if kind & WATER else 0,
        1 if text(header, "ImageType").upper().startswith("DERIVED") else 0,
    )


def turn(made: Acquisition, series_number: int | None, study: Study) -> Rank:
    """Whose turn it is among equal acquisitions: of the later one, or the earlier; the lower the better."""
    repeat = -1.0 if REPEATED.search(said(made.series_description)) else 0.0
    if made.acquired is None:
        return repeat, 0.0, -float(series_number or 0)
    date, seconds = made.acquired
    when = DAY_S * int(date or 0) + seconds
    return (0.0, when, 0.0) if study.agent_expected else (repeat, -when, 0.0)


def alike(one: Acquisition, other: Acquisition) -> bool:
    """Whether two acquisitions were made by one protocol, the echo time apart."""
    pairs = ((one.tr, other.tr), (one.ti, other.ti))
    times = all(abs((a or 0) - (b or 0)) <= SAME * max(a or 0, b or 0, 1) for a, b in pairs)
    angles = abs((one.flip or 0) - (other.flip or 0)) <= SAME_DEGREES
    return times and angles and (one.spin, one.three_d, one.inversion) == (other.spin, other.three_d, other.inversion)


def plane(header: Dataset) -> int | None:
    """0, 1 or 2, as its images are closest to sagittal, coronal or axial; None where nothing is said."""
    stated = (numbers(spot, "ImageOrientationPatient") for spot in places(header))
    found = next((each for each in stated if len(each) == 6), None)
    return None if found is None else int(np.abs(np.cross(found[:3], found[3:])).argmax())
