"""What a bundle says of a study: of a stored one as its job would work it out, or of a folder of DICOM files."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from pydicom.dataset import Dataset

from model import Predictor
from node.config import Settings
from node.dicom.values import number, text, unwarned
from node.errors import NodeError
from node.logs import safe_text
from node.offline import predictions
from node.series.choice import Limits
from node.series.selection import SeriesHeaders
from node.series.volume import read_series
from node.work.analysis import Analysis
from node.work.attempt import task_of
from node.work.outcome import Outcome, bundle_label
from storage import Database, DataFolder
from storage.errors import StorageError
from storage.records import Job

Tell = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Said:
    """A bundle's answer on a study; without a probability, `reason` says why there is none.

    series        its UID, and what people call it; "" where none was read
    in_scope      None where it was not asked
    is_failure    an error, and not a study that holds nothing to classify
    """

    bundle: str
    series_instance_uid: str = ""
    series: str = ""
    in_scope: bool | None = None
    band: str | None = None
    probability: float | None = None
    spread: float | None = None
    reason: str = ""
    is_failure: bool = False

    @classmethod
    def of(cls, outcome: Outcome, bundle: str, reason: str = "") -> Self:
        """Of a job's outcome; `reason` counts where it has no numbers."""
        selection, prediction = outcome.selection, outcome.prediction
        chosen = selection.chosen if selection else None
        named = (
            next((each for each in selection.series if each.series_instance_uid == chosen), None) if selection else None
        )
        base = cls(bundle, chosen or "", "" if named is None else _name(named.series_number, named.description))
        if prediction is None:
            return replace(base, reason=outcome.error or reason or "no prediction", is_failure=bool(outcome.error))
        return replace(
            base,
            bundle=prediction.model.label,
            in_scope=prediction.scope.inside,
            band=prediction.band,
            probability=prediction.probability,
            spread=prediction.spread,
            reason="" if prediction.scope.inside else f"outside the model's scope: {prediction.scope.reason}",
        )

    @property
    def is_classified(self) -> bool:
        """Whether it has a probability."""
        return self.probability is not None

    @property
    def words(self) -> str:
        """In one line."""
        if self.probability is None or self.spread is None:
            return self.reason
        return f"{self.band}: {self.probability:.1%} ± {self.spread:.1%}"

    def as_row(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Tried:
    """A study that a bundle was asked about, and the header of the series that was read, or of the first one."""

    study_instance_uid: str
    said: Said
    header: Dataset | None


def of_job(db: Database, folder: DataFolder, settings: Settings, predictor: Predictor, job: Job, tell: Tell) -> Tried:
    """As its job would work it out now, and nothing else of it: nothing is recalled, encoded, stored or sent."""
    task = task_of(db, job).model_copy(update={"answers": (), "predecessors": ()})
    analysis, header, reason = Analysis(task, settings, folder, predictor, tell), None, ""
    try:
        study = analysis.read()
        read = study.choice.look.series.headers if study.choice.look else study.source.headers
        header, reason = read[0], study.answer.reason
        analysis.predict(study)
    except (NodeError, StorageError) as error:
        said = Said(label(predictor), reason=f"{type(error).__name__}: {safe_text(error)}", is_failure=True)
        return Tried(job.study_instance_uid, said, header)
    return Tried(job.study_instance_uid, Said.of(analysis.outcome, label(predictor), reason), header)


@unwarned()
def of_files(paths: Sequence[Path], predictor: Predictor, limits: Limits, tell: Tell) -> Iterator[Tried]:
    """Every study of these files, in the order of the files."""
    for uid, series in read_series(paths).studies.items():
        yield of_series(uid, series, predictor, limits, tell)


def of_series(uid: str, series: Sequence[SeriesHeaders], predictor: Predictor, limits: Limits, tell: Tell) -> Tried:
    """One study, by the headers of its series."""
    answered = predictions.of_study(uid, series, predictor, limits, tell)
    chosen = next((each for each in series if each.series_instance_uid == answered.series_instance_uid), None)
    header = (chosen or series[0]).headers[0]
    found = answered.prediction
    said = Said(
        label(predictor),
        answered.series_instance_uid,
        "" if chosen is None else _name(number(header, "SeriesNumber"), text(header, "SeriesDescription")),
        None if found is None else found.scope.inside,
        None if found is None or found.band is None else str(found.band),
        None if found is None else found.probability,
        None if found is None else found.spread,
        answered.reason,
    )
    return Tried(uid, said, header)


def label(predictor: Predictor) -> str:
    """What results of this bundle go by."""
    model = predictor.model_id
    return bundle_label(model.name, model.version, model.sha256)


def _name(series_number: float | None, description: str) -> str:
    return f"{'–' if series_number is None else f'{series_number:g}'} {description}".strip()
