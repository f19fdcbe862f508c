"""What is typed often, or asked every few seconds, answers at once: it loads only what it needs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

LIBRARIES = [
    "torch",
    "openvino",
    "highdicom",
    "nilearn",
    "scipy",
    "matplotlib",
    "sqlalchemy",
    "alembic",
    "apscheduler",
    "pydicom",
    "pynetdicom",
    "numpy",
    "PIL",
    "safetensors",
    "lightning_fabric",
    "huggingface_hub",
    "nibabel",
]
SETTINGS = ["pydantic_settings", "yaml", "structlog"]
ASKED = """
import sys
from typer.testing import CliRunner
from node.cli import app
result = CliRunner().invoke(app, sys.argv[1:])
print(result.output, *{name.partition(".")[0] for name in sys.modules}, sep="\\n")
"""


def answer(*arguments: str) -> list[str]:
    """What a fresh command line prints, and then the top-level modules that it holds, line by line."""
    command = [sys.executable, "-c", ASKED, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.mark.slow
@pytest.mark.parametrize("command", [[], ["queue"], ["model"], ["model", "train"], ["serve"], ["send"], ["demo"]])
def test_help_loads_neither_a_large_library_nor_what_reads_settings(command: list[str]) -> None:
    told = answer(*command, "--help")
    assert any("Usage" in line for line in told)
    assert {*LIBRARIES, *SETTINGS} & set(told) == set()


@pytest.mark.slow
def test_a_container_s_health_check_loads_no_large_library(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps({"data_folder": str(tmp_path / "data")}))
    told = answer("health", "--config", str(config))
    assert "nothing runs" in told
    assert set(LIBRARIES) & set(told) == set()


@pytest.mark.slow
def test_a_terminal_without_our_letters_gets_question_marks_and_no_traceback(tmp_path: Path) -> None:
    folder = tmp_path / "Röntgen"
    ascii_only = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "node", "check", "--config", str(folder / "config.yaml")]
    told = subprocess.run(command, capture_output=True, check=False, env={**os.environ, **ascii_only})
    assert told.returncode == 1
    assert b"R?ntgen" in told.stdout or b"\\xf6" in told.stdout or b"R??ntgen" in told.stdout
    assert b"Traceback" not in told.stderr
