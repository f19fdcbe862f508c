"""What became of the work on a job, as one frozen value: made by `analysis`, kept in the job's row, shown to people.

The row is JSON of the same shape (`as_row`, `from_row`); what is not known has no key in it. Version 1 is that of every
row so far: the first ones do not name it. A key that is added leaves the version as it is; one that goes, or changes
its meaning, raises it, and is read here for as long as such rows exist.

It stands in this room, which makes it, and not with those who show it (`observe`, `cli`, `demo`): they look into this
room, which never looks into theirs. It loads neither the model nor DICOM, so that showing an outcome stays quick.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

if TYPE_CHECKING:
    from model.types import Prediction, Slice, SlicePrediction
    from node.series import volume
    from node.series.choice import Choice

VERSION = 1
CANNOT_BE_READ = "what was kept of this job's outcome cannot be read"


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


Number = Annotated[float | None, BeforeValidator(_finite)]  # JSON has no word for what is not finite


def bundle_label(name: str, version: str, sha256: str) -> str:
    """What a bundle goes by in sums and tables: short, and never that of another one."""
    return f"{name} {version} {sha256[:12]}"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")  # a later version may say more


class SeriesOutcome(_Part):
    """The verdict on one series."""

    series_instance_uid: str
    series_number: int | None
    description: str
    modality: str
    instances: int
    eligible: bool
    score: float
    reason: str
    detail: str


class UnreadableFile(_Part):
    """A stored file that belongs to no series; its path is relative to the data folder."""

    path: str
    reason: str


class SelectionOutcome(_Part):
    """Which series was read, and why each other one was not."""

    chosen: str | None  # Series Instance UID
    series: tuple[SeriesOutcome, ...]
    unreadable: tuple[UnreadableFile, ...]

    @classmethod
    def of(cls, choice: "Choice", unreadable: "Iterable[volume.UnreadableFile]", root: Path) -> Self:
        """Of this choice and these files; `root` is the data folder."""
        return cls(
            chosen=choice.chosen,
            series=tuple(SeriesOutcome(**{**vars(each), "reason": str(each.reason)}) for each in choice.verdicts),
            unreadable=tuple(
                UnreadableFile(path=str(each.path.relative_to(root)), reason=each.reason) for each in unreadable
            ),
        )


class ModelOutcome(_Part):
    """The weights that answered."""

    name: str
    version: str
    sha256: str
    trained: bool
    temperature: float
    dropout_samples: int
    rollout_order: str
    thresholds: Mapping[str, float]

    @property
    def label(self) -> str:
        """In one line, and short: what sums of this bundle go by."""
        return bundle_label(self.name, self.version, self.sha256)


class StandingOutcome(_Part):
    """Where the probability lies among the calibration subjects of one label, as `model.types.Standing`."""

    label: int
    subjects: int
    lower: int
    histogram: tuple[int, ...]


class ScopeOutcome(_Part):
    """Whether the input looked like what the model was trained on."""

    inside: bool
    reason: str
    measurements: Mapping[str, Number]


class SliceOutcome(_Part):
    """The model's answer on one slice."""

    plane: Annotated[str, Field(exclude_if=lambda found: found == "axial")] = "axial"
    position_mm: float | None  # along the axis across the plane, LPS mm
    source: str | None  # SOP Instance UID of the nearest source frame
    frame: int | None  # from 1, where that is multi-frame
    probability: float
    spread: float

    @classmethod
    def of(cls, each: "SlicePrediction") -> Self:
        """Without pixels and heat map."""
        source = each.slice.source
        return cls(
            plane=each.slice.plane,
            position_mm=None if each.slice.position_mm is None else round(each.slice.position_mm, 2),
            source=source.sop_instance_uid if source else None,
            frame=source.frame_number if source else None,
            probability=round(each.probability, 6),
            spread=round(each.spread, 6),
        )


class GreyOutcome(_Part):
    """Grey values of all slices together, 0 to 255, as the network sees them before the z-score."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, slices: "Sequence[Slice]") -> Self:
        """Of at least one slice."""
        pixels = [each.pixels for each in slices]
        mean = sum(float(each.mean()) for each in pixels) / len(pixels)
        square = sum(float(each.var()) + float(each.mean()) ** 2 for each in pixels) / len(pixels)
        return cls(mean=round(mean, 2), deviation=round(max(0.0, square - mean**2) ** 0.5, 2))


class PredictionOutcome(_Part):
    """The model's answer on the study; without a probability where the study is outside of its scope."""

    model: ModelOutcome
    scope: ScopeOutcome
    probability: Number
    spread: Number
    predictive_entropy: Number  # nats
    mutual_information: Number  # nats
    band: str | None
    slices: tuple[SliceOutcome, ...]
    standing: Annotated[tuple[StandingOutcome, ...], Field(exclude_if=lambda found: not found)] = ()
    grey: Annotated[GreyOutcome | None, Field(exclude_if=lambda found: found is None)] = None

    @classmethod
    def of(cls, prediction: "Prediction", slices: "Sequence[Slice]" = ()) -> Self:
        """The numbers of a prediction, and of the slices that it is on."""
        return cls(
            model=ModelOutcome(**{**vars(prediction.model), "thresholds": dict(prediction.model.thresholds)}),
            scope=ScopeOutcome(**{**vars(prediction.scope), "measurements": dict(prediction.scope.measurements)}),
            probability=prediction.probability,
            spread=prediction.spread,
            predictive_entropy=prediction.predictive_entropy,
            mutual_information=prediction.mutual_information,
            band=None if prediction.band is None else str(prediction.band),
            slices=tuple(SliceOutcome.of(each) for each in prediction.slices),
            standing=tuple(StandingOutcome(**vars(each)) for each in prediction.standing),
            grey=GreyOutcome.of(slices) if slices else None,
        )


class Scanner(_Part):
    """What made the images of the series that was read, or of the first one, in its own words."""

    manufacturer: str
    model: str


class Outcome(_Part):
    """What is known of one attempt when it ends, well or not."""

    version: int = VERSION
    software: str = ""  # version of the node
    configuration: str | None = None  # SHA-256 of all settings
    scanner: Scanner | None = None
    timings_s: Mapping[str, float] = {}  # of each stage, in their order
    selection: SelectionOutcome | None = None
    prediction: PredictionOutcome | None = None
    reused: int | None = None  # another job, whose prediction was kept and is this one
    remarks: tuple[str, ...] | None = None  # on the series that was read, as its report has them
    error: str | None = None
    attempt: int | None = None

    @property
    def scanner_name(self) -> str:
        """In one line; "unknown" where nothing says it."""
        named = f"{self.scanner.manufacturer} {self.scanner.model}".strip() if self.scanner else ""
        return named or "unknown"

    def as_row(self) -> dict[str, Any]:
        """As the database keeps it and `--json` shows it: the keys are promised, new ones may come."""
        return {name: value for name, value in self.model_dump(mode="json").items() if value is not None}

    @classmethod
    def from_row(cls, row: Mapping[str, Any] | None) -> Self | None:
        """What the row of a job says; None before the first attempt has ended.

        What cannot be read says so as its error: the job is there all the same, and can be looked at.
        """
        if not row:
            return None
        try:
            return cls.model_validate(row)
        except ValidationError:
            return cls(error=CANNOT_BE_READ)
