"""Which series of a study the model may read, and the named reason for every other. Pure: headers in, verdicts out.

Each series is asked in turn (`screening`): is it an MR image, not ours, not derived, T1-weighted, of a head, on one
regular grid that is large enough? The first "no" is its verdict. Site rules are asked first, and the first that holds
counts: `refuse` ends it, `accept` skips the questions about kind, weighting and body part, and `prefer` lifts an
eligible series above the others.

The eligible ones are ranked by score: what suits the model best (inversion-prepared 3D first), less 5 for each
millimetre by which the coarsest spacing exceeds 1, and 100 less for a 3D scan as coarse and short as a scout. Ties go
to the better processed twin, to more slices, to the later acquisition (`twins`), then to the lower series number, then
to the lower Series Instance UID. `choice` reads them in this order. A series is judged in the company of the study's
others: what all of them are called says nothing about one, and what follows an injection has the agent in it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydicom.dataset import Dataset

from model.manifest import Subjects
from node.config import SelectionSettings
from node.dicom import rules
from node.dicom.values import number, text, unwarned
from node.series import company, screening, subject, twins
from node.series.company import Images, SeriesHeaders
from node.series.geometry import GeometryError
from node.series.reasons import Reason, SeriesRefused
from node.series.study import ALONE, Study

__all__ = ["Selection", "SeriesHeaders", "SeriesVerdict", "judge", "refused", "select"]

PREFERRED = 1000.0
ACCEPTED = 50.0
PER_MM = 5.0
SCOUT_LIKE = 100.0


@dataclass(frozen=True)
class SeriesVerdict:
    """What becomes of a series, and why; `twins` are the numbers of eligible series made by the same protocol.

    Nothing in it identifies the patient.
    """

    series_instance_uid: str
    series_number: int | None
    description: str
    modality: str
    instances: int
    eligible: bool
    score: float
    reason: Reason
    detail: str
    twins: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its number, as people call it."""
        return "without number" if self.series_number is None else str(self.series_number)


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
    series: Sequence[SeriesHeaders],
    settings: SelectionSettings,
    own_manufacturer: str = "NeuroSSL",
    subjects: Subjects | None = None,
) -> Selection:
    """The verdict on every series, and the eligible ones by rank.

    `subjects` are those that the model was trained on: the series of anybody else are refused.
    """
    with unwarned():
        every = [company.images(each) for each in series]
        study = company.study_of(every)
        verdicts = [_judge(each, study, settings, own_manufacturer) for each in every]
        verdicts = [_of_subject(verdict, each, subjects) for verdict, each in zip(verdicts, every, strict=True)]
        eligible = [index for index, verdict in enumerate(verdicts) if verdict.eligible]
        ranked = sorted(eligible, key=lambda index: _rank(verdicts[index], every[index], study))
        verdicts = [_with_twins(index, eligible, verdicts, every) for index in range(len(every))]
    return Selection(tuple(every[index].series for index in ranked), tuple(verdicts))


@unwarned()
def judge(series: SeriesHeaders, settings: SelectionSettings, own_manufacturer: str = "NeuroSSL") -> SeriesVerdict:
    """The verdict on one series by itself."""
    return _judge(company.images(series), ALONE, settings, own_manufacturer)


def _judge(images: Images, study: Study, settings: SelectionSettings, own_manufacturer: str) -> SeriesVerdict:
    header, series = images.header, images.series
    score, reason = 0.0, Reason.ELIGIBLE
    try:
        score, detail = _examine(images, study, settings, own_manufacturer)
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
        detail=_printable("; ".join(each for each in (detail, images.left_out) if each), 300),
    )


def refused(verdict: SeriesVerdict, reason: Reason, detail: str) -> SeriesVerdict:
    """The verdict on a series that was eligible until it was read."""
    return replace(verdict, eligible=False, score=0.0, reason=reason, detail=_printable(detail, 300))


def _examine(images: Images, study: Study, settings: SelectionSettings, own_manufacturer: str) -> tuple[float, str]:
    """Score and detail of an eligible series. Raises SeriesRefused and GeometryError."""
    headers = images.series.headers
    if not headers:
        raise SeriesRefused(Reason.TOO_FEW_SLICES, "the series has no instances")
    screening.is_mr(images.header, own_manufacturer)
    screening.has_pixels(images.header)
    rule = next((each for each in settings.rules if all(map(rules.parse(each.when), headers))), None)
    if rule is not None and rule.then == "refuse":
        raise SeriesRefused(Reason.SITE_RULE, rule.why)
    accepted = rule is not None and rule.then == "accept"
    score, detail = ACCEPTED, "accepted by a site rule"
    if not accepted:
        score, detail = screening.is_t1_head(images.header, images.made, study)
    grid = screening.has_grid(headers, settings, trust_declared=not accepted)
    coarse = not accepted and screening.like_a_scout(images.made, grid)
    score -= PER_MM * max(max(grid.spacing_mm) - 1, 0) + (SCOUT_LIKE if coarse else 0)
    score += PREFERRED if rule is not None and rule.then == "prefer" else 0
    said = [detail, f"{len(grid.order)} slices {grid.spacing_mm[0]:.2f} mm apart"]
    said += ["as coarse and short as a scout"] if coarse else []
    said += [f"{grid.missing} missing ones bridged"] if grid.missing else []
    said += [rule.why] if rule is not None else []
    return score, "; ".join(said)


def _of_subject(verdict: SeriesVerdict, images: Images, subjects: Subjects | None) -> SeriesVerdict:
    why = subject.unlike(images.series.headers, subjects) if verdict.eligible and subjects is not None else ""
    return refused(verdict, Reason.OTHER_SUBJECT, why) if why else verdict


def _rank(verdict: SeriesVerdict, images: Images, study: Study) -> tuple[object, ...]:
    planes = sum(screening.planes(header) for header in images.series.headers)
    last = float("inf") if verdict.series_number is None else verdict.series_number
    turn = twins.turn(images.made, verdict.series_number, study)
    processing = twins.processing(images.header, images.made)
    return -verdict.score, processing, -planes, turn, last, verdict.series_instance_uid


def _with_twins(
    index: int, eligible: Sequence[int], verdicts: Sequence[SeriesVerdict], every: Sequence[Images]
) -> SeriesVerdict:
    if index not in eligible:
        return verdicts[index]
    one = every[index]
    found = [
        other
        for other in eligible
        if other != index
        and twins.alike(one.made, every[other].made)
        and twins.plane(one.header) == twins.plane(every[other].header)
    ]
    names = tuple(verdicts[other].name for other in found)
    said = f"{verdicts[index].detail}; made by the same protocol as series {', '.join(names)}" if names else ""
    return replace(verdicts[index], twins=names, detail=_printable(said, 300) or verdicts[index].detail)


def _description(header: Dataset) -> str:
    """Series Description, of which any part of the patient's name or id is taken out."""
    found = text(header, "SeriesDescription")
    parts = re.split(r"[\s^=\\]+", f"{text(header, 'PatientName')} {text(header, 'PatientID')}")
    for part in sorted((each for each in parts if len(each) > 2), key=len, reverse=True):
        found = re.sub(re.escape(part), "…", found, flags=re.IGNORECASE)
    return _printable(found, 64)


def _printable(said: str, length: int) -> str:
    return "".join(each for each in said if each.isprintable())[:length]
