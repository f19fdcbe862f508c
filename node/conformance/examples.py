"""A made-up study and what the model might say of it: to build one of each kind of result, for people to look at.

Two of them differ in everything that depends on study, prediction and bundle, so comparing their results shows which
attributes are always the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from typing import Literal

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import ComprehensiveSRStorage, MRImageStorage

from model.types import Band, ModelId, Prediction, Scope, Slice, SlicePrediction, SourceFrame
from node.config import Destination, Results
from node.report import Context, Encoded, Source, build, build_rejection, build_skipped

FORMS: tuple[Literal["comprehensive", "comprehensive_3d", "text"], ...] = ("comprehensive", "comprehensive_3d", "text")
SOURCE_UIDS = "1.2.3."  # where the UIDs of the made-up studies begin


@dataclass(frozen=True)
class _EarlierReport:
    sop_instance_uid: str
    series_instance_uid: str
    sop_class_uid: str = ComprehensiveSRStorage


@dataclass(frozen=True)
class _Series:
    series_number: int
    description: str = "made up"
    modality: str = "MR"
    instances: int = 2
    eligible: bool = False
    reason: str = "made up"
    detail: str = "made up"


def results(settings: Results, number: int, software_version: str) -> list[Encoded]:
    """One result of each kind, a skipped study's report last; `number` is 1 or 2: which of the two studies."""
    series = _series(number)
    receivers = [Destination(name=form, ae_title="ANY", host="any", port=1, report=form) for form in FORMS]
    chosen = settings.model_copy(update={"captures": 1, "parametric_map": True, "capture_skipped": False})
    at = datetime(2000 + number, number, number, number, number, number, tzinfo=UTC)
    predecessor = _EarlierReport(f"{SOURCE_UIDS}{number}.6", f"{SOURCE_UIDS}{number}.7")
    context = Context(chosen, receivers, {}, at, software_version, [predecessor])
    made = build(Source(series), series, _prediction(number, series), context)
    always = chosen.model_copy(update={"report_skipped": True})
    skipped = Context(always, receivers, {}, at, software_version)
    return [*made, *build_skipped(Source(series), [_Series(number)], f"made up {number}", skipped)]


def note(settings: Results, number: int, software_version: str) -> Encoded:
    """The note that calls the results of one of the two studies back."""
    at = datetime(2000 + number, number, number, number, number, number, tzinfo=UTC)
    objects = [dcmread(BytesIO(each.content)) for each in results(settings, number, software_version)[:-1]]
    return build_rejection(objects, f"{number}", Context(settings, [], {}, at, software_version), superseded=True)


def _series(number: int) -> list[Dataset]:
    return [_header(number, index) for index in range(2)]


def _header(number: int, index: int) -> Dataset:
    uid = f"{SOURCE_UIDS}{number}"
    header = Dataset()
    header.SpecificCharacterSet = "ISO_IR 100"
    header.SOPClassUID, header.SOPInstanceUID = MRImageStorage, f"{uid}.{index + 1}"
    header.StudyInstanceUID, header.SeriesInstanceUID, header.FrameOfReferenceUID = uid, f"{uid}.8", f"{uid}.9"
    header.PatientName, header.PatientID, header.PatientBirthDate = (
        f"Made^Up{number}",
        f"ID{number}",
        f"200{number}0101",
    )
    header.PatientSex, header.StudyDate, header.StudyTime = "FM"[number - 1], f"2003010{number}", f"10000{number}"
    header.StudyID, header.AccessionNumber, header.ReferringPhysicianName = f"S{number}", f"A{number}", f"R{number}"
    header.StudyDescription, header.TimezoneOffsetFromUTC = f"Study {number}", f"+0{number}00"
    header.Modality, header.Rows, header.Columns = "MR", 8 * number, 8 * number
    return header


def _prediction(number: int, series: Sequence[Dataset]) -> Prediction:
    rng = np.random.default_rng(number)
    slices = []
    for index, header in enumerate(series):
        affine = np.eye(4)[[number - 1, 2 - number, 2, 3]]
        affine[:3, 3] = number, number, number + index
        pixels = rng.integers(0, 255, (32 + 16 * number, 80 - 16 * number), np.uint8)
        place = Slice(pixels, affine, SourceFrame(str(header.SOPInstanceUID)))
        rollout = rng.random((14, 14), np.float32)
        slices.append(SlicePrediction(place, np.zeros(2, np.float32), 0.1 * number, 0.01, 0.3, 0.01, rollout))
    order = f"order {number}"
    model = ModelId(f"model {number}", f"{number}", f"{number}" * 64, True, float(number), 10 * number, order, {})
    band = (Band.HIGH_LIKELIHOOD, Band.INDETERMINATE)[number - 1]
    scope = Scope(True, "made up", {})
    return Prediction(scope, tuple(slices), 0.1 * number, 0.01 * number, 0.3 * number, 0.01 * number, band, model)
