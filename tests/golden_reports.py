"""What reports and captures look like today, in a form that a person can review like code.

    python -m tests.golden_reports          writes tests/golden/sr_*.txt, capture_*.txt and capture_*.png anew

UIDs become UID-1, UID-2, … in order of appearance, since they follow from the settings and the software version, and
what names that version in the file meta information is left out.
"""

import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset

from model.types import Prediction, Slice
from node import report
from node.report import Source
from node.report.drawing import Pixels
from tests import factories, phantom, reports

FOLDER = Path(__file__).parent / "golden"
ELSEWHERE = "elsewhere"
Box = tuple[int, int, int, int]  # left, top, right, bottom
REGIONS: dict[str, dict[str, Box]] = {
    "capture_summary.png": {
        "title": (0, 0, 1024, 60),
        "verdict": (30, 60, 994, 186),
        "number": (30, 186, 310, 320),
        "marker": (310, 186, 994, 246),
        "bands": (310, 246, 994, 320),
        "curve": (30, 322, 994, 538),
        "heading of the key slices": (30, 540, 994, 570),
        "key slice A": (36, 572, 259, 838),
        "key slice B": (278, 572, 501, 838),
        "key slice C": (520, 572, 743, 838),
        "key slice D": (762, 572, 985, 838),
        "captions": (30, 840, 994, 900),
        "foot": (0, 900, 1024, 1024),
    },
    "capture_overlay.png": {
        "title": (0, 0, 545, 56),
        "heat map": (16, 56, 449, 568),
        "colour bar": (450, 56, 545, 568),
        "words": (0, 568, 545, 644),
    },
}


def current() -> dict[str, bytes]:
    """Name of the file in tests/golden -> what it should hold."""
    series = factories.mr_series(slices=4, rows=16, columns=16, TimezoneOffsetFromUTC="+0000")
    forms = [reports.destination(form.replace("_", "-"), report=form) for form in ("comprehensive", "text")]
    how = reports.context(forms, captures=2)
    results = reports.build(series, prediction(series), how)
    results += report.build_skipped(Source(series), [reports.Verdict()], "no series is T1-weighted", how)
    names = {"sr_comprehensive": "sr_comprehensive", "summary": "capture_summary", "overlay": "capture_overlay"}
    files: dict[str, bytes] = {}
    for result in results:
        name = names.get(result.kind, "sr_text" if "sr_text.txt" not in files else "sr_skipped")
        dataset = reports.read(result)
        if f"{name}.txt" not in files:
            if "PixelData" in dataset:
                files[f"{name}.png"] = _png(dataset)
                del dataset.PixelData
            files[f"{name}.txt"] = normalised(dataset).encode()
    return files


def differences(now: Pixels, golden: Pixels, regions: dict[str, Box], shades: int = 4) -> list[str]:
    """The regions in which any pixel is more than so many shades off: another processor may round by one or two."""
    assert now.shape == golden.shape
    moved = np.abs(now.astype(np.int16) - golden).max(axis=2) > shades
    found = []
    for name, (left, top, right, bottom) in regions.items():
        if moved[top:bottom, left:right].any():
            found.append(name)
        moved[top:bottom, left:right] = False
    return [*found, *([ELSEWHERE] if moved.any() else [])]


def normalised(dataset: Dataset) -> str:
    """The data set as pydicom prints it, UIDs numbered."""
    seen: dict[str, str] = {}

    def numbered(match: re.Match[str]) -> str:
        return seen.setdefault(match.group(), f"UID-{len(seen) + 1}")

    lines = [line for line in str(dataset).splitlines() if not line.startswith(("(0002,0000)", "(0002,0013)"))]
    return re.sub(r"\b2\.25\.\d+", numbered, "\n".join(lines)) + "\n"


def prediction(series: list[Dataset]) -> Prediction:
    """The made-up prediction over slices of the made-up head."""
    made = reports.prediction(series, slices=21)
    return replace(made, slices=tuple(replace(each, slice=_anatomy(each.slice)) for each in made.slices))


def _anatomy(item: Slice) -> Slice:
    rows, columns = item.pixels.shape
    index = np.stack(np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"), axis=-1)
    affine = item.affine_mm if item.affine_mm is not None else np.eye(4)
    points = index @ affine[:3, :2].T + affine[:3, 3]
    return replace(item, pixels=np.clip(phantom.head(points.astype(np.float32)) / 4, 0, 255).astype(np.uint8))


def _png(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(dataset.pixel_array).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def main() -> None:
    """Write every file."""
    for name, content in current().items():
        (FOLDER / name).write_bytes(content)


if __name__ == "__main__":
    main()
