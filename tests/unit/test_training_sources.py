"""What lies in a folder is found in every layout; what is damaged is named and skipped."""

import csv
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from model.slicing import Preprocessing
from model.training import datasets, sources, volumes
from model.training.errors import LabelTableError, NoTrainingData
from model.training.volumes import Unreadable
from tests import phantom, training_data

SMALL = Preprocessing(size=32, slices=5, spacing_mm=6.0)


def test_a_table_gives_a_source_per_view_and_names_what_is_missing(tmp_path: Path) -> None:
    folder = training_data.table(tmp_path, [0, 1])
    (folder / "images" / "S001_s.png").unlink()
    found = sources.find(folder)
    assert [(each.subject, each.view, each.label) for each in found.sources] == [
        ("S000", "axial", 0),
        ("S000", "sagittal", 0),
        ("S000", "coronal", 0),
        ("S001", "axial", 1),
        ("S001", "coronal", 1),
    ]
    assert [(each.path.name, each.reason) for each in found.skipped] == [("S001_s.png", "is not there")]


def test_images_may_be_named_from_the_folder_of_the_pictures_itself(tmp_path: Path) -> None:
    folder = training_data.table(tmp_path, [0, 1])
    assert len(sources.table(folder / "labels.csv", folder / "images").sources) == 6


def test_a_name_that_leads_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    folder = training_data.table(tmp_path / "data", [0, 1])
    shutil.copy(folder / "images" / "S000_a.png", tmp_path / "secret.png")
    table = (folder / "labels.csv").read_text().replace("images/S000_a.png", "../secret.png")
    (folder / "labels.csv").write_text(table)
    found = sources.find(folder)
    assert found.skipped[0].reason == "lies outside of the folder of images"


def test_oasis_slices_by_class_know_subject_and_label(tmp_path: Path) -> None:
    places = {
        "Non Demented": (27, 0),
        "Very mild Dementia": (28, 1),
        "Mild Dementia": (31, 1),
        "Moderate Dementia": (351, 1),
    }
    for name, (number, _) in places.items():
        (tmp_path / name).mkdir()
        for mpr in (1, 2):
            picture = tmp_path / name / f"OAS1_{number:04d}_MR1_mpr-{mpr}_100.jpg"
            Image.fromarray(training_data.head(np.random.default_rng(number), 0)).save(picture)
    (tmp_path / "Non Demented" / "whatever.jpg").write_bytes(b"")
    (tmp_path / "Non Demented" / "Thumbs.db").write_bytes(b"")
    found = sources.find(tmp_path)
    told = {(each.subject, each.session, each.label) for each in found.sources}
    assert ("OAS1_0027", "MR1 mpr-1", 0) in told
    assert {(each.subject, each.label) for each in found.sources} == {
        (f"OAS1_{number:04d}", label) for number, label in places.values()
    }
    assert sorted(each.path.name for each in found.skipped) == ["Thumbs.db", "whatever.jpg"]


def test_a_subject_in_two_classes_is_fatal(tmp_path: Path) -> None:
    for name in ("Non Demented", "Mild Dementia"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "OAS1_0028_MR1_mpr-1_100.jpg").write_bytes(b"")
    with pytest.raises(LabelTableError, match="OAS1_0028 also lies in"):
        sources.find(tmp_path)


def distribution(folder: Path) -> Path:
    """Three sessions of two subjects of OASIS-1 as distributed, the second's image cut short."""
    for disc, session in ((1, "OAS1_0001_MR1"), (1, "OAS1_0002_MR1"), (2, "OAS1_0002_MR2")):
        raw = folder / f"disc{disc}" / session / "RAW"
        raw.mkdir(parents=True)
        affine = (0.0, 0.0, 5.0, -80.0, -5.0, 0.0, 0.0, 110.0, 0.0, 5.0, 0.0, -130.0, 0.0, 0.0, 0.0, 1.0)
        voxels = phantom.sampled((44, 46, 32), affine).astype(
            np.int16
        )  # first axis to the front, second up, third left
        nib.save(nib.AnalyzeImage(voxels, np.diag([5.0, 5.0, 5.0, 1.0])), raw / f"{session}_mpr-1_anon.hdr")
    broken = folder / "disc1" / "OAS1_0002_MR1" / "RAW" / "OAS1_0002_MR1_mpr-1_anon.img"
    broken.write_bytes(broken.read_bytes()[:5000])
    with (folder / "oasis_cross-sectional.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("ID", "M/F", "CDR"), ("OAS1_0001_MR1", "F", 0), ("OAS1_0002_MR1", "M", 0.5)])
    return folder


def test_oasis_as_distributed_has_labels_from_its_spreadsheet(tmp_path: Path) -> None:
    found = sources.find(distribution(tmp_path))
    told = [(each.subject, each.session, each.label) for each in found.sources]
    assert told == [("OAS1_0001", "MR1", 0), ("OAS1_0002", "MR1", 1), ("OAS1_0002", "MR2", None)]


def test_a_volume_cut_short_is_named_and_skipped_and_the_others_are_read(tmp_path: Path) -> None:
    loaded = datasets.load(sources.find(distribution(tmp_path / "oasis")), SMALL, tmp_path / "cache")
    assert [each.path.name for each in loaded.skipped] == ["OAS1_0002_MR1_mpr-1_anon.hdr"]
    assert len(loaded.slices) == 10
    assert loaded.slices.label_of == {"OAS1_0001": 0}
    assert "skipped" in loaded.summary


def test_raw_oasis_volumes_lie_in_the_patient_as_the_same_head_in_nifti_does(tmp_path: Path) -> None:
    """Noses point the same way: the slices of a raw Analyze file and of a NIfTI of the same head agree."""
    found = sources.find(distribution(tmp_path / "oasis"))
    ours = found.sources[0].load(SMALL).pixels.astype(float)
    affine_lps = np.array([[0, 0, 5.0, -80], [-5.0, 0, 0, 110], [0, 5.0, 0, -130], [0, 0, 0, 1]])
    voxels = phantom.sampled((44, 46, 32), tuple(affine_lps.ravel().tolist())).astype(np.int16)
    nib.save(nib.Nifti1Image(voxels, volumes.RAS_TO_LPS @ affine_lps), tmp_path / "head.nii.gz")
    theirs = volumes.volume_pixels(tmp_path / "head.nii.gz", SMALL).pixels.astype(float)
    straight = np.corrcoef(ours.ravel(), theirs.ravel())[0, 1]
    upside_down = np.corrcoef(ours[:, ::-1].ravel(), theirs.ravel())[0, 1]
    assert straight > 0.99 > upside_down


def test_a_wrong_row_of_the_oasis_spreadsheet_is_fatal(tmp_path: Path) -> None:
    folder = distribution(tmp_path)
    with (folder / "oasis_cross-sectional.csv").open("a") as file:
        file.write("OAS1_0003_MR1,M,0.25\n")
    with pytest.raises(LabelTableError, match=r"row 4: cdr is 0\.25"):
        sources.find(folder)


def test_any_folder_of_nifti_can_be_pretrained_on_and_damage_is_skipped(tmp_path: Path) -> None:
    affine_lps = np.array([[5.0, 0, 0, -80], [0, 5.0, 0, -110], [0, 0, 5.0, -130], [0, 0, 0, 1]])
    voxels = phantom.sampled((32, 44, 46), tuple(affine_lps.ravel().tolist())).astype(np.int16)
    data = tmp_path / "data"
    (data / "sub-07" / "anat").mkdir(parents=True)
    nib.save(nib.Nifti1Image(voxels, volumes.RAS_TO_LPS @ affine_lps), data / "sub-07" / "anat" / "sub-07_T1w.nii.gz")
    good = (data / "sub-07" / "anat" / "sub-07_T1w.nii.gz").read_bytes()
    (data / "short.nii.gz").write_bytes(good[: len(good) // 2])
    (data / "noise.nii").write_bytes(b"no image at all")
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4, 3), np.int16), np.eye(4)), data / "four.nii")
    nib.save(nib.Nifti1Image(np.full((32, 44, 46), np.nan, np.float32), np.eye(4)), data / "nan.nii")
    nib.save(nib.Nifti1Image(np.zeros((32, 44, 46), np.float32), np.eye(4) * 5), data / "empty.nii")
    loaded = datasets.load(sources.find(data), SMALL, tmp_path / "cache")
    assert set(loaded.slices.subjects.tolist()) == {"sub-07"}
    assert {each.path.name for each in loaded.skipped} == {
        "short.nii.gz",
        "noise.nii",
        "four.nii",
        "nan.nii",
        "empty.nii",
    }
    assert all(each.reason for each in loaded.skipped)


@pytest.mark.parametrize("content", [b"", b"\xff\xd8\xff\xe0 cut", b"\x89PNG\r\n\x1a\n", b"GIF89a"])
def test_a_damaged_picture_says_what_is_wrong(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "picture.jpg"
    path.write_bytes(content)
    with pytest.raises(Unreadable, match=r"picture\.jpg: "):
        volumes.picture_pixels(path, SMALL)


def test_a_picture_of_one_grey_is_no_head(tmp_path: Path) -> None:
    Image.new("L", (176, 208), 90).save(tmp_path / "grey.png")
    with pytest.raises(Unreadable, match="one single grey"):
        volumes.picture_pixels(tmp_path / "grey.png", SMALL)


def test_an_empty_folder_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(NoTrainingData, match=r"looked for labels\.csv"):
        sources.find(tmp_path)
    with pytest.raises(NoTrainingData, match="is no folder"):
        sources.find(tmp_path / "nowhere")


@pytest.mark.realdata
def test_ixi_is_found_and_sliced(real_data: Path, tmp_path: Path) -> None:
    loaded = datasets.load(sources.find(real_data / "ixi"), SMALL, tmp_path / "cache")
    assert loaded.found.layout == "IXI"
    assert set(loaded.slices.subjects.tolist()) == {"IXI012", "IXI015"}
    assert not loaded.skipped


@pytest.mark.realdata
def test_the_real_table_has_136_subjects_in_three_views(real_data: Path, tmp_path: Path) -> None:
    loaded = datasets.load(sources.find(real_data / "oasis1"), SMALL, tmp_path / "cache")
    assert loaded.summary == {
        "layout": "labelled slices (labels.csv)",
        "subjects": 136,
        "slices": 408,
        "subjects_by_label": {"0": 68, "1": 68},
        "slices_by_view": {"axial": 136, "coronal": 136, "sagittal": 136},
        "age_years": [60, 96],
        "skipped": 0,
    }
