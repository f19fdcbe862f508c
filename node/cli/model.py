"""`neurossl predict`, `neurossl model import|show|demonstration|untrained|benchmark`: the model without any service."""

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from node.cli import drift, trial
from node.cli import model_tables as tables
from node.cli.model_tables import err

BUNDLES = Path("bundles")

BundleFolder = Annotated[Path, typer.Argument(metavar="BUNDLE", help="The folder of a bundle.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]
Precision = Annotated[str, typer.Option("--precision", help="auto (float32), float32, bfloat16; CUDA: tf32, float16.")]
Force = Annotated[bool, typer.Option("--force", help="Replace a bundle that is already there.")]


def register(app: typer.Typer) -> None:
    """Put the commands on the app."""
    group = typer.Typer(help="Weights: make, import, measure.", no_args_is_help=True)
    group.command("import")(import_model)
    for command in (show, demonstration, untrained, benchmark):
        group.command(command.__name__)(command)
    trial.register(group)
    drift.register(group)
    app.add_typer(group, name="model")
    app.command()(predict)


def predict(
    paths: Annotated[list[Path], typer.Argument(help="PNG or JPEG slices, NIfTI volumes, DICOM files; or folders.")],
    bundle: Annotated[Path | None, typer.Option(help="The bundle; none: the one in charge by --config.")] = None,
    config: Annotated[Path, typer.Option(help="Settings, where there are any.")] = Path("config.yaml"),
    device: Device = "auto",
    precision: Precision = "auto",
    heatmap: Annotated[Path | None, typer.Option(help="Write slices with their heat maps to this PNG.")] = None,
    as_json: Json = False,
) -> None:
    """Probability, uncertainty and heat maps of slices, volumes and studies, without any service. Research use only.

    Exit code 1 when an input was not classified because it cannot be read, 2 when the command cannot run.
    """
    with _problems():
        from model import Bundle, Predictor
        from node import charge
        from node.config import Settings, load
        from node.offline.heatmaps import write_heatmaps
        from node.offline.predictions import answers, find
        from node.series.choice import Limits

        settings = load(config) if config.is_file() else Settings()
        folder = bundle or charge.serving(settings).worker.bundle
        if folder is None:
            raise typer.BadParameter("name a bundle with --bundle, or set worker.bundle in config.yaml")
        inputs = find(paths)
        with tables.progress() as tell:
            tell("loads the bundle", 0, 0)
            predictor = Predictor(Bundle.load(folder), device, precision, settings.worker.threads)
            found = answers(inputs, predictor, Limits.of(settings, predictor.manifest), tell)
            results = [*found]
        if as_json:
            sys.stdout.write(json.dumps([tables.plain(each) for each in results], indent=2) + "\n")
        else:
            tables.answers(results, predictor.model_id.trained, f"{predictor.engine_name}, {predictor.precision}")
        if heatmap is not None:
            count = write_heatmaps(((each.name, each.prediction) for each in results if each.prediction), heatmap)
            err.print(f"{escape(str(heatmap))}: {count} pictures" if count else "no picture: nothing was classified")
    counted = [each for each in results if each.kind != "file"] or results  # a stray file in a folder is no failure
    if not counted or any(each.prediction is None for each in counted):
        sys.exit(1)


def import_model(
    source: Annotated[str, typer.Argument(metavar="FILE|HUB_ID", help="A checkpoint, or owner/name on the Hub.")],
    target: Annotated[Path | None, typer.Option("--out", help="Folder of the bundle; none: bundles/NAME.")] = None,
    revision: Annotated[str | None, typer.Option(help="Commit, tag or branch on the Hub; the bundle keeps it.")] = None,
    filename: Annotated[str, typer.Option("--file", help="Name of the file on the Hub.")] = "checkpoint_best.pt",
    name: Annotated[str, typer.Option(help="Name of the model in reports.")] = "neurossl-published",
    version: Annotated[str, typer.Option(help="Version of the model in reports.")] = "1",
    temperature: Annotated[float, typer.Option(help="Calibration; the default is the published one.")] = 1.6995,
    rollout_order: Annotated[str, typer.Option(help="last_to_first (the paper) or first_to_last (as published).")] = (
        "last_to_first"
    ),
    half: Annotated[bool, typer.Option(help="Store float16: half the size, answers from the rounded weights.")] = False,
    force: Force = False,
) -> None:
    """Turn a published checkpoint into a bundle. Nothing in the checkpoint is run."""
    with _problems():
        from model.hub import find
        from model.importer import import_checkpoint
        from model.manifest import Manifest

        folder = _free(target or BUNDLES / name, force)
        manifest = Manifest.checked(
            name=name, version=version, trained=True, temperature=temperature, rollout_order=rollout_order
        )
        fetched = find(source, revision, filename)
        made = import_checkpoint(fetched, manifest, half=half)
        made.save(folder)
        tables.bundle(made, folder)


def show(bundle: BundleFolder, as_json: Json = False) -> None:
    """Check a bundle and print what its manifest says."""
    with _problems():
        from model import Bundle

        loaded = Bundle.load(bundle)
        if as_json:
            facts = {"sha256_of_bundle": loaded.model_id.sha256, **loaded.manifest.model_dump(mode="json")}
            sys.stdout.write(json.dumps(facts, indent=2) + "\n")
        else:
            tables.bundle(loaded, bundle)


def demonstration(
    target: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the new bundle.")],
    brain: Annotated[
        str, typer.Option(help="none (slices of the head), or deepbet (of the brain in an atlas, without skull).")
    ] = "none",
    force: Force = False,
) -> None:
    """Write out the small trained bundle that ships with the package; it demonstrates the node, no more."""
    with _problems():
        from model.bundle import DEMONSTRATION, Bundle, with_brain
        from model.errors import BundleError

        folder = _free(target, force)
        try:
            shutil.copytree(DEMONSTRATION, folder, dirs_exist_ok=True)
        except OSError as error:  # of several files it is a list, without a number
            raise BundleError(f"{folder}: cannot be written: {error}") from error
        if brain != "none":
            with_brain(Bundle.load(folder), brain).save(folder)
        tables.bundle(Bundle.load(folder), folder)


def untrained(
    target: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the new bundle.")],
    preset: Annotated[
        str, typer.Option(help="compact (25 million parameters) or published (249 million).")
    ] = "compact",
    seed: Annotated[int, typer.Option(min=0, help="Of the random weights.")] = 2025,
    force: Force = False,
) -> None:
    """Make a bundle of random weights, to try the node with; its answers mean nothing, and say so."""
    with _problems():
        from model import Bundle

        folder = _free(target, force)
        made = Bundle.untrained(seed, preset)
        made.save(folder)
        tables.bundle(made, folder)


def benchmark(
    bundle: Annotated[Path | None, typer.Option(help="The bundle; none: random weights of the preset.")] = None,
    preset: Annotated[str, typer.Option(help="published or compact.")] = "published",
    device: Annotated[str, typer.Option("--device", help="cpu, cuda or cuda:N.")] = "cpu",
    slices: Annotated[int, typer.Option(min=1, help="Slices answered together.")] = 64,
    repeats: Annotated[int, typer.Option(min=1, help="The best of this many counts.")] = 3,
    everything: Annotated[bool, typer.Option("--all", help="Also the engines that were tried and not chosen.")] = False,
    as_json: Json = False,
) -> None:
    """Measure the card's way, a bare forward and ours on this machine, in one run."""
    with _problems():
        from model import Bundle, benchmark

        with tempfile.TemporaryDirectory(prefix="neurossl-") as folder, tables.progress() as tell:
            if bundle is None:
                tell("makes random weights", 0, 0)
                bundle = Path(folder)
                Bundle.untrained(2025, preset).save(bundle)
            rows = benchmark.ways(device, benchmark.precisions(device), everything=everything)
            results = []
            for each in benchmark.measure(bundle, device, rows, slices, repeats):
                results.append(each)
                tell(f"measures {rows[min(len(results), len(rows)) - 1].kind}", len(results), len(rows) + 1)
            report = benchmark.Report.of(results, Bundle.load(bundle).manifest)
        if as_json:
            sys.stdout.write(json.dumps(report.to_dict(), indent=2) + "\n")
        else:
            tables.report(report)


def _free(folder: Path, force: bool) -> Path:
    """The folder, unless a bundle is in it that nobody asked to replace."""
    if (folder / "manifest.json").exists() and not force:
        raise typer.BadParameter(f"{folder} already holds a bundle; --force replaces it")
    return folder


@contextmanager
def _problems() -> Iterator[None]:
    """What the user can mend is said on standard error, without a traceback, with exit code 2."""
    from model.errors import ModelError
    from node.errors import NodeError

    try:
        yield
    except (ModelError, NodeError) as error:
        err.print(f"[bold red]error[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(2)
