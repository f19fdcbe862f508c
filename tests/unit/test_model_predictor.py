"""Volumes and slices in, answers out: complete, repeatable, and silent about what is out of scope."""

import numpy as np
import pytest

from model import Predictor, Volume, scope
from model.errors import BundleError, VolumeError
from model.rollout import RolloutOrder
from model.slicing import Preprocessing
from model.types import Band, Prediction, Scope, Slice
from tests import bundles

PREPROCESSING = Preprocessing(size=64, slices=9)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    """A small one."""
    return Predictor(bundles.bundle(preprocessing=PREPROCESSING), threads=1)


@pytest.fixture
def volume() -> Volume:
    """Something with structure, 2 mm."""
    z, y, x = np.mgrid[-1:1:80j, -1:1:100j, -1:1:90j]
    inside = np.sqrt((z / 0.8) ** 2 + (y / 0.9) ** 2 + (x / 0.8) ** 2) < 1
    noise = np.random.default_rng(0).normal(0, 20, inside.shape)
    voxels = np.where(inside, 500 + 200 * np.cos(9 * x) * np.cos(7 * y) + noise, np.abs(noise))
    affine = np.array([[0, 0, 2, -90], [0, 2, 0, -100], [2, 0, 0, -80], [0, 0, 0, 1]], float)
    return Volume(voxels.astype(np.float32), affine)


@pytest.fixture
def in_scope(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gate is another module's matter."""
    monkeypatch.setattr(scope, "assess", lambda *_: Scope(True, "stands open", {}))


@pytest.mark.usefixtures("in_scope")
def test_a_volume_gets_an_answer_for_every_slice_and_one_for_the_study(predictor: Predictor, volume: Volume) -> None:
    found = predictor.predict(volume, b"a study")
    assert len(found.slices) == 9
    for item in found.slices:
        assert item.logits.shape == (2,)
        assert (item.logits.dtype, item.rollout.dtype) == (np.float32, np.float32)
        assert 0 < item.probability < 1
        assert 0 < item.spread < 0.5
        assert 0 < item.mutual_information < item.predictive_entropy
        assert (item.rollout.min(), item.rollout.max()) == (0, 1)
        assert item.slice.affine_mm is not None
    assert found.probability == pytest.approx(np.mean([item.probability for item in found.slices]))
    assert found.spread is not None
    assert found.spread <= max(item.spread for item in found.slices)
    assert found.band is predictor.manifest.thresholds.band(found.probability, found.spread)
    assert found.model == predictor.model_id


@pytest.mark.usefixtures("in_scope")
def test_the_same_study_and_bundle_give_the_same_numbers_again(predictor: Predictor, volume: Volume) -> None:
    first, again = (numbers(predictor.predict(volume, b"a study")) for _ in range(2))
    other = numbers(predictor.predict(volume, b"another study"))
    assert first == again
    assert first[0] == other[0]  # the probability is free of dropout
    assert first[1:] != other[1:]


def numbers(prediction: Prediction) -> tuple[object, ...]:
    return (
        prediction.probability,
        prediction.spread,
        prediction.predictive_entropy,
        [item.spread for item in prediction.slices],
    )


def test_out_of_scope_nothing_is_classified(
    predictor: Predictor, volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = Scope(False, "looks like a knee", {"head_ml": 12.0})
    monkeypatch.setattr(scope, "assess", lambda *_: outside)
    monkeypatch.setattr(predictor.engine, "answer", lambda *_: pytest.fail("the network was run"))
    found = predictor.predict(volume, b"a study")
    assert found == Prediction(outside, (), None, None, None, None, None, predictor.model_id)


@pytest.mark.usefixtures("in_scope")
def test_the_gate_gets_the_limits_of_the_bundle(volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(scope, "assess", lambda *arguments: seen.append(arguments) or Scope(False, "", {}))
    Predictor(bundles.bundle(preprocessing=PREPROCESSING, scope={"limit": 3.0}), threads=1).predict(volume, b"")
    (asked, slices, limits), *_ = seen
    assert asked is volume
    assert len(slices) == 9
    assert limits == {"limit": 3.0}


def test_pictures_are_answered_like_slices_of_one_study(predictor: Predictor) -> None:
    slices = [Slice(pixels) for pixels in bundles.pixels(5)]
    together = predictor.predict_slices(slices, b"seed")
    alone = predictor.predict_slices(slices[3:4], b"seed").slices[0]
    assert together.slices[3].probability == pytest.approx(alone.probability, abs=1e-6)
    assert together.slices[3].spread == pytest.approx(alone.spread, abs=1e-6)
    assert together.scope.inside


def test_pictures_pass_the_gate_where_it_is_asked(predictor: Predictor) -> None:
    noise = [Slice(pixels) for pixels in np.random.default_rng(0).integers(0, 255, (2, 64, 64), np.uint8)]
    assert predictor.predict_slices(noise, b"seed").probability is not None
    refused = predictor.predict_slices(noise, b"seed", gate=True)
    assert not refused.scope.inside
    assert (refused.slices, refused.probability, refused.band) == ((), None, None)


def test_no_slices_are_an_error(predictor: Predictor) -> None:
    with pytest.raises(VolumeError, match="no slices"):
        predictor.predict_slices([], b"")


def test_the_temperature_shapes_the_probability_and_nothing_else() -> None:
    slices = [Slice(pixels) for pixels in bundles.pixels(3)]
    cold, warm = (
        Predictor(bundles.bundle(temperature=each), threads=1).predict_slices(slices, b"seed") for each in (1.0, 4.0)
    )
    for one, other in zip(cold.slices, warm.slices, strict=True):
        assert abs(other.probability - 0.5) < abs(one.probability - 0.5)
        assert np.array_equal(one.logits, other.logits)
        assert one.spread == other.spread


def test_the_bundle_chooses_the_order_of_the_rollout() -> None:
    slices = [Slice(pixels) for pixels in bundles.pixels(1)]
    maps = [
        Predictor(bundles.bundle(rollout_order=order), threads=1).predict_slices(slices, b"").slices[0].rollout
        for order in RolloutOrder
    ]
    assert maps[0].shape == (4, 4)
    assert np.abs(maps[0] - maps[1]).max() > 0.01


def test_thresholds_of_the_bundle_decide_the_band() -> None:
    slices = [Slice(pixels) for pixels in bundles.pixels(2)]
    eager = {"low_confidence_spread": 1.0, "high_likelihood": 0.0, "no_significant_changes": 0.0}
    found = Predictor(bundles.bundle(thresholds=eager), threads=1).predict_slices(slices, b"")
    assert found.band is Band.HIGH_LIKELIHOOD


def test_progress_is_heard(predictor: Predictor) -> None:
    heard: list[tuple[int, int]] = []
    predictor.predict_slices([Slice(each) for each in bundles.pixels(4)], b"", lambda *done: heard.append(done))
    assert heard[-1] == (4, 4)


def test_thresholds_that_cross_are_refused() -> None:
    with pytest.raises(BundleError, match="no_significant_changes"):
        bundles.bundle(thresholds={"high_likelihood": 0.5, "no_significant_changes": 0.6})
