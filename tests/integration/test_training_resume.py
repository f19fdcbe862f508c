"""A run that is killed and resumed ends with the weights of one that was never stopped."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric

from model.training import checkpoints, crossval, datasets, pipeline, sources
from model.training.crossval import Plan
from model.training.datasets import Dataset
from model.training.errors import Diverged, NoTrainingData, ResumeError
from model.training.hardware import start
from model.training.loop import Numbers
from model.training.recipes import Recipe
from tests import training_data
from tests.training_data import TINY

pytestmark = pytest.mark.slow

AVERAGED = replace(
    TINY,
    finetuning=replace(
        TINY.finetuning, mixup=0.4, schedule=replace(TINY.finetuning.schedule, epochs=4, average_decay=0.9)
    ),
)


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    table = training_data.table(tmp_path / "data", [0, 1] * 6)
    return datasets.load(sources.find(table), TINY.preprocessing, tmp_path / "cache")


def plan(
    folder: Path, recipe: Recipe = AVERAGED, *, resume: bool = False, die_at: tuple[str, int] | None = None
) -> Plan:
    def report(stage: str, epoch: int, epochs: int, numbers: Numbers) -> None:
        if (stage, epoch) == die_at:
            raise Killed

    return Plan(start("cpu"), recipe, folder, resume=resume, report=report)


@pytest.mark.parametrize("die_at", [("fold_1/pretraining", 1), ("fold_1", 2), ("fold_2", 4)])
def test_a_resumed_cross_validation_gives_the_same_predictions(
    dataset: Dataset, tmp_path: Path, die_at: tuple[str, int]
) -> None:
    whole = crossval.crossvalidate(plan(tmp_path / "whole"), dataset.slices)
    with pytest.raises(Killed):
        crossval.crossvalidate(plan(tmp_path / "broken", die_at=die_at), dataset.slices)
    resumed = crossval.crossvalidate(plan(tmp_path / "broken", resume=True), dataset.slices)
    np.testing.assert_array_equal(resumed.logits, whole.logits)
    np.testing.assert_array_equal(resumed.subjects, whole.subjects)


def test_resuming_a_finished_run_changes_nothing(dataset: Dataset, tmp_path: Path) -> None:
    first = crossval.train_final(plan(tmp_path / "run"), dataset.slices)
    again = crossval.train_final(plan(tmp_path / "run", resume=True), dataset.slices)
    for name, value in first.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, atol=0, rtol=0)


def test_a_checkpoint_of_another_recipe_or_other_data_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    crossval.train_final(plan(tmp_path / "run"), dataset.slices)
    with pytest.raises(ResumeError, match="another recipe or other data"):
        crossval.train_final(plan(tmp_path / "run", replace(AVERAGED, seed=8), resume=True), dataset.slices)
    fewer = dataset.slices.without_subjects({"S000"})
    with pytest.raises(ResumeError, match="another recipe or other data"):
        crossval.train_final(plan(tmp_path / "run", resume=True), fewer)


def test_a_folder_with_a_run_in_it_is_not_overwritten(dataset: Dataset, tmp_path: Path) -> None:
    pipeline.begin(plan(tmp_path / "run"), dataset)
    with pytest.raises(ResumeError, match="holds a run already"):
        pipeline.begin(plan(tmp_path / "run"), dataset)
    pipeline.begin(plan(tmp_path / "run", resume=True), dataset)
    with pytest.raises(ResumeError, match="another recipe"):
        pipeline.begin(plan(tmp_path / "run", replace(AVERAGED, seed=8), resume=True), dataset)


class OnTwoMachines(Fabric):
    """Stands for a second machine, which answers otherwise in the vote of this number."""

    def __init__(self, differs_in: int) -> None:
        super().__init__(accelerator="cpu", devices=1)
        self.votes, self.differs_in = 0, differs_in

    def all_gather(self, data: Any, group: Any = None, sync_grads: bool = False) -> torch.Tensor:
        self.votes += 1
        return torch.stack([data, data + 1 if self.votes == self.differs_in else data])


@pytest.mark.parametrize(
    ("vote", "error", "said"), [(1, NoTrainingData, "the same images"), (2, ResumeError, "the same folder")]
)
def test_machines_that_do_not_see_the_same_do_not_begin(
    dataset: Dataset, tmp_path: Path, vote: int, error: type[Exception], said: str
) -> None:
    pipeline.begin(Plan(OnTwoMachines(differs_in=0), AVERAGED, tmp_path / "first"), dataset)
    with pytest.raises(error, match=f"{said} on every machine"):
        pipeline.begin(Plan(OnTwoMachines(differs_in=vote), AVERAGED, tmp_path / "second"), dataset)


@pytest.mark.parametrize("keep", [0, 100, 5000])
def test_a_damaged_checkpoint_is_named(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "checkpoint.pt"
    checkpoints.save(path, {"fingerprint": "a", "network": {"weight": torch.zeros(5000)}})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ResumeError, match=r"checkpoint\.pt: is no readable checkpoint"):
        checkpoints.load(path, "a")


def test_a_checkpoint_that_carries_code_is_not_executed(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.system, (f"touch {tmp_path / 'sprung'}",)

    torch.save({"fingerprint": "a", "network": Trap()}, tmp_path / "checkpoint.pt")
    with pytest.raises(ResumeError):
        checkpoints.load(tmp_path / "checkpoint.pt", "a")
    assert not (tmp_path / "sprung").exists()


def test_a_loss_that_is_not_finite_stops_the_run(dataset: Dataset, tmp_path: Path) -> None:
    wild = replace(TINY.finetuning, schedule=replace(TINY.finetuning.schedule, learning_rate=1e30, clip_norm=1e30))
    with pytest.raises(Diverged, match="lower the learning rate"):
        crossval.train_final(plan(tmp_path / "run", replace(TINY, pretraining=None, finetuning=wild)), dataset.slices)


def test_a_process_that_is_killed_leaves_a_run_that_can_be_resumed(tmp_path: Path) -> None:
    """A real process, a real SIGKILL at an arbitrary moment, then --resume on the command line."""
    table = training_data.table(tmp_path / "data", [0, 1] * 6)
    recipe = Path(__file__).resolve().parents[1] / "training_data.py"
    command = [sys.executable, "-m", "node", "model", "crossval", str(table), "--recipe", f"{recipe}:TINY"]
    command += ["--cache", str(tmp_path / "cache"), "--device", "cpu", "--out", str(tmp_path / "run")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (tmp_path / "run" / "fold_1" / "checkpoint.pt").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "run" / "report").exists()
    subprocess.run([*command, "--resume"], env=environment, check=True, capture_output=True, timeout=100)
    assert (tmp_path / "run" / "report" / "index.html").exists()
    whole = tmp_path / "whole"
    subprocess.run([*command[:-1], str(whole)], env=environment, check=True, capture_output=True, timeout=100)
    for name in ("calibration.json", "folds.json"):
        assert (tmp_path / "run" / name).read_bytes() == (whole / name).read_bytes()
