"""Cross-validation: for each fold, a network that has seen nothing of it says what it thinks of it.

Pre-training happens inside each fold too, on the training subjects alone, unless an encoder is brought along; then the
subjects that encoder has seen are counted, and the report says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning_fabric import Fabric

from model.classifier import SecondOrderClassifier
from model.training import checkpoints, datasets, folds
from model.training.datasets import Slices
from model.training.export import to_bundle
from model.training.finetune import finetune
from model.training.folds import Split
from model.training.loop import Report, Run
from model.training.predictions import Predictions, predict
from model.training.pretrain import ENCODER, pretrain, subjects_seen
from model.training.recipes import Recipe


@dataclass(frozen=True)
class Plan:
    """A run of the pipeline.

    folder   everything is written here;  encoder: pre-trained before, or None
    resume   go on where an earlier run in the same folder stopped
    """

    fabric: Fabric
    recipe: Recipe
    folder: Path
    encoder: Path | None = None
    resume: bool = False
    report: Report | None = None

    def run(self, name: str, data: Slices) -> Run:
        """The part of this run that is kept in the folder `name` and learns from `data`."""
        encoder = None if self.encoder is None else checkpoints.file_hash(self.encoder)
        mark = checkpoints.fingerprint(self.recipe.choices, name, data.known, encoder)
        return Run(self.folder / name, name, self.recipe.seed, mark, self.resume, self.report)


def crossvalidate(plan: Plan, slices: Slices) -> Predictions:
    """Out-of-fold predictions of every labelled slice, through T = 1 bundles that stay in `fold_<k>/bundle`.

    Raises SubjectLeak, NoTrainingData, ResumeError, Diverged.
    """
    labelled = slices.labelled()
    assigned = datasets.folds_of(labelled, plan.recipe.folds, plan.recipe.seed)
    if plan.fabric.is_global_zero:
        checkpoints.write_json(plan.folder / "folds.json", dict(sorted(assigned.items())))
    return Predictions.joined([_fold(plan, slices, labelled, split) for split in folds.splits(assigned)])


def train_final(plan: Plan, slices: Slices) -> SecondOrderClassifier:
    """The network that is shipped: the same recipe on all labelled subjects, in the folder `final`."""
    return _train(plan, "final", slices, slices.labelled(), None)


def already_seen(encoder: Path | None, assigned: Mapping[str, int]) -> int:
    """How many labelled subjects the pre-trained encoder has seen, without labels."""
    return 0 if encoder is None else len(subjects_seen(encoder) & set(assigned))


def _fold(plan: Plan, slices: Slices, labelled: Slices, split: Split) -> Predictions:
    name = f"fold_{split.fold}"
    training, validation = labelled.of_subjects(split.training), labelled.of_subjects(split.validation)
    done = plan.folder / name / "predictions.npz"
    finished = plan.resume and done.exists()
    network = _train(plan, name, slices.without_subjects(split.validation), training, validation)
    if finished:  # and of this recipe and these data, or the checkpoint would have been refused
        return Predictions.load(done)
    bundle = to_bundle(network, plan.recipe, provenance={"source": f"cross-validation, fold {split.fold} left out"})
    predictions = predict(bundle, validation, fold=split.fold, device=_device(plan.fabric))
    if plan.fabric.is_global_zero:
        bundle.save(plan.folder / name / "bundle")
        predictions.save(done)
    plan.fabric.barrier()
    return predictions


def _train(
    plan: Plan, name: str, unlabelled: Slices, training: Slices, validation: Slices | None
) -> SecondOrderClassifier:
    encoder = plan.encoder
    if encoder is None and plan.recipe.pretraining is not None:
        run = plan.run(f"{name}/pretraining", unlabelled)
        pretrain(plan.fabric, unlabelled, plan.recipe, run)
        encoder = run.folder / ENCODER
    return finetune(plan.fabric, training, validation, plan.recipe, plan.run(name, training), encoder)


def _device(fabric: Fabric) -> str:
    return "cpu" if fabric.device == torch.device("cpu") else str(fabric.device)
