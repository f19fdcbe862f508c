"""Pre-training without labels: masked images -> an encoder, a loss curve and pictures of what it draws."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from model import network as networks
from model.encoder import MultiScaleViT2DEncoder
from model.training import augment, checkpoints, loop
from model.training.datasets import Slices
from model.training.errors import NoTrainingData, ResumeError
from model.training.initial import initialise, positions
from model.training.loop import Fitted, Group, Numbers, Run
from model.training.mae import MaskedAutoencoder
from model.training.recipes import Augmentation, Pretraining, Recipe

ENCODER, PICTURES = "encoder.safetensors", "reconstructions.npz"
PICTURES_SHOWN = 6


@dataclass(frozen=True)
class _Drawing:
    """The task: draw the hidden patches. Nothing is measured but the training loss."""

    choices: Pretraining
    patches: int

    @property
    def augmentation(self) -> Augmentation:
        return self.choices.augmentation

    def draw(self, count: int, random: torch.Generator) -> Tensor:
        """Numbers whose order is the order of the patches."""
        return torch.rand(count, self.patches, generator=random)

    def loss(self, network: nn.Module, images: Tensor, numbers: Tensor, drawn: Tensor) -> Tensor:
        loss: Tensor = network(images, drawn.argsort(dim=1))
        return loss

    def assess(self, network: nn.Module) -> Numbers:
        return {}


def pretrain(fabric: Fabric, slices: Slices, recipe: Recipe, run: Run) -> Fitted:
    """Train the encoder on `slices`; writes `encoder.safetensors`, `history.json` and `reconstructions.npz`.

    The encoder's file names the subjects it has seen, so that a later split can tell what is not independent of it.
    """
    choices = recipe.pretraining
    if choices is None:
        raise NoTrainingData(f"recipe {recipe.name} has no pre-training")
    torch.manual_seed(loop.seed_of(recipe.seed, "initial", run.stage))
    without_head = recipe.architecture.model_copy(update={"covariance_dim": 1})  # as small as it can be made
    network = MaskedAutoencoder(
        networks.build(without_head).encoder,
        choices.mask_ratio,
        choices.decoder_dim,
        choices.decoder_depth,
        choices.decoder_heads,
    )
    initialise(network.encoder)
    with torch.no_grad():
        network.positions.copy_(positions(network.encoder.grid, choices.decoder_dim)[None])
    network.encoder.scale_fusion.requires_grad_(False)  # no loss sees it
    groups = list(_groups(network, choices.schedule.weight_decay))
    task = _Drawing(choices, network.patches)
    fitted = loop.fit(fabric, network, task, groups, slices, choices.schedule, run)
    if fabric.is_global_zero:
        network.load_state_dict(dict(fitted.weights))
        _write(network.cpu().eval(), fitted, slices, run)
    fabric.barrier()
    return fitted


def load_encoder(path: Path, encoder: MultiScaleViT2DEncoder) -> None:
    """Fill the encoder from a pre-trained one. Raises ResumeError when it is damaged or of another size."""
    try:
        encoder.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ResumeError(f"{path}: is no encoder of this size: {str(error).splitlines()[0]}") from error


def subjects_seen(path: Path) -> frozenset[str]:
    """Whose slices a pre-trained encoder has seen. Raises ResumeError when the file is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            subjects = (file.metadata() or {}).get("subjects", "")
    except (OSError, SafetensorError) as error:
        raise ResumeError(f"{path}: is no encoder: {error}") from error
    return frozenset(subjects.split("\n")) - {""}


def _groups(network: MaskedAutoencoder, weight_decay: float) -> Iterator[Group]:
    parameters = [each for each in network.parameters() if each.requires_grad]
    yield Group([each for each in parameters if each.ndim > 1], 1.0, weight_decay)
    yield Group([each for each in parameters if each.ndim <= 1], 1.0, 0.0)


def _write(network: MaskedAutoencoder, fitted: Fitted, slices: Slices, run: Run) -> None:
    run.folder.mkdir(parents=True, exist_ok=True)
    part = run.folder / f"{ENCODER}.part"
    weights = {name: value.contiguous() for name, value in network.encoder.state_dict().items()}
    save_file(weights, part, {"subjects": "\n".join(sorted(set(slices.subjects.tolist())))})
    part.replace(run.folder / ENCODER)
    checkpoints.write_json(run.folder / "history.json", list(fitted.history))
    np.savez_compressed(run.folder / PICTURES, allow_pickle=False, **_pictures(network, slices, run.seed))


@torch.inference_mode()
def _pictures(network: MaskedAutoencoder, slices: Slices, seed: int) -> dict[str, NDArray[np.float32]]:
    """image, seen and drawn (n, S, S), of slices spread over the set."""
    chosen = np.linspace(0, len(slices) - 1, min(PICTURES_SHOWN, len(slices))).astype(np.int64)
    images = augment.normalise(torch.from_numpy(slices.take(chosen))[:, None].float() / 255)
    order = torch.rand(len(chosen), network.patches, generator=loop.generator(seed, "pictures")).argsort(dim=1)
    seen, drawn = network.pictures(images, order)
    return {"image": images[:, 0].numpy(), "seen": seen[:, 0].numpy(), "drawn": drawn[:, 0].numpy()}
