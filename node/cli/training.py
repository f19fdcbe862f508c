"""`neurossl model data|pretrain|crossval|finetune|calibrate|report|export|train|evaluate`: from images to a bundle."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.training_options import CacheFolder, Device, Folders, Oasis, RunOptions, load, takes_run_options
from node.cli.training_output import (
    as_report,
    out,
    print_evaluation,
    print_facts,
    print_skipped,
    problems,
    progress_bar,
)

if TYPE_CHECKING:
    from model.training.crossval import Plan
    from model.training.datasets import Dataset

RunFolder = Annotated[Path, typer.Argument(help="The folder of a run.")]


def register(app: typer.Typer) -> None:
    """Put the commands on the `model` group, which node/cli/model.py makes."""
    group = _model_group(app)
    for name, command in (
        ("data", data),
        ("pretrain", pretrain),
        ("crossval", crossval),
        ("finetune", finetune),
        ("calibrate", calibrate),
        ("report", report),
        ("export", export),
        ("train", train),
        ("evaluate", evaluate),
    ):
        group.command(name)(command)


def data(
    folders: Folders,
    cache: CacheFolder = None,
    oasis: Oasis = "raw",
    sheet: Annotated[Path | None, typer.Option(help="Write a contact sheet PNG of the slices here.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what the folders hold: subjects, slices, labels, and what is skipped, and why."""
    with problems():
        found = load(folders, cache, oasis)
        if sheet is not None:
            from model.training import figures

            figures.save(figures.dataset_sample(found.slices), sheet)
        if as_json:
            skipped = [{"path": str(each.path), "reason": each.reason} for each in found.skipped]
            out.print_json(json.dumps(found.summary | {"skipped": skipped}))
            return
        print_facts(found.summary)
        print_skipped(found)
        if sheet is not None:
            out.print(f"contact sheet: {sheet}")


@takes_run_options(without=("encoder", "half"))
def pretrain(options: RunOptions) -> None:
    """Pre-train an encoder without labels: RUN/pretraining/encoder.safetensors, loss curve, reconstructions."""
    with problems():
        plan, dataset = options.begin()
        import numpy as np

        from model.training import figures
        from model.training import pretrain as pretraining

        part = plan.run("pretraining", dataset.slices)
        fitted = pretraining.pretrain(plan.fabric, dataset.slices, plan.recipe, part)
        if plan.fabric.is_global_zero:
            curve = figures.training({"pretraining": list(fitted.history)}, "Pre-training: masked image modelling")
            figures.save(curve, part.folder / "loss.png")
            with np.load(part.folder / pretraining.PICTURES, allow_pickle=False) as pictures:
                figures.save(figures.reconstructions(dict(pictures)), part.folder / "reconstructions.png")
            out.print(f"encoder: {part.folder / pretraining.ENCODER}")


@takes_run_options(without=("half",))
def crossval(options: RunOptions) -> None:
    """Train one network per fold and keep what each says of the fold it has not seen; calibrate; report."""
    with problems():
        plan, dataset = options.begin()
        _crossvalidate(plan, dataset)


@takes_run_options(without=("half",))
def finetune(options: RunOptions) -> None:
    """Train one network on all labelled subjects: RUN/final/weights.safetensors. Nothing is left to measure it on."""
    with problems():
        plan, dataset = options.begin()
        from model.training import pipeline

        pipeline.finish(plan, dataset.slices)


def calibrate(run: RunFolder) -> None:
    """Choose temperature and decision bands from the out-of-fold predictions of a run; say how often they hold."""
    with problems():
        from model.training import pipeline

        found = pipeline.calibrated(run)
        print_facts(
            {
                "temperature": f"{found.temperature:.4f}",
                "ECE by subject": f"{found.ece_before:.4f} before, {found.ece_after:.4f} after",
                **{name: f"{value:.4g}" for name, value in found.conformal.limits.items()},
                **{f"held, label {label}": str(held) for label, held in found.coverage.held.items()},
            }
        )


def report(
    run: RunFolder,
    folders: Annotated[list[Path], typer.Argument(help="The folders of images that the run was made with.")],
    cache: CacheFolder = None,
    oasis: Oasis = "raw",
) -> None:
    """Write RUN/report: PNGs, one HTML page, the numbers as JSON, the model card."""
    with problems():
        from model.training import pipeline

        _report(run, load(folders, cache, oasis, pipeline.read_recipe(run).preprocessing))


def export(
    run: RunFolder,
    bundle: Annotated[Path, typer.Argument(help="Folder of the bundle.")],
    half: Annotated[bool, typer.Option(help="Store half precision.")] = False,
) -> None:
    """Make the bundle of a finished run: final weights, temperature, bounds, recipe, card."""
    with problems():
        from model.training import pipeline

        out.print(f"bundle: {bundle} ({pipeline.export(run, bundle, half=half).model_id.sha256[:16]}…)")


@takes_run_options()
def train(options: RunOptions) -> None:
    """The whole way: cross-validation, calibration, report, the network on all subjects, RUN/bundle."""
    with problems():
        plan, dataset = options.begin()
        _crossvalidate(plan, dataset)
        from model.training import pipeline

        pipeline.finish(plan, dataset.slices)
        if plan.fabric.is_global_zero:
            pipeline.export(plan.folder, plan.folder / "bundle", half=options.half)
            out.print(f"bundle: {plan.folder / 'bundle'}")


def evaluate(
    bundle: Annotated[Path, typer.Option(help="Folder of the bundle.")],
    labels: Annotated[Path, typer.Option(help="Table: subject_id, label_demented, axial, sagittal, coronal.")],
    images: Annotated[Path, typer.Option(help="Folder that the image names are relative to.")],
    device: Device = "auto",
    cache: Annotated[Path | None, typer.Option(help="Keep the slices here for another time.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure a bundle on labelled images, with the numbers and intervals of the training report."""
    with problems():
        from model.bundle import Bundle
        from model.training import datasets, sources
        from model.training.evaluate import evaluate as measured
        from model.training.predictions import predict

        loaded = Bundle.load(bundle)
        found = sources.table(labels, images, to_train=False)
        with TemporaryDirectory() as passing:
            with progress_bar("reading") as progress:
                dataset = datasets.load(found, loaded.manifest.preprocessing, cache or Path(passing), progress)
            with progress_bar("predicting") as progress:
                predictions = predict(loaded, dataset.slices, device=device, report=as_report(progress))
        manifest = loaded.manifest
        result = measured(predictions, manifest.temperature, manifest.bands, manifest.preprocessing.weights)
        if as_json:
            skipped = [{"path": str(each.path), "reason": each.reason} for each in dataset.skipped]
            identity = {"bundle": loaded.model_id.name, "sha256": loaded.model_id.sha256}
            out.print_json(json.dumps(identity | result.to_dict() | {"skipped": skipped}))
            return
        print_skipped(dataset)
        print_evaluation(result)


def _crossvalidate(plan: "Plan", dataset: "Dataset") -> None:
    from model.training import crossval as crossvalidation

    crossvalidation.crossvalidate(plan, dataset.slices)
    if plan.fabric.is_global_zero:
        _report(plan.folder, dataset)
    plan.fabric.barrier()


def _report(run: Path, dataset: "Dataset") -> None:
    from model.training import pipeline
    from model.training import report as reports

    results = pipeline.results(run, dataset.slices)
    page = reports.write(results, run)
    print_evaluation(results.evaluation)
    out.print(f"report: {page}")


def _model_group(app: typer.Typer) -> typer.Typer:
    for each in app.registered_groups:
        if each.typer_instance is not None and "model" in (each.name, each.typer_instance.info.name):
            return each.typer_instance
    group = typer.Typer(help="Weights: make, import, measure.", no_args_is_help=True)
    app.add_typer(group, name="model")
    return group
