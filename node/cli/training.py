"""`neurossl model data|pretrain|crossval|finetune|calibrate|report|export|train|evaluate`: from images to a bundle."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.training_output import (
    as_report,
    out,
    print_epoch,
    print_evaluation,
    print_facts,
    print_skipped,
    problems,
    progress_bar,
)

if TYPE_CHECKING:
    from model.training.crossval import Plan
    from model.training.datasets import Dataset
    from model.training.recipes import Recipe

Folders = Annotated[list[Path], typer.Argument(help="Folders of images; see `neurossl model data`.")]
RunFolder = Annotated[Path, typer.Argument(help="The folder of a run.")]
Target = Annotated[Path, typer.Option("--out", help="Folder of the run; everything is written there.")]
RecipeName = Annotated[str, typer.Option("--recipe", help="published, compact, demonstration, or my_recipes.py:NAME.")]
CacheFolder = Annotated[
    Path | None, typer.Option("--cache", help="Where slices are kept; ~/.cache/neurossl if absent.")
]
Oasis = Annotated[str, typer.Option("--oasis", help="Which images of OASIS-1 as distributed: raw, t88 or t88-masked.")]
Encoder = Annotated[Path | None, typer.Option("--encoder", help="A pre-trained encoder; none: pre-train in each fold.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where the run in the folder stopped.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
Devices = Annotated[int, typer.Option("--devices", min=1, help="Processes, one device each, on each machine.")]
Nodes = Annotated[int, typer.Option("--nodes", min=1, help="Machines; start the command on each through torchrun.")]
Precision = Annotated[str, typer.Option("--precision", help="32-true or bf16-mixed.")]


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
        found = _load(folders, cache, oasis)
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


def pretrain(
    folders: Folders,
    run: Target,
    recipe: RecipeName = "compact",
    cache: CacheFolder = None,
    oasis: Oasis = "raw",
    resume: Resume = False,
    device: Device = "auto",
    devices: Devices = 1,
    nodes: Nodes = 1,
    precision: Precision = "32-true",
) -> None:
    """Pre-train an encoder without labels: RUN/pretraining/encoder.safetensors, loss curve, reconstructions."""
    with problems():
        plan, dataset = _prepare(folders, run, recipe, cache, oasis, resume, (device, devices, nodes, precision))
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


def crossval(
    folders: Folders,
    run: Target,
    recipe: RecipeName = "compact",
    cache: CacheFolder = None,
    oasis: Oasis = "raw",
    encoder: Encoder = None,
    resume: Resume = False,
    device: Device = "auto",
    devices: Devices = 1,
    nodes: Nodes = 1,
    precision: Precision = "32-true",
) -> None:
    """Train one network per fold and keep what each says of the fold it has not seen; calibrate; report."""
    with problems():
        hardware = (device, devices, nodes, precision)
        plan, dataset = _prepare(folders, run, recipe, cache, oasis, resume, hardware, encoder)
        _crossvalidate(plan, dataset)


def finetune(
    folders: Folders,
    run: Target,
    recipe: RecipeName = "compact",
    cache: CacheFolder = None,
    oasis: Oasis = "raw",
    encoder: Encoder = None,
    resume: Resume = False,
    device: Device = "auto",
    devices: Devices = 1,
    nodes: Nodes = 1,
    precision: Precision = "32-true",
) -> None:
    """Train one network on all labelled subjects: RUN/final/weights.safetensors. Nothing is left to measure it on."""
    with problems():
        hardware = (device, devices, nodes, precision)
        plan, dataset = _prepare(folders, run, recipe, cache, oasis, resume, hardware, encoder)
        from model.training import pipeline

        pipeline.finish(plan, dataset.slices)


def calibrate(run: RunFolder) -> None:
    """Choose temperature and decision bands from the out-of-fold predictions of a run."""
    with problems():
        from model.training import pipeline

        found = pipeline.calibrated(run)
        print_facts(
            {
                "temperature": f"{found.temperature:.4f}",
                "ECE by subject": f"{found.ece_before:.4f} before, {found.ece_after:.4f} after",
                **{name: f"{value:.4f}" for name, value in found.thresholds.model_dump().items()},
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
        _report(run, _load(folders, cache, oasis, run))


def export(
    run: RunFolder,
    bundle: Annotated[Path, typer.Argument(help="Folder of the bundle.")],
    half: Annotated[bool, typer.Option(help="Store half precision.")] = False,
) -> None:
    """Make the bundle of a finished run: final weights, temperature, bounds, recipe, card."""
    with problems():
        from model.training import pipeline

        out.print(f"bundle: {bundle} ({pipeline.export(run, bundle, half=half).model_id.sha256[:16]}…)")


def train(
    folders: Folders,
    run: Target,
    recipe: RecipeName = "compact",
    cache: CacheFolder = None,
    oasis: Oasis = "raw",
    encoder: Encoder = None,
    resume: Resume = False,
    half: Annotated[bool, typer.Option(help="Store the bundle in half precision.")] = False,
    device: Device = "auto",
    devices: Devices = 1,
    nodes: Nodes = 1,
    precision: Precision = "32-true",
) -> None:
    """The whole way: cross-validation, calibration, report, the network on all subjects, RUN/bundle."""
    with problems():
        hardware = (device, devices, nodes, precision)
        plan, dataset = _prepare(folders, run, recipe, cache, oasis, resume, hardware, encoder)
        _crossvalidate(plan, dataset)
        from model.training import pipeline

        pipeline.finish(plan, dataset.slices)
        if plan.fabric.is_global_zero:
            pipeline.export(run, run / "bundle", half=half)
            out.print(f"bundle: {run / 'bundle'}")


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
        result = measured(predictions, loaded.manifest.temperature, loaded.manifest.thresholds)
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


def _prepare(
    folders: list[Path],
    run: Path,
    name: str,
    cache: Path | None,
    oasis: str,
    resume: bool,
    hardware: tuple[str, int, int, str],
    encoder: Path | None = None,
) -> tuple["Plan", "Dataset"]:
    from model.training import pipeline, recipes
    from model.training.crossval import Plan
    from model.training.hardware import start

    recipe = recipes.load(name)
    fabric = start(*hardware)
    dataset = _load(folders, cache, oasis, recipe=recipe)
    if fabric.is_global_zero:
        print_facts(dataset.summary)
        print_skipped(dataset)
    plan = Plan(fabric, recipe, run, encoder, resume, print_epoch)
    pipeline.begin(plan, dataset)
    return plan, dataset


def _load(
    folders: list[Path], cache: Path | None, oasis: str, run: Path | None = None, recipe: "Recipe | None" = None
) -> "Dataset":
    from model.slicing import Preprocessing
    from model.training import datasets, pipeline, sources
    from node.offline.sources import dicom_sources

    if oasis not in sources.OASIS_FILES:
        raise typer.BadParameter(f"--oasis: {oasis} is none of {', '.join(sources.OASIS_FILES)}")
    if run is not None:
        recipe = pipeline.read_recipe(run)
    found = sources.together([sources.find(folder, oasis, dicom_sources) for folder in folders])
    preprocessing = Preprocessing.card() if recipe is None else recipe.preprocessing
    with progress_bar("reading") as progress:
        return datasets.load(found, preprocessing, _cache(cache), progress)


def _cache(folder: Path | None) -> Path:
    return folder or Path.home() / ".cache" / "neurossl"


def _model_group(app: typer.Typer) -> typer.Typer:
    for each in app.registered_groups:
        if each.typer_instance is not None and "model" in (each.name, each.typer_instance.info.name):
            return each.typer_instance
    group = typer.Typer(help="Weights: make, import, measure.", no_args_is_help=True)
    app.add_typer(group, name="model")
    return group
