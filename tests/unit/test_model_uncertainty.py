"""Dropout samples: seeded, exact, and what is made of their disagreement."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from model.aggregate import study_probability, study_uncertainty
from model.manifest import Thresholds
from model.network import load
from model.slicing import normalise
from model.types import Band
from model.uncertainty import DropoutHead, Masks, Uncertainty, entropy
from tests import bundles


def test_the_same_seed_gives_the_same_masks_for_ever() -> None:
    masks = Masks.draw(b"1.2.840.1", samples=2, hidden=12, dim=3, rate=0.3)
    assert (masks.hidden[1] > 0).astype(int).tolist() == [0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 0]
    assert (masks.head_second > 0).astype(int).tolist() == [[1, 1, 1], [1, 1, 1], [1, 1, 0]]
    other = Masks.draw(b"1.2.840.2", samples=2, hidden=12, dim=3, rate=0.3)
    assert not np.array_equal(masks.hidden, other.hidden)


def test_masks_drop_at_their_rate_and_keep_the_expectation() -> None:
    masks = Masks.draw(b"seed", samples=400, hidden=1536, dim=384, rate=0.3)
    for mask in (masks.hidden, masks.cls, masks.second, masks.head_cls, masks.head_second):
        assert set(np.unique(mask[1:])) == {np.float32(0), np.float32(1 / 0.7)}
        assert mask[1:].mean() == pytest.approx(1, abs=0.01)
        assert (mask[0] == 1).all()
    pair = np.corrcoef(masks.cls[1:, 0], masks.head_cls[1:, 0])[0, 1]
    assert abs(pair) < 0.2


def test_more_samples_begin_with_the_same_ones() -> None:
    few, many = (Masks.draw(b"seed", samples, 20, 5, 0.3) for samples in (3, 8))
    assert np.array_equal(few.hidden, many.hidden[:4])


class Fixed(nn.Module):
    """A dropout layer whose mask is given."""

    def __init__(self, mask: np.ndarray) -> None:
        super().__init__()
        self.mask = torch.from_numpy(mask)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return values * self.mask


@pytest.mark.parametrize("architecture", [bundles.SMALL, bundles.REDUCED])
def test_the_samples_are_those_of_the_network_with_these_masks_in_its_dropout_layers(architecture: object) -> None:
    bundle = bundles.bundle(architecture)
    network, head = load(bundle), DropoutHead.read(bundle.weights.read)
    masks = head.masks(b"a study", 5, 0.3)
    with torch.inference_mode():
        tokens = network.encoder(torch.from_numpy(normalise(bundles.pixels(3))))
        hidden = network.cov_proj[:2](network.covariance(tokens).flatten(1)).numpy()
        found = head.logits(tokens[:, 0].numpy(), hidden, masks)
        for sample in range(6):
            network.cov_proj[2] = Fixed(masks.hidden[sample])
            network.dropout = Fixed(np.concatenate([masks.cls[sample], masks.second[sample]]))
            network.head[1] = Fixed(np.concatenate([masks.head_cls[sample], masks.head_second[sample]]))
            unthinned = network.cov_proj(network.covariance(tokens).flatten(1))
            joined = torch.cat([tokens[:, 0], nn.functional.normalize(unthinned, dim=-1)], dim=-1)
            np.testing.assert_allclose(found[sample], network.head(network.dropout(joined)), atol=1e-5)


def test_numpy_and_torch_run_the_same_arithmetic() -> None:
    bundle = bundles.bundle()
    head = DropoutHead.read(bundle.weights.read)
    masks = head.masks(b"a study", 4, 0.3)
    random = np.random.default_rng(0)
    cls, hidden = (random.standard_normal((3, width), dtype=np.float32) for width in (48, 192))
    in_torch = head.on(torch.from_numpy).logits(*map(torch.from_numpy, (cls, hidden)), masks.on(torch.from_numpy))
    np.testing.assert_allclose(in_torch.numpy(), head.logits(cls, hidden, masks), atol=1e-5)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=20))
def test_uncertainty_stays_within_its_bounds(probabilities: list[float]) -> None:
    found = Uncertainty.of(np.array(probabilities))
    assert 0 <= found.spread <= 0.5 + 1e-9
    assert 0 <= found.mutual_information <= found.predictive_entropy + 1e-12
    assert found.predictive_entropy <= np.log(2) + 1e-12


def test_samples_that_contradict_each_other_are_all_mutual_information() -> None:
    found = Uncertainty.of(np.array([0.0, 1.0, 0.0, 1.0]))
    assert found.spread == 0.5
    assert found.mutual_information == pytest.approx(np.log(2))
    agreed = Uncertainty.of(np.full(4, 0.5))
    assert (agreed.spread, agreed.mutual_information) == (0, 0)
    assert agreed.predictive_entropy == pytest.approx(np.log(2))


def test_entropy_of_certainty_is_nothing() -> None:
    assert entropy(np.array([0.0, 1.0])).tolist() == [0, 0]


def test_the_study_is_doubtful_only_where_whole_samples_disagree() -> None:
    cancels = np.array([[0.2, 0.8], [0.8, 0.2]])  # (samples, slices)
    assert study_uncertainty(cancels).spread == pytest.approx(0)
    disagrees = np.array([[0.2, 0.2], [0.8, 0.8]])
    assert study_uncertainty(disagrees).spread == pytest.approx(0.3)
    assert study_probability(np.array([0.2, 0.4])) == pytest.approx(0.3)


def test_more_slices_of_the_same_do_not_make_a_study_more_certain() -> None:
    one = np.array([[0.3], [0.6], [0.5]])
    assert study_uncertainty(np.repeat(one, 61, axis=1)).spread == pytest.approx(study_uncertainty(one).spread)


@pytest.mark.parametrize(
    ("probability", "spread", "band"),
    [
        (0.75, 0.15, Band.HIGH_LIKELIHOOD),
        (0.7499, 0.15, Band.INDETERMINATE),
        (0.62, 0.0, Band.INDETERMINATE),
        (0.6199, 0.0, Band.NO_SIGNIFICANT_CHANGES),
        (0.99, 0.1501, Band.LOW_CONFIDENCE),
        (0.01, 0.1501, Band.LOW_CONFIDENCE),
    ],
)
def test_bands_lie_where_the_published_thresholds_put_them(probability: float, spread: float, band: Band) -> None:
    assert Thresholds().band(probability, spread) is band
