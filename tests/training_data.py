"""Made-up training data: small round heads whose dark middle is larger where the label is 1, and a quick recipe."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.manifest import Architecture
from model.planes import Slab
from model.slicing import Preprocessing
from model.training.recipes import Augmentation, Finetuning, Pretraining, Recipe, Schedule

SIZE = 32
GENTLE = Augmentation(rotation_degrees=5, translation=0.02, scale=0.03, gamma=0.1)
TINY = Recipe(
    name="tiny",
    seed=7,
    folds=4,
    architecture=Architecture(img_size=SIZE, patch_size=8, embed_dim=32, depth=4, num_heads=2, covariance_dim=8),
    preprocessing=Preprocessing(size=SIZE),
    pretraining=Pretraining(
        schedule=Schedule(epochs=2, batch_size=16, learning_rate=8e-3, warmup_epochs=1),
        augmentation=GENTLE,
        decoder_dim=16,
        decoder_depth=1,
        decoder_heads=2,
    ),
    finetuning=Finetuning(
        schedule=Schedule(epochs=8, batch_size=16, learning_rate=3e-2, warmup_epochs=1, betas=(0.9, 0.999)),
        augmentation=GENTLE,
        drop_path=0.0,
        layer_decay=1.0,
        patience=None,
    ),
)

STILL = replace(  # nothing in it is random but the batches and their variations
    TINY,
    pretraining=None,
    architecture=TINY.architecture.model_copy(update={"dropout": 0.0}),
    finetuning=replace(TINY.finetuning, schedule=replace(TINY.finetuning.schedule, epochs=2)),
)
TOGETHER = replace(STILL, folds=2, pretraining=TINY.pretraining)  # batches of an odd number: 18 slices in two

PLANES = replace(  # a bundle that reads two planes of the three that the pictures are of, weighed by the folds
    STILL,
    folds=2,
    preprocessing=Preprocessing(
        size=SIZE, planes=(Slab.standard("axial", slices=2), Slab.standard("coronal", slices=3, spacing_mm=8.0))
    ),
    weights_from_folds=True,
)


def head(random: np.random.Generator, label: int, size: int = SIZE) -> NDArray[np.uint8]:
    """A noisy bright disc on black with a dark middle: a fifth of its width, or three tenths where the label is 1."""
    y, x = np.mgrid[:size, :size] / size - 0.5
    radius = np.hypot(x * random.uniform(0.95, 1.05), y)
    hole = random.uniform(0.17, 0.23) if label else random.uniform(0.07, 0.13)
    image = np.where(radius < 0.42, random.uniform(0.6, 0.8), 0.0)
    image = np.where(radius < hole, 0.15, image)
    image = image + (radius < 0.42) * random.normal(0, 0.04, image.shape)
    return np.asarray(np.clip(image * 255, 0, 255), np.uint8)


def table(
    folder: Path, labels: Iterable[int], *, told: Iterable[int] | None = None, size: int = SIZE, seed: int = 3
) -> Path:
    """A folder with labels.csv and three pictures a subject. `told`: the labels in the table, where they differ."""
    random = np.random.default_rng(seed)
    shown = list(labels)
    (folder / "images").mkdir(parents=True)
    lines = ["subject_id,session,label_demented,axial,sagittal,coronal"]
    for number, (label, said) in enumerate(zip(shown, shown if told is None else told, strict=True)):
        names = [f"images/S{number:03d}_{view}.png" for view in "asc"]
        for name in names:
            Image.fromarray(head(random, label, size)).save(folder / name)
        lines.append(f"S{number:03d},MR1,{said},{','.join(names)}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder
