"""Which series of a study the model may read, and the named reason for every other. Pure: headers in, verdicts out.

Each series is asked in turn (`screening`): is it an MR image, not ours, not derived, T1-weighted, of a head, on one
regular grid that is large enough? The first "no" is its verdict. Site rules are asked first, and the first that holds
counts: `refuse` ends it, `accept` skips the questions about kind, weighting and body part, and `prefer` lifts an
eligible series above the others.

Of the eligible ones the highest score is chosen: what suits the model best (inversion-prepared 3D first), less 5 for
each millimetre by which the coarsest spacing exceeds 1. Ties go to more slices, then to the lower series number, then
to the lower Series Instance UID.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset

from node.config import SelectionSettings
from node.dicom import rules
from node.dicom.values import number, text, unwarned
from node.series import screening
from node.series.geometry import GeometryError
from node.series.pixels import Location
from node.series.reasons import Reason
from node.series.screening import Refused

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


def select(
    series: Sequence[SeriesHeaders], settings: SelectionSettings, own_manufacturer: str = "NeuroSSL"
) -> Selection:
    """The verdict on every series, and the best of the eligible ones."""
    verdicts = tuple(judge(each, settings, own_manufacturer) for each in series)
    eligible = [index for index, verdict in enumerate(verdicts) if verdict.eligible]
    best = min(eligible, key=lambda index: _rank(verdicts[index], series[index]), default=None)
    return Selection(None if best is None else series[best], verdicts)


@unwarned()
def judge(series: SeriesHeaders, settings: SelectionSettings, own_manufacturer: str = "NeuroSSL") -> Verdict:
    """The verdict on one series."""
    header = series.headers[0] if series.headers else Dataset()
    score, reason = 0.0, Reason.ELIGIBLE
    try:
        score, detail = _examine(series.headers, settings, own_manufacturer)
    except (Refused, GeometryError) as error:
        reason, detail = error.reason, error.detail
    stated = number(header, "SeriesNumber")
    return Verdict(
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


def _examine(headers: Sequence[Dataset], settings: SelectionSettings, own_manufacturer: str) -> tuple[float, str]:
    """Score and detail of an eligible series. Raises Refused and GeometryError."""
    if not headers:
        raise Refused(Reason.TOO_FEW_SLICES, "the series has no instances")
    screening.is_mr(headers[0], own_manufacturer)
    screening.has_pixels(headers[0])
    rule = next((each for each in settings.rules if all(map(rules.parse(each.when), headers))), None)
    if rule is not None and rule.then == "refuse":
        raise Refused(Reason.SITE_RULE, rule.why)
    accepted = rule is not None and rule.then == "accept"
    score, detail = (ACCEPTED, "accepted by a site rule") if accepted else screening.is_t1_head(headers[0])
    grid = screening.has_grid(headers, settings, trust_declared=not accepted)
    score -= PER_MM * max(max(grid.spacing_mm) - 1, 0)
    score += PREFERRED if rule is not None and rule.then == "prefer" else 0
    said = [detail, f"{len(grid.order)} slices {grid.spacing_mm[0]:.2f} mm apart"]
    said += [f"{grid.missing} missing ones bridged"] if grid.missing else []
    said += [rule.why] if rule is not None else []
    return score, "; ".join(said)


def _rank(verdict: Verdict, series: SeriesHeaders) -> tuple[float, int, float, str]:
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
