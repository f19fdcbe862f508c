"""No subject is in two folds, and no picture either."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedKFold

from model.training import datasets, folds, sources
from model.training.errors import NoTrainingData, SubjectLeak
from model.training.folds import Split
from tests import training_data
from tests.training_data import TINY

LABELS = st.dictionaries(st.text(min_size=1, max_size=8), st.integers(0, 1), min_size=10, max_size=80)


@given(LABELS, st.integers(2, 5), st.integers(0, 5))
@settings(deadline=None, max_examples=60)
def test_every_subject_is_in_one_fold_and_folds_are_stratified(labels: dict[str, int], count: int, seed: int) -> None:
    smallest = min(list(labels.values()).count(0), list(labels.values()).count(1))
    if smallest < count:
        return
    assigned = folds.assign(labels, count, seed)
    assert set(assigned) == set(labels)
    for label in (0, 1):
        sizes = np.bincount([assigned[name] for name in labels if labels[name] == label], minlength=count)
        assert sizes.max() - sizes.min() <= 1
    for split in folds.splits(assigned):
        assert not split.training & split.validation
        assert split.training | split.validation == set(labels)


def test_the_order_of_the_subjects_does_not_matter_and_the_seed_does() -> None:
    labels = {f"S{number}": number % 2 for number in range(40)}
    shuffled = dict(reversed(labels.items()))
    assert folds.assign(labels, 5, 1) == folds.assign(shuffled, 5, 1)
    assert folds.assign(labels, 5, 1) != folds.assign(labels, 5, 2)


def test_folds_are_as_even_as_scikit_learns() -> None:
    labels = {f"S{number}": int(number < 17) for number in range(50)}
    ours = np.bincount(list(folds.assign(labels, 5, 0).values()))
    values = np.array(list(labels.values()))
    theirs = [len(test) for _, test in StratifiedKFold(5).split(values, values)]
    assert sorted(ours.tolist()) == sorted(theirs)


def test_a_split_that_shares_a_subject_cannot_exist() -> None:
    with pytest.raises(SubjectLeak, match="A would be on both sides"):
        Split(0, frozenset({"A", "B"}), frozenset({"A"}))
    with pytest.raises(NoTrainingData):
        Split(0, frozenset(), frozenset({"A"}))


def test_too_few_subjects_of_a_label_are_refused() -> None:
    with pytest.raises(NoTrainingData, match="5 folds need at least 5 subjects of each label; there are 2"):
        folds.assign({"A": 0, "B": 1, "C": 0, "D": 1}, 5, 0)


def test_sessions_slices_and_views_of_a_subject_stay_on_one_side(tmp_path: Path) -> None:
    folder = training_data.table(tmp_path / "data", [0, 1] * 4)
    slices = datasets.load(sources.find(folder), TINY.preprocessing, tmp_path / "cache").slices
    for split in folds.splits(datasets.folds_of(slices, 4, 0)):
        training, validation = slices.of_subjects(split.training), slices.of_subjects(split.validation)
        assert not set(training.subjects.tolist()) & set(validation.subjects.tolist())
        assert not set(training.digests.tolist()) & set(validation.digests.tolist())
        assert not set(training.rows.tolist()) & set(validation.rows.tolist())
        assert len(training) + len(validation) == len(slices) == 24


def test_one_picture_under_two_names_is_a_leak(tmp_path: Path) -> None:
    folder = training_data.table(tmp_path / "data", [0, 1] * 4)
    (folder / "images" / "S001_a.png").write_bytes((folder / "images" / "S006_c.png").read_bytes())
    slices = datasets.load(sources.find(folder), TINY.preprocessing, tmp_path / "cache").slices
    with pytest.raises(SubjectLeak, match="S001 and S006 hold the same picture"):
        datasets.folds_of(slices, 4, 0)


def test_folds_that_the_table_gives_are_kept(tmp_path: Path) -> None:
    folder = training_data.table(tmp_path / "data", [0, 1, 0, 1])
    lines = (folder / "labels.csv").read_text().splitlines()
    given_folds = ["fold", "1", "1", "0", "0"]
    (folder / "labels.csv").write_text(
        "\n".join(f"{line},{fold}" for line, fold in zip(lines, given_folds, strict=True))
    )
    slices = datasets.load(sources.find(folder), TINY.preprocessing, tmp_path / "cache").slices
    assert datasets.folds_of(slices, 5, 0) == {"S000": 1, "S001": 1, "S002": 0, "S003": 0}


@pytest.mark.realdata
def test_the_given_folds_of_the_real_table_share_no_subject(real_data: Path, tmp_path: Path) -> None:
    slices = datasets.load(sources.find(real_data / "oasis1"), TINY.preprocessing, tmp_path / "cache").slices
    assigned = datasets.folds_of(slices, 5, 0)
    assert len(assigned) == 136
    assert sum(len(split.validation) for split in folds.splits(assigned)) == 136
