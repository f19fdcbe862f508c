"""One task from files to files: verify, read headers, select, read the volume, predict, encode, store.

Runs in the worker's child; touches no database and leaves nothing but result files. The same task, bundle and settings
give the same bytes again: the dropout masks are seeded from the instances and the bundle, and times are those of the
job.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from typing import Any

from model import Predictor, Volume
from model.errors import DeviceOutOfMemory, VolumeError
from model.types import Prediction, SlicePrediction
from node import report
from node.config import Settings
from node.errors import OutOfResources, UnreadableInstance
from node.series.geometry import GeometryError
from node.series.reasons import Reason
from node.series.selection import Selection, SeriesHeaders, Verdict, select
from node.series.volume import Unreadable, read_series, read_volume
from node.work.messages import Analysed, ResultFile, Task
from storage import DataFolder, files
from storage.states import JobState

Progress = Callable[[str, int, int], None]
MIB = 2**20


class Stages:
    """Which stage is under way, and how long each took."""

    def __init__(self, progress: Progress) -> None:
        """`progress` hears of each stage as it begins, and of its steps."""
        self._progress = progress
        self.took_s: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str, words: str) -> Iterator[Callable[[int, int], None]]:
        """Time a stage; gives the function that hears how far it is."""
        self._progress(words, 0, 0)
        began_s = time.perf_counter()
        try:
            yield partial(self._progress, words)
        finally:
            self.took_s[name] = round(time.perf_counter() - began_s, 4)


@dataclass(frozen=True)
class Chosen:
    """The series that is read, and the verdict on every one."""

    series: SeriesHeaders | None
    volume: Volume | None
    verdicts: tuple[Verdict, ...]


class Analysis:
    """The work on one task."""

    def __init__(
        self, task: Task, settings: Settings, folder: DataFolder, predictor: Predictor, progress: Progress
    ) -> None:
        """Nothing is read before `run`."""
        self._task = task
        self._settings = settings
        self._folder = folder
        self._predictor = predictor
        self._stages = Stages(progress)
        self.outcome: dict[str, Any] = {"software": version("neurossl-node"), "timings_s": self._stages.took_s}

    def run(self) -> Analysed:
        """The study's results, or why there are none.

        Raises the errors of node/errors.py and storage/errors.py; `outcome` then says what was found until there.
        """
        series, unreadable = self._read()
        selection = self._select(series)
        own = {each.series_instance_uid for each in selection.verdicts if each.reason is Reason.OWN_RESULT}
        foreign = [each for each in series if each.series_instance_uid not in own]
        if not foreign:
            self.outcome["selection"] = selection_outcome(
                Chosen(None, None, selection.verdicts), unreadable, self._folder
            )
            return self._analysed(JobState.SKIPPED, "nothing but results of this node", list)
        source = report.Source([header for each in foreign for header in each.headers])
        chosen = self._choose(selection, foreign)
        self.outcome["selection"] = selection_outcome(chosen, unreadable, self._folder)
        if chosen.series is None or chosen.volume is None:
            reason = nothing_to_read(chosen.verdicts)
            skipped = partial(report.build_skipped, source, chosen.verdicts, reason, self._context())
            return self._analysed(JobState.SKIPPED, reason, skipped)
        prediction = self._predict(chosen.series, chosen.volume)
        self.outcome["prediction"] = prediction_outcome(prediction)
        build = partial(report.build, source, chosen.series.headers, prediction, self._context())
        if prediction.scope.inside:
            return self._analysed(JobState.REPORTED, _summary(prediction), build)
        reason = f"outside the model's scope: {prediction.scope.reason}"
        return self._analysed(JobState.SKIPPED, reason, build if self._settings.results.report_skipped else list)

    def _read(self) -> tuple[Sequence[SeriesHeaders], Sequence[Unreadable]]:
        with self._stages.stage("verify", "checks the stored files") as tell:
            paths = []
            for number, each in enumerate(self._task.instances):
                paths.append(files.verify(self._folder, each.path, each.sha256))
                if number % 100 == 0:
                    tell(number, len(self._task.instances))
        with self._stages.stage("headers", "reads headers"):
            reading = read_series(paths)
        if not reading.series:
            raise UnreadableInstance(f"none of the {len(paths)} instances of this study can be read")
        return reading.series, reading.unreadable

    def _select(self, series: Sequence[SeriesHeaders]) -> Selection:
        with self._stages.stage("selection", "selects the series"):
            return select(
                series,
                self._settings.selection,
                self._settings.results.manufacturer,
                self._predictor.manifest.subjects,
            )

    def _choose(self, selection: Selection, series: Sequence[SeriesHeaders]) -> Chosen:
        """The best series that makes a volume; one that turns out not to is refused with its reason."""
        refused: dict[str, GeometryError] = {}
        best = selection.chosen
        while best is not None:
            try:
                return Chosen(best, self._volume(best), _verdicts(selection, refused))
            except GeometryError as error:
                refused[best.series_instance_uid] = error
                best = self._select([each for each in series if each.series_instance_uid not in refused]).chosen
        return Chosen(None, None, _verdicts(selection, refused))

    def _volume(self, series: SeriesHeaders) -> Volume:
        limit = self._settings.worker.maximum_volume_mib * MIB
        with self._stages.stage("volume", "reads the volume"):
            return read_volume(series, limit, self._settings.selection)

    def _predict(self, series: SeriesHeaders, volume: Volume) -> Prediction:
        with self._stages.stage("prediction", "predicts") as tell:
            try:
                return self._predictor.predict(volume, seed(series, self._predictor.model_id.sha256), tell)
            except VolumeError as error:
                raise GeometryError(Reason.NO_GEOMETRY, str(error)) from error
            except DeviceOutOfMemory as error:
                raise OutOfResources(str(error)) from error

    def _context(self) -> report.Context:
        return report.Context(
            settings=self._settings.results,
            destinations=self._settings.destinations,
            revision=self._task.revision,
            created_at=self._task.created_at,
            software_version=self.outcome["software"],
            predecessor=self._task.predecessors,
        )

    def _analysed(self, state: JobState, reason: str, build: Callable[[], Iterable[report.Encoded]]) -> Analysed:
        with self._stages.stage("report", "builds the results"):
            encoded = list(build())
        with self._stages.stage("store", "stores the results"):
            results = tuple(self._stored(each) for each in encoded)
        return Analysed(state=state, reason=reason, outcome=self.outcome, results=results)

    def _stored(self, encoded: report.Encoded) -> ResultFile:
        file = files.write(self._folder, encoded.sop_instance_uid, [encoded.content], area="results")
        return ResultFile(
            sop_instance_uid=encoded.sop_instance_uid,
            sop_class_uid=encoded.sop_class_uid,
            series_instance_uid=encoded.series_instance_uid,
            result_kind=encoded.kind,
            ordinal=encoded.ordinal,
            path=file.path,
            sha256=file.sha256,
            size_bytes=file.size_bytes,
            destinations=encoded.destinations,
        )


def seed(series: SeriesHeaders, bundle_sha256: str) -> bytes:
    """The seed of the dropout masks: the same instances and the same bundle give the same numbers again."""
    uids = sorted(str(header.SOPInstanceUID) for header in series.headers)
    return hashlib.sha256("\n".join([bundle_sha256, *uids]).encode()).digest()


def nothing_to_read(verdicts: Sequence[Verdict]) -> str:
    """Why no series was read, in one line.

    >>> nothing_to_read([])
    'no series that the model can read: the study has no series'
    """
    counted: dict[str, int] = {}
    for verdict in verdicts:
        counted[str(verdict.reason)] = counted.get(str(verdict.reason), 0) + 1
    reasons = ", ".join(f"{count} x {reason}" if count > 1 else reason for reason, count in counted.items())
    return f"no series that the model can read: {reasons or 'the study has no series'}"


def selection_outcome(chosen: Chosen, unreadable: Sequence[Unreadable], folder: DataFolder) -> dict[str, Any]:
    """The verdicts for `queue show`, as JSON."""
    return {
        "chosen": chosen.series.series_instance_uid if chosen.series else None,
        "series": [{**vars(verdict), "reason": str(verdict.reason)} for verdict in chosen.verdicts],
        "unreadable": [{"path": str(each.path.relative_to(folder.root)), "reason": each.reason} for each in unreadable],
    }


def prediction_outcome(prediction: Prediction) -> dict[str, Any]:
    """The numbers for `queue show`, as JSON."""
    return {
        "model": {**vars(prediction.model), "thresholds": dict(prediction.model.thresholds)},
        "scope": {**vars(prediction.scope), "measurements": dict(prediction.scope.measurements)},
        "probability": prediction.probability,
        "spread": prediction.spread,
        "predictive_entropy": prediction.predictive_entropy,
        "mutual_information": prediction.mutual_information,
        "band": None if prediction.band is None else str(prediction.band),
        "slices": [_slice_outcome(each) for each in prediction.slices],
    }


def _slice_outcome(each: SlicePrediction) -> dict[str, Any]:
    source = each.slice.source
    return {
        "position_mm": None if each.slice.position_mm is None else round(each.slice.position_mm, 2),
        "source": source.sop_instance_uid if source else None,
        "frame": source.frame_number if source else None,
        "probability": round(each.probability, 6),
        "spread": round(each.spread, 6),
    }


def _verdicts(selection: Selection, refused: dict[str, GeometryError]) -> tuple[Verdict, ...]:
    return tuple(
        replace(verdict, eligible=False, score=0.0, reason=error.reason, detail=error.detail)
        if (error := refused.get(verdict.series_instance_uid))
        else verdict
        for verdict in selection.verdicts
    )


def _summary(prediction: Prediction) -> str:
    if prediction.probability is None or prediction.spread is None:
        return "results encoded"
    untrained = "" if prediction.model.trained else ", UNTRAINED model"
    return f"{prediction.band}: {prediction.probability:.1%} ± {prediction.spread:.1%}{untrained}"
