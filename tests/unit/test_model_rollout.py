"""Attention rollout: the row vector is the row of the whole product, in both orders."""

import numpy as np
import pytest
import torch

from model.rollout import RolloutOrder, rollout, scaled


def attentions(layers: int = 4) -> list[torch.Tensor]:
    torch.manual_seed(1)
    return [torch.randn(2, 3, 10, 10, dtype=torch.float64).softmax(dim=-1) for _ in range(layers)]


def whole_product(layers: list[torch.Tensor]) -> torch.Tensor:
    """Equations 1 and 2 of Abnar & Zuidema 2020, the first of `layers` applied first: (N, T, T)."""
    product = torch.eye(10, dtype=torch.float64)
    for attention in layers:
        mixed = attention.mean(dim=1) + torch.eye(10, dtype=torch.float64)
        product = mixed / mixed.sum(dim=-1, keepdim=True) @ product
    return product


def test_the_default_is_the_order_of_the_paper() -> None:
    layers = attentions()
    torch.testing.assert_close(rollout(layers), whole_product(layers)[:, 0, 1:])


def test_the_published_order_multiplies_the_other_way_round() -> None:
    layers = attentions()
    found = rollout(layers, RolloutOrder.FIRST_TO_LAST)
    torch.testing.assert_close(found, whole_product(layers[::-1])[:, 0, 1:])
    assert (found - rollout(layers)).abs().max() > 1e-3


def test_attention_that_stays_where_it_is_leaves_nothing_for_the_patches() -> None:
    assert rollout([torch.eye(10).expand(1, 3, 10, 10)] * 3).abs().max() == 0


def test_all_that_reaches_cls_adds_up_to_one() -> None:
    shares = rollout(attentions()).sum(dim=1)
    assert (shares > 0).all()
    assert (shares < 1).all()


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_a_flat_map_is_scaled_to_nothing_rather_than_to_nan(value: float) -> None:
    assert scaled(np.full((1, 2, 2), value, np.float32)).tolist() == [[[0, 0], [0, 0]]]
