"""The order of arrival leaves no trace in the objects either: two services, one study, sent at once to one of them, and
to the other series by series, with pauses longer than the quiet period and a kill -9 of its listener and worker."""

import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import pytest
from pydicom import dcmread

from storage import answers, outbox
from storage.records import Result
from storage.states import AnswerKind, AnswerState, JobState
from tests import factories
from tests.destination import destination
from tests.integration.test_crash import while_working
from tests.services import Service, in_background, service

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

STUDY = "1.2.826.0.1.9001"
SPIN_ECHO = {
    "ScanningSequence": "SE",
    "MRAcquisitionType": "2D",
    "RepetitionTime": 4200,
    "EchoTime": 98,
    "InversionTime": factories.ABSENT,
    "FlipAngle": 90,
}
OF_THE_WAY_HERE = ("PredecessorDocumentsSequence",)


def exam(folder: Path) -> dict[str, list[Path]]:
    """What a scanner sends of one study, by series, in its order."""
    small = {"rows": 64, "columns": 64, "spacing_mm": (3.3, 4, 4), "study_uid": STUDY}
    made = {
        "localizer": factories.mr_series(**{**small, "spacing_mm": (20, 4, 4)}, slices=3, description="localizer"),
        "coarse": factories.mr_series(**small, slices=48, description="T1 MPRAGE fast", SeriesNumber=2),
        "best": factories.mr_series(
            study_uid=STUDY, slices=64, spacing_mm=(2.5, 2, 2), description="T1 MPRAGE", SeriesNumber=3
        ),
        "t2": factories.mr_series(**small, slices=20, description="T2 TSE", SeriesNumber=4, **SPIN_ECHO),
    }
    return {name: factories.write(series, folder / name) for name, series in made.items()}


def test_series_by_series_with_kills_leaves_the_results_of_the_whole_study(bundle: Path, tmp_path: Path) -> None:
    series = exam(tmp_path / "exam")
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    with (
        destination() as pacs,
        service(tmp_path / "whole", bundle, pacs.port, start=False) as whole,
        service(tmp_path / "parts", bundle, pacs.port, start=False) as parts,
    ):
        for node in (whole, parts):
            node.start(ready=False)
        for node in (whole, parts):
            node.wait_ready()
        whole.send([path for paths in series.values() for path in paths])
        send_in_parts(parts, series)
        assert whole.ended(STUDY).state is JobState.DONE
        inputs = {uid for paths in series.values() for path in paths for uid in named_in(str(dcmread(path)))}
        assert published(whole) == [(AnswerKind.RESULT, AnswerState.STANDING)]
        assert published(parts)[-2:] == [
            (AnswerKind.RESULT, AnswerState.SUPERSEDED),
            (AnswerKind.RESULT, AnswerState.STANDING),
        ]
        assert contents(parts, inputs) == contents(whole, inputs)


def send_in_parts(node: Service, series: Mapping[str, list[Path]]) -> None:
    """Each series ends before the next comes. The listener dies in one, the worker in another."""
    node.send(series["localizer"])
    node.ended(STUDY, revision=1)
    sender = in_background(node.send_until_taken, series["coarse"])
    node.kill("listener")
    sender.join(60)
    node.ended(STUDY, revision=2)
    node.send_until_taken(series["best"])
    while_working(node, STUDY)
    node.kill("worker-1")
    node.ended(STUDY, revision=3)
    node.send(series["t2"])
    node.ended(STUDY, revision=4)


def published(node: Service) -> list[tuple[AnswerKind, AnswerState]]:
    """What the node said of the study, in order."""
    with node.database() as db:
        every = answers.of_study(db, STUDY)
    return [(AnswerKind(each.kind), each.state) for each in every if each.state is not AnswerState.DISCARDED]


def contents(node: Service, inputs: set[str]) -> list[tuple[str, str, str]]:
    """Kind, attributes and a digest of the pixels of each object that stands: without times, with UIDs by their place.

    The UIDs of what was sent stay; the others derive from the time of the answer.
    """
    with node.database() as db:
        (standing,) = [each for each in answers.of_study(db, STUDY) if each.state is AnswerState.STANDING]
        results = [each for each in outbox.results_of_job(db, standing.job_id) if each.is_object]
    places: dict[str, str] = {}
    return [_content(node, each, inputs, places) for each in results]


def _content(node: Service, result: Result, inputs: set[str], places: dict[str, str]) -> tuple[str, str, str]:
    dataset = dcmread(node.folder.path(result.path))
    pixels = sha256(dataset.pixel_array.tobytes()).hexdigest() if "PixelData" in dataset else ""
    times = [str(dataset.InstanceCreationDate), str(dataset.InstanceCreationTime)]
    for keyword in (*OF_THE_WAY_HERE, "PixelData"):
        if keyword in dataset:
            del dataset[keyword]
    del dataset.file_meta.FileMetaInformationGroupLength  # UIDs differ in length
    text = str(dataset)
    for time in reversed(times):
        text = text.replace(time, "then")
    for uid in named_in(text):
        if uid not in inputs:
            text = text.replace(uid, places.setdefault(uid, f"object {len(places) + 1}"))
    return result.kind, text, pixels


def named_in(text: str) -> list[str]:
    """The derived UIDs in a text, in order."""
    return re.findall(r"2\.25\.\d+", text)
