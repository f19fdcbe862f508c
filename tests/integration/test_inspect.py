"""`neurossl inspect`: the verdicts of a folder, the slices as the model sees them, and nothing left behind."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom.uid import SecondaryCaptureImageStorage
from typer.testing import CliRunner, Result

from model.slicing import Preprocessing, slices
from node.cli import app
from node.series.volume import read_series, read_volume
from tests import bundles, factories
from tests.factories import ABSENT

RUNNER = CliRunner()


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A T1 series, a T2 series, a localizer, a capture, a text file and a broken file, in nested folders."""
    folder = tmp_path_factory.mktemp("study")
    small: dict[str, Any] = {"slices": 24, "rows": 64, "columns": 64, "spacing_mm": (7.0, 3.0, 3.0)}
    factories.mr_series(folder / "a" / "t1", SeriesNumber=4)
    t2 = {"ScanningSequence": "SE", "SequenceVariant": "SK", "InversionTime": ABSENT, "EchoTime": 100}
    factories.mr_series(folder / "t2", **small, SeriesNumber=5, description="T2 TSE", series_uid="2.25.5", **t2)
    localizer = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"], "series_uid": "2.25.1", "SeriesNumber": 1}
    factories.mr_series(folder / "loc", slices=3, rows=32, columns=32, description="Localizer", **localizer)
    factories.mr_series(
        folder / "sc", slices=1, rows=32, columns=32, SOPClassUID=SecondaryCaptureImageStorage, series_uid="2.25.9"
    )
    (folder / "readme.txt").write_text("not DICOM")
    cut = next((folder / "t2").iterdir()).read_bytes()[:200]
    (folder / "cut.dcm").write_bytes(cut)
    return folder


def inspect(*arguments: object) -> Result:
    return RUNNER.invoke(app, ["inspect", *map(str, arguments)])


def as_json(*arguments: object) -> Any:
    return json.loads(inspect(*arguments, "--json").stdout)


def test_the_table_says_what_is_read_and_why_not_the_others(study: Path) -> None:
    result = inspect(study)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    read = next(line for line in lines if "T1 MPRAGE" in line and "eligible" in line)
    assert "read" in read
    assert "128 x 128 x 64, 2.00 x 2.00 x 2.50 mm, sagittal" in read
    assert any("T2 TSE" in line and "not T1-weighted" in line and "TE 100" in line for line in lines)
    assert any("Localizer" in line and "localizer" in line for line in lines)
    assert any("secondary capture" in line for line in lines)
    assert any("readme.txt" in line and "not a DICOM file" in line for line in lines)
    assert any("cut.dcm" in line for line in lines)
    assert any("inside" in line and "T1-weighted head" in line for line in lines)


def test_the_json_holds_verdicts_volume_slices_and_measurements(study: Path) -> None:
    found = as_json(study)
    chosen = next(each for each in found["series"] if each["series_instance_uid"] == found["chosen"])
    assert (chosen["series_number"], chosen["eligible"], chosen["reason"]) == (4, True, "eligible")
    assert sorted(each["series_number"] for each in found["series"] if not each["eligible"]) == [1, 2, 5]
    assert {Path(each["path"]).name for each in found["unreadable"]} == {"readme.txt", "cut.dcm"}
    closer = found["looked_at"]
    assert closer["volume"]["shape"] == [64, 128, 128]
    assert len(closer["slices"]) == 61
    assert closer["scope"]["inside"] is True
    assert closer["scope"]["measurements"]["head_ml"] > 1000
    assert set(found["took_s"]) == {"headers", "selection", "volume", "slices", "scope"}


def test_the_sheet_shows_the_slices_pixel_by_pixel(study: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    assert inspect(study, "--sheet", sheet).exit_code == 0
    picture = np.asarray(Image.open(sheet))
    assert picture.shape == (8 * (224 + 16), 8 * 224)
    reading = read_series(sorted((study / "a" / "t1").iterdir()))
    expected = slices(read_volume(reading.series[0], 2**30), Preprocessing())
    for index in (0, 13, 60):
        top, left = index // 8 * 240 + 16, index % 8 * 224
        np.testing.assert_array_equal(picture[top : top + 224, left : left + 224], expected[index].pixels)


def test_nothing_is_written_but_the_sheet(study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in study.rglob("*")}
    inspect(study)
    assert {path: path.stat().st_mtime_ns for path in study.rglob("*")} == before
    assert not list(tmp_path.iterdir())


def test_a_refused_series_can_be_looked_at_closer(study: Path, tmp_path: Path) -> None:
    found = as_json(study, "--series", 5)
    assert found["looked_at"]["series_instance_uid"] == "2.25.5"
    assert found["looked_at"]["volume"]["shape"] == [24, 64, 64]
    broken = as_json(study, "--series", 1)
    assert broken["looked_at"]["volume"]["shape"] == [3, 32, 32]


def test_one_file_is_enough(study: Path) -> None:
    result = inspect(next((study / "loc").iterdir()))
    assert result.exit_code == 1
    assert "localizer" in result.stdout


def test_nothing_eligible_is_exit_code_1(study: Path, tmp_path: Path) -> None:
    assert inspect(study / "t2").exit_code == 1
    assert "no series that the model can read" in inspect(study / "t2").stdout
    assert as_json(study / "t2")["chosen"] is None
    assert inspect(study / "t2", "--sheet", tmp_path / "none.png").exit_code == 1
    assert not (tmp_path / "none.png").exists()


def test_an_empty_folder_is_exit_code_1(tmp_path: Path) -> None:
    assert inspect(tmp_path).exit_code == 1


@pytest.mark.parametrize(
    "arguments", [["/nowhere/at/all"], [], ["--sheet"], [".", "--series", "x"], [".", "--config", "/nowhere.yaml"]]
)
def test_a_wrong_command_is_exit_code_2(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert inspect(*arguments).exit_code == 2


def test_a_series_that_is_not_there_and_a_sheet_that_cannot_be_written_are_exit_code_2(
    study: Path, tmp_path: Path
) -> None:
    assert inspect(study, "--series", 77).exit_code == 2
    assert inspect(study, "--sheet", tmp_path / "no" / "folder" / "sheet.png").exit_code == 2
    assert inspect(study, "--sheet", tmp_path / "sheet.unknown").exit_code == 2


def test_the_rules_of_the_site_count(study: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    rules = [{"when": "SeriesNumber == 4", "then": "refuse", "why": "not this one"},
             {"when": "SeriesNumber == 5", "then": "accept", "why": "but this one"}]  # fmt: skip
    config.write_text(json.dumps({"selection": {"rules": rules}}))
    found = as_json(study, "--config", config)
    assert found["chosen"] == "2.25.5"
    refused = next(each for each in found["series"] if each["series_number"] == 4)
    assert (refused["reason"], refused["detail"]) == ("refused by a site rule", "not this one")


def test_a_series_whose_pixels_are_broken_is_tried_and_said_to_be_unreadable(tmp_path: Path) -> None:
    paths = factories.write(factories.mr_series(), tmp_path)
    paths[30].write_bytes(paths[30].read_bytes()[:-4000])
    result = inspect(tmp_path)
    assert result.exit_code == 1
    assert "cannot be read" in result.stdout
    assert "ends within its pixel data" in result.stdout
    assert as_json(tmp_path)["looked_at"]["trouble"]


def test_no_patient_is_printed(study: Path) -> None:
    said = inspect(study).output + inspect(study, "--json").output
    for secret in ("Muster", "Erika", "TEST-0001", "19480312"):
        assert secret not in said


LATER = {"AcquisitionDate": "20260301", "AcquisitionTime": "200000"}


@pytest.fixture(scope="module")
def second_choice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study whose best series, the later of two, is noise, and the first is a head."""
    folder = tmp_path_factory.mktemp("second")
    noise = np.random.default_rng(1).integers(0, 1000, (64, 128, 128)).astype(np.uint16)
    factories.mr_series(folder / "1", SeriesNumber=1, description="T1 first", **{**LATER, "AcquisitionTime": "190000"})
    factories.mr_series(folder / "2", SeriesNumber=2, description="T1 noise", voxels=noise, **LATER)
    return folder


@pytest.mark.slow
def test_a_series_that_was_tried_and_refused_says_why(second_choice: Path) -> None:
    lines = inspect(second_choice).stdout.splitlines()
    assert any("tried" in line and "T1 noise" in line and "outside the model's scope" in line for line in lines)
    assert any("read" in line and "T1 first" in line and "eligible" in line for line in lines)
    found = as_json(second_choice)
    uids = {each["series_number"]: each["series_instance_uid"] for each in found["series"]}
    assert found["chosen"] == found["looked_at"]["series_instance_uid"] == uids[1]
    assert found["studies"][0]["tried"] == [uids[2], uids[1]]
    closer = as_json(second_choice, "--series", 2)
    assert closer["chosen"] == uids[1]
    assert closer["looked_at"]["scope"]["inside"] is False


@pytest.mark.slow
def test_each_study_of_a_folder_is_judged_by_itself(study: Path, tmp_path: Path) -> None:
    shutil.copytree(study / "a", tmp_path / "a")
    other = {"study_uid": "2.25.77", "series_uid": "2.25.78"}
    factories.mr_series(tmp_path / "b", slices=32, rows=64, columns=64, spacing_mm=(5, 4, 4), SeriesNumber=8, **other)
    found = as_json(tmp_path)
    chosen = {each["study_instance_uid"]: each["chosen"] for each in found["studies"]}
    assert len(chosen) == 2
    assert chosen["2.25.77"] == "2.25.78"
    assert None not in chosen.values()
    assert len(found["series"]) == 2
    assert "Study 2.25.77" in inspect(tmp_path).stdout
    assert as_json(tmp_path, "--series", 8)["looked_at"]["series_instance_uid"] == "2.25.78"
    factories.mr_series(tmp_path / "c", slices=3, rows=32, columns=32, study_uid="2.25.79")
    assert inspect(tmp_path).exit_code == 1


@pytest.mark.slow
def test_the_limits_are_those_of_the_bundle_that_would_serve_and_are_said(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = Preprocessing(slices=11, spacing_mm=2.0, below_crown_mm=46.0)
    made = bundles.bundle(bundles.FULL_FIELD, preprocessing=strict, scope={"head_ml_minimum": 3400.0}, name="strict")
    made.save(tmp_path / "bundle")
    (tmp_path / "config.yaml").write_text(json.dumps({"worker": {"bundle": "bundle"}}))

    def judged(*arguments: object) -> tuple[bool, int, float]:
        found = as_json(study / "a", *arguments)
        looked = found["looked_at"]
        return looked["scope"]["inside"], len(looked["slices"]), found["limits"]["scope"]["head_ml_minimum"]

    assert judged() == (True, 61, 900.0)
    assert "limits: the defaults, as no bundle is named" in inspect(study / "a").stdout
    assert judged("--bundle", tmp_path / "bundle") == (False, 11, 3400.0)
    assert judged("--config", tmp_path / "config.yaml") == (False, 11, 3400.0)
    monkeypatch.chdir(tmp_path)
    assert judged() == (False, 11, 3400.0)
    assert "limits: strict" in inspect(study / "a").stdout
    assert inspect(study / "a", "--bundle", tmp_path).exit_code == 2
