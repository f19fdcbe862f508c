"""The stages of a run in their order, each leaving files that the next one reads, so that any can be run alone.

RUN/recipe.json, data.json     what was asked for, and of what
RUN/fold_<k>/                  checkpoint, history, pre-training, bundle at T = 1, out-of-fold predictions
RUN/calibration.json           temperature, sets, their measured coverage
RUN/final/weights.safetensors  the network trained on all labelled subjects
RUN/report/                    numbers.json, PNGs, index.html, CARD.md
RUN/bundle/                    what the node loads, with its card
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydantic
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from model import network as networks
from model.bands import Conformal
from model.bundle import Bundle
from model.classifier import SecondOrderClassifier
from model.manifest import Subjects
from model.training import baseline, calibrate, checkpoints, crossval, loop, report
from model.training.calibrate import Calibration
from model.training.crossval import Plan
from model.training.datasets import Dataset, Slices
from model.training.errors import NoTrainingData, ResumeError
from model.training.evaluate import evaluate
from model.training.export import to_bundle
from model.training.hardware import agree
from model.training.predictions import Predictions
from model.training.recipes import Recipe
from model.training.report import Results

RECIPE, DATA, CALIBRATION, WEIGHTS = "recipe.json", "data.json", "calibration.json", "final/weights.safetensors"


def begin(plan: Plan, dataset: Dataset) -> None:
    """Claim the folder for this recipe.

    Raises ResumeError when another run lies there, this one and no `resume`, or when not every process sees the folder;
    NoTrainingData when not every process has the same images.
    """
    mine = plan.folder / RECIPE
    if mine.exists() and not plan.resume:
        raise ResumeError(f"{plan.folder}: holds a run already; resume it, or choose another folder")
    if mine.exists() and read_recipe(plan.folder).choices != plan.recipe.choices:
        raise ResumeError(f"{plan.folder}: holds a run of another recipe; choose another folder")
    slices = dataset.slices
    if not agree(plan.fabric, loop.seed_of(checkpoints.fingerprint(slices.known, slices.subjects.tolist()))):
        raise NoTrainingData(f"{dataset.found.root}: does not hold the same images on every machine")
    plan.fabric.barrier()  # no process looks for a run after another has begun this one
    if plan.fabric.is_global_zero:
        checkpoints.write_json(mine, plan.recipe.to_dict())
        seen = crossval.already_seen(plan.encoder, dataset.slices.label_of)
        checkpoints.write_json(plan.folder / DATA, dataset.summary | {"subjects_seen_in_pretraining": seen})
    plan.fabric.barrier()
    if not agree(plan.fabric, int(mine.exists()) and loop.seed_of(checkpoints.file_hash(mine))):
        raise ResumeError(f"{plan.folder}: is not the same folder on every machine; put it where all can reach it")


def out_of_fold(folder: Path) -> Predictions:
    """The predictions of all folds of a run. Raises ResumeError when a fold is not finished."""
    assigned = _read(folder / "folds.json")
    files = [folder / f"fold_{fold}" / "predictions.npz" for fold in sorted(set(assigned.values()))]
    if missing := [each for each in files if not each.exists()]:
        raise ResumeError(f"{missing[0]}: is not there yet; finish the cross-validation first")
    return Predictions.joined([Predictions.load(each) for each in files])


def calibrated(folder: Path) -> Calibration:
    """Choose temperature and sets from a run's out-of-fold predictions, and keep them beside it."""
    recipe = read_recipe(folder)
    weights = recipe.preprocessing.weights
    found = calibrate.calibrate(out_of_fold(folder), recipe.level, weights, from_folds=recipe.weights_from_folds)
    checkpoints.write_json(folder / CALIBRATION, found.to_dict() | {"rules": calibrate.RULES})
    return found


def finish(plan: Plan, slices: Slices) -> SecondOrderClassifier:
    """Train on all labelled subjects and keep the weights."""
    network = crossval.train_final(plan, slices)
    if plan.fabric.is_global_zero:
        part = (plan.folder / WEIGHTS).with_suffix(".part")
        save_file({name: value.contiguous() for name, value in network.state_dict().items()}, part)
        part.replace(plan.folder / WEIGHTS)
    plan.fabric.barrier()
    return network


def results(folder: Path, slices: Slices) -> Results:
    """Everything about a finished cross-validation that a report tells; temperature and sets are chosen anew."""
    recipe, found, predictions = read_recipe(folder), calibrated(folder), out_of_fold(folder)
    data = _read(folder / DATA)
    seen = int(data.pop("subjects_seen_in_pretraining"))
    rows, features = _in_order_of(predictions, slices, folder)
    return Results(
        recipe=recipe,
        data=data,
        slices=rows,
        predictions=predictions,
        calibration=found,
        evaluation=replace(
            evaluate(predictions, found.temperature, found.conformal, found.weights), coverage=found.coverage
        ),
        features=features,
        baseline=baseline.measured(slices.labelled(), _read(folder / "folds.json"), recipe.seed),
        seen_before=seen,
    )


def export(folder: Path, target: Path, *, half: bool = False) -> Bundle:
    """The bundle of a finished run, and its card: final weights, with temperature and sets from out of fold."""
    recipe, found, data = read_recipe(folder), _read(folder / CALIBRATION), _read(folder / DATA)
    network = networks.build(recipe.architecture)
    try:
        network.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ResumeError(f"{folder / WEIGHTS}: cannot be used: {str(error).splitlines()[0]}") from error
    bundle = to_bundle(
        network,
        recipe,
        temperature=found["temperature"],
        conformal=Conformal.model_validate(found["conformal"]),
        weights=found.get("weights"),
        subjects=Subjects(age_years=data.get("age_years")),
        provenance={"source": "trained by `neurossl model train`", "data": json.dumps(data, sort_keys=True)},
        half=half,
    )
    bundle.save(target)
    card = folder / "report" / "CARD.md"
    if card.exists():
        checkpoints.write_text(target / "CARD.md", card.read_text(encoding="utf-8"))
    return bundle


def read_recipe(folder: Path) -> Recipe:
    """The recipe that a run was begun with. Raises ResumeError."""
    try:
        return pydantic.TypeAdapter(Recipe).validate_python(_read(folder / RECIPE))
    except pydantic.ValidationError as error:
        raise ResumeError(f"{folder / RECIPE}: {error.errors()[0]['msg']}") from error


def _in_order_of(
    predictions: Predictions, slices: Slices, folder: Path
) -> tuple[Slices, np.ndarray[Any, np.dtype[np.float32]]]:
    """The slices in the order in which they were predicted, and their CLS features by the network of their fold."""
    assigned: Mapping[str, int] = _read(folder / "folds.json")
    labelled = slices.labelled()
    order, features = [], []
    for fold in sorted(set(assigned.values())):
        network = networks.load(Bundle.load(folder / f"fold_{fold}" / "bundle"))
        for name in sorted(each for each in assigned if assigned[each] == fold):
            own = np.flatnonzero(labelled.subjects == name)
            order.append(own)
            features.append(report.cls_features(network, labelled.numbered(own)))
    rows = labelled.numbered(np.concatenate(order))
    if not np.array_equal(rows.subjects, predictions.subjects):
        raise ResumeError(f"{folder}: its predictions are of other slices than the folder of images holds now")
    return rows, np.concatenate(features)


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ResumeError(f"{path}: cannot be read; is this the folder of a run?") from error
    return content
