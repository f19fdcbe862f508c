"""Who may import whom, as `node/__init__.py` says it; and what must start quickly starts without heavy libraries."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("node", "model", "storage")

# Library -> the only places that may import it; a file, or a folder and all in it.
DOORS = {
    "torch": ("model",),
    "openvino": ("model",),
    "safetensors": ("model",),
    "huggingface_hub": ("model",),
    "lightning": ("model/training",),
    "lightning_fabric": ("model/training",),
    "nibabel": ("model/training", "node/offline/predictions.py"),  # NIfTI to train on, and to try the model on
    "sqlalchemy": ("storage",),
    "alembic": ("storage",),
    "pysqlite3": ("storage",),
    "sqlite3": ("storage",),
    "pynetdicom": ("node/dimse",),
    "highdicom": ("node/report", "node/series/geometry.py"),
    "typer": ("node/cli",),
    "nilearn": ("node/demo.py", "node/demo"),
    "yaml": ("node/config_file.py",),
    "pydicom": ("node",),
}
NEVER = {"model": ("node", "storage"), "storage": ("node", "model")}


def sources() -> list[Path]:
    """Every Python file of the product."""
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """The top-level names that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def within(path: Path, places: tuple[str, ...]) -> bool:
    """Whether the file is one of these places or lies in one."""
    return any(path.relative_to(ROOT).is_relative_to(place) for place in places)


def test_each_library_has_one_door() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources()
        for name in sorted(set(imported(path)))
        if name in DOORS and not within(path, DOORS[name])
    ]
    assert wrong == []


@pytest.mark.parametrize("package", NEVER)
def test_imports_point_from_the_node_to_model_and_storage_and_never_back(package: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources()
        if within(path, (package,))
        for name in imported(path)
        if name in NEVER[package]
    ]
    assert wrong == []


def loaded_after(statement: str) -> set[str]:
    """Top-level modules that a fresh Python holds after this statement."""
    code = f"{statement}\nimport sys\nsys.stdout.write(' '.join({{name.split('.')[0] for name in sys.modules}}))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(told.stdout.split())


@pytest.mark.parametrize(
    ("statement", "without"),
    [
        ("import node.cli", {"torch", "highdicom", "openvino", "nilearn", "scipy", "matplotlib"}),
        ("import node.service.listener", {"torch", "highdicom", "openvino", "scipy", "matplotlib"}),
        ("import node.service.office", {"torch", "openvino"}),
        ("import storage", {"torch", "pydicom", "pynetdicom", "numpy"}),
        ("import model.types", {"torch", "pydicom", "sqlalchemy"}),
    ],
)
def test_what_must_start_quickly_starts_without_heavy_libraries(statement: str, without: set[str]) -> None:
    assert loaded_after(statement) & without == set()
