"""Temperature and the measures of calibration."""

import numpy as np
import pytest

from model import calibration


def overconfident(count: int = 20_000, factor: float = 2.5) -> tuple[np.ndarray, np.ndarray]:
    """Logits `factor` times too large for the labels that were drawn from them."""
    random = np.random.default_rng(4)
    margin = random.normal(0, 1.5, count)
    labels = (random.random(count) < 1 / (1 + np.exp(-margin))).astype(np.int64)
    return np.stack([-margin / 2, margin / 2], axis=1) * factor, labels


def test_the_temperature_undoes_overconfidence() -> None:
    logits, labels = overconfident()
    temperature = calibration.fit_temperature(logits, labels)
    assert temperature == pytest.approx(2.5, rel=0.05)
    before, after = (
        calibration.expected_calibration_error(calibration.probability(logits, each), labels)
        for each in (1.0, temperature)
    )
    assert before > 0.08
    assert after < 0.02
    scores = [calibration.brier(calibration.probability(logits, each), labels) for each in (1.0, temperature)]
    assert scores[1] < scores[0]


def test_the_card_s_temperature_gives_the_card_s_probability() -> None:
    logits = np.array([[0.6368362307548523, -0.3073716461658478]])
    assert calibration.probability(logits, 1.6995)[0] == pytest.approx(0.36457082629203796, abs=1e-7)


def test_extreme_logits_stay_numbers() -> None:
    found = calibration.probability(np.array([[-1e4, 1e4], [1e4, -1e4]]))
    assert found.tolist() == [1.0, 0.0]


def test_the_diagram_counts_every_prediction_once() -> None:
    probabilities, labels = np.array([0.0, 0.05, 0.5, 1.0]), np.array([0, 1, 1, 1])
    found = calibration.reliability(probabilities, labels)
    assert found.counts.tolist() == [2, 1, 1]
    assert found.observed.tolist() == [0.5, 1.0, 1.0]
    assert found.predicted == pytest.approx([0.025, 0.5, 1.0])


def test_brier_is_the_mean_squared_distance() -> None:
    assert calibration.brier(np.array([0.9, 0.2]), np.array([1, 0])) == pytest.approx((0.01 + 0.04) / 2)
