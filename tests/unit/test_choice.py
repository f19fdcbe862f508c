"""The series that stands for its study: tried by rank, refused with a reason, and let go before the next is read."""

import ast
import gc
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless

from model.manifest import Manifest
from model.slicing import Preprocessing
from node.config import Settings
from node.series.choice import Choice, Limits, choose
from node.series.reasons import Reason
from node.series.volume import read_series
from tests import factories

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
LIMITS = replace(
    Limits.of(Settings(), Manifest(trained=False)),
    preprocessing=Preprocessing(slices=11, spacing_mm=2.0, below_crown_mm=46.0),
)
NOISE = np.random.default_rng(1).integers(0, 1000, (64, 128, 128)).astype(np.uint16)


def head(number: int, **more: Any) -> list[Dataset]:
    """The lower its number the later it was acquired, so that it is tried earlier."""
    more = {"AcquisitionDate": "20260301", "AcquisitionTime": f"{20 - number:02}0000"} | more
    return factories.mr_series(SeriesNumber=number, description=f"T1 {number}", **more)


def damaged(number: int) -> list[Dataset]:
    series = head(number)
    series[40].PixelData = series[40].PixelData[:-2000]
    return series


def scaleless(number: int) -> list[Dataset]:
    """What is wrong with it shows only when its pixels are put into the volume."""
    series = head(number, RescaleSlope="1", RescaleIntercept="0")
    series[-1].RescaleSlope = "0"
    return series


def chosen(folder: Path, *series: Sequence[Dataset], **how: Any) -> Choice:
    for index, each in enumerate(series):
        factories.write(each, folder / str(index))
    return choose(read_series(sorted(folder.rglob("*.dcm"))).series, LIMITS, **how)


def told(choice: Choice) -> list[tuple[int | None, Reason]]:
    return [(each.series_number, each.reason) for each in choice.verdicts]


def read(choice: Choice) -> object:
    assert choice.look is not None
    return choice.look.series.headers[0].SeriesNumber


def test_the_first_in_scope_ends_the_search_and_what_ranks_below_is_not_read(tmp_path: Path) -> None:
    choice = chosen(tmp_path, head(1, voxels=NOISE), head(2), head(3))
    assert read(choice) == 2
    assert told(choice) == [(1, Reason.OUT_OF_SCOPE), (2, Reason.ELIGIBLE), (3, Reason.ELIGIBLE)]
    assert [each.series_number for each in choice.refused] == [1]
    assert len(choice.tried) == 2
    refused = choice.verdicts[0]
    assert (refused.eligible, refused.score) == (False, 0)
    assert "is expected" in refused.detail


@pytest.mark.parametrize("coded", [False, True], ids=["as it is", "JPEG 2000"])
def test_a_series_that_lost_pixels_says_so_though_a_whole_one_ranks_first(tmp_path: Path, coded: bool) -> None:
    whole, broken = head(1), head(2) if coded else damaged(2)
    factories.write(broken, tmp_path / "broken", transfer_syntax=JPEG2000Lossless if coded else ExplicitVRLittleEndian)
    if coded:
        path = tmp_path / "broken" / "00041.dcm"
        cut = dcmread(path)
        frame = next(generate_frames(cut.PixelData, number_of_frames=1))
        cut.PixelData = encapsulate([frame[: len(frame) // 2]])
        cut.save_as(path)
    choice = chosen(tmp_path, whole)
    assert read(choice) == 1
    assert told(choice)[-1] == (2, Reason.UNREADABLE)
    lost = choice.verdicts[-1].detail
    assert lost.startswith(f"{broken[40].SOPInstanceUID}: ")
    assert ("code stream is cut short" if coded else "bytes of pixel data") in lost
    assert choice.beside == (
        "Series 1 was read; series 2, made by the same protocol, was not.",
        f"Series 2 was set aside: cannot be read: {lost}.",
    )


def test_where_all_are_outside_the_best_of_them_stands_for_the_study(tmp_path: Path) -> None:
    choice = chosen(tmp_path, damaged(1), head(2, voxels=NOISE), head(3, voxels=NOISE))
    assert read(choice) == 2
    assert choice.look is not None
    assert not choice.look.scope.inside
    assert told(choice) == [(1, Reason.UNREADABLE), (2, Reason.ELIGIBLE), (3, Reason.OUT_OF_SCOPE)]
    assert choice.damage == ""


def test_where_none_can_be_read_the_first_damage_is_told_with_its_instance(tmp_path: Path) -> None:
    broken = damaged(2)
    choice = chosen(tmp_path, damaged(3), broken)
    assert choice.look is None
    assert choice.chosen is None
    assert {reason for _, reason in told(choice)} == {Reason.UNREADABLE}
    assert choice.damage == choice.refused[0].detail
    assert choice.damage.startswith(f"{broken[40].SOPInstanceUID}: ")


def test_values_that_are_not_finite_are_a_refusal_like_any_other(tmp_path: Path) -> None:
    choice = chosen(tmp_path, head(1, RescaleSlope="1e38", RescaleIntercept="0"), head(2))
    assert read(choice) == 2
    assert told(choice)[0] == (1, Reason.NO_GEOMETRY)
    assert "not finite" in choice.verdicts[0].detail


@pytest.mark.slow
@pytest.mark.parametrize("first", [lambda: head(1, voxels=NOISE), lambda: scaleless(1)], ids=["outside", "damaged"])
def test_a_refused_volume_is_gone_before_the_next_is_read(tmp_path: Path, first: Callable[[], list[Dataset]]) -> None:
    held: list[int] = []

    @contextmanager
    def stage(name: str) -> Iterator[None]:
        if name == "volume":
            held.append(tracemalloc.get_traced_memory()[0])
        yield

    gc.disable()
    tracemalloc.start()
    try:
        assert read(chosen(tmp_path, first(), head(2), stage=stage)) == 2
    finally:
        tracemalloc.stop()
        gc.enable()
    before_first, before_second = held
    assert before_second - before_first < NOISE.size * 4 / 2


def test_the_limits_are_those_of_the_site_and_of_the_bundle() -> None:
    settings = Settings(
        results={"manufacturer": "ACME"}, worker={"maximum_volume_mib": 3}, selection={"minimum_slices": 30}
    )
    manifest = Manifest(trained=True, preprocessing=LIMITS.preprocessing, scope={"head_ml_minimum": 1.0})
    limits = Limits.of(settings, manifest)
    assert (limits.own_manufacturer, limits.maximum_bytes) == ("ACME", 3 * 2**20)
    assert (limits.selection.minimum_slices, limits.preprocessing) == (30, LIMITS.preprocessing)
    assert limits.scope["head_ml_minimum"] == 1.0


def test_nobody_chooses_or_reads_a_series_in_another_way() -> None:
    own = {"select", "judge", "read_volume"}
    others = [
        f"{path.relative_to(ROOT)} imports {alias.name}"
        for path in (ROOT / "node").rglob("*.py")
        if path != ROOT / "node" / "series" / "choice.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("node.series")
        for alias in node.names
        if alias.name in own
    ]
    assert others == []
