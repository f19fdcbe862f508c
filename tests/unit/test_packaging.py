"""What is installed, shipped and started is what the repository says."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pins() -> dict[str, str]:
    """Name -> version of constraints.txt."""
    lines = (line.split("#")[0].strip() for line in (ROOT / "constraints.txt").read_text().splitlines())
    return {canonicalize_name(line.split("==")[0]): line.split("==")[1] for line in lines if line}


def direct() -> set[str]:
    """Every distribution that pyproject.toml names, extras included."""
    lists = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    names: set[str] = {canonicalize_name(Requirement(line).name) for each in lists for line in each}
    return names - {canonicalize_name(PROJECT["name"])}


def with_their_own(names: set[str]) -> set[str]:
    """These distributions and all that they need here, as their metadata says."""
    found: set[str] = set()
    waiting = [(name, "") for name in sorted(names)]
    seen: set[tuple[str, str]] = set()
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            requires = distribution(name).requires or []
        except PackageNotFoundError:
            continue
        found.add(name)
        for line in requires:
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                waiting += [(canonicalize_name(needed.name), each) for each in ("", *needed.extras)]
    return found


def test_every_dependency_is_pinned() -> None:
    assert direct() - pins().keys() == set()
    unpinned = with_their_own(direct()) - pins().keys()
    assert {name for name in unpinned if not name.startswith(("nvidia-", "triton", "cuda-"))} == set()


def test_the_pins_name_no_build_and_no_index() -> None:
    text = (ROOT / "constraints.txt").read_text()
    assert all(re.fullmatch(r"[0-9][0-9a-z.]*", pinned) for pinned in pins().values())
    assert "://" not in text
    assert "--" not in text


@pytest.mark.skipif(not os.environ.get("CI"), reason="a developer may try other versions")
def test_what_runs_is_what_is_pinned() -> None:
    here = {name: version(name).split("+")[0] for name in with_their_own(direct())}
    assert {name: found for name, found in here.items() if pins().get(name, found) != found} == {}


def test_the_console_script_is_the_command_line() -> None:
    assert PROJECT["scripts"] == {"neurossl": "node.cli:main"}
    told = subprocess.run([sys.executable, "-m", "node", "--help"], capture_output=True, text=True, check=True)
    assert "serve" in told.stdout


@pytest.mark.parametrize("script", ["tests/check", ".ci/run", "tests/viewer/install"])
def test_a_script_is_executable_and_parses(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)
    subprocess.run(["bash", "-n", ROOT / script], check=True)


@pytest.mark.slow
def test_the_systemd_unit_is_valid_and_starts_a_command_of_the_node(tmp_path: Path) -> None:
    unit = (ROOT / "node" / "service" / "neurossl-node.service").read_text()
    (start,) = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    program, command, *_ = start.split()
    assert Path(program).name == "neurossl"
    subprocess.run([sys.executable, "-m", "node", command, "--help"], capture_output=True, check=True)
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    here = tmp_path / "neurossl-node.service"
    here.write_text(unit.replace(program, "/bin/true"))
    told = subprocess.run(["systemd-analyze", "verify", here], capture_output=True, text=True, check=False)
    assert (told.returncode, told.stderr) == (0, "")
