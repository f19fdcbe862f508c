"""The model card says what a reader must know before quoting a number."""

from typing import Any

import pytest

from model.training import calibrate, card
from model.training.recipes import RECIPES


def numbers(**changes: Any) -> dict[str, Any]:
    interval = {"value": 0.73, "low": 0.64, "high": 0.81}
    names = ("auroc", "sensitivity", "specificity")
    bounds = {name: dict.fromkeys(names, interval) for name in ("no_significant_changes", "high_likelihood")}
    sets = {"{no}": 20, "{no, yes}": 44, "{}": 0, "{yes}": 4}
    found = {
        "temperature": 1.3,
        "conformal": {"level": 0.9, "yes_from": 0.3, "no_up_to": 0.7},
        "coverage": {"held": {"0": interval, "1": interval}, "sets": {"0": sets, "1": sets}},
        "ece_before": 0.12,
        "ece_after": 0.06,
    }
    return {
        "recipe": RECIPES["demonstration"].to_dict(),
        "data": {
            "layout": "labelled slices",
            "subjects": 136,
            "slices": 408,
            "subjects_by_label": {"0": 68, "1": 68},
            "slices_by_view": {"axial": 136, "sagittal": 136, "coronal": 136},
            "skipped": 0,
        },
        "subjects_seen_in_pretraining": 0,
        "early_stopping_on_validation": False,
        "calibration": found,
        "rules": calibrate.RULES,
        "out_of_fold": {
            "subjects": 136,
            "by_subject": dict.fromkeys(names, interval),
            "by_slice": dict.fromkeys(names, interval),
            "at_bounds": bounds,
            "auroc_by_view": {"axial": interval},
        },
        "baseline": {"axial": {"value": 0.7, "low": 0.6, "high": 0.8}},
    } | changes


def test_the_numbers_stand_in_the_card_with_interval_and_published_figure() -> None:
    text = card.fill(numbers())
    assert "| auroc | 0.730 (0.640-0.810) | 0.730 (0.640-0.810) | 0.893 |" in text
    assert "136 subjects, 408 slices (136 axial, 136 sagittal, 136 coronal)" in text
    assert "label 1 fits from a probability of 0.3000" in text
    assert "| 0 | 68 | 90% | 0.730 (0.640-0.810) | 20 | 44 | 0 | 4 |" in text
    assert "| auroc, logistic regression on the pixels, axial slices alone | 0.700 (0.600-0.800) |" in text
    assert "not for diagnosis" in text
    assert max(map(len, (line for line in text.splitlines() if not line.startswith(("|", "-"))))) <= 120


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "Temperature and bounds were chosen on the same out-of-fold predictions"),
        ({"early_stopping_on_validation": True}, "chose the epoch whose weights were kept"),
        ({"subjects_seen_in_pretraining": 40}, "had seen slices of 40 of these subjects"),
    ],
)
def test_what_makes_a_number_optimistic_is_said(changes: dict[str, Any], said: str) -> None:
    assert any(said in each for each in card.cautions(numbers(**changes)))


def test_a_network_that_beats_no_fit_on_pixels_says_so() -> None:
    better = {"baseline": {"all": {"value": 0.74, "low": 0.6, "high": 0.8}}}
    assert any("0.740 on the same folds" in each for each in card.cautions(numbers(**better)))
    assert not any("on the same folds" in each for each in card.cautions(numbers()))


def test_a_surprising_number_asks_for_a_search_for_a_leak() -> None:
    surprising = numbers()
    surprising["out_of_fold"]["by_subject"]["auroc"] = {"value": 0.95, "low": 0.9, "high": 0.99}
    assert any("look for a leak" in each for each in card.cautions(surprising))
    assert not any("look for a leak" in each for each in card.cautions(numbers()))


def test_what_does_not_exist_is_a_dash() -> None:
    one_kind = numbers()
    one_kind["out_of_fold"]["by_subject"]["auroc"] = {"value": None, "low": None, "high": None}
    assert "| auroc | – |" in card.fill(one_kind)
