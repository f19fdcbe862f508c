"""`python -m tests.soak`: load and trouble for some time, then the promises, counted."""

import argparse
import os
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

from tests.soak.run import Plan, soak

MOST_STUDIES = 1000
STUDY_BYTES = 4 * 1024 * 1024  # instances and results
ALONE = "SOAK_DISK"


def main() -> int:
    """Exit code 1 when a promise is broken."""
    parser = argparse.ArgumentParser("python -m tests.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=300, help="how long load and trouble last (300)")
    parser.add_argument("--hours", type=float, default=0, help="the same in hours; wins over --seconds")
    parser.add_argument("--seed", default="1", help="what is sent and what goes wrong follow from it (1)")
    parser.add_argument("--every", type=float, default=4, help="seconds between two studies of each of two senders (4)")
    parser.add_argument("--pause", type=float, default=4, help="seconds between two troubles (4)")
    parser.add_argument("--rest", type=float, default=300, help="seconds in which all then has to end (300)")
    options = parser.parse_args()
    seconds = options.hours * 3600 or options.seconds
    every_s = max(options.every, 2 * seconds / MOST_STUDIES)
    if ALONE not in os.environ and (code := _on_a_small_disk(2 * seconds / every_s)) is not None:
        return code
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        folder, disk = Path(name), os.environ.get(ALONE)
        plan = Plan(seconds, every_s, options.pause, options.rest, options.seed)
        found = soak(folder, Path(disk) if disk else None, plan)
    print(f"soak of {timedelta(seconds=round(seconds))}, seed {options.seed}\n{found}")  # noqa: T201
    return 1 if found.broken else 0


def _on_a_small_disk(studies: float) -> int | None:
    """The same command with a disk in memory for the data folder; None where nobody may mount one."""
    with tempfile.TemporaryDirectory(prefix="soak-disk-") as disk:
        size = 128 * 1024 * 1024 + int(studies * STUDY_BYTES)
        mount = f'mount -t tmpfs -o size={size} tmpfs "$0" && exec "$@"'
        alone = ["unshare", "-rm", "sh", "-c", mount, disk]
        try:
            if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
                return None
        except OSError:
            return None
        command = [*alone, sys.executable, "-m", "tests.soak", *sys.argv[1:]]
        return subprocess.run(command, check=False, env={**os.environ, ALONE: disk}).returncode


if __name__ == "__main__":
    sys.exit(main())
