"""Reports and captures are what they were when somebody last looked at them: `python -m tests.golden_reports`."""

import io
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from model.types import Band, Prediction
from node import verdict
from node.report import overlay, summary
from node.report.drawing import Pixels
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


@pytest.mark.parametrize("name", golden_reports.REGIONS)
def test_the_picture_is_the_golden_one(name: str, current: dict[str, bytes]) -> None:
    now, golden = current[name], (golden_reports.FOLDER / name).read_bytes()
    assert golden_reports.differences(pixels(now), pixels(golden), golden_reports.REGIONS[name]) == []


def pixels(png: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


@pytest.fixture(scope="module")
def made() -> Prediction:
    return golden_reports.prediction([])


def with_slice(made: Prediction, index: int, **changes: object) -> Prediction:
    slices = [replace(each, **changes) if at == index else each for at, each in enumerate(made.slices)]
    return replace(made, slices=tuple(slices))


KEY_SLICE_B, SHOWN, PLAIN = 14, 17, 3  # "Slice 15 of 21", the one of the golden overlay, one that is only on the curve
CHANGES: dict[str, tuple[Callable[[Prediction], Prediction], list[str]]] = {
    "marker one pixel further": (lambda made: replace(made, probability=0.8249), ["marker"]),
    "whiskers two pixels longer": (lambda made: replace(made, spread=0.0343), ["number", "marker"]),
    "a slice less probable": (lambda made: with_slice(made, PLAIN, probability=0.6), ["curve"]),
    "a slice less certain": (lambda made: with_slice(made, PLAIN, spread=0.05), ["curve"]),
    "another heat map": (
        lambda made: with_slice(made, KEY_SLICE_B, rollout=made.slices[KEY_SLICE_B].rollout[:, ::-1]),
        ["key slice B"],
    ),
    "another anatomy": (
        lambda made: with_slice(made, KEY_SLICE_B, slice=made.slices[KEY_SLICE_B - 1].slice),
        ["key slice B", "captions"],
    ),
    "another version of the model": (lambda made: replace(made, model=replace(made.model, version="1.1")), ["foot"]),
    "another temperature": (lambda made: replace(made, model=replace(made.model, temperature=1.8)), ["foot"]),
    "another threshold": (
        lambda made: replace(
            made, model=replace(made.model, thresholds={**made.model.thresholds, "no_significant_changes": 0.6})
        ),
        ["bands"],
    ),
    "another decision": (lambda made: replace(made, band=Band.INDETERMINATE), ["verdict"]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_the_page_is_seen_where_it_is_and_nowhere_else(change: str, made: Prediction) -> None:
    act, expected = CHANGES[change]
    meaning = verdict.meaning(made)
    golden = pixels((golden_reports.FOLDER / "capture_summary.png").read_bytes())
    regions = golden_reports.REGIONS["capture_summary.png"]
    assert golden_reports.differences(summary.picture(act(made), meaning), golden, regions) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"rollout": np.eye(14, dtype=np.float32)}, ["heat map"]),
        ({"probability": 0.9}, ["title"]),
    ],
)
def test_a_change_of_an_overlay_is_seen_where_it_is(
    made: Prediction, changes: dict[str, object], expected: list[str]
) -> None:
    golden = pixels((golden_reports.FOLDER / "capture_overlay.png").read_bytes())
    now, _ = overlay.picture(with_slice(made, SHOWN, **changes), SHOWN)
    assert golden_reports.differences(now, golden, golden_reports.REGIONS["capture_overlay.png"]) == expected


@pytest.mark.parametrize("name", golden_reports.REGIONS)
def test_every_region_is_looked_at_and_so_is_what_lies_between_them(name: str) -> None:
    golden = pixels((golden_reports.FOLDER / name).read_bytes())
    regions = golden_reports.REGIONS[name]
    for region, (left, top, right, bottom) in regions.items():
        changed = golden.copy()
        changed[(top + bottom) // 2, (left + right) // 2] ^= 0x20
        assert golden_reports.differences(changed, golden, regions) == [region]
    assert golden_reports.differences(golden ^ 0x20, golden, {}) == [golden_reports.ELSEWHERE]
