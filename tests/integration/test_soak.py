"""A short soak; `python -m tests.soak` lasts longer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(290)]

ROOT = Path(__file__).resolve().parents[2]


def test_every_promise_holds_while_everything_goes_wrong() -> None:
    command = [sys.executable, "-m", "tests.soak", "--seconds", "40", "--every", "3", "--pause", "2", "--seed", "2"]
    told = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=dict(os.environ))
    assert told.returncode == 0, told.stdout + told.stderr
    assert "BROKEN" not in told.stdout
