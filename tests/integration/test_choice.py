"""The same study gives the same series to the service, to `inspect`, to `predict` and to training."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset
from typer.testing import CliRunner

from model import Bundle, Predictor
from model.manifest import Manifest
from model.slicing import Preprocessing, slices, stack
from model.training import sources
from node.cli import app
from node.config import Settings
from node.errors import UnreadableInstance
from node.offline.sources import dicom_sources
from node.series.choice import Limits
from node.series.volume import read_series, read_volume
from storage import DataFolder
from tests import bundles, factories
from tests.integration.test_analysis import analysed, stored

RUNNER = CliRunner()
QUICK = Preprocessing(slices=11, spacing_mm=2.0, below_crown_mm=46.0)
NOISE = np.random.default_rng(1).integers(0, 1000, (32, 64, 64)).astype(np.uint16)
COARSE: dict[str, Any] = {"slices": 32, "rows": 64, "columns": 64, "spacing_mm": (5.0, 4.0, 4.0)}
Study = Callable[[], list[list[Dataset]]]


def head(number: int, **more: Any) -> list[Dataset]:
    """The lower its number the later it was acquired, so that it is tried earlier."""
    more = {"AcquisitionDate": "20260301", "AcquisitionTime": f"{20 - number:02}0000"} | more
    return factories.mr_series(SeriesNumber=number, description=f"T1 {number}", seed=number, **(COARSE | more))


def damaged(number: int) -> list[Dataset]:
    series = head(number)
    series[20].PixelData = series[20].PixelData[:-2000]
    return series


def large(number: int) -> list[Dataset]:
    return head(number, rows=96, columns=96, spacing_mm=(5.0, 2.7, 2.7))


@dataclass(frozen=True)
class Case:
    """A study, the settings, the number of the series that is right, and why each of the others is not read."""

    study: Study
    read: int
    refused: dict[int, str]
    settings: dict[str, Any]


CASES = {
    "the later of two alike": Case(lambda: [head(2), head(1)], 1, {}, {}),
    "a site rule": Case(
        lambda: [head(1), head(2)],
        2,
        {},
        {"selection": {"rules": [{"when": "SeriesNumber == 2", "then": "prefer", "why": "repeat"}]}},
    ),
    "own results by the site's name": Case(
        lambda: [head(1, Manufacturer="ACME"), head(2)],
        2,
        {1: "result of this node"},
        {"results": {"manufacturer": "Acme"}},
    ),
    "more than the limit": Case(
        lambda: [large(1), head(2)], 2, {1: "larger than the limit"}, {"worker": {"maximum_volume_mib": 1}}
    ),
    "a damaged file": Case(lambda: [damaged(1), head(2)], 2, {1: "cannot be read"}, {}),
    "values that are not finite": Case(
        lambda: [head(1, RescaleSlope="1e38", RescaleIntercept="0"), head(2)], 2, {1: "no usable geometry"}, {}
    ),
    "outside the scope": Case(lambda: [head(1, voxels=NOISE), head(2)], 2, {1: "outside the model's scope"}, {}),
    "one after the other": Case(
        lambda: [damaged(1), head(2, voxels=NOISE), head(3)],
        3,
        {1: "cannot be read", 2: "outside the model's scope"},
        {},
    ),
    "all outside the scope": Case(
        lambda: [head(1, voxels=NOISE), head(2, voxels=NOISE[::-1].copy())], 1, {2: "outside the model's scope"}, {}
    ),
}


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose study takes a second."""
    folder = tmp_path_factory.mktemp("bundle")
    bundles.bundle(bundles.FULL_FIELD, preprocessing=QUICK).save(folder)
    return folder


@pytest.fixture(scope="module")
def predictor(quick: Path) -> Predictor:
    return Predictor(Bundle.load(quick), device="cpu", threads=1)


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    made = DataFolder(tmp_path / "data")
    made.create()
    return made


def written(folder: Path, study: Sequence[Sequence[Dataset]]) -> Path:
    for index, series in enumerate(study):
        factories.write(series, folder / str(index))
    return folder


def command(*arguments: object) -> Any:
    result = RUNNER.invoke(app, [*map(str, arguments), "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_all_four_read_the_same_series_for_the_same_reasons(
    case: Case, folder: DataFolder, predictor: Predictor, quick: Path, tmp_path: Path
) -> None:
    study = case.study()
    files = written(tmp_path / "study", study)
    by_number = {int(series[0].SeriesNumber): series for series in study}
    uids = {str(series[0].SeriesInstanceUID): number for number, series in by_number.items()}
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps(case.settings))
    where = (files, "--config", config, "--bundle", quick)

    served = analysed(folder, predictor, stored(folder, [each for series in study for each in series]), **case.settings)
    inspected = command("inspect", *where)
    (predicted,) = command("predict", *where)

    selection, prediction = served.outcome.selection, served.outcome.prediction
    assert selection is not None
    assert prediction is not None
    assert selection.chosen is not None
    assert uids[selection.chosen] == case.read
    assert uids[inspected["chosen"]] == case.read
    assert uids[predicted["series_instance_uid"]] == case.read
    for verdicts in ([vars(each) for each in selection.series], inspected["series"]):
        assert {each["series_number"]: each["reason"] for each in verdicts if not each["eligible"]} == case.refused
    tried = {uids[uid]: reason.split(":")[0] for uid, reason in predicted["refused"].items()}
    assert tried == {number: why for number, why in case.refused.items() if why != "result of this node"}
    assert prediction.probability == predicted["probability"]

    limits = Limits.of(Settings(**case.settings), Manifest(trained=False))
    found = list(dicom_sources(sorted(files.rglob("*.dcm")), limits))
    (source,) = (each for each in found if isinstance(each, sources.ImageSource))
    right = files / str(list(by_number).index(case.read))
    expected = slices(read_volume(read_series(sorted(right.iterdir())).series[0], 2**30), QUICK)
    np.testing.assert_array_equal(source.load(QUICK).pixels, stack(expected))


def test_the_outcome_tells_of_the_damage_when_no_series_is_whole(
    folder: DataFolder, predictor: Predictor, quick: Path, tmp_path: Path
) -> None:
    study = [damaged(1), damaged(2)]
    instance = study[0][20].SOPInstanceUID
    files = written(tmp_path / "study", study)
    with pytest.raises(UnreadableInstance, match=f"^{instance}: "):
        analysed(folder, predictor, stored(folder, [each for series in study for each in series]))
    for arguments in (("inspect", files), ("predict", files, "--bundle", quick)):
        result = RUNNER.invoke(app, [*map(str, arguments), "--json"])
        assert result.exit_code == 1
        assert f"{instance}: " in result.stdout
    (source,) = (each for each in dicom_sources(sorted(files.rglob("*.dcm"))) if isinstance(each, sources.ImageSource))
    with pytest.raises(sources.volumes.Unreadable, match=str(instance)):
        source.load(QUICK)


def test_training_takes_one_series_of_a_study_that_lies_in_several_folders(tmp_path: Path) -> None:
    t2 = {"ScanningSequence": "SE", "SequenceVariant": "SK", "InversionTime": factories.ABSENT, "EchoTime": 100}
    files = written(tmp_path, [head(1), head(2), factories.mr_series(series_uid="2.25.5", slices=24, **t2)])
    (files / "notes").write_text("not DICOM")
    found = sources.find(tmp_path, read_dicom=dicom_sources)
    assert len(found.sources) == 1
    assert sorted(each.reason.split(":")[0] for each in found.skipped) == ["not a DICOM file", "series refused"]


def test_what_offline_does_needs_nothing_of_the_service() -> None:
    root = Path(__file__).resolve().parents[2]
    assert [
        path.name for path in (root / "node" / "offline").glob("*.py") if "node.work" in path.read_text("utf-8")
    ] == []
