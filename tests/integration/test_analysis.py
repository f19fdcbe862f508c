"""From stored files to encoded results, with a real network of a small size: what a job's child does."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread, dcmwrite

from model import Bundle, Predictor
from model.manifest import Architecture
from node.config import Destination, Settings
from node.errors import MixedPatients, UnreadableInstance
from node.series.choice import nothing_to_read
from node.work.analysis import Analysis
from node.work.messages import Analysed, StoredInstance, Task
from storage import DataFolder, files
from storage.errors import FileAltered
from storage.records import Answer, Result
from storage.states import AnswerKind, AnswerState, JobState
from tests import factories

pytestmark = pytest.mark.slow

CREATED_AT = datetime(2026, 1, 15, 10, 0, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    small = Architecture(embed_dim=24, depth=2, num_heads=2, covariance_dim=4)
    return Predictor(Bundle.untrained(preset=small), device="cpu", precision="float32", threads=1)


T2 = {"ScanningSequence": "SE", "RepetitionTime": 5000, "EchoTime": 90, "InversionTime": factories.ABSENT}


def stored(folder: DataFolder, datasets: Sequence[Dataset]) -> tuple[StoredInstance, ...]:
    found = []
    for dataset in datasets:
        buffer = BytesIO()
        dcmwrite(buffer, factories.encoded(dataset), enforce_file_format=True)
        file = files.write(folder, dataset.SOPInstanceUID, [buffer.getvalue()])
        found.append(StoredInstance(sop_instance_uid=dataset.SOPInstanceUID, path=file.path, sha256=file.sha256))
    return tuple(sorted(found, key=lambda each: each.sop_instance_uid))  # as storage gives them


def analysis(
    folder: DataFolder,
    predictor: Predictor,
    instances: tuple[StoredInstance, ...],
    *,
    predecessors: tuple[Result, ...] = (),
    answers: tuple[Answer, ...] = (),
    told: list[str] | None = None,
    **settings: Any,
) -> Analysis:
    task = Task(
        job_id=1,
        study_instance_uid="1.2.3",
        revision=1,
        attempt=1,
        created_at=CREATED_AT,
        instances=instances,
        predecessors=predecessors,
        answers=answers,
    )
    pacs = Destination(name="pacs", ae_title="PACS", host="h", port=1)
    chosen = Settings(data_folder=folder.root, destinations=(pacs,), **settings)
    heard = told if told is not None else []
    return Analysis(task, chosen, folder, predictor, lambda stage, done, of: heard.append(stage))


def analysed(
    folder: DataFolder, predictor: Predictor, instances: tuple[StoredInstance, ...], **options: Any
) -> Analysed:
    return analysis(folder, predictor, instances, **options).run()


def kinds(answer: Analysed) -> list[str]:
    return [each.result.kind for each in answer.results]


def read(folder: DataFolder, answer: Analysed, kind: str) -> Dataset:
    (path,) = (each.result.path for each in answer.results if each.result.kind == kind)
    return dcmread(folder.path(path))


def test_a_study_becomes_captures_and_a_report_and_every_step_is_told(folder: DataFolder, predictor: Predictor) -> None:
    told: list[str] = []
    answer = analysed(folder, predictor, stored(folder, factories.mr_series()), told=told)
    assert answer.state is JobState.REPORTED
    assert kinds(answer) == ["summary", *["overlay"] * 12, "sr_comprehensive", "pictures"]
    assert [each.result.ordinal for each in answer.results] == list(range(15))
    assert [each.destinations for each in answer.results] == [("pacs",)] * 14 + [()]
    for each in answer.results:
        assert files.verify(folder, each.result.path, each.result.sha256)
    stages = ["verify", "headers", "selection", "volume", "prediction", "report", "store"]
    assert list(answer.outcome.timings_s) == stages
    assert list(dict.fromkeys(told))[-3:] == ["predicts", "builds the results", "stores the results"]
    prediction = answer.outcome.prediction
    assert prediction is not None
    assert prediction.probability is not None
    assert 0 < prediction.probability < 1
    assert f"{prediction.probability:.1%}" in answer.reason
    assert "UNTRAINED" in answer.reason
    assert Analysed.model_validate_json(answer.encoded()) == answer


def test_each_step_can_be_run_alone_and_the_outcome_says_what_was_found_so_far(
    folder: DataFolder, predictor: Predictor
) -> None:
    instances = stored(folder, factories.mr_series())
    first = analysis(folder, predictor, instances)
    study = first.read()
    assert study.choice.look is not None
    assert study.choice.look.shape == (64, 128, 128)
    assert first.outcome.selection is not None
    assert (first.outcome.prediction, list(first.outcome.timings_s)[-1]) == (None, "prediction")

    prediction = analysis(folder, predictor, instances).predict(study)
    assert prediction is not None
    assert prediction.probability is not None

    other = replace(prediction, probability=0.999, spread=0.001)
    answer = analysis(folder, predictor, instances).report(study, other)
    assert answer.state is JobState.REPORTED
    assert "99.9%" in answer.reason
    assert answer.outcome.prediction is None  # this analysis predicted nothing
    report = read(folder, answer, "sr_comprehensive")
    assert report.StudyInstanceUID == study.choice.look.series.headers[0].StudyInstanceUID

    nothing = analysis(folder, predictor, instances)
    assert nothing.predict(replace(study, choice=replace(study.choice, look=None))) is None
    unread = replace(study, answer=replace(study.answer, kind=AnswerKind.NO_RESULT))
    assert nothing.report(unread, None).state is JobState.SKIPPED


def test_the_same_study_gives_the_same_bytes_again(folder: DataFolder, predictor: Predictor) -> None:
    series = factories.mr_series()
    first = analysed(folder, predictor, stored(folder, series))
    again = analysed(folder, predictor, stored(folder, series[::-1]))  # another order of arrival
    assert [(each.result.sop_instance_uid, each.result.sha256) for each in first.results] == [
        (each.result.sop_instance_uid, each.result.sha256) for each in again.results
    ]


def test_a_new_revision_names_its_predecessor_and_has_uids_of_its_own(folder: DataFolder, predictor: Predictor) -> None:
    instances = stored(folder, factories.mr_series())
    first = analysed(folder, predictor, instances[:-1])
    report = first.results[-1].result
    second = analysed(folder, predictor, instances, predecessors=(report,))
    dataset = read(folder, second, "sr_comprehensive")
    item = dataset.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert item.ReferencedSOPInstanceUID == report.sop_instance_uid
    uids = [{each.result.sop_instance_uid for each in answer.results} for answer in (first, second)]
    assert uids[0].isdisjoint(uids[1])


def had(said: Analysed, state: AnswerState, job_id: int = 9) -> tuple[Answer, ...]:
    """What another job of the study said, as the database has it."""
    answer = said.answer
    return (Answer(1, "1.2.3", job_id, answer.kind, answer.key, 0, state, answer.reason, CREATED_AT, CREATED_AT),)


@pytest.mark.parametrize("state", [AnswerState.STANDING, AnswerState.KEPT, AnswerState.WITHDRAWN])
def test_a_series_more_that_changes_nothing_is_nothing_new_and_nothing_is_read_or_predicted(
    folder: DataFolder, predictor: Predictor, state: AnswerState
) -> None:
    instances = stored(folder, factories.mr_series())
    first = analysed(folder, predictor, instances)
    late = stored(folder, factories.mr_series(description="T2 TSE", slices=24, **T2))
    again = analysed(folder, predictor, (*instances, *late), answers=had(first, state))
    assert (again.answer.is_known, again.answer.key) == (True, first.answer.key)
    assert (again.reason, again.results) == (first.reason, ())
    assert list(again.outcome.timings_s) == ["verify", "headers", "selection"]
    selection = again.outcome.selection
    assert selection is not None
    assert selection.chosen is not None


def test_an_answer_that_was_superseded_comes_back_under_new_uids(folder: DataFolder, predictor: Predictor) -> None:
    instances = stored(folder, factories.mr_series())
    first = analysed(folder, predictor, instances)
    again = analysed(folder, predictor, instances, answers=had(first, AnswerState.SUPERSEDED))
    assert (again.answer.is_known, again.answer.generation) == (False, 1)
    uids = [{each.result.sop_instance_uid for each in answer.results} for answer in (first, again)]
    assert uids[0].isdisjoint(uids[1])


def test_a_job_that_is_tried_again_makes_its_own_results_again(folder: DataFolder, predictor: Predictor) -> None:
    instances = stored(folder, factories.mr_series())
    first = analysed(folder, predictor, instances)
    again = analysed(folder, predictor, instances, answers=had(first, AnswerState.STANDING, job_id=1))
    assert [each.result.sha256 for each in again.results] == [each.result.sha256 for each in first.results]


def test_a_series_outside_the_scope_that_stands_does_not_hide_a_better_one(
    folder: DataFolder, predictor: Predictor
) -> None:
    noise = np.random.default_rng(1).integers(0, 1000, (64, 128, 128)).astype(np.uint16)
    outside = stored(folder, factories.mr_series(voxels=noise, description="T1 noise", SeriesNumber=1))
    first = analysed(folder, predictor, outside)
    assert first.answer.kind is AnswerKind.OUT_OF_SCOPE
    stands = had(first, AnswerState.STANDING)
    assert analysed(folder, predictor, outside, answers=stands).answer.is_known
    head = stored(folder, factories.mr_series(description="T1 head", SeriesNumber=2))
    both = analysed(folder, predictor, (*outside, *head), answers=stands)
    assert (both.answer.kind, both.answer.is_known) == (AnswerKind.RESULT, False)


def test_no_result_is_the_same_answer_while_the_reasons_are_and_none_without_any_mr_image(
    folder: DataFolder, predictor: Predictor
) -> None:
    t2 = stored(folder, factories.mr_series(description="T2 TSE", slices=24, **T2))
    first = analysed(folder, predictor, t2)
    more = stored(folder, factories.mr_series(description="T2 again", slices=24, **T2))
    second = analysed(folder, predictor, (*t2, *more))
    assert (first.answer.kind, second.answer.key) == (AnswerKind.NO_RESULT, first.answer.key)
    ct = factories.mr_series(slices=24, Modality="CT")
    assert analysed(folder, predictor, stored(folder, ct)).results == ()


def test_a_study_without_a_readable_series_is_skipped_with_a_report_that_says_why(
    folder: DataFolder, predictor: Predictor
) -> None:
    t2 = factories.mr_series(
        description="T2 TSE",
        slices=24,
        ScanningSequence="SE",
        RepetitionTime=5000,
        EchoTime=90,
        InversionTime=factories.ABSENT,
    )
    answer = analysed(folder, predictor, stored(folder, t2))
    assert answer.state is JobState.SKIPPED
    assert answer.reason == "no series that the model can read: not T1-weighted"
    assert kinds(answer) == ["sr_text"]
    assert answer.outcome.selection is not None
    (verdict,) = answer.outcome.selection.series
    assert (verdict.eligible, verdict.reason) == (False, "not T1-weighted")
    assert answer.outcome.selection.chosen is None
    silent = analysed(folder, predictor, stored(folder, t2), results={"report_skipped": False})
    assert (silent.state, kinds(silent)) == (JobState.SKIPPED, [])


def test_what_is_no_head_is_skipped_and_not_classified(folder: DataFolder, predictor: Predictor) -> None:
    noise = np.random.default_rng(1).integers(0, 1000, (64, 128, 128)).astype(np.uint16)
    instances = stored(folder, factories.mr_series(voxels=noise))
    answer = analysed(folder, predictor, instances)
    assert answer.state is JobState.SKIPPED
    assert answer.reason.startswith("outside the model's scope: ")
    assert answer.outcome.prediction is not None
    assert answer.outcome.prediction.probability is None
    assert kinds(answer)[-1] == "sr_comprehensive"
    assert analysed(folder, predictor, instances, results={"report_skipped": False}).results == ()


def test_a_series_that_makes_no_volume_is_refused_and_the_next_best_is_read(
    folder: DataFolder, predictor: Predictor
) -> None:
    large = factories.mr_series(rows=160, columns=160, spacing_mm=(2.5, 1.6, 1.6), description="T1 large")
    small = factories.mr_series(description="T1 small", SeriesNumber=9)
    limit = 64 * 128 * 128 * 4 // 2**20 + 1  # MiB: the larger of the two does not fit
    answer = analysed(folder, predictor, stored(folder, [*large, *small]), worker={"maximum_volume_mib": limit})
    assert answer.state is JobState.REPORTED
    assert answer.outcome.selection is not None
    verdicts = {each.description: each for each in answer.outcome.selection.series}
    assert verdicts["T1 large"].eligible is False
    assert verdicts["T1 large"].reason == "larger than the limit"
    assert answer.outcome.selection.chosen == verdicts["T1 small"].series_instance_uid


def test_two_patients_in_one_study_are_never_mixed(folder: DataFolder, predictor: Predictor) -> None:
    series = factories.mr_series()
    series[3].PatientID = "SOMEBODY-ELSE"
    with pytest.raises(MixedPatients) as caught:
        analysed(folder, predictor, stored(folder, series))
    assert "SOMEBODY" not in str(caught.value)


def test_an_altered_or_missing_file_is_an_error_and_no_result(folder: DataFolder, predictor: Predictor) -> None:
    instances = stored(folder, factories.mr_series(slices=24))
    path = folder.path(instances[5].path)
    content = path.read_bytes()
    path.write_bytes(content[:-2] + b"XX")
    with pytest.raises(FileAltered):
        analysed(folder, predictor, instances)
    path.unlink()
    with pytest.raises(FileAltered):
        analysed(folder, predictor, instances)
    assert list((folder.root / "results").glob("*/*")) == []


def test_a_study_in_which_nothing_can_be_read_is_an_error(folder: DataFolder, predictor: Predictor) -> None:
    file = files.write(folder, "1.2.3", [b"no dicom at all"])
    instance = StoredInstance(sop_instance_uid="1.2.3", path=file.path, sha256=file.sha256)
    with pytest.raises(UnreadableInstance):
        analysed(folder, predictor, (instance,))


def test_our_own_results_in_the_study_change_nothing(folder: DataFolder, predictor: Predictor) -> None:
    instances = stored(folder, factories.mr_series())
    first = analysed(folder, predictor, instances)
    own = [dcmread(folder.path(each.result.path)) for each in first.results if each.result.is_object]
    returned = stored(folder, own)
    again = analysed(folder, predictor, (*instances, *returned))
    uids = [[each.result.sop_instance_uid for each in answer.results] for answer in (first, again)]
    assert uids[0] == uids[1]
    alone = analysed(folder, predictor, returned)
    assert (alone.state, alone.reason, alone.results) == (JobState.SKIPPED, "nothing but results of this node", ())


def test_reasons_are_counted() -> None:
    class Refused:
        def __init__(self, reason: str) -> None:
            self.reason = reason

    verdicts: Any = [Refused("localizer"), Refused("derived image"), Refused("localizer")]
    assert nothing_to_read(verdicts) == "no series that the model can read: 2 x localizer, derived image"
