"""The parts of the demo that need no node: its study, its folder, its reading of a report."""

from pathlib import Path

import numpy as np
import pytest
from nilearn.datasets import load_mni152_template
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from node.config import Settings
from node.demo import demo_folder
from node.demo.montage import write_montage
from node.demo.template import write_template
from node.dicom.content_tree import as_text
from node.errors import ConfigurationError
from node.series.selection import select
from node.series.volume import read_series, read_volume
from tests.checkers import iod_errors


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_template(tmp_path_factory.mktemp("template") / "study")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning:nilearn")
def test_every_voxel_of_the_template_lies_where_the_template_has_it(template: list[Path]) -> None:
    chosen = select(read_series(template).series, Settings().selection).chosen
    assert chosen is not None
    volume = read_volume(chosen, 2**30)
    source = load_mni152_template(resolution=1)
    values = np.asarray(source.dataobj)
    for index in ((60, 80, 120), (100, 60, 100), (140, 120, 70)):
        x, y, z, _ = volume.affine_mm @ [*index, 1]
        i, j, k, _ = np.linalg.solve(source.affine, [-x, -y, z, 1]).round().astype(int)
        assert volume.voxels[index] == pytest.approx(1000 * values[i, j, k] / values.max(), abs=1)


@pytest.mark.peers
def test_the_template_is_a_valid_mr_series_and_says_that_it_is_made_up(template: list[Path]) -> None:
    assert iod_errors(template[100]) == []
    assert b"Made up from the MNI152 template" in template[100].read_bytes()


def test_a_temporary_folder_keeps_only_the_results() -> None:
    with demo_folder(None) as place:
        for folder in (place.study, place.bundle, place.data, place.received):
            folder.mkdir()
        for file in (place.config, place.log, place.report, place.montage):
            file.touch()
    assert {path.name for path in place.root.iterdir()} == {"received", "report.txt", "montage.png"}
    for path in (place.report, place.montage):
        path.unlink()
    place.received.rmdir()
    place.root.rmdir()


def test_a_demo_that_fails_leaves_no_temporary_folder() -> None:
    roots = []

    def fail() -> None:
        with demo_folder(None) as place:
            place.study.mkdir()
            roots.append(place.root)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [root.exists() for root in roots] == [False]


def test_a_folder_to_keep_must_be_empty_and_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file"):
        with pytest.raises(ConfigurationError, match="--keep"), demo_folder(path):
            pass


def item(kind: str, name: str, **values: object) -> Dataset:
    dataset = Dataset()
    dataset.ValueType = kind
    concept = Dataset()
    concept.CodeMeaning = name
    dataset.ConceptNameCodeSequence = [concept]
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def coded(**values: str) -> list[Dataset]:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return [dataset]


def test_a_report_is_read_item_by_item() -> None:
    measured = Dataset()
    measured.NumericValue = "82.34"
    measured.MeasurementUnitsCodeSequence = coded(CodeValue="%")
    group = item(
        "CONTAINER",
        "Measurement Group",
        ContentSequence=[
            item("NUM", "Probability", MeasuredValueSequence=[measured]),
            item("NUM", "Volume"),
            item("CODE", "Decision band", ConceptCodeSequence=coded(CodeMeaning="Indeterminate")),
            item("TEXT", "Comment", TextValue="in words"),
            *[item("IMAGE", "Source")] * 3,
        ],
    )
    report = item("CONTAINER", "Report", CompletionFlag="COMPLETE", ContentSequence=[group])
    assert as_text(report).splitlines() == [
        "Report  [complete]",
        "  Measurement Group",
        "    Probability: 82.34 %",
        "    Volume: not measured",
        "    Decision band: Indeterminate",
        "    Comment: in words",
        "    Source: 3 images",
    ]


def capture(width: int, height: int, value: int) -> Dataset:
    dataset = Dataset()
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = height, width, 3
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation, dataset.PlanarConfiguration = 7, 0, 0
    dataset.PhotometricInterpretation = "RGB"
    dataset.PixelData = np.full((height, width, 3), value, np.uint8).tobytes()
    dataset["PixelData"].VR = "OB"
    dataset.ensure_file_meta()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


@pytest.mark.parametrize("count", [0, 1, 4, 5, 12])
def test_a_montage_shows_every_capture(tmp_path: Path, count: int) -> None:
    overlays = [capture(100, 120, 100 + number) for number in range(count)]
    write_montage([capture(300, 300, 250), *overlays], tmp_path / "montage.png")
    shown = set(np.unique(np.asarray(Image.open(tmp_path / "montage.png"))))
    assert {250, *range(100, 100 + count)} <= shown
