"""The bundle that ships with the package: small, trained, honest, and good for what it is there for."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import model
from model import slicing
from model.bundle import Bundle
from model.predictor import Predictor
from model.training import card, datasets, metrics, recipes, sources
from model.training.predictions import predict
from model.types import Volume
from tests import phantom

FOLDER = Path(model.__file__).parent / "demonstration"


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.load(FOLDER)


def test_it_is_at_most_eight_megabytes_in_half_precision() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 8_000_000
    assert {value.dtype for value in load_file(FOLDER / "weights.safetensors").values()} == {np.dtype(np.float16)}


def test_it_was_made_by_the_recipe_of_its_name_and_says_so(bundle: Bundle) -> None:
    assert bundle.manifest.trained
    assert bundle.manifest.name == "neurossl-demonstration"
    made_by = json.loads(bundle.manifest.provenance["recipe"])
    recipe = json.loads(json.dumps(recipes.RECIPES["demonstration"].to_dict()))
    assert {name: made_by[name] for name in recipe if name not in recipes.WORDS} == {
        name: value for name, value in recipe.items() if name not in recipes.WORDS
    }
    assert bundle.manifest.preprocessing == recipes.RECIPES["demonstration"].preprocessing


def test_its_card_is_what_its_numbers_say(bundle: Bundle) -> None:
    numbers = json.loads((FOLDER / "numbers.json").read_text(encoding="utf-8"))
    text = (FOLDER / "CARD.md").read_text(encoding="utf-8")
    assert text == card.fill(numbers)
    assert bundle.manifest.conformal is not None
    assert numbers["calibration"]["conformal"] == bundle.manifest.conformal.model_dump(mode="json")
    assert numbers["calibration"]["temperature"] == pytest.approx(bundle.manifest.temperature, abs=1e-6)
    for said in ("demonstrate", "no more", "skull-stripped", "axial", "10.1162/jocn.2007.19.9.1498", "P50 AG05681"):
        assert said in text


def test_it_carries_the_probabilities_of_its_calibration_subjects_and_none_of_their_names(bundle: Bundle) -> None:
    sets = bundle.manifest.conformal
    assert sets is not None
    assert sets.level == recipes.RECIPES["demonstration"].level
    assert (len(sets.no_scores), len(sets.yes_scores)) == (68, 68)
    for name in ("manifest.json", "numbers.json", "CARD.md"):
        assert "OAS1_" not in (FOLDER / name).read_text(encoding="utf-8")


@pytest.mark.slow
def test_it_answers_for_a_head_as_it_comes_from_a_scanner(bundle: Bundle) -> None:
    affine = np.array([[0, 0, 2.0, -100], [0, 2.0, 0, -120], [2.0, 0, 0, -110], [0, 0, 0, 1.0]])
    voxels = phantom.sampled((105, 120, 100), tuple(affine.ravel().tolist())).astype(np.float32)
    answer = Predictor(bundle, "cpu").predict(Volume(voxels, affine), b"phantom")
    assert answer.model.trained
    if answer.scope.inside:
        assert answer.probability is not None
        assert 0 < answer.probability < 1
        assert len(answer.slices) == bundle.manifest.preprocessing.slices
        assert answer.slices[0].rollout.shape == (14, 14)


def test_larger_ventricles_and_wider_fissures_make_it_more_probable(bundle: Bundle) -> None:
    """A drawn brain, stripped of its skull: the sign that the model should know best, larger dark spaces."""
    predictor = Predictor(bundle, "cpu")
    answers = [
        predictor.predict_slices(
            [slicing.slice_from_image(_brain(width), bundle.manifest.preprocessing)], b"x"
        ).probability
        for width in (4, 10, 16, 22)
    ]
    assert answers[-1] is not None
    assert answers[0] is not None
    assert answers[-1] > answers[0]


@pytest.mark.realdata
def test_it_tells_the_subjects_it_was_trained_on_apart(bundle: Bundle, real_data: Path, tmp_path: Path) -> None:
    """Says that the weights are the ones of the card; says nothing about new subjects."""
    found = sources.find(real_data / "oasis1")
    slices = datasets.load(found, bundle.manifest.preprocessing, tmp_path).slices
    subjects = predict(bundle, slices, device="cpu").by_subject(bundle.manifest.temperature)
    numbers = json.loads((FOLDER / "numbers.json").read_text(encoding="utf-8"))
    unseen = numbers["out_of_fold"]["by_subject"]["auroc"]["value"]
    assert metrics.auroc(subjects.labels, subjects.probabilities) > unseen


def _brain(ventricle: int) -> np.ndarray:
    """An axial slice of 208 x 176 pixels of 1 mm: grey and white matter, two ventricles of this width in mm."""
    y, x = np.mgrid[:208, :176].astype(float)
    y, x = y - 104, x - 88
    outer = (y / 82) ** 2 + (x / 66) ** 2 + 0.03 * np.sin(12 * np.arctan2(y, x))
    image = np.where(outer < 1, 150.0, 0.0)
    image = np.where(outer < 0.75, 230.0, image)
    for side in (-1, 1):
        cavity = ((y + 5) / 38) ** 2 + ((x - side * (3 + ventricle / 2)) / (ventricle / 2)) ** 2
        image = np.where(cavity < 1, 40.0, image)
    return image.astype(np.uint8)
