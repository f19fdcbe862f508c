"""The fit on pixels that a network has to beat finds what is there, and nothing that is not."""

import numpy as np
import pytest

from model.training import baseline
from model.training.datasets import Slices
from model.training.evaluate import ALL_VIEWS
from tests import training_data

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def few_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fits in a second instead of half a minute."""
    monkeypatch.setattr(baseline, "SHRINKAGE", (0.01, 1.0))
    monkeypatch.setattr(baseline, "INNER_FOLDS", 2)


def slices(labels: list[int], shown: list[int]) -> Slices:
    """A head of three views a subject: `shown` says which have the larger hole."""
    random, count = np.random.default_rng(5), 3 * len(labels)
    pixels = np.stack([training_data.head(random, each) for each in np.repeat(shown, 3)])
    return Slices(
        pixels=pixels,
        rows=np.arange(count),
        subjects=np.repeat([f"S{number:03d}" for number in range(len(labels))], 3),
        sessions=np.repeat("1", count),
        views=np.tile(["axial", "coronal", "sagittal"], len(labels)),
        labels=np.repeat(labels, 3),
        given_folds=np.full(count, -1),
        digests=np.array([str(each) for each in range(count)]),
        covariates=np.zeros((count, 7), np.float32),
    )


def of(found: Slices, folds: int) -> dict[str, float]:
    assigned = {f"S{number:03d}": number // 2 % folds for number in range(len(found) // 3)}
    told = baseline.measured(found, assigned, seed=1, resamples=20)
    assert all(each.low <= each.value <= each.high for each in told.values())
    return {view: each.value for view, each in told.items()}


def test_what_the_pixels_show_is_found_in_each_view() -> None:
    labels = [0, 1] * 20
    assert of(slices(labels, labels), 2) == pytest.approx(
        {"axial": 1, "coronal": 1, "sagittal": 1, ALL_VIEWS: 1}, abs=0.1
    )


def test_labels_that_the_pixels_do_not_show_are_not_found() -> None:
    labels = [0, 1] * 20
    drawn = np.random.default_rng(2).permutation(labels).tolist()
    assert all(0.15 < value < 0.8 for value in of(slices(labels, drawn), 2).values())


def test_with_too_few_subjects_to_choose_within_there_is_no_baseline() -> None:
    assert of(slices([0, 1] * 2, [0, 1] * 2), 2) == {}
