"""Recipes: every choice that shaped a set of weights, frozen, with its cost and its result.

A recipe is copied into the manifest of the bundle it made. To try something, write a recipe of your own beside these
(`--recipe my_recipes.py:NAME`); to change one that has made weights, give it a new name.
"""

import runpy
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from model.manifest import Architecture
from model.slicing import Preprocessing
from model.training.errors import NoSuchRecipe

WORDS = ("name", "notes", "cost", "result")


@dataclass(frozen=True)
class Augmentation:
    """How a training image is varied; each bound is the largest deviation, drawn evenly around none.

    flips are left-right mirrorings of axial and coronal slices. The intensity changes act before the z-score.
    """

    flip: bool = True
    rotation_degrees: float = 10.0
    translation: float = 0.05  # of the image's width
    scale: float = 0.1
    stretch: float = 0.0  # of one axis against the other
    gamma: float = 0.3  # exponent exp(+-gamma)
    bias_field: float = 0.0  # smooth brightness over the image, relative
    noise: float = 0.0  # standard deviation, of the full range
    erase: float = 0.0  # chance that a rectangle of up to a quarter of the image is blanked
    scalp: float = 0.0  # chance that a ring like a scalp is drawn around a stripped brain


@dataclass(frozen=True)
class Schedule:
    """A training run: AdamW, linear warm-up, cosine to zero.

    learning_rate   for a batch of 256 images; scaled linearly with the batch (Goyal et al. 2017, arXiv:1706.02677)
    average_decay   exponential moving average of the weights, which is what is kept; 0 keeps the last weights
    """

    epochs: int = 20
    batch_size: int = 256
    learning_rate: float = 1e-3
    warmup_epochs: float = 2.0
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.95)
    clip_norm: float = 1.0
    average_decay: float = 0.0


@dataclass(frozen=True)
class Pretraining:
    """Masked image modelling (He et al. 2021, arXiv:2111.06377)."""

    schedule: Schedule = Schedule(epochs=20, batch_size=256, learning_rate=1.5e-4)
    augmentation: Augmentation = Augmentation()
    mask_ratio: float = 0.75
    decoder_dim: int = 256
    decoder_depth: int = 4
    decoder_heads: int = 8


@dataclass(frozen=True)
class Finetuning:
    """Binary classification.

    drop_path     stochastic depth of the last block (Huang et al. 2016, arXiv:1603.09382)
    layer_decay   the learning rate of a block is this times that of the block above (Clark et al. 2020, ELECTRA)
    patience      epochs without a better validation loss before stopping, the best weights kept; None: the last weights
                  are kept and the validation fold has no part in training. With patience the out-of-fold numbers are
                  somewhat optimistic, and the report says so.
    mixup         parameter of the Beta distribution (Zhang et al. 2018, arXiv:1710.09412); 0 is off
    keep_patches  share of the patches that a training step sees (Liu et al. 2022, arXiv:2208.07220); serving sees all
    auxiliary     columns of the label table that the training subjects' features are also asked to tell (Caruana 1997,
                  doi 10.1023/A:1007379606734), weighted by auxiliary_weight; that part of the head is thrown away
    """

    schedule: Schedule = Schedule(
        epochs=20, batch_size=64, learning_rate=1e-3, warmup_epochs=2, weight_decay=0.05, betas=(0.9, 0.999)
    )
    augmentation: Augmentation = Augmentation()
    drop_path: float = 0.1
    layer_decay: float = 0.75
    class_weights: bool = True
    label_smoothing: float = 0.1
    mixup: float = 0.0
    keep_patches: float = 1.0
    auxiliary: tuple[str, ...] = ()
    auxiliary_weight: float = 0.5
    patience: int | None = 5


@dataclass(frozen=True)
class Recipe:
    """Everything that shaped a set of weights and their bands, except the data.

    preprocessing: also which planes are read, each with its weight; weights_from_folds: choose these in calibration
    level: of the conformal sets, the share of each label's subjects whose set is to hold their label
    notes: paragraphs for the model card;  cost, result: what somebody who runs it should expect
    """

    name: str
    seed: int = 2025
    folds: int = 5
    architecture: Architecture = field(default_factory=Architecture)
    preprocessing: Preprocessing = field(default_factory=Preprocessing.card)
    pretraining: Pretraining | None = Pretraining()
    finetuning: Finetuning = Finetuning()
    dropout_samples: int = 10
    level: float = 0.9
    weights_from_folds: bool = False
    notes: tuple[str, ...] = ()
    cost: str = ""
    result: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for manifests and reports; without `weights_from_folds` where it is off: older ones stay."""
        values = asdict(self) | {
            "architecture": self.architecture.model_dump(),
            "preprocessing": self.preprocessing.to_dict(),
        }
        return {key: value for key, value in values.items() if value or key != "weights_from_folds"}

    @property
    def choices(self) -> dict[str, Any]:
        """What shapes the weights: everything but the words."""
        return {name: value for name, value in self.to_dict().items() if name not in WORDS}


PUBLISHED = Recipe(
    name="published",
    cost="OASIS-1 and IXI, 249 million parameters: a GPU with 24 GiB; not run here",
    result="never run by us; the original reports AUC 0.893 by slice, its split is not stated",
    notes=("The published network at its published size, on the data and epochs that its card names.",),
)

COMPACT = replace(
    PUBLISHED,
    name="compact",
    architecture=Architecture(covariance_dim=40),
    cost="OASIS-1 and IXI, 25 million parameters: a GPU with 12 GiB; by its pace an hour of an H200; not run here",
    result="never run by us",
    notes=(
        "The size that the published card states: the tokens are projected to 40 dimensions before the covariance.",
    ),
)

ALIGNED = Augmentation(  # images that are already aligned to an atlas need little, and much hides what is looked for
    rotation_degrees=4.0, translation=0.02, scale=0.03, stretch=0.02, gamma=0.2, bias_field=0.1
)

DEMONSTRATION = Recipe(
    name="demonstration",
    architecture=Architecture(embed_dim=64, depth=4, num_heads=2, covariance_dim=24),
    preprocessing=Preprocessing(slices=11, spacing_mm=2.0, below_crown_mm=46.0),
    pretraining=None,
    finetuning=Finetuning(
        schedule=Schedule(
            epochs=80,
            batch_size=8,
            learning_rate=1.28e-2,
            warmup_epochs=3,
            weight_decay=0.2,
            betas=(0.9, 0.999),
            average_decay=0.995,
        ),
        augmentation=ALIGNED,
        drop_path=0.0,
        layer_decay=1.0,
        label_smoothing=0.2,
        keep_patches=0.5,
        auxiliary=("nwbv", "mmse"),
        auxiliary_weight=4.0,
        patience=None,
    ),
    notes=(
        "These weights ship with the package so that the node has something to run: they demonstrate it, no more. "
        "Three slices each of 136 people are far too few to say anything about a patient.",
        "They learnt from 8-bit slices (axial, sagittal, coronal) that were skull-stripped and aligned to an atlas. "
        "The node gives them axial slices of heads as they come from the scanner, with scalp and skull: for those no "
        "number here was measured.",
        "The bundle that ships answers for people of 18 to 96 years, as OASIS-1 has them. The 136 whose labels it "
        "learnt are 60 to 96 years old: of younger people no number here was measured either.",
        "Age is balanced between the labels. Brain volume (nwbv) and MMSE of the training subjects are asked for "
        "beside the label while training, and are not needed afterwards.",
        "The recipe was chosen among about a dozen variants by what they reached on these same folds, and another seed "
        "moves the AUROC by about 0.015: expect less on new subjects. On 60 more, with whom nothing was chosen, "
        "weights of an earlier run of this recipe reached 0.640 (0.488-0.773) by axial slices and 0.664 by all three "
        "views; logistic regression on the pixels of the three views reached 0.707.",
        "Data: OASIS-1 (Marcus et al. 2007, doi 10.1162/jocn.2007.19.9.1498), grants P50 AG05681, P01 AG03991, "
        "R01 AG021910, P50 MH071616, U24 RR021382, R01 MH56584.",
    ),
    cost="about 25 minutes on one core of a server CPU, half a gigabyte of memory",
    result="AUROC by subject, out of fold, 136 subjects: 0.735 (0.645-0.820) by axial slices, 0.710 by all views; "
    "logistic regression on the pixels, same folds, nested: 0.695 and 0.686. Sets at 90 %: 93 % of either label held.",
)

RECIPES = {each.name: each for each in (PUBLISHED, COMPACT, DEMONSTRATION)}


def load(name: str) -> Recipe:
    """A recipe of this file by its name, or `my_recipes.py:NAME` from a Python file, which is executed.

    Raises NoSuchRecipe.
    """
    if name in RECIPES:
        return RECIPES[name]
    path, _, variable = name.rpartition(":")
    if not path.endswith(".py"):
        raise NoSuchRecipe(f"{name}: there is no such recipe; there are {', '.join(RECIPES)}, or my_recipes.py:NAME")
    try:
        found = runpy.run_path(path).get(variable)
    except OSError as error:
        raise NoSuchRecipe(f"{path}: cannot be read: {error.strerror}") from error
    if not isinstance(found, Recipe):
        raise NoSuchRecipe(f"{path}: {variable} is no Recipe")
    return found
