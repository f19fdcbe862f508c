"""A short soak; `python -m tests.soak` lasts longer."""

import subprocess
import sys
from pathlib import Path

import pytest

from storage import Database, DataFolder
from tests import factories, stored, wire
from tests.destination import Destination
from tests.soak.promises import account
from tests.soak.traffic import Sent

pytestmark = [pytest.mark.slow, pytest.mark.timeout(290)]

ROOT = Path(__file__).resolve().parents[2]


def test_every_promise_holds_while_everything_goes_wrong() -> None:
    often = ["--seconds", "30", "--every", "3", "--pause", "2", "--rest", "180", "--seed", "2"]
    command = [sys.executable, "-m", "tests.soak", *often]
    told = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=280)
    assert told.returncode == 0, told.stdout + told.stderr
    assert "BROKEN" not in told.stdout


def test_a_promise_that_is_broken_is_said(folder: DataFolder, db: Database) -> None:
    """The test above can fail."""
    stored.received(db, 1)
    sent = Sent(acknowledged={"1.2.3": "0" * 64}, studies={stored.STUDY: "whole"})
    one = factories.mr_series(slices=2, rows=4, columns=4)
    pacs = Destination(stored=[("1.2.4", wire.encode(each, wire.IMPLICIT)) for each in one])
    found = account(folder, db, sent, pacs, 0).broken
    for what in (
        "  of these lost: 1",
        "  without a job: 1",
        "readable studies without one: 1",
        "  sent a second time: 1",
        "  with two contents: 1",
    ):
        assert what in found
