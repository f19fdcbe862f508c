"""Whether the program on the disk is still the one that runs.

A package that is replaced under a running service is a mixture: what was loaded is old, and what is started from now on
is new. So the service ends as soon as it sees that, and whoever started it starts all of it anew.
"""

import importlib.metadata
import os
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("node", "model", "storage")
ROOT = Path(__file__).resolve().parents[2]
DISTRIBUTION = "neurossl-node"

Fingerprint = frozenset[tuple[str, int, int]]


def fingerprint(root: Path = ROOT) -> Fingerprint:
    """Path, size and time of every source file, and the installed version; less of it while it is being replaced."""
    found = set()
    for path in _sources(root):
        try:
            status = path.stat()
        except OSError:
            continue
        found.add((str(path), status.st_size, status.st_mtime_ns))
    return frozenset(found | {(_version(), 0, 0)})


def _sources(root: Path) -> Iterator[Path]:
    for package in PACKAGES:
        for folder, _, names in os.walk(root / package):
            yield from (Path(folder, name) for name in names if name.endswith(".py"))


def _version() -> str:
    try:
        return importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return ""
