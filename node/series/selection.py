"""Which series of a study the model may read, and the named reason for every other. Pure: headers in, verdicts out.

Each series is asked in turn (`screening`): is it an MR image, not ours, not derived, T1-weighted, of a head, on one
regular grid that is large enough? The first "no" is its verdict. Site rules are asked first, and the first that holds
counts: `refuse` ends it, `accept` skips the questions about kind, weighting and body part, and `prefer` lifts an
eligible series above the others.

The eligible ones are ranked by score: what suits the model best (inversion-prepared 3D first), less 5 for each
millimetre by which the coarsest spacing exceeds 1. Ties go to more slices, then to the lower series number, then to the
lower Series Instance UID. `choice` reads them in this order.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydicom.dataset import Dataset

from node.config import SelectionSettings
from node.dicom import rules
from node.dicom.values import number, text, unwarned
from node.series import screening
from node.series.geometry import GeometryError
from node.series.pixels import Location
from node.series.reasons import Reason, SeriesRefused

PREFERRED = 1000.0
ACCEPTED = 50.0
PER_MM = 5.0


@dataclass(frozen=True)
class SeriesHeaders:
    """The headers of one series, without pixels; the file of each, and where in it the pixels lie, if known."""

    series_instance_uid: str
    headers: tuple[Dataset, ...]
    paths: tuple[Path, ...]
    pixels: tuple[Location | None, ...] = ()


@dataclass(frozen=True)
class SeriesVerdict:
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
    """The eligible series, the best first, and the verdict on every series in the order given."""

    ranked: tuple[SeriesHeaders, ...]
    verdicts: tuple[SeriesVerdict, ...]

    @property
    def chosen(self) -> SeriesHeaders | None:
        """The best by its headers; None when none is eligible."""
        return self.ranked[0] if self.ranked else None


def select(
    series: Sequence[SeriesHeaders], settings: SelectionSettings, own_manufacturer: str = "NeuroSSL"
) -> Selection:
    """The verdict on every series, and the eligible ones by rank."""
    verdicts = tuple(judge(each, settings, own_manufacturer) for each in series)
    eligible = [index for index, verdict in enumerate(verdicts) if verdict.eligible]
    eligible.sort(key=lambda index: _rank(verdicts[index], series[index]))
    return Selection(tuple(series[index] for index in eligible), verdicts)


@unwarned()
def judge(series: SeriesHeaders, settings: SelectionSettings, own_manufacturer: str = "NeuroSSL") -> SeriesVerdict:
    """The verdict on one series."""
    header = series.headers[0] if series.headers else Dataset()
    score, reason = 0.0, Reason.ELIGIBLE
    try:
        score, detail = _examine(series.headers, settings, own_manufacturer)
    except (SeriesRefused, GeometryError) as error:
        reason, detail = error.reason, error.detail
    stated = number(header, "SeriesNumber")
    return SeriesVerdict(
        series_instance_uid=series.series_instance_uid,
        series_number=None if stated is None else int(stated),
        description=_description(header),
        modality=text(header, "Modality")[:16],
        instances=len(series.headers),
        eligible=reason is Reason.ELIGIBLE,
        score=round(score, 2),
        reason=reason,
        detail=_printable(detail, 300),
    )


def refused(verdict: SeriesVerdict, reason: Reason, detail: str) -> SeriesVerdict:
    """The verdict on a series that was eligible until it was read."""
    return replace(verdict, eligible=False, score=0.0, reason=reason, detail=_printable(detail, 300))


def _examine(headers: Sequence[Dataset], settings: SelectionSettings, own_manufacturer: str) -> tuple[float, str]:
    """Score and detail of an eligible series. Raises SeriesRefused and GeometryError."""
    if not headers:
        raise SeriesRefused(Reason.TOO_FEW_SLICES, "the series has no instances")
    screening.is_mr(headers[0], own_manufacturer)
    screening.has_pixels(headers[0])
    rule = next((each for each in settings.rules if all(map(rules.parse(each.when), headers))), None)
    if rule is not None and rule.then == "refuse":
        raise SeriesRefused(Reason.SITE_RULE, rule.why)
    accepted = rule is not None and rule.then == "accept"
    score, detail = (ACCEPTED, "accepted by a site rule") if accepted else screening.is_t1_head(headers[0])
    grid = screening.has_grid(headers, settings, trust_declared=not accepted)
    score -= PER_MM * max(max(grid.spacing_mm) - 1, 0)
    score += PREFERRED if rule is not None and rule.then == "prefer" else 0
    said = [detail, f"{len(grid.order)} slices {grid.spacing_mm[0]:.2f} mm apart"]
    said += [f"{grid.missing} missing ones bridged"] if grid.missing else []
    said += [rule.why] if rule is not None else []
    return score, "; ".join(said)


def _rank(verdict: SeriesVerdict, series: SeriesHeaders) -> tuple[float, int, float, str]:
    planes = sum(screening.planes(header) for header in series.headers)
    last = float("inf") if verdict.series_number is None else verdict.series_number
    return -verdict.score, -planes, last, verdict.series_instance_uid


def _description(header: Dataset) -> str:
    """Series Description, of which any part of the patient's name or id is taken out."""
    found = text(header, "SeriesDescription")
    parts = re.split(r"[\s^=\\]+", f"{text(header, 'PatientName')} {text(header, 'PatientID')}")
    for part in sorted((each for each in parts if len(each) > 2), key=len, reverse=True):
        found = re.sub(re.escape(part), "…", found, flags=re.IGNORECASE)
    return _printable(found, 64)


def _printable(said: str, length: int) -> str:
    return "".join(each for each in said if each.isprintable())[:length]
