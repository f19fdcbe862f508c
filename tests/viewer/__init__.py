"""OHIF in a headless browser: `install` fetches both, `site` serves the viewer before a PACS, `look.mjs` looks."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import peers

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Installed:
    """Where the programs are."""

    ohif: Path
    playwright: Path
    chromium: str
    node: str


def installed() -> Installed:
    """What `tests/viewer/install` has put into the cache; without it the test is skipped, or fails in CI."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(os.environ.get("NEUROSSL_VIEWER") or Path(cache) / "neurossl" / "viewer")
    ohif, playwright = folder / "@ohif-app" / "dist", folder / "playwright-core"
    if not (ohif.is_dir() and playwright.is_dir()):
        peers.missing(f"OHIF is not in {folder}: run tests/viewer/install")
    return Installed(ohif, playwright, peers.program("chromium"), peers.program("node"))


def look(
    programs: Installed, address: str, study_instance_uid: str, profile: Path, screenshots: Path
) -> dict[str, Any]:
    """What a reader sees who opens every series of the study: `series` (listed, text, drawn, …) and `errors`."""
    screenshots.mkdir(parents=True, exist_ok=True)
    script: list[str | Path] = [programs.node, HERE / "look.mjs", programs.playwright, programs.chromium]
    told = subprocess.run(
        [*script, profile, address, study_instance_uid, screenshots],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    seen: dict[str, Any] = json.loads(told.stdout)
    return seen
