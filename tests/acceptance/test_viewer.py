"""In a real viewer: OHIF in headless Chromium opens the study from Orthanc, with the node's report and captures.

The screenshots stay in `artefacts/viewer` for people to look at; the head in them is made up.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset

from storage.states import JobState
from tests import factories, nodes, peers, viewer
from tests.viewer.site import viewer as serve_viewer

pytestmark = [pytest.mark.viewer, pytest.mark.peers, pytest.mark.slow, pytest.mark.timeout(400)]

SCREENSHOTS = Path(__file__).resolve().parents[2] / "artefacts" / "viewer"


@dataclass(frozen=True)
class Seen:
    """What the viewer showed, beside what the PACS holds."""

    report: Dataset
    captures: int
    page: dict[str, Any]

    def series(self, modality: str) -> dict[str, Any]:
        """The series of this modality, as listed and as it looked when opened."""
        (found,) = (each for each in self.page["series"] if each["listed"].split()[0] == modality)
        return dict(found)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory, untrained_bundle: Path) -> Iterator[Seen]:
    programs = viewer.installed()
    folder = tmp_path_factory.mktemp("viewer")
    files = factories.write(factories.mr_series(), folder / "study")
    study = str(pydicom.dcmread(files[0]).StudyInstanceUID)
    with peers.loopback_only():
        port = peers.free_port()
        with peers.orthanc(folder, modalities={"neurossl": (nodes.AE_TITLE, port)}, dicomweb=True) as pacs:
            home = [nodes.destination("pacs", pacs.ae_title, pacs.port)]
            with nodes.node(folder, untrained_bundle, port=port, allow=[pacs.ae_title], destinations=home) as node:
                pacs.upload(files)
                pacs.send("neurossl", study)
                assert node.ended(study).state is JobState.DONE
            with serve_viewer(programs.ohif, pacs.http_port) as address:
                page = viewer.look(programs, address, study, folder / "profile", SCREENSHOTS)
            (report,) = pacs.instances(study, "SR")
            yield Seen(pydicom.dcmread(BytesIO(pacs.file(report))), len(pacs.instances(study, "OT")), page)


def numbers(item: Dataset) -> Iterator[tuple[str, float]]:
    """Every measurement of the report, by its concept."""
    for child in item.get("ContentSequence", ()):
        if child.ValueType == "NUM":
            yield child.ConceptNameCodeSequence[0].CodeMeaning, float(child.MeasuredValueSequence[0].NumericValue)
        yield from numbers(child)


def colourful(screenshot: Path, box: dict[str, float]) -> float:
    """The share of the viewport that is neither grey nor the blue of the viewer's own frame."""
    left, top = box["x"], box["y"]
    area = Image.open(screenshot).convert("RGB").crop((left, top, left + box["width"], top + box["height"]))
    red, green, blue = (np.asarray(channel, int) for channel in area.split())
    return float(np.mean((red > blue + 40) & (red > green)))


def bright(screenshot: Path, box: dict[str, float]) -> float:
    """The share of the viewport that is not black."""
    left, top = box["x"], box["y"]
    area = Image.open(screenshot).convert("L").crop((left, top, left + box["width"], top + box["height"]))
    return float(np.mean(np.asarray(area) > 60))


def test_the_page_raises_no_error(seen: Seen) -> None:
    assert seen.page["errors"] == []


def test_images_captures_and_report_are_listed(seen: Seen) -> None:
    listed = {each["listed"].split()[0]: each["listed"].split()[-1] for each in seen.page["series"]}
    assert listed == {"MR": "64", "OT": str(seen.captures), "SR": "1"}


def test_the_measurements_of_the_report_can_be_read_off_the_page(seen: Seen) -> None:
    shown = "".join(seen.series("SR")["drawn"])
    expected = dict(numbers(seen.report))
    for concept in ("Probability", "Standard Deviation"):
        read = re.search(rf"{concept}: ([0-9.]+) %", shown)
        assert read, shown
        assert float(read[1]) == pytest.approx(expected[concept], abs=0.01)


def test_the_report_opens_on_its_key_slice_with_a_mark(seen: Seen) -> None:
    opened = seen.series("SR")
    assert opened["shapes"] > 0
    assert bright(SCREENSHOTS / opened["screenshot"], opened["box"]) > 0.1
    assert re.search(r"\(\d+/64\)", opened["text"])


def test_the_captures_are_shown_in_colour_and_in_order(seen: Seen) -> None:
    opened = seen.series("OT")
    assert f"(1/{seen.captures})" in opened["text"]
    first, second = SCREENSHOTS / opened["screenshot"], SCREENSHOTS / opened["next"]
    assert bright(first, opened["box"]) > 0.02
    assert colourful(second, opened["box"]) > 0.02
    assert f"(2/{seen.captures})" in opened["text_of_next"]
