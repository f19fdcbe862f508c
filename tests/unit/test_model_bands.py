"""Conformal sets keep their promise, and a bundle says which kind of bands it has."""

import json

import numpy as np
import pytest

from model.bands import Conformal
from model.errors import BundleError
from model.manifest import Manifest
from model.predictor import Predictor
from model.types import Band, Slice
from tests import bundles

SETS = Conformal.of(0.9, np.linspace(0.05, 0.6, 30), np.linspace(0.3, 0.95, 20))


@pytest.mark.parametrize(("level", "count"), [(0.9, 19), (0.9, 68), (0.8, 7)])
def test_whatever_the_model_each_label_is_covered_as_promised(level: float, count: int) -> None:
    """The mean coverage is k / (n + 1), k = ceil((n + 1) level): at least the level, and hardly more."""
    random = np.random.default_rng(7)
    held = []
    for _ in range(600):
        no, yes, new_no, new_yes = random.beta([[2], [3], [2], [3]], [[4], [2], [4], [2]], (4, count))
        sets = Conformal.of(level, no, yes)
        held.append([(new_no <= sets.no_up_to).mean(), (new_yes >= sets.yes_from).mean()])
    expected = np.ceil((count + 1) * level - 1e-9) / (count + 1)
    assert level <= expected < level + 1 / count
    np.testing.assert_allclose(np.mean(held, axis=0), expected, atol=4 * np.std(held) / np.sqrt(len(held)))


def test_the_four_sets_are_four_bands() -> None:
    assert [SETS.band(each) for each in (0.1, 0.5, 0.9)] == [
        Band.NO_SIGNIFICANT_CHANGES,
        Band.INDETERMINATE,
        Band.HIGH_LIKELIHOOD,
    ]
    apart = Conformal.of(0.9, np.linspace(0.1, 0.3, 20), np.linspace(0.7, 0.9, 20))
    assert apart.band(0.5) is Band.UNLIKE
    assert apart.band(0.05) is Band.NO_SIGNIFICANT_CHANGES


def test_both_bounds_belong_to_the_labels_that_they_are_of() -> None:
    assert SETS.band(SETS.no_up_to) is SETS.band(SETS.yes_from) is Band.INDETERMINATE


def test_with_too_few_subjects_for_the_level_a_label_always_fits() -> None:
    few = Conformal.of(0.9, [0.2] * 8, [0.8] * 9)
    assert (few.no_up_to, few.yes_from) == (1.0, 0.8)
    assert few.band(1.0) is Band.INDETERMINATE


def test_a_study_has_its_place_among_those_with_and_without_the_label() -> None:
    without, having = SETS.standing(0.31)
    assert (without.label, without.subjects, without.lower) == (0, 30, int((np.linspace(0.05, 0.6, 30) < 0.31).sum()))
    assert (having.label, having.subjects, having.lower) == (1, 20, 1)
    assert sum(having.histogram) == 20
    assert len(having.histogram) == 20


def test_a_bundle_says_which_kind_it_has_and_decides_by_it() -> None:
    made = bundles.bundle(conformal=SETS.model_dump())
    told = json.loads(made.manifest.to_json())
    assert told["conformal"]["level"] == 0.9
    assert "thresholds" not in told
    assert "conformal" not in json.loads(bundles.bundle().manifest.to_json())
    assert Manifest.model_validate_json(made.manifest.to_json()) == made.manifest
    found = Predictor(made, threads=1).predict_slices([Slice(each) for each in bundles.pixels(2)], b"")
    assert found.probability is not None
    assert found.band is SETS.band(found.probability)
    assert found.standing == SETS.standing(found.probability)
    assert found.model.thresholds == {
        "level": 0.9,
        "yes_from": SETS.yes_from,
        "no_up_to": SETS.no_up_to,
        "no_subjects": 30,
        "yes_subjects": 20,
    }


def test_the_published_bands_know_nobody() -> None:
    assert Manifest(trained=True).bands.standing(0.5) == ()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"no_up_to": 0.9}, "do not follow"),
        ({"yes_scores": [0.9, 0.4]}, "ascending"),
        ({"level": 1.0}, "level"),
        ({"no_scores": []}, "no_scores"),
    ],
)
def test_sets_that_do_not_follow_from_their_scores_are_refused(changed: dict[str, object], message: str) -> None:
    with pytest.raises(BundleError, match=message):
        bundles.bundle(conformal=SETS.model_dump() | changed)


def test_both_kinds_at_once_are_refused() -> None:
    with pytest.raises(BundleError, match="one of the two"):
        bundles.bundle(conformal=SETS.model_dump(), thresholds={})
