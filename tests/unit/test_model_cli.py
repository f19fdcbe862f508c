"""`neurossl predict` and `neurossl model …`, as somebody types them."""

import json
import subprocess
import sys
from contextlib import chdir
from pathlib import Path

import nibabel
import numpy as np
import pytest
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from model import Bundle, Predictor
from node.cli import app
from node.errors import UnreadableInstance
from node.offline.predictions import find, read_nifti
from tests import bundles, factories


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small bundle in it."""
    folder = tmp_path_factory.mktemp("cli")
    bundles.bundle(bundles.FULL_FIELD).save(folder / "bundle")
    return folder


def neurossl(*arguments: object, cwd: Path) -> Result:
    """The command line in this process, as if typed in the folder `cwd`."""
    with chdir(cwd):
        return CliRunner().invoke(app, [*map(str, arguments)])


def predicted(*arguments: object, cwd: Path, code: int = 0) -> list[dict[str, object]]:
    done = neurossl("predict", *arguments, "--bundle", cwd / "bundle", "--json", cwd=cwd)
    assert done.exit_code == code, done.stderr
    return list(json.loads(done.stdout))


def head(path: Path) -> Path:
    """A made-up head as NIfTI, its voxels in RAS millimetres, stored in an order of its own."""
    voxels, affine_lps = factories.head_phantom((150, 180, 150), (1.2, 1.2, 1.2))
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine_lps
    nibabel.save(nibabel.Nifti1Image(np.asarray(voxels, np.float32), affine), path)
    return path


def picture(path: Path, count: int = 0) -> Path:
    """A smooth slice that the gate lets through."""
    y, x = np.mgrid[-1:1:224j, -1:1:224j]
    brain = (x / 0.75) ** 2 + (y / 0.9) ** 2 < 1
    folds = np.cos(20 * x + count) * np.cos(17 * y) + 0.3 * np.cos(31 * (x + y))
    Image.fromarray((brain * (150 + 30 * folds)).astype(np.uint8)).save(path)
    return path


@pytest.mark.slow
def test_pictures_volumes_and_studies_are_answered_in_one_call(folder: Path, mr_folder: Path) -> None:
    picture(folder / "a.png"), picture(folder / "b.jpg", 1)
    head(folder / "head.nii.gz")
    found = predicted("a.png", "b.jpg", "head.nii.gz", mr_folder, "--heatmap", "out.png", cwd=folder)
    assert [each["kind"] for each in found] == ["picture", "picture", "NIfTI", "DICOM"]
    assert [len(each["slices"]) for each in found] == [1, 1, 61, 61]
    for each in found:
        assert 0 < each["probability"] < 1
        assert each["band"] in ("high likelihood", "indeterminate", "no significant changes", "low confidence")
        assert each["model"]["sha256"] == Bundle.load(folder / "bundle").model_id.sha256
        assert np.shape(each["slices"][0]["rollout"]) == (14, 14)
    with Image.open(folder / "out.png") as image:
        assert image.mode == "RGB"
        assert min(image.size) > 1000
        assert np.ptp(np.asarray(image)) > 100


@pytest.mark.slow
def test_a_study_gets_the_numbers_that_the_node_would_report(folder: Path, mr_folder: Path) -> None:
    from node.config import SelectionSettings
    from node.series.choice import seed
    from node.series.selection import select
    from node.series.volume import read_series, read_volume

    found = predicted(mr_folder, cwd=folder)[0]
    chosen = select(read_series(sorted(mr_folder.rglob("*"))).series, SelectionSettings()).chosen
    predictor = Predictor(Bundle.load(folder / "bundle"))
    ours = predictor.predict(read_volume(chosen, 2**30), seed(chosen, predictor.model_id.sha256))
    assert found["probability"] == pytest.approx(ours.probability)
    assert found["spread"] == pytest.approx(ours.spread)


def test_a_picture_has_the_same_numbers_alone_and_among_others(folder: Path) -> None:
    paths = [picture(folder / f"among{index}.png", index) for index in range(3)]
    together, alone = predicted(*paths, cwd=folder)[2], predicted(paths[2], cwd=folder)[0]
    for name in ("probability", "spread", "predictive_entropy"):
        assert together[name] == pytest.approx(alone[name], abs=1e-6)


def test_the_table_says_what_was_not_classified_and_why(folder: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (224, 224), np.uint8)
    Image.fromarray(noise).save(folder / "noise.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20))
    done = neurossl("predict", "noise.png", "broken.png", "--bundle", "bundle", cwd=folder)
    assert done.exit_code == 1  # one of them could not be read
    assert "outside the model's scope" in done.stdout
    assert "no readable PNG or JPEG" in done.stdout
    assert "Research use only" in done.stdout


def test_untrained_weights_are_said_to_be_untrained(folder: Path, tmp_path: Path) -> None:
    bundles.bundle(bundles.FULL_FIELD, trained=False).save(tmp_path / "bundle")
    picture(tmp_path / "a.png")
    done = neurossl("predict", "a.png", "--bundle", "bundle", cwd=tmp_path)
    assert "UNTRAINED" in done.stdout
    assert "UNTRAINED" in neurossl("model", "show", "bundle", cwd=tmp_path).stdout


def test_the_demonstration_bundle_is_written_out_once(tmp_path: Path) -> None:
    done = neurossl("model", "demonstration", "new", cwd=tmp_path)
    assert done.exit_code == 0, done.stderr
    assert Bundle.load(tmp_path / "new").manifest.trained
    assert neurossl("model", "demonstration", "new", cwd=tmp_path).exit_code == 2
    assert neurossl("model", "demonstration", "new", "--force", cwd=tmp_path).exit_code == 0
    done = neurossl("model", "demonstration", "new", "--brain", "deepbet", "--force", cwd=tmp_path)
    assert (done.exit_code, Bundle.load(tmp_path / "new").manifest.preprocessing.brain) == (0, "deepbet")
    assert neurossl("model", "demonstration", "other", "--brain", "none at all", cwd=tmp_path).exit_code == 2
    (tmp_path / "file").write_text("")
    done = neurossl("model", "demonstration", "file", cwd=tmp_path)
    assert done.exit_code == 2
    assert "cannot be written" in done.stderr


def test_the_bundle_of_the_settings_is_the_default(folder: Path, tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "config.yaml").write_text(f"worker:\n  bundle: {folder / 'bundle'}\n")
    assert neurossl("predict", "a.png", cwd=tmp_path).exit_code == 0
    done = neurossl("predict", "a.png", "--config", "none.yaml", cwd=tmp_path)
    assert done.exit_code == 2
    assert "--bundle" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("predict", "nowhere.png", "--bundle", "bundle"), "there is no such file or folder"),
        (("predict", "bundle", "--bundle", "nowhere"), "there is no such bundle folder"),
        (("predict", "bundle", "--bundle", "bundle", "--device", "cuda:7"), "cuda:7"),
        (("predict", "bundle", "--bundle", "bundle", "--precision", "int4"), "no precision"),
        (("model", "show", "nowhere"), "there is no such bundle folder"),
        (("model", "untrained", "new", "--preset", "huge"), "presets: published, compact"),
        (("model", "untrained", "bundle"), "--force replaces it"),
        (("model", "import", "no/such/file.pt", "--out", "x"), "neither a file, nor a repository"),
        (("model", "import", "bundle/manifest.json", "--out", "x"), "cannot be read as a checkpoint"),
        (("model", "import", "bundle/weights.safetensors", "--out", "x"), "missing:"),
        (("model", "import", "x.pt", "--out", "x", "--rollout-order", "sideways"), "rollout_order"),
    ],
)
def test_what_a_user_can_mend_is_one_message_and_exit_code_2(
    folder: Path, arguments: tuple[str, ...], message: str
) -> None:
    done = neurossl(*arguments, cwd=folder)
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.replace("│", " ").split())
    assert isinstance(done.exception, SystemExit)


@pytest.mark.slow
def test_the_command_is_one_process_that_leaves_no_traceback(folder: Path) -> None:
    command = [sys.executable, "-m", "node", "predict", "nowhere.png", "--bundle", "bundle"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error nowhere.png: there is no such file or folder")
    assert "Traceback" not in done.stderr


def test_show_prints_the_manifest_as_json(folder: Path) -> None:
    facts = json.loads(neurossl("model", "show", "bundle", "--json", cwd=folder).stdout)
    assert facts["sha256_of_bundle"] == Bundle.load(folder / "bundle").model_id.sha256
    assert facts["architecture"]["embed_dim"] == bundles.FULL_FIELD.embed_dim


@pytest.mark.slow
def test_the_benchmark_measures_every_way_in_one_run(folder: Path) -> None:
    done = neurossl("model", "benchmark", "--bundle", "bundle", "--slices", 8, "--repeats", 1, "--json", cwd=folder)
    assert done.exit_code == 0, done.stderr
    report = json.loads(done.stdout)
    kinds = [(row["kind"], row["engine"], row["precision"]) for row in report["rows"]]
    assert kinds[0] == ("the card's way", "torch eager", "float32")
    assert ("bare forward", "OpenVINO", "float32") in kinds
    assert ("full answer", "OpenVINO", "float32") in kinds
    for row in report["rows"]:
        assert row["ms_per_slice"] > 0
        assert row["peak_memory_mib"] > 50
        assert row["largest_probability_difference"] < (1e-4 if row["precision"] == "float32" else 0.02)
    assert report["rows"][0]["speedup"] == 1


@pytest.mark.parametrize("content", [b"", b"not a volume"])
def test_a_file_that_is_no_volume_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "odd.nii").write_bytes(content)
    with pytest.raises(UnreadableInstance, match="no readable NIfTI"):
        read_nifti(tmp_path / "odd.nii", 2**30)


def test_a_truncated_volume_is_named(tmp_path: Path) -> None:
    for name in ("cut.nii", "cut.nii.gz"):
        content = head(tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
        with pytest.raises(UnreadableInstance, match="no readable NIfTI"):
            read_nifti(tmp_path / name, 2**30)


def test_volumes_that_cannot_be_placed_or_are_too_large_are_refused(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.zeros((4, 5, 6, 3), np.float32), np.eye(4))
    nibabel.save(image, tmp_path / "four.nii")
    with pytest.raises(UnreadableInstance, match="4 x 5 x 6 x 3 values, expected one volume"):
        read_nifti(tmp_path / "four.nii", 2**30)
    image = nibabel.Nifti1Image(np.zeros((4, 5, 6), np.float32), None)
    nibabel.save(image, tmp_path / "nowhere.nii")
    with pytest.raises(UnreadableInstance, match="does not say how it lies"):
        read_nifti(tmp_path / "nowhere.nii", 2**30)
    with pytest.raises(UnreadableInstance, match="more than the limit allows"):
        read_nifti(head(tmp_path / "head.nii"), 10_000)


def test_nifti_millimetres_become_dicom_s(tmp_path: Path) -> None:
    affine = np.array([[0, -2, 0, 5], [3, 0, 0, 6], [0, 0, 4, 7], [0, 0, 0, 1]], float)
    voxels = np.arange(24, dtype=np.int16).reshape(2, 3, 4, 1)
    nibabel.save(nibabel.Nifti1Image(voxels, affine), tmp_path / "one.nii")
    volume = read_nifti(tmp_path / "one.nii", 2**30)
    assert np.array_equal(volume.voxels, voxels[..., 0])
    ras = affine @ [1, 2, 3, 1]
    assert (volume.affine_mm @ [1, 2, 3, 1]).tolist() == [-ras[0], -ras[1], ras[2], 1]


def test_a_picture_with_more_than_eight_bits_is_refused(folder: Path, tmp_path: Path) -> None:
    Image.fromarray(np.full((30, 30), 900, np.uint16)).save(tmp_path / "deep.png")
    found = predicted(tmp_path / "deep.png", cwd=folder, code=1)
    assert "more than 8 bits" in found[0]["reason"]


def test_a_stray_file_in_a_folder_of_pictures_is_named_and_no_failure(folder: Path, tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "labels.csv").write_text("a,1\n")
    found = predicted(tmp_path, cwd=folder)
    assert [each["kind"] for each in found] == ["picture", "file"]
    assert found[1]["reason"]
    predicted(tmp_path / "labels.csv", cwd=folder, code=1)


def test_folders_are_searched_in_the_order_of_names(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpeg", "v.nii.gz", "IM0001", "sub/c.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = find([tmp_path])
    assert [path.name for path in found.pictures] == ["a.jpeg", "b.PNG", "c.jpg"]
    assert [path.name for path in found.volumes] == ["v.nii.gz"]
    assert [path.name for path in found.others] == ["IM0001"]
