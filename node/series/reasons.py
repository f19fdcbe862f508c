"""Why a series is not read: each refusal has a name, and its value is what people see."""

from enum import StrEnum


class Reason(StrEnum):
    """The verdict on a series in a few words; `SeriesVerdict.detail` says with which numbers."""

    ELIGIBLE = "eligible"
    OWN_RESULT = "result of this node"
    NOT_MR = "not an MR image"
    SECONDARY_CAPTURE = "secondary capture"
    ENCRYPTED = "encrypted"
    SITE_RULE = "refused by a site rule"
    NO_PIXELS = "no readable pixel description"
    COLOUR = "colour image"
    LOCALIZER = "localizer"
    DERIVED = "derived image"
    NOT_MAGNITUDE = "not a magnitude image"
    NOT_T1_WEIGHTED = "not T1-weighted"
    UNKNOWN_WEIGHTING = "weighting unknown"
    CONTRAST_AGENT = "contrast agent given"
    NOT_HEAD = "not a head"
    OTHER_SUBJECT = "patient unlike those of the training data"
    TOO_FEW_SLICES = "too few slices"
    NO_GEOMETRY = "no usable geometry"
    MIXED_ORIENTATIONS = "mixed orientations"
    MIXED_SIZES = "mixed image sizes"
    MIXED_KINDS = "mixed kinds of images"
    SEVERAL_VOLUMES = "several volumes in one series"
    DUPLICATE_POSITIONS = "duplicate slice positions"
    IRREGULAR_SPACING = "irregular slice spacing"
    SHEARED = "sheared stack"
    GAPS = "slices missing"
    TOO_COARSE = "slices too far apart"
    SMALL_COVERAGE = "coverage too small"
    TOO_LARGE = "larger than the limit"
    UNREADABLE = "cannot be read"
    OUT_OF_SCOPE = "outside the model's scope"


class SeriesRefused(Exception):
    """The series is not read; `reason` names why, `detail` has the numbers."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
