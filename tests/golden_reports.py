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
from tests import factories, phantom, reports

FOLDER = Path(__file__).parent / "golden"


def current() -> dict[str, bytes]:
    """Name of the file in tests/golden -> what it should hold."""
    series = factories.mr_series(slices=4, rows=16, columns=16, TimezoneOffsetFromUTC="+0000")
    forms = [reports.destination(form.replace("_", "-"), report=form) for form in ("comprehensive", "text")]
    how = reports.context(forms, captures=2)
    results = reports.build(series, _prediction(series), how)
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


def normalised(dataset: Dataset) -> str:
    """The data set as pydicom prints it, UIDs numbered."""
    seen: dict[str, str] = {}

    def numbered(match: re.Match[str]) -> str:
        return seen.setdefault(match.group(), f"UID-{len(seen) + 1}")

    lines = [line for line in str(dataset).splitlines() if not line.startswith(("(0002,0000)", "(0002,0013)"))]
    return re.sub(r"\b2\.25\.\d+", numbered, "\n".join(lines)) + "\n"


def _prediction(series: list[Dataset]) -> Prediction:
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
