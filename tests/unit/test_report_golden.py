"""Reports and captures are what they were when somebody last looked at them: `python -m tests.golden_reports`."""

import io

import numpy as np
import pytest
from PIL import Image

from tests import golden_reports

NAMES = [
    "capture_overlay.png",
    "capture_overlay.txt",
    "capture_summary.png",
    "capture_summary.txt",
    "sr_comprehensive.txt",
    "sr_skipped.txt",
    "sr_text.txt",
]


@pytest.fixture(scope="module")
def current() -> dict[str, bytes]:
    return golden_reports.current()


def test_every_golden_file_is_compared(current: dict[str, bytes]) -> None:
    kept = [path.name for pattern in ("sr*", "capture*") for path in golden_reports.FOLDER.glob(pattern)]
    assert sorted(kept) == sorted(current) == NAMES


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".txt")])
def test_the_object_is_the_golden_one(name: str, current: dict[str, bytes]) -> None:
    assert current[name].decode() == (golden_reports.FOLDER / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".png")])
def test_the_picture_is_the_golden_one(name: str, current: dict[str, bytes]) -> None:
    """Within what another release of Pillow or FreeType may move by a shade."""
    pixels = {
        where: np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), np.int16)
        for where, content in (("now", current[name]), ("golden", (golden_reports.FOLDER / name).read_bytes()))
    }
    assert pixels["now"].shape == pixels["golden"].shape
    assert np.abs(pixels["now"] - pixels["golden"]).mean() < 1
