"""A headless browser, which `install` fetches: `drive.mjs` does what it is told on our pages; `site` serves OHIF before
a PACS, and `look.mjs` looks at what that shows."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
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
    folder = _cache()
    ohif, playwright = folder / "@ohif-app" / "dist", folder / "playwright-core"
    if not (ohif.is_dir() and playwright.is_dir()):
        peers.missing(f"OHIF is not in {folder}: run tests/viewer/install")
    return Installed(ohif, playwright, peers.program("chromium"), peers.program("node"))


def _cache() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("NEUROSSL_VIEWER") or Path(cache) / "neurossl" / "viewer")


class Browser:
    """A headless Chromium: one act after the other, each done when its call comes back."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        """The process of `drive.mjs`."""
        self._process = process

    def open(self, width: int = 1400, theme: str = "light", *, script: bool = True) -> None:
        """Begin anew, without cookies, in a window so wide; `script`: JavaScript is on."""
        self._do("open", width=width, theme=theme, script=script)

    def goto(self, address: str) -> int:
        """Load a page; its status, 0 where it comes from no server."""
        return int(self._do("goto", address=address) or 0)

    def click(self, at: str) -> None:
        """The first element of this selector, once it can be clicked."""
        self._do("click", at=at)

    def fill(self, at: str, text: str) -> None:
        """Write into a field."""
        self._do("fill", at=at, text=text)

    def press(self, key: str) -> None:
        """A key, such as Enter, wherever the focus is."""
        self._do("press", key=key)

    def wheel(self, at: str, by: int) -> None:
        """Turn the wheel over an element."""
        self._do("wheel", at=at, by=by)

    def wait(self, expression: str) -> None:
        """Until this JavaScript is true on the page."""
        self._do("wait", **{"for": expression})

    def tell(self, expression: str) -> Any:
        """What this JavaScript gives on the page."""
        return self._do("tell", what=expression)

    def text(self, at: str = "main") -> str:
        """What can be read in an element."""
        return str(self.tell(f"document.querySelector({json.dumps(at)}).innerText"))

    def hindrances(self) -> list[dict[str, Any]]:
        """What axe finds on the page that hinders people, minor matters left out."""
        return [each for each in self._do("axe") if each["impact"] != "minor"]

    def shoot(self, file: Path) -> None:
        """The whole page as a PNG, for people to look at."""
        file.parent.mkdir(parents=True, exist_ok=True)
        self._do("shoot", file=str(file))

    def errors(self) -> list[str]:
        """What the console said since `open`, and every request to another machine."""
        return list(self._do("errors"))

    def _do(self, act: str, **told: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": act, **told}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline() or '{"failed": "the browser ended"}')
        assert "failed" not in answer, f"{act} {told}: {answer['failed']}"
        return answer["gives"]


@contextmanager
def browser() -> Iterator[Browser]:
    """One that runs; without what `tests/viewer/install` installs the test is skipped, or fails in CI."""
    folder = _cache()
    playwright, axe = folder / "playwright-core", folder / "axe-core" / "axe.min.js"
    if not (playwright.is_dir() and axe.is_file()):
        peers.missing(f"what drives a browser is not in {folder}: run tests/viewer/install")
    script: list[str | Path] = [peers.program("node"), HERE / "drive.mjs", playwright, peers.program("chromium"), axe]
    with subprocess.Popen(script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Browser(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


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
