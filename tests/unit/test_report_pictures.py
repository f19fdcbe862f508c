"""Each slice as anatomy and heat map apart: put together again they look like the captures."""

import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from node import report
from node.report import drawing, overlay, pictures
from tests import reports


@pytest.fixture(scope="module")
def kept() -> Iterator[zipfile.ZipFile]:
    with zipfile.ZipFile(io.BytesIO(pictures.archive(reports.prediction(slices=5)))) as found:
        yield found


def picture(kept: zipfile.ZipFile, name: str, mode: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(kept.read(name))).convert(mode), float)


def test_the_index_says_of_each_slice_where_it_lies_and_what_the_model_said(kept: zipfile.ZipFile) -> None:
    slices = json.loads(kept.read("index.json"))["slices"]
    made = reports.prediction(slices=5).slices
    assert [each["number"] for each in slices] == [1, 2, 3, 4, 5]
    assert [each["probability"] for each in slices] == [round(each.probability, 6) for each in made]
    assert [each["place"] for each in slices] == ["F 2.5 mm", "F 1.5 mm", "F 0.5 mm", "H 0.5 mm", "H 1.5 mm"]
    assert {each["plane"] for each in slices} == {"axial"}
    assert slices[0]["sides"] == {"top": "A", "right": "L", "bottom": "P", "left": "R"}
    assert (slices[0]["height_mm"], slices[0]["width_mm"]) == (208, 176)
    assert {each["number"] - 1 for each in slices if each["key"]} == set(overlay.key_slices(made))


def test_a_slice_says_across_which_axis_it_lies() -> None:
    made = reports.prediction(slices=1)
    sagittal = np.array([[0, 0, 1, 20], [0, 1, 0, -100], [-1, 0, 0, 90], [0, 0, 0, 1.0]])
    item = replace(made.slices[0], slice=replace(made.slices[0].slice, affine_mm=sagittal, plane="sagittal"))
    with zipfile.ZipFile(io.BytesIO(pictures.archive(replace(made, slices=(item,))))) as found:
        (said,) = json.loads(found.read("index.json"))["slices"]
    assert (said["plane"], said["place"]) == ("sagittal", "L 20.0 mm")
    assert said["sides"] == {"top": "H", "right": "P", "bottom": "F", "left": "A"}


def test_anatomy_is_as_the_network_saw_it(kept: zipfile.ZipFile) -> None:
    assert np.array_equal(picture(kept, "003.png", "L"), reports.prediction(slices=5).slices[2].slice.pixels)


def test_the_heat_map_over_the_anatomy_is_what_a_capture_shows(kept: zipfile.ZipFile) -> None:
    item = reports.prediction(slices=5).slices[2]
    heat = picture(kept, "003-heat.png", "RGBA")
    cover = heat[..., 3:] / 255
    anatomy = picture(kept, "003.png", "L")[..., None] * drawing.DIMMED
    assert np.abs(heat[..., :3] * cover + anatomy * (1 - cover) - overlay.blended(item, 224, 224)).max() <= 2


def test_the_same_prediction_gives_the_same_bytes_under_the_same_name() -> None:
    made = reports.prediction(slices=2)
    assert report.build_pictures(made, "key.0", 3) == report.build_pictures(made, "key.0", 3)
    assert report.build_pictures(made, "key.1", 3).sop_instance_uid != report.build_pictures(made, "key.0", 3)
