"""The options that the training commands share, and what is loaded by them."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.cli.training_output import print_epoch, print_facts, print_skipped, progress_bar

if TYPE_CHECKING:
    from model.slicing import Preprocessing
    from model.training.crossval import Plan
    from model.training.datasets import Dataset

Folders = Annotated[list[Path], typer.Argument(help="Folders of images; see `neurossl model data`.")]
Target = Annotated[Path, typer.Option("--out", help="Folder of the run; everything is written there.")]
RecipeName = Annotated[str, typer.Option("--recipe", help="published, compact, demonstration, or my_recipes.py:NAME.")]
CacheFolder = Annotated[
    Path | None, typer.Option("--cache", help="Where slices are kept; ~/.cache/neurossl if absent.")
]
Oasis = Annotated[str, typer.Option("--oasis", help="Which images of OASIS-1 as distributed: raw, t88 or t88-masked.")]
Encoder = Annotated[Path | None, typer.Option("--encoder", help="A pre-trained encoder; none: pre-train in each fold.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where the run in the folder stopped.")]
HalfBundle = Annotated[bool, typer.Option(help="Store the bundle in half precision.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
Devices = Annotated[int, typer.Option("--devices", min=1, help="Processes, one device each, on each machine.")]
Nodes = Annotated[int, typer.Option("--nodes", min=1, help="Machines; start the command on each through torchrun.")]
Precision = Annotated[str, typer.Option("--precision", help="32-true or bf16-mixed.")]


@dataclass(frozen=True)
class RunOptions:
    """What a command that trains is asked for; each field is a parameter, and the help has them in this order."""

    folders: Folders
    run: Target
    recipe: RecipeName = "compact"
    cache: CacheFolder = None
    oasis: Oasis = "raw"
    encoder: Encoder = None
    resume: Resume = False
    half: HalfBundle = False
    device: Device = "auto"
    devices: Devices = 1
    nodes: Nodes = 1
    precision: Precision = "32-true"

    def begin(self) -> "tuple[Plan, Dataset]":
        """The plan of the run and its images, said and noted in the folder of the run. Raises ModelError."""
        from model.training import pipeline, recipes
        from model.training.crossval import Plan
        from model.training.hardware import start

        recipe = recipes.load(self.recipe)
        fabric = start(self.device, self.devices, self.nodes, self.precision)
        dataset = load(self.folders, self.cache, self.oasis, recipe.preprocessing)
        if fabric.is_global_zero:
            print_facts(dataset.summary)
            print_skipped(dataset)
        plan = Plan(fabric, recipe, self.run, self.encoder, self.resume, print_epoch)
        pipeline.begin(plan, dataset)
        return plan, dataset


def takes_run_options(*, without: Sequence[str] = ()) -> Callable[[Callable[[RunOptions], None]], Callable[..., None]]:
    """Make a command of the command line from a function of `RunOptions`: all of them but those named."""
    parameters = [each for name, each in inspect.signature(RunOptions).parameters.items() if name not in without]

    def make(command: Callable[[RunOptions], None]) -> Callable[..., None]:
        @wraps(command)
        def with_options(**values: Any) -> None:
            command(RunOptions(**values))

        parsed: Any = with_options  # typer reads what to parse from these two
        parsed.__signature__ = inspect.Signature(parameters)
        parsed.__annotations__ = {each.name: each.annotation for each in parameters}
        return with_options

    return make


def load(
    folders: Sequence[Path], cache: Path | None, oasis: str, preprocessing: "Preprocessing | None" = None
) -> "Dataset":
    """The slices of these folders, by default made as the published card says, with a bar. Raises ModelError."""
    from model.slicing import Preprocessing
    from model.training import datasets, sources
    from node.offline.sources import dicom_sources

    if oasis not in sources.OASIS_FILES:
        raise typer.BadParameter(f"--oasis: {oasis} is none of {', '.join(sources.OASIS_FILES)}")
    found = sources.together([sources.find(folder, oasis, dicom_sources) for folder in folders])
    kept = cache or Path.home() / ".cache" / "neurossl"
    with progress_bar("reading") as progress:
        return datasets.load(found, preprocessing or Preprocessing.card(), kept, progress)
