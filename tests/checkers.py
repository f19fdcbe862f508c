"""What independent programs say of our objects: dciodvfy, dsrdump, dsr2html."""

import shutil
import subprocess
from pathlib import Path

from tests import peers


def iod_errors(path: Path) -> list[str]:
    """What dciodvfy (dicom3tools) calls an error in this file."""
    told = _run("dciodvfy", "-new", str(path))
    lines = (told.stderr + told.stdout).splitlines()
    return [line for line in lines if line.startswith(("Error", "Abort"))]


def rendered(path: Path) -> str:
    """The report as HTML by DCMTK's dsr2html; fails when it will not."""
    told = _run("dsr2html", str(path))
    assert told.returncode == 0, told.stderr
    assert told.stderr == ""
    return told.stdout


def dumped(path: Path) -> str:
    """The report as text by DCMTK's dsrdump; fails when it will not."""
    told = _run("dsrdump", str(path))
    assert told.returncode == 0, told.stderr
    return told.stdout


def _run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    if shutil.which(program) is None:
        peers.missing(f"{program} is not installed")
    return subprocess.run(
        [peers.program(program), *arguments], capture_output=True, text=True, check=False, errors="replace", timeout=60
    )
