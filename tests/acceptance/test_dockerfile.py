"""The Dockerfile without Docker: what its build stage copies and runs, in a clean folder, makes a node that starts."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


@dataclass(frozen=True)
class Step:
    """One instruction of one stage."""

    stage: int
    instruction: str
    argument: str


def steps() -> Iterator[Step]:
    """The Dockerfile, line continuations joined, comments left out."""
    text = re.sub(r"(?m)^\s*#.*\n", "", DOCKERFILE)
    stage = -1
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        if line.strip():
            instruction, _, argument = line.strip().partition(" ")
            stage += instruction == "FROM"
            yield Step(stage, instruction, argument.strip())


def of(instruction: str, stage: int = 1) -> list[str]:
    """The arguments of an instruction in a stage; 1 is the image that runs."""
    return [step.argument for step in steps() if step.instruction == instruction and step.stage == stage]


def settings() -> dict[str, str]:
    """The environment of the image that runs."""
    return dict(each.split("=", 1) for argument in of("ENV") for each in shlex.split(argument))


MEMORY = Path("/dev/shm")  # noqa: S108 - a fresh folder is made in it


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty folder, in memory where there is enough of it: to delete 45,000 files from a disk can take minutes."""
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 8e9 and not os.statvfs(MEMORY).f_flag & os.ST_NOEXEC:
        folder = Path(tempfile.mkdtemp(dir=MEMORY, prefix="neurossl-image-"))
    else:
        folder = tmp_path_factory.mktemp("image")
    yield folder
    shutil.rmtree(folder)  # two gigabytes, of which pytest would keep three copies


@pytest.fixture(scope="module")
def built(root: Path) -> Path:
    """The folder that takes the place of the image's root after the build stage."""
    work = root
    variables = {**os.environ, "PIP_NO_INPUT": "1"}
    variables.pop("PYTHONPATH", None)
    for step in (step for step in steps() if step.stage == 0):
        match step.instruction:
            case "WORKDIR":
                work = root / step.argument.lstrip("/")
                work.mkdir(parents=True, exist_ok=True)
            case "ARG":
                name, _, value = step.argument.partition("=")
                variables[name] = value.strip('"')
            case "ENV":
                variables |= dict(each.split("=", 1) for each in shlex.split(step.argument))
            case "COPY":
                copy(step.argument, work)
            case "RUN":
                line = step.argument.replace("/opt/neurossl", str(root / "opt/neurossl"))
                line = re.sub(r"^python ", f"{sys.executable} ", line)
                told = subprocess.run(["sh", "-ec", line], cwd=work, env=variables, capture_output=True, text=True)
                assert told.returncode == 0, told.stderr[-2000:]
    return root


def copy(argument: str, work: Path) -> None:
    *sources, target = argument.split()
    for source in sources:
        if (ROOT / source).is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / source, work / target, ignore=ignore)
        else:
            shutil.copy(ROOT / source, work / target)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_install_steps_make_a_node_that_starts(built: Path, tmp_path: Path) -> None:
    program = built / "opt/neurossl/bin/neurossl"
    told = subprocess.run([program, "version", "--json"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(told.stdout)
    checked = subprocess.run(
        [program, "check", "--config", ROOT / "config.yaml"],
        cwd=tmp_path,
        env={**os.environ, "NEUROSSL__DATA_FOLDER": str(tmp_path / "data")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode in (0, 1), checked.stderr  # 1: the sample configuration names no bundle
    assert "Traceback" not in checked.stderr


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_default_build_brings_no_cuda(built: Path) -> None:
    listed = subprocess.run(
        [built / "opt/neurossl/bin/pip", "list", "--format=json"], capture_output=True, text=True, check=True
    )
    names = {each["name"].lower(): each["version"] for each in json.loads(listed.stdout)}
    assert [name for name in names if name.startswith(("nvidia", "cuda", "triton"))] == []
    assert names["torch"].endswith("+cpu")


def test_everything_that_is_copied_exists_and_is_let_into_the_build() -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        source
        for step in steps()
        if step.instruction == "COPY" and not step.argument.startswith("--from")
        for source in step.argument.split()[:-1]
    }
    assert copied == let_in
    assert [source for source in sorted(copied) if not (ROOT / source).exists()] == []


def test_the_image_runs_as_a_user_without_rights_and_keeps_its_data_in_one_volume() -> None:
    assert of("USER") == ["neurossl"]
    assert of("VOLUME") == ["/data"]
    assert settings()["NEUROSSL__DATA_FOLDER"] == "/data"


def test_the_health_check_and_the_entry_point_are_commands_of_the_node() -> None:
    (check,), (entry,), (default,) = of("HEALTHCHECK"), of("ENTRYPOINT"), of("CMD")
    health = json.loads(check.partition("CMD ")[2])
    assert [health[0]] == json.loads(entry) == ["neurossl"]
    for name in (health[1], json.loads(default)[0]):
        told = subprocess.run([sys.executable, "-m", "node", name, "--help"], capture_output=True, check=False)
        assert told.returncode == 0, name


def test_no_secret_and_no_index_is_built_in() -> None:
    assert not re.search(r"(?i)password|secret=|token|https?://", re.sub(r"(?m)^#.*$", "", DOCKERFILE))


def test_the_environment_of_the_image_is_understood_by_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    from node.config import load

    for name, value in settings().items():
        if name.startswith("NEUROSSL__"):
            monkeypatch.setenv(name, value)
    loaded = load(ROOT / "config.yaml")
    assert (str(loaded.data_folder), loaded.listener.host) == ("/data", "0.0.0.0")  # noqa: S104


def test_compose_gives_both_sides_the_same_names_and_ports(tmp_path: Path) -> None:
    from node.config import load

    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    path = tmp_path / "config.yaml"
    path.write_text(compose["configs"]["node"]["content"])
    node = load(path)
    pacs = json.loads(compose["configs"]["orthanc"]["content"])
    title, host, port = pacs["DicomModalities"]["neurossl"]
    assert (title, host, port) == (node.listener.ae_title, "node", node.listener.port)
    assert [peer.ae_title for peer in node.listener.allow] == [pacs["DicomAet"]]
    (destination,) = node.destinations
    assert (destination.ae_title, destination.host, destination.port) == (
        pacs["DicomAet"],
        "orthanc",
        pacs["DicomPort"],
    )
    assert set(compose["services"]) >= {host, destination.host}
