"""How a batch is divided among processes: together they learn from it what one process would."""

import numpy as np
import pytest

from model.training.loop import batches, generator, share


@pytest.mark.parametrize(("count", "world_size"), [(16, 1), (16, 2), (15, 2), (7, 3), (1, 4), (3, 8)])
def test_the_weighted_mean_of_the_shares_is_the_mean_of_the_batch(count: int, world_size: int) -> None:
    losses = np.random.default_rng(count).normal(size=count)
    parts = [share(count, rank, world_size) for rank in range(world_size)]
    assert np.mean([weight * losses[own].mean() for own, weight in parts]) == pytest.approx(losses.mean())
    counted = np.concatenate([np.arange(count)[own] for own, weight in parts if weight])
    np.testing.assert_array_equal(counted, np.arange(count))


def test_an_epoch_shows_every_slice_once_in_batches_of_nearly_equal_size() -> None:
    epoch = batches(35, 16, generator("seed"))
    assert [len(each) for each in epoch] == [12, 12, 11]
    assert sorted(np.concatenate(epoch).tolist()) == list(range(35))
