"""Training images, varied: flips, small affine changes, intensity, noise, erasing; then the z-score of serving.

Every random number of a batch is drawn on the CPU from one generator before anything is computed, for the whole batch,
so a device, or a process that takes only a share of the batch, sees the same variations.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from model.training.recipes import Augmentation


@dataclass(frozen=True)
class Variations:
    """What is done to each of N images: affine (N, 2, 3) output -> input coordinates in -1..1, and intensities (N,)."""

    affine: Tensor
    gamma: Tensor
    field: Tensor  # (N, 1, 3, 3) log brightness on a coarse grid
    noise: Tensor  # (N, 1, S, S) standard normal, or empty
    rectangle: Tensor  # (N, 4) top, left, height, width as fractions; height 0: none
    scalp: Tensor  # (N, 3) gap and thickness as fractions of the side, brightness; thickness 0: none

    def part(self, start: int, stop: int) -> "Variations":
        """Those of the images start .. stop."""
        return Variations(*(value[start:stop] for value in vars(self).values()))

    def to(self, device: torch.device) -> "Variations":
        """The same on a device."""
        return Variations(*(value.to(device) for value in vars(self).values()))


def draw(choices: Augmentation, mirrored: Tensor, size: int, random: torch.Generator) -> Variations:
    """Variations for images of side `size`. mirrored (N,) bool: whose left-right mirror image is a head as well."""
    count = len(mirrored)

    def even(bound: float, *shape: int) -> Tensor:
        return (torch.rand(count, *shape, generator=random) * 2 - 1) * bound

    def chance(probability: float) -> Tensor:
        return torch.rand(count, generator=random) < probability

    return Variations(
        affine=_affine(
            angle=even(math.radians(choices.rotation_degrees)),
            shift=even(2 * choices.translation, 2),
            scale=even(choices.scale),
            stretch=even(choices.stretch),
            flip=chance(0.5) & mirrored & choices.flip,
        ),
        gamma=even(choices.gamma).exp(),
        field=even(choices.bias_field, 1, 3, 3),
        noise=torch.randn(count, 1, size, size, generator=random) * choices.noise
        if choices.noise
        else torch.zeros(count, 0),
        rectangle=torch.rand(count, 4, generator=random)
        * torch.tensor([1.0, 1.0, 0.5, 0.5])
        * chance(choices.erase)[:, None],
        scalp=(
            torch.tensor([0.02, 0.02, 0.3]) + torch.rand(count, 3, generator=random) * torch.tensor([0.03, 0.04, 0.7])
        )
        * chance(choices.scalp)[:, None],
    )


def apply(pixels: Tensor, variations: Variations) -> Tensor:
    """pixels (N, S, S) uint8 -> images (N, 1, S, S) float32, varied and z-scored. What is nothing costs nothing."""
    images = _with_scalp(pixels[:, None].float() / 255, variations.scalp)
    grid = functional.affine_grid(variations.affine, list(images.shape), align_corners=False)
    images = functional.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    images = images.clamp_(min=0).pow_(variations.gamma[:, None, None, None])
    if bool(variations.field.any()):
        images *= functional.interpolate(variations.field.exp(), images.shape[-2:], mode="bilinear", align_corners=True)
    if variations.noise.numel():
        images += variations.noise
    if bool(variations.rectangle[:, 2].any()):
        images *= ~_rectangles(variations.rectangle, images.shape[-1])
    return normalise(images)


def normalise(images: Tensor) -> Tensor:
    """images (N, 1, S, S), 0-1 -> minus their mean, divided by their sample deviation + 1e-8, as model.slicing does."""
    deviation, mean = torch.std_mean(images.flatten(1), dim=1)
    return (images - mean[:, None, None, None]) * (1 / (deviation + 1e-8))[:, None, None, None]


def _affine(angle: Tensor, shift: Tensor, scale: Tensor, stretch: Tensor, flip: Tensor) -> Tensor:
    """-> (N, 2, 3). A scale of 0.1 makes the content 10 % larger; stretch does so along x and the opposite along y."""
    cos, sin = angle.cos(), angle.sin()
    across = (1 - 2 * flip.float()) / ((1 + scale) * (1 + stretch))
    down = 1 / ((1 + scale) * (1 - stretch))
    rows = [
        torch.stack([cos * across, -sin * down, shift[:, 0]], 1),
        torch.stack([sin * across, cos * down, shift[:, 1]], 1),
    ]
    return torch.stack(rows, 1)


def _rectangles(rectangle: Tensor, size: int) -> Tensor:
    """(N, 4) fractions -> (N, 1, S, S) bool, true inside; what reaches over the edge is cut off."""
    place = (torch.arange(size, device=rectangle.device) + 0.5) / size
    top, left, height, width = (rectangle[:, i, None] for i in range(4))
    rows = (place >= top) & (place < top + height)
    columns = (place >= left) & (place < left + width)
    return (rows[:, None, :, None]) & (columns[:, None, None, :])


def _with_scalp(images: Tensor, scalp: Tensor) -> Tensor:
    """Draw a bright ring around the brains that get one, so that they look a little as if they were in their skull."""
    chosen = scalp[:, 1] > 0
    if not bool(chosen.any()):
        return images
    images = images.clone()
    images[chosen] = torch.maximum(images[chosen], _ring(images[chosen], scalp[chosen]))
    return images


def _ring(images: Tensor, scalp: Tensor, coarse: int = 4) -> Tensor:
    """The brain's outline, `coarse` times smaller, grown by the gap (skull and fluid) and by the thickness (scalp)."""
    size = images.shape[-1]
    grown = (functional.avg_pool2d(images, coarse) > 0.05).float()
    distance = torch.zeros_like(grown)  # in coarse pixels, 0 inside the brain
    for step in range(1, round(0.12 * size / coarse) + 1):
        wider = functional.max_pool2d(grown, 3, stride=1, padding=1) if step % 2 else _plus(grown)
        distance = distance + (wider - grown) * step
        grown = wider
    inner = scalp[:, 0, None, None, None] * size / coarse
    outer = inner + scalp[:, 1, None, None, None] * size / coarse
    ring = ((distance > inner) & (distance <= outer)).float()
    ring = functional.interpolate(ring, scale_factor=coarse, mode="bilinear", align_corners=False)
    return ring * scalp[:, 2, None, None, None]


def _plus(mask: Tensor) -> Tensor:
    """Grow a mask by its four neighbours; in turn with all eight this grows a rough disc."""
    rows = functional.max_pool2d(mask, (3, 1), stride=1, padding=(1, 0))
    return torch.maximum(rows, functional.max_pool2d(mask, (1, 3), stride=1, padding=(0, 1)))
