"""Which answer a task comes to, by its key, and whether its study has that answer already."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from model.types import ModelId
from node.config import Settings
from node.report import Context, Source, no_result_key, result_key
from node.report.source import uid_of
from node.series.choice import SeriesLook, nothing_to_read
from node.series.selection import SeriesHeaders, SeriesVerdict
from node.work.messages import Task
from storage.answers import NewAnswer, generation, recalled
from storage.states import AnswerKind

NOTHING_FOREIGN = "nothing but results of this node"
NOTHING_LEFT = "every instance was rejected, or moved to another study"


class Answering:
    """The answers of one task; nothing is read and nothing is predicted for them."""

    def __init__(self, task: Task, settings: Settings, model: ModelId, software_version: str) -> None:
        """What shapes the answers besides the study."""
        self._task = task
        self._model = model
        self._context = Context(
            settings=settings.results,
            destinations=settings.destinations,
            contents={each.sop_instance_uid: each.sha256 for each in task.instances},
            created_at=task.created_at,
            software_version=software_version,
            predecessor=task.predecessors,
        )

    def context(self, answer: NewAnswer, beside: Sequence[str]) -> Context:
        """For building the results of this answer."""
        return replace(self._context, generation=answer.generation, beside=beside)

    def is_known(self, series: SeriesHeaders, beside: Sequence[str]) -> bool:
        """The answer that this series leads to, if it is in scope, need not be worked out again."""
        return self.of_series(series, beside).is_known

    def of_series(self, series: SeriesHeaders, beside: Sequence[str]) -> NewAnswer:
        """Of a series that is read and in the model's scope; its reason is known when it is predicted."""
        return self._of_series(AnswerKind.RESULT, series, beside, "")

    def of_look(self, look: SeriesLook, beside: Sequence[str]) -> NewAnswer:
        """Of a series that was read."""
        if look.scope.inside:
            return self.of_series(look.series, beside)
        reason = f"outside the model's scope: {look.scope.reason}"
        return self._of_series(AnswerKind.OUT_OF_SCOPE, look.series, beside, reason)

    def without_series(self, source: Source, verdicts: Iterable[SeriesVerdict]) -> NewAnswer:
        """Of a study in which no series can be read; without verdicts it holds nothing but results of this node."""
        reasons = [str(each.reason) for each in verdicts]
        key = no_result_key(source.identity(), reasons, self._context)
        return self._answer(AnswerKind.NO_RESULT, key, nothing_to_read(verdicts) if reasons else NOTHING_FOREIGN)

    def of_nothing(self) -> NewAnswer:
        """Of a study that has no instance left: all of them were rejected, or belong to another study now."""
        return NewAnswer(AnswerKind.NO_RESULT, "", NOTHING_LEFT)

    def _of_series(self, kind: AnswerKind, series: SeriesHeaders, beside: Sequence[str], reason: str) -> NewAnswer:
        headers, context = series.headers, replace(self._context, beside=beside)
        inside = kind is AnswerKind.RESULT
        key = result_key(Source(headers).identity(), headers, self._model, context, inside=inside)
        read = {uid: context.contents.get(uid, "") for uid in (uid_of(each, "SOPInstanceUID") for each in headers)}
        return replace(self._answer(kind, key, reason), read=read)

    def _answer(self, kind: AnswerKind, key: str, reason: str) -> NewAnswer:
        """The words of one that the study has are those of the job that worked it out."""
        had, job_id = self._task.answers, self._task.job_id
        found = recalled(had, job_id, key)
        said = found.reason if found else reason
        return NewAnswer(kind, key, said, generation(had, job_id, key), found is not None)
