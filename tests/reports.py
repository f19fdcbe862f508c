"""Predictions and settings for tests of reports: made up, the same numbers each time, no network involved.

prediction(mr_series())                      61 slices of a synthetic head-like picture, probability 82 %
context(report="text")                       one destination with this form of report
build(series, prediction(series), context()) files as data sets, by kind
"""

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from model.bands import Conformal
from model.types import Band, ModelId, Prediction, Scope, Slice, SlicePrediction, SourceFrame
from node import report
from node.config import Destination, Results
from node.report import Context, Encoded, Source

CREATED_AT = datetime(2026, 1, 15, 10, 0, 0, tzinfo=UTC)
MODEL = ModelId(
    name="neurossl-test",
    version="1.0",
    sha256="0123456789abcdef" * 4,
    trained=True,
    temperature=1.6995,
    dropout_samples=10,
    rollout_order="last_to_first",
    thresholds={"low_confidence_spread": 0.15, "high_likelihood": 0.75, "no_significant_changes": 0.62},
)
OUT_OF_SCOPE = Scope(False, "the volume does not look like a head", {"head_ml": 212.3})


@dataclass(frozen=True)
class Verdict:
    """What selection says of a series, as far as reports read it."""

    series_number: int | None = 3
    description: str = "T2 TSE"
    modality: str = "MR"
    instances: int = 24
    eligible: bool = False
    reason: str = "not T1-weighted"
    detail: str = "EchoTime 90 ms"


def plane(position_mm: float) -> NDArray[np.float64]:
    """(4, 4) of an axial slice of 224 x 224 pixels over 208 x 176 mm at this height, as `model.slicing` cuts it."""
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = (0, 208 / 224, 0), (176 / 224, 0, 0), (0, 0, 1)
    affine[:3, 3] = (-88, -104, position_mm)
    return affine


def prediction(series: Sequence[Dataset] = (), slices: int = 61, **changes: Any) -> Prediction:
    """A likely finding whose slices lie 1 mm apart around the middle of the patient; fields can be replaced."""
    sources = [SourceFrame(str(each.SOPInstanceUID)) for each in series] or [None]
    rows, columns = np.mgrid[:224, :224] / 223
    head = (np.hypot((rows - 0.5) / 0.46, (columns - 0.5) / 0.4) < 1) * (90 + 120 * rows)
    patches = np.mgrid[:14, :14]
    every = []
    for index in range(slices):
        centre = 4 + 5 * index / slices
        rollout = np.exp(-((patches[0] - centre) ** 2 + (patches[1] - 4) ** 2) / 6).astype(np.float32)
        every.append(
            SlicePrediction(
                Slice(head.astype(np.uint8), plane(index - slices / 2), sources[len(sources) // 2]),
                logits=np.array([-1, 1], np.float32),
                probability=0.62 + 0.3 * float(np.sin(index / 20)),
                spread=0.03 + 0.0005 * index,
                predictive_entropy=0.47,
                mutual_information=0.012,
                rollout=rollout / rollout.max(),
            )
        )
    made = Prediction(
        Scope(True, "looks like a head", {"head_ml": 4500.0}), tuple(every), 0.8234, 0.031, 0.4701, 0.0123,
        Band.HIGH_LIKELIHOOD, MODEL,
    )  # fmt: skip
    return replace(made, **changes)


def conformal(sets: Conformal, probability: float, series: Sequence[Dataset] = (), slices: int = 2) -> Prediction:
    """A study with this probability, of a bundle with these sets."""
    return prediction(
        series,
        slices,
        probability=probability,
        band=sets.band(probability),
        standing=sets.standing(probability),
        model=replace(MODEL, thresholds=sets.limits),
    )


def out_of_scope() -> Prediction:
    """An input that was refused before anything was computed."""
    nothing = dict.fromkeys(("probability", "spread", "predictive_entropy", "mutual_information", "band"))
    return prediction(scope=OUT_OF_SCOPE, slices=0, **nothing)


def destination(name: str = "pacs", **settings: Any) -> Destination:
    """A receiver of results."""
    return Destination(name=name, ae_title="PACS", host="localhost", port=104, **settings)


def context(destinations: Sequence[Destination] | None = None, **settings: Any) -> Context:
    """Settings of a build; keywords are those of the `results:` section."""
    where = (destination(),) if destinations is None else tuple(destinations)
    chosen = {"captures": 2, **settings}
    return Context(Results(**chosen), where, {}, CREATED_AT, "0.1.0")


def build(series: Sequence[Dataset], made: Prediction, how: Context) -> list[Encoded]:
    """What the worker does once it has a prediction."""
    return report.build(Source(series), series, made, how)


def read(result: Encoded) -> Dataset:
    """The object in the file; what pydicom thinks of carried values is not our concern."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.dcmread(io.BytesIO(result.content))


def of_kind(results: Sequence[Encoded], kind: str) -> Dataset:
    """The only result of this kind."""
    (found,) = [each for each in results if each.kind == kind]
    return read(found)
