"""Variations keep a head a head, are drawn once for the whole batch, and end in the z-score of serving."""

import numpy as np
import pytest
import torch

from model import slicing
from model.training import augment
from model.training.recipes import Augmentation
from tests import training_data

NOTHING = Augmentation(flip=False, rotation_degrees=0, translation=0, scale=0, gamma=0)
EVERYTHING = Augmentation(stretch=0.05, bias_field=0.2, noise=0.05, erase=0.5, scalp=0.5)


@pytest.fixture
def pixels() -> torch.Tensor:
    random = np.random.default_rng(0)
    return torch.from_numpy(np.stack([training_data.head(random, label, 64) for label in (0, 1, 0, 1)]))


def varied(pixels: torch.Tensor, choices: Augmentation, seed: int = 1, mirrored: bool = True) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return augment.apply(pixels, augment.draw(choices, torch.full((len(pixels),), mirrored), pixels.shape[-1], random))


def test_without_variation_the_image_is_the_one_that_is_served(pixels: torch.Tensor) -> None:
    torch.testing.assert_close(
        varied(pixels, NOTHING), torch.from_numpy(slicing.normalise(pixels.numpy())), atol=1e-4, rtol=0
    )


def test_every_variation_gives_a_finite_z_scored_image(pixels: torch.Tensor) -> None:
    images = varied(pixels, EVERYTHING)
    assert images.shape == (4, 1, 64, 64)
    assert torch.isfinite(images).all()
    torch.testing.assert_close(images.mean(dim=(1, 2, 3)), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(images.std(dim=(1, 2, 3)), torch.ones(4), atol=1e-3, rtol=0)


def test_the_same_seed_gives_the_same_images_and_another_seed_others(pixels: torch.Tensor) -> None:
    torch.testing.assert_close(varied(pixels, EVERYTHING), varied(pixels, EVERYTHING), atol=0, rtol=0)
    assert not torch.allclose(varied(pixels, EVERYTHING), varied(pixels, EVERYTHING, seed=2))


def test_a_share_of_the_batch_is_varied_as_it_would_be_in_the_whole(pixels: torch.Tensor) -> None:
    random = torch.Generator().manual_seed(1)
    variations = augment.draw(EVERYTHING, torch.ones(4, dtype=torch.bool), 64, random)
    whole = augment.apply(pixels, variations)
    torch.testing.assert_close(augment.apply(pixels[2:], variations.part(2, 4)), whole[2:])


def test_only_views_with_a_mirror_image_are_flipped() -> None:
    half = torch.zeros(64, 32, 32, dtype=torch.uint8)
    half[:, :, :16] = 200
    flips = Augmentation(flip=True, rotation_degrees=0, translation=0, scale=0, gamma=0)
    left = varied(half, flips)[:, 0, :, :16].mean(dim=(1, 2)) > 0
    assert 16 < int(left.sum()) < 48
    assert bool((varied(half, flips, mirrored=False)[:, 0, :, :16].mean(dim=(1, 2)) > 0).all())


def test_a_scalp_is_drawn_outside_of_the_brain_and_nothing_inside_changes(pixels: torch.Tensor) -> None:
    images = pixels[:, None].float() / 255
    ringed = augment._with_scalp(images, torch.tensor([[0.03, 0.05, 1.0]]).expand(4, 3))
    inside = images > 0.3
    torch.testing.assert_close(ringed[inside], images[inside])
    added = (ringed - images) > 0.5
    assert 0.02 < added.float().mean() < 0.4
    y, x = np.mgrid[:64, :64] / 64 - 0.5
    radius = torch.from_numpy(np.hypot(x, y)).expand(4, 1, 64, 64)
    assert radius[added].min() > 0.38


def test_an_erased_rectangle_is_at_most_a_quarter_of_the_image(pixels: torch.Tensor) -> None:
    masks = augment._rectangles(torch.tensor([[0.2, 0.3, 0.5, 0.5], [0.9, 0.9, 0.5, 0.5], [0.1, 0.1, 0.0, 0.0]]), 64)
    assert [round(float(each.float().mean()), 2) for each in masks] == [0.25, 0.01, 0.0]
