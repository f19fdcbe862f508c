"""One task from files to files, in three steps.

read      verify the files, read their headers, select the series, read its volume, unless its answer is known
predict   what the model says of the volume, or is remembered to have said of the very same slices
report    build the results, store their files

Runs in the worker's child; touches no database and leaves nothing but result files. The same task, bundle and settings
give the same bytes again: the dropout masks are seeded from the instances and the bundle, and times are those of the
job.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version

from pydicom.dataset import Dataset

from model import Predictor
from model.errors import DeviceOutOfMemory
from model.types import Prediction
from node.config import Settings
from node.dicom.values import text
from node.errors import OutOfResources, UnreadableInstance
from node.report import Encoded, Source, build, build_pictures, build_skipped
from node.series.choice import Choice, Limits, SeriesLook, choose, seed
from node.series.reasons import Reason
from node.series.selection import SeriesHeaders
from node.series.volume import UnreadableFile, read_series
from node.work import remembered, shelf
from node.work.answering import Answering
from node.work.messages import Analysed, Task
from node.work.outcome import Outcome, PredictionOutcome, Scanner, SelectionOutcome
from storage import DataFolder, files
from storage.answers import NewAnswer

Tell = Callable[[str, int, int], None]  # the stage, how far it is, of how many (0: cannot be counted)
CHOOSING = {"selection": ("selection", "selects the series"), "volume": ("volume", "reads the volume")}
PREDICTION = ("prediction", "predicts")  # the slices and their scope are part of it


class Stages:
    """Which stage is under way, and how long each took, all tries together."""

    def __init__(self, tell: Tell) -> None:
        """`tell` hears of each stage as it begins, and of its steps."""
        self._tell = tell
        self.took_s: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str, words: str) -> Iterator[Callable[[int, int], None]]:
        """Time a stage; gives the function that hears how far it is."""
        self._tell(words, 0, 0)
        began_s = time.perf_counter()
        try:
            yield partial(self._tell, words)
        finally:
            self.took_s[name] = round(self.took_s.get(name, 0.0) + time.perf_counter() - began_s, 4)


@dataclass(frozen=True)
class StudyRead:
    """What the stored files say."""

    source: Source  # whose study it is
    choice: Choice
    answer: NewAnswer  # what that leads to; the words of a new result are still missing


class Analysis:
    """The work on one task: `read`, `predict`, `report`, each of which can be run alone."""

    def __init__(self, task: Task, settings: Settings, folder: DataFolder, predictor: Predictor, tell: Tell) -> None:
        """Nothing is read before `read`."""
        self._task = task
        self._settings = settings
        self._folder = folder
        self._predictor = predictor
        self._stages = Stages(tell)
        self._outcome = Outcome(software=version("neurossl-node"), configuration=settings.fingerprint)
        self._answering = Answering(task, settings, predictor.model_id, self._outcome.software)

    @property
    def outcome(self) -> Outcome:
        """What was found until now."""
        return self._outcome.model_copy(update={"timings_s": dict(self._stages.took_s)})

    def run(self) -> Analysed:
        """The study's results, or why there are none.

        Raises the errors of node/errors.py and storage/errors.py; `outcome` then says what was found until there.
        """
        if not self._task.instances:
            return Analysed(answer=self._answering.of_nothing(), outcome=self.outcome, results=())
        study = self.read()
        return self.report(study, self.predict(study))

    def read(self) -> StudyRead:
        """The series that is read, as the network would see it, or why there is none.

        Raises FileAltered, UnreadableInstance and MixedPatients.
        """
        series, unreadable = self._read()
        answering = self._answering
        limits = Limits.of(self._settings, self._predictor.manifest)
        choice = choose(series, limits, self._choosing, answering.is_known)
        self._note(selection=SelectionOutcome.of(choice, unreadable, self._folder.root))
        self._note(scanner=scanner(series, choice.chosen))
        own = {each.series_instance_uid for each in choice.verdicts if each.reason is Reason.OWN_RESULT}
        foreign = [each for each in series if each.series_instance_uid not in own]
        source = Source([header for each in foreign or series for header in each.headers])
        if choice.damage:
            raise UnreadableInstance(choice.damage)
        if choice.recalled is not None:
            return StudyRead(source, choice, answering.of_series(choice.recalled, choice.beside))
        if choice.look is not None:
            return StudyRead(source, choice, answering.of_look(choice.look, choice.beside))
        return StudyRead(source, choice, answering.without_series(source, choice.verdicts if foreign else ()))

    def predict(self, study: StudyRead) -> Prediction | None:
        """What the model says of the series; None when there is none, or nothing new. Raises OutOfResources."""
        if study.choice.look is None or study.answer.is_known:
            return None
        prediction = self._predict(study.choice.look)
        remarks = (*prediction.remarks, *study.choice.beside)
        self._note(prediction=PredictionOutcome.of(prediction, study.choice.look.slices), remarks=remarks or None)
        return prediction

    def report(self, study: StudyRead, prediction: Prediction | None) -> Analysed:
        """The results, encoded and stored. Raises InvalidResult, StorageFull."""
        source, choice, answer = study.source, study.choice, study.answer
        context = self._answering.context(answer, choice.beside)
        if answer.is_known:
            return Analysed(answer=answer, outcome=self.outcome, results=())
        if prediction is None or choice.look is None:
            is_ours = any(each.modality == "MR" for each in choice.verdicts)  # of any other study there is no word
            skipped = partial(build_skipped, source, choice.verdicts, answer.reason, context)
            return self._analysed(answer, skipped if is_ours else list)
        encode = partial(build, source, choice.look.series.headers, prediction, context)
        if prediction.scope.inside:
            kept = partial(self._with_kept, encode, prediction, choice.look, f"{answer.key}.{answer.generation}")
            return self._analysed(replace(answer, reason=_summary(prediction, self._outcome.reused)), kept)
        return self._analysed(answer, encode if self._settings.results.report_skipped else list)

    def _note(self, **found: SelectionOutcome | PredictionOutcome | Scanner | tuple[str, ...] | int | None) -> None:
        self._outcome = self._outcome.model_copy(update=found)

    def _read(self) -> tuple[Sequence[SeriesHeaders], Sequence[UnreadableFile]]:
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

    def _choosing(self, stage: str) -> AbstractContextManager[object]:
        return self._stages.stage(*CHOOSING.get(stage, PREDICTION))

    def _predict(self, look: SeriesLook) -> Prediction:
        with self._stages.stage(*PREDICTION) as tell:
            found = remembered.find(self._folder, self._key(look), look, self._predictor.model_id)
            if found is not None:
                self._note(reused=found.job_id if found.job_id != self._task.job_id else None)
                return found.prediction
            try:
                return self._predictor.classify(look.slices, look.scope, self._seed(look), tell)
            except DeviceOutOfMemory as error:
                raise OutOfResources(str(error)) from error

    def _seed(self, look: SeriesLook) -> bytes:
        return seed(look.series, self._predictor.model_id.sha256)

    def _key(self, look: SeriesLook) -> str:
        return remembered.key(look, self._predictor, self._seed(look), self._outcome.software)

    def _with_kept(
        self, encode: Callable[[], Sequence[Encoded]], prediction: Prediction, look: SeriesLook, answer: str
    ) -> list[Encoded]:
        """What is sent, and behind it what is only kept."""
        sent = encode()
        pictures = build_pictures(prediction, answer, len(sent))
        numbers = remembered.encode(prediction, self._key(look), answer, self._task.job_id, len(sent) + 1)
        return [*sent, pictures, numbers]

    def _analysed(self, answer: NewAnswer, encode: Callable[[], Iterable[Encoded]]) -> Analysed:
        with self._stages.stage("report", "builds the results"):
            encoded = list(encode())
        with self._stages.stage("store", "stores the results"):
            results = shelf.put(self._folder, encoded, self._task.job_id)
        return Analysed(answer=answer, outcome=self.outcome, results=results)


def scanner(series: Sequence[SeriesHeaders], chosen: str | None) -> Scanner | None:
    """What made the chosen series, or the first one; None where that says nothing of itself."""
    first = next((each for each in series if each.series_instance_uid == chosen), series[0])
    return scanner_of(first.headers[0])


def scanner_of(header: Dataset) -> Scanner | None:
    """What made the image of this header; None where it says nothing of itself."""
    named = [_short(text(header, keyword)) for keyword in ("Manufacturer", "ManufacturerModelName")]
    return Scanner(manufacturer=named[0], model=named[1]) if any(named) else None


def _short(value: str) -> str:
    return "".join(each for each in value if each.isprintable())[:64].strip()


def _summary(prediction: Prediction, reused: int | None) -> str:
    if prediction.probability is None or prediction.spread is None:
        return "results encoded"
    untrained = "" if prediction.model.trained else ", UNTRAINED model"
    again = f", prediction of job {reused} reused" if reused is not None else ""
    return f"{prediction.band}: {prediction.probability:.1%} ± {prediction.spread:.1%}{untrained}{again}"
