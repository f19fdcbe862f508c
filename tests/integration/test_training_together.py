"""Two machines under torchrun learn what one process learns, also when one of them dies and both begin again."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from model.training import crossval, datasets, pipeline, sources
from model.training.crossval import Plan
from model.training.evaluate import evaluate
from model.training.hardware import start
from tests import peers, training_data
from tests.training_data import TOGETHER

pytestmark = pytest.mark.slow

TOLERANCE = 2e-3  # of weights, logits and metrics; sums over two processes are rounded otherwise than over one
TORCHRUN = (sys.executable, "-m", "torch.distributed.run")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}


@contextmanager
def machines(count: int, processes: int, command: Sequence[str]) -> Iterator[list[subprocess.Popen[str]]]:
    """The command under torchrun on so many machines, which are agents on loopback; none is left behind."""
    where = ["--nnodes", str(count), "--nproc-per-node", str(processes)]
    where += ["--master-addr", "127.0.0.1", "--master-port", str(peers.free_port())]  # never by the machine's name
    lines = [[*TORCHRUN, *where, "--node-rank", str(rank), *command] for rank in range(count)]
    agents = [subprocess.Popen(line, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) for line in lines]
    try:
        yield agents
    finally:
        for agent in agents:
            agent.terminate()  # which ends what it started
            agent.communicate(timeout=60)


def kill_child(agent: int) -> None:
    """SIGKILL for the process that learns under this agent."""
    (child,) = map(int, Path(f"/proc/{agent}/task/{agent}/children").read_text().split())
    os.kill(child, signal.SIGKILL)


def metrics(run: Path) -> dict[str, float]:
    found = pipeline.calibrated(run)
    told = evaluate(pipeline.out_of_fold(run), found.temperature, found.conformal).to_dict()
    return {name: each["value"] for name, each in told["by_slice"].items()}


def test_two_machines_learn_what_one_process_learns_also_when_one_died(tmp_path: Path) -> None:
    data, cache, one, two = (tmp_path / name for name in ("data", "cache", "one", "two"))
    training_data.table(data, [0, 1] * 6)
    options = ["--recipe", f"{training_data.__file__}:TOGETHER", "--cache", str(cache), "--device", "cpu"]
    command = ["-m", "node", "model", "crossval", str(data), *options, "--out", str(two)]
    with machines(2, 1, command) as agents:
        while not (two / "fold_0" / "checkpoint.pt").exists() and all(each.poll() is None for each in agents):
            time.sleep(0.05)
        kill_child(agents[1].pid)
        said = [each.communicate(timeout=100)[1] for each in agents]
        assert 0 not in [each.returncode for each in agents], said
    with machines(1, 2, [*command, "--resume"]) as (resumed,):
        slices = datasets.load(sources.find(data), TOGETHER.preprocessing, cache).slices
        crossval.crossvalidate(Plan(start("cpu"), TOGETHER, one), slices)
        said = [resumed.communicate(timeout=100)[1]]
        assert resumed.returncode == 0, said

    assert (two / "folds.json").read_bytes() == (one / "folds.json").read_bytes()
    for name in ("fold_0", "fold_1"):
        learnt, expected = (load_file(run / name / "bundle" / "weights.safetensors") for run in (two, one))
        for parameter, value in expected.items():
            np.testing.assert_allclose(learnt[parameter], value, atol=TOLERANCE, err_msg=f"{name}: {parameter}")
    np.testing.assert_allclose(pipeline.out_of_fold(two).logits, pipeline.out_of_fold(one).logits, atol=TOLERANCE)
    shutil.copy(two / "recipe.json", one)  # which the command writes
    assert metrics(two) == pytest.approx(metrics(one), abs=TOLERANCE)
