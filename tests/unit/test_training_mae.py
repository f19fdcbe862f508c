"""The masked autoencoder: patches go out and come back, visible tokens keep their places, hidden ones stay hidden."""

import pytest
import torch

from model import network as networks
from model.training.loop import generator
from model.training.mae import MaskedAutoencoder, patchify, standardised, unpatchify
from tests.training_data import TINY


@pytest.fixture
def network() -> MaskedAutoencoder:
    torch.manual_seed(0)
    return MaskedAutoencoder(networks.build(TINY.architecture).encoder, 0.75, dim=16, depth=1, heads=2).eval()


def images(count: int = 3) -> torch.Tensor:
    return torch.randn(count, 1, 32, 32, generator=generator("images"))


def order(count: int = 3) -> torch.Tensor:
    return torch.rand(count, 16, generator=generator("order")).argsort(dim=1)


def test_patches_go_out_and_come_back() -> None:
    torch.testing.assert_close(unpatchify(patchify(images(), 8), 8), images())
    torch.testing.assert_close(patchify(images(), 8)[:, 5], images()[:, 0, 8:16, 8:16].flatten(1))


def test_patches_are_counted_as_the_encoder_counts_them(network: MaskedAutoencoder) -> None:
    projection = network.encoder.patch_embed.proj
    ours = patchify(images(), 8) @ projection.weight.flatten(1).T + projection.bias
    torch.testing.assert_close(network.encoder.patch_embed(images()), ours, atol=1e-5, rtol=1e-5)


def test_with_every_patch_visible_the_encoder_answers_as_always(network: MaskedAutoencoder) -> None:
    straight = torch.arange(16).expand(3, 16)
    torch.testing.assert_close(network.encode_visible(images(), straight), network.encoder(images()))


def test_visible_tokens_have_the_position_of_their_own_patch(network: MaskedAutoencoder) -> None:
    """The order in which visible patches are handed over changes the order of the tokens, and nothing else."""
    forth = network.encode_visible(images(), torch.tensor([[3, 9, 12]] * 3))
    back = network.encode_visible(images(), torch.tensor([[12, 3, 9]] * 3))
    torch.testing.assert_close(forth[:, [0, 3, 1, 2]], back, atol=1e-5, rtol=1e-4)


def test_what_is_hidden_does_not_reach_the_drawing(network: MaskedAutoencoder) -> None:
    chosen = order()
    changed = patchify(images(), 8).clone()
    for row, hidden in enumerate(chosen[:, network.visible :]):
        changed[row, hidden] = 5.0
    torch.testing.assert_close(network.drawn(unpatchify(changed, 8), chosen), network.drawn(images(), chosen))


def test_the_loss_is_that_of_the_hidden_patches_alone(network: MaskedAutoencoder) -> None:
    chosen = order()
    target, drawn = standardised(patchify(images(), 8))[0], network.drawn(images(), chosen)
    expected = torch.stack([(drawn - target)[row, hidden].square().mean() for row, hidden in enumerate(chosen[:, 4:])])
    torch.testing.assert_close(network(images(), chosen), expected.mean())


def test_the_pictures_show_visible_patches_as_they_are(network: MaskedAutoencoder) -> None:
    chosen = order()
    seen, drawn = network.pictures(images(), chosen)
    for row, visible in enumerate(chosen[:, : network.visible]):
        for picture in (seen, drawn):
            torch.testing.assert_close(patchify(picture, 8)[row, visible], patchify(images(), 8)[row, visible])
