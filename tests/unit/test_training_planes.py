"""Training, calibration and evaluation count the planes that a bundle reads, each by its weight, as serving does."""

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pydantic
import pytest

from model import Predictor
from model import network as networks
from model.bands import Thresholds
from model.planes import Slab
from model.slicing import Preprocessing
from model.training import calibrate, datasets, sources, volumes
from model.training.evaluate import evaluate
from model.training.export import to_bundle
from model.training.predictions import Predictions, predict
from model.training.recipes import Recipe
from model.types import Slice
from tests import bundles, phantom, training_data

SIZE = training_data.SIZE
TWO = Preprocessing(
    size=SIZE,
    planes=(
        Slab.standard("axial", slices=2, spacing_mm=8.0, weight=3.0),
        Slab.standard("coronal", slices=3, spacing_mm=8.0),
    ),
)
RECIPE = replace(training_data.STILL, preprocessing=TWO, weights_from_folds=True)


def predictions(count: int = 200) -> Predictions:
    """An axial, a sagittal and a coronal slice each; only the coronal one knows anything."""
    random = np.random.default_rng(0)
    labels = np.arange(count) % 2
    margin = random.normal(0, 1.0, (count, 3))
    margin[:, 2] += 2.0 * labels - 1.0
    flat = margin.ravel()
    return Predictions(
        subjects=np.repeat([f"S{number:03d}" for number in range(count)], 3),
        views=np.tile(["axial", "sagittal", "coronal"], count),
        labels=np.repeat(labels, 3),
        folds=np.repeat(np.arange(count) // 2 % 5, 3),
        logits=np.stack([-flat / 2, flat / 2], axis=1).astype(np.float32),
        spreads=np.zeros(3 * count),
        study_spreads=np.zeros(3 * count),
        rollouts=np.zeros((3 * count, 4, 4), np.float16),
    )


def test_calibration_and_evaluation_count_the_planes_that_are_read_by_their_weights() -> None:
    given, weights = predictions(), {"axial": 1.0, "coronal": 3.0}
    probabilities = given.probabilities(1.0).reshape(-1, 3)
    expected = (probabilities[:, 0] + 3 * probabilities[:, 2]) / 4
    np.testing.assert_allclose(given.served(weights).by_subject(1.0, weights).probabilities, expected)
    found = calibrate.calibrate(given, 0.9, weights)
    without = given.where(given.views != "sagittal")
    assert found == calibrate.calibrate(without, 0.9, weights)
    assert found.weights == weights
    measured = evaluate(given, 1.0, Thresholds(), weights, resamples=10)
    assert (measured.planes, measured.slices) == (("axial", "coronal"), 400)
    assert measured.by_subject["auroc"].value == evaluate(without, 1.0, Thresholds(), weights, 10).by_view["all"].value


def test_weights_from_the_folds_are_those_of_the_planes_that_tell_the_labels() -> None:
    equal = {"axial": 1.0, "sagittal": 1.0, "coronal": 1.0}
    found = calibrate.calibrate(predictions(), 0.9, equal, from_folds=True)
    assert found.weights == {"axial": pytest.approx(1 / 6), "sagittal": pytest.approx(1 / 6), "coronal": 4 / 6}
    assert calibrate.calibrate(predictions(), 0.9, equal).weights == equal
    assert calibrate.plane_weights(predictions(), 1.0, ["axial"]) == {"axial": 1.0}


def test_a_labelled_subject_is_answered_as_a_study_of_the_same_slices_is(tmp_path: Path) -> None:
    bundle = bundles.bundle(RECIPE.architecture, preprocessing=TWO)
    found = sources.find(training_data.table(tmp_path / "data", [0, 1], size=TWO.size))
    data = datasets.load(found, TWO, tmp_path / "cache").slices
    asked = predict(bundle, data, device="cpu")
    own = data.of_subjects(["S000"]).where(np.array([True, False, True]))
    assert own.views.tolist() == ["axial", "coronal"]
    items = [Slice(each, plane=str(view)) for each, view in zip(own.take(np.arange(2)), own.views, strict=True)]
    served = Predictor(bundle, "cpu", threads=1).predict_slices(items, b"S000")
    subject = asked.served(TWO.weights).by_subject(bundle.manifest.temperature, TWO.weights)
    assert subject.probabilities[0] == pytest.approx(served.probability, abs=1e-6)
    assert subject.spreads[0] == pytest.approx(served.spread, abs=1e-6)


def test_a_volume_is_learnt_from_in_every_plane_that_is_read_and_the_cache_knows_which(tmp_path: Path) -> None:
    affine_lps = np.array([[0, 0, 5.0, -80], [-5.0, 0, 0, 110], [0, 5.0, 0, -130], [0, 0, 0, 1]])
    voxels = phantom.sampled((44, 46, 32), tuple(affine_lps.ravel().tolist())).astype(np.int16)
    (tmp_path / "data").mkdir()
    nib.save(nib.Nifti1Image(voxels, volumes.RAS_TO_LPS @ affine_lps), tmp_path / "data" / "head.nii.gz")
    coarse = replace(TWO, planes=tuple(replace(slab, coarsest_mm=5.0) for slab in TWO.planes))
    for _ in range(2):
        data = datasets.load(sources.find(tmp_path / "data"), coarse, tmp_path / "cache").slices
        assert data.views.tolist() == ["axial"] * 2 + ["coronal"] * 3
    skipped = datasets.load(
        sources.together([sources.find(tmp_path / "data"), sources.find(training_data.table(tmp_path / "table", [0]))]),
        TWO,
        tmp_path / "cache",
    ).skipped
    assert ["too coarse" in each.reason for each in skipped] == [True]  # 5 mm, where 3 are asked for


def test_a_recipe_with_planes_comes_back_and_its_bundle_reads_them_with_the_weights_that_were_found() -> None:
    written = json.loads(json.dumps(RECIPE.to_dict()))
    assert pydantic.TypeAdapter(Recipe).validate_python(written) == RECIPE
    network = networks.build(RECIPE.architecture)
    made = to_bundle(network, RECIPE, weights={"axial": 0.25, "coronal": 0.75})
    assert made.manifest.preprocessing.weights == {"axial": 0.25, "coronal": 0.75}
    assert to_bundle(network, RECIPE).manifest.preprocessing == TWO
