"""The command line of training, from folders of images to a bundle that the node loads and an evaluation of it."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file
from typer.testing import CliRunner, Result

from model.bundle import Bundle
from model.predictor import Predictor
from model.slicing import slice_from_image
from node.cli import app
from tests import factories, training_data

pytestmark = pytest.mark.slow

RECIPES = Path(training_data.__file__)


def run(*arguments: object, fails: bool = False) -> Result:
    result = CliRunner().invoke(app, ["model", *map(str, arguments)])
    assert (result.exit_code != 0) is fails, result.output
    return result


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, cache and a whole run."""
    folder = tmp_path_factory.mktemp("training")
    table = training_data.table(folder / "data", [0, 1] * 10)
    (table / "images" / "S003_a.png").write_bytes(b"damaged")
    run("train", table, "--out", folder / "run", "--recipe", f"{RECIPES}:TINY", "--cache", folder / "cache", "--half")
    return folder


def test_a_whole_run_leaves_a_report_with_every_picture(finished: Path) -> None:
    report = finished / "run" / "report"
    names = {path.name for path in report.iterdir()}
    pictures = ("roc", "precision_recall", "reliability", "confusion", "features", "rollouts", "finetuning")
    assert {f"{name}.png" for name in (*pictures, "pretraining", "reconstructions")} <= names
    page = (report / "index.html").read_text()
    for path in report.glob("*.png"):
        assert f'src="{path.name}"' in page
        with Image.open(path) as picture:
            assert np.asarray(picture.convert("L")).std() > 1
    numbers = json.loads((report / "numbers.json").read_text())
    assert numbers["data"]["subjects"] == 20
    assert numbers["data"]["skipped"] == 1
    assert numbers["out_of_fold"]["by_subject"]["auroc"]["value"] > 0.9
    assert numbers["out_of_fold"]["by_slice"].keys() == numbers["out_of_fold"]["by_subject"].keys()


def test_the_bundle_carries_everything_that_made_it(finished: Path) -> None:
    bundle = Bundle.load(finished / "run" / "bundle")
    calibration = json.loads((finished / "run" / "calibration.json").read_text())
    assert bundle.manifest.trained
    assert bundle.manifest.temperature == pytest.approx(calibration["temperature"], abs=1e-6)
    assert bundle.manifest.conformal is not None
    assert bundle.manifest.conformal.model_dump(mode="json") == calibration["conformal"]
    assert json.loads(bundle.manifest.provenance["recipe"])["seed"] == training_data.TINY.seed
    assert json.loads(bundle.manifest.provenance["data"])["subjects"] == 20
    weights = load_file(finished / "run" / "bundle" / "weights.safetensors")
    assert {value.dtype for value in weights.values()} == {np.dtype(np.float16)}
    card = (finished / "run" / "bundle" / "CARD.md").read_text()
    assert "Research use only" in card
    assert "20 subjects, 59 slices" in card


def test_the_bundle_answers_for_a_picture_it_has_not_seen(finished: Path) -> None:
    bundle = Bundle.load(finished / "run" / "bundle")
    predictor, random = Predictor(bundle, "cpu"), np.random.default_rng(99)
    answers = []
    for label in (0, 1):
        pictures = [Image.fromarray(training_data.head(random, label)) for _ in range(5)]
        slices = [slice_from_image(picture, bundle.manifest.preprocessing) for picture in pictures]
        answers.append(predictor.predict_slices(slices, b"seed").probability)
    assert answers[0] is not None
    assert answers[1] is not None
    assert answers[0] < 0.5 < answers[1]


def test_evaluate_prints_the_same_numbers_for_new_subjects(finished: Path, tmp_path: Path) -> None:
    fresh = training_data.table(tmp_path / "fresh", [0, 1] * 8, seed=77)
    arguments = ("evaluate", "--bundle", finished / "run" / "bundle", "--labels", fresh / "labels.csv")
    arguments = (*arguments, "--images", fresh, "--cache", tmp_path / "cache", "--device", "cpu")
    told = json.loads(run(*arguments, "--json").stdout)
    assert told["subjects"] == 16
    assert told["slices"] == 16  # of the 48, the axial ones
    assert told["auroc_by_view"].keys() == {"axial", "coronal", "sagittal", "all"}
    assert told["by_subject"]["auroc"]["value"] > 0.9
    assert told["by_subject"].keys() == {
        "auroc",
        "average_precision",
        "sensitivity",
        "specificity",
        "f1",
        "mcc",
        "kappa",
        "brier",
        "ece",
    }
    assert f"{told['by_subject']['auroc']['value']:.3f}" in run(*arguments).stdout


def test_evaluate_on_labels_of_one_kind_says_what_it_can(finished: Path, tmp_path: Path) -> None:
    fresh = training_data.table(tmp_path / "fresh", [1] * 3)
    arguments = ("evaluate", "--bundle", finished / "run" / "bundle", "--labels", fresh / "labels.csv")
    told = json.loads(run(*arguments, "--images", fresh, "--cache", tmp_path / "cache", "--json").stdout)
    assert told["by_subject"]["auroc"]["value"] is None
    assert told["by_subject"]["sensitivity"]["value"] is not None


def test_report_and_export_can_be_run_again_alone(finished: Path) -> None:
    before = (finished / "run" / "report" / "numbers.json").read_bytes()
    run("report", finished / "run", finished / "data", "--cache", finished / "cache")
    assert (finished / "run" / "report" / "numbers.json").read_bytes() == before
    run("export", finished / "run", finished / "again", "--half")
    assert Bundle.load(finished / "again").model_id == Bundle.load(finished / "run" / "bundle").model_id
    assert "temperature" in run("calibrate", finished / "run").stdout


def test_data_says_what_was_found_and_what_was_skipped(finished: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "sheet.png"
    result = run("data", finished / "data", "--cache", finished / "cache", "--sheet", sheet, "--json")
    told = json.loads(result.stdout)
    assert (told["subjects"], told["slices"], told["subjects_by_label"]) == (20, 59, {"0": 10, "1": 10})
    assert [Path(each["path"]).name for each in told["skipped"]] == ["S003_a.png"]
    with Image.open(sheet) as picture:
        assert picture.size[0] > 300
    told_in_words = run("data", finished / "data", "--cache", finished / "cache")
    assert "S003_a.png" in told_in_words.stderr


def test_a_wrong_label_is_fatal_and_names_its_row(tmp_path: Path) -> None:
    table = training_data.table(tmp_path / "data", [0, 1] * 3)
    text = (table / "labels.csv").read_text().replace("S002,MR1,0", "S002,MR1,yes")
    (table / "labels.csv").write_text(text)
    result = run("data", table, "--cache", tmp_path / "cache", fails=True)
    assert "labels.csv: row 4: label_demented is 'yes'" in result.stderr
    assert "Traceback" not in result.output


def test_a_bundle_of_several_planes_is_trained_calibrated_and_measured_by_the_planes_that_it_reads(
    finished: Path, tmp_path: Path
) -> None:
    options = ("--recipe", f"{RECIPES}:PLANES", "--cache", tmp_path / "cache", "--device", "cpu")
    run("train", finished / "data", "--out", tmp_path / "run", *options)
    calibration = json.loads((tmp_path / "run" / "calibration.json").read_text())
    manifest = Bundle.load(tmp_path / "run" / "bundle").manifest
    assert manifest.preprocessing.weights == calibration["weights"]
    assert sum(calibration["weights"].values()) == pytest.approx(1)
    labelled = ("--labels", finished / "data" / "labels.csv", "--images", finished / "data", "--device", "cpu")
    told = json.loads(run("evaluate", "--bundle", tmp_path / "run" / "bundle", *labelled, "--json").stdout)
    assert (told["planes"], told["slices"]) == (["axial", "coronal"], 39)  # of the 40 one is damaged
    card = (tmp_path / "run" / "bundle" / "CARD.md").read_text()
    assert "Of the axial and coronal slices, because those are what the node reads." in card


def test_a_second_run_into_the_same_folder_is_refused(finished: Path) -> None:
    arguments = ("--recipe", f"{RECIPES}:TINY", "--cache", finished / "cache")
    result = run("crossval", finished / "data", "--out", finished / "run", *arguments, fails=True)
    assert "holds a run already" in result.stderr


def test_half_precision_trains_too(finished: Path, tmp_path: Path) -> None:
    arguments = ("--recipe", f"{RECIPES}:STILL", "--cache", finished / "cache", "--precision", "bf16-mixed")
    run("finetune", finished / "data", "--out", tmp_path / "run", *arguments, "--device", "cpu")
    weights = load_file(tmp_path / "run" / "final" / "weights.safetensors")
    assert all(value.dtype == np.float32 and np.isfinite(value).all() for value in weights.values())


def test_an_unknown_recipe_names_the_known_ones(tmp_path: Path) -> None:
    result = run("finetune", tmp_path, "--out", tmp_path / "run", "--recipe", "nothing", fails=True)
    assert "published" in result.stderr


def test_a_dicom_study_can_be_pretrained_on_and_refused_series_say_why(tmp_path: Path) -> None:
    shape = {"slices": 40, "rows": 48, "columns": 48, "spacing_mm": (5.0, 5.0, 5.0)}
    factories.write(factories.mr_series(None, plane="sagittal", **shape), tmp_path / "study")
    told = json.loads(run("data", tmp_path / "study", "--cache", tmp_path / "cache", "--json").stdout)
    assert (told["subjects"], told["slices"]) == (1, 61)
