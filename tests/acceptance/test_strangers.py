"""Silence towards strangers: what is run calls nobody but its peers, and writes only where it was told to."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from model.bundle import DEMONSTRATION
from tests import factories, training_data, watched

pytestmark = [pytest.mark.slow, pytest.mark.peers, pytest.mark.timeout(400)]

NODE = [sys.executable, "-P", "-m", "node"]
ROOT = Path(__file__).resolve().parents[2]


def demo(folder: Path) -> list[str | Path]:
    """The service with listener, office, worker and inference, and a destination."""
    return [*NODE, "demo", "--keep", folder / "kept"]


def check(folder: Path) -> list[str | Path]:
    """Loads the model as the service does."""
    config = folder / "config.yaml"
    config.write_text(f"data_folder: {folder}/data\nworker:\n  bundle: {DEMONSTRATION}\nlistener:\n  port: 0\n")
    return [*NODE, "check", "--config", config]


def predict(folder: Path) -> list[str | Path]:
    """Without any service."""
    factories.mr_series(folder / "series", slices=48, spacing_mm=(3.3, 2, 2))
    return [*NODE, "predict", "--bundle", DEMONSTRATION, folder / "series"]


def pretrain(folder: Path) -> list[str | Path]:
    """What training stands on: Fabric, torch, pictures."""
    table = training_data.table(folder / "images", [0, 1] * 2)
    recipe = f"{training_data.__file__}:TINY"
    return [*NODE, "model", "pretrain", table, "--out", folder / "run", "--recipe", recipe, "--cache", folder / "cache"]


@pytest.mark.parametrize("command", [demo, check, predict, pretrain], ids=lambda each: each.__name__)
def test_nobody_is_looked_up_or_called_and_nothing_is_written_elsewhere(
    command: Callable[[Path], list[str | Path]], tmp_path: Path
) -> None:
    with watched.network() as network:
        ran = network.run(command(tmp_path), tmp_path, PYTHONPATH=str(ROOT), PYTHONDONTWRITEBYTECODE="1")
    assert ran.code == 0, ran.output
    assert network.asked == set()
    assert network.called == set()
    assert {path for path in ran.wrote if not path.startswith(f"{tmp_path}{os.sep}")} == set()
    assert [path for path in (tmp_path / "scratch").rglob("*") if path.is_file()] == []


CALLING = """
import socket, sys
from pathlib import Path
try:
    socket.create_connection(("analytics.example.org", 443), timeout=1)
except OSError:
    pass
Path(sys.argv[1]).write_text("1")
"""


def test_who_does_call_and_write_is_seen(tmp_path: Path) -> None:
    """The test above can fail."""
    elsewhere = tmp_path / "elsewhere"
    with watched.network() as network:
        ran = network.run([sys.executable, "-c", CALLING, elsewhere], tmp_path)
    assert ran.code == 0, ran.output
    assert network.asked == {"analytics.example.org"}
    assert network.called == {watched.ELSEWHERE}
    assert str(elsewhere) in ran.wrote
