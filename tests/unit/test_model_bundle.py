"""Bundles: what is written is what is read, and what does not fit cannot be loaded."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from model import Bundle
from model.errors import BundleError
from model.manifest import Architecture
from model.weights import WeightsFile, WeightsInMemory
from tests import bundles


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A saved bundle."""
    bundles.bundle().save(tmp_path / "bundle")
    return tmp_path / "bundle"


def edited(folder: Path, **values: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_a_bundle_that_was_saved_is_the_same_when_loaded(folder: Path) -> None:
    made, loaded = bundles.bundle(), Bundle.load(folder)
    assert loaded.manifest == made.manifest
    assert loaded.model_id == made.model_id
    for name in made.weights.shapes:
        assert np.array_equal(loaded.weights.read(name), made.weights.read(name))
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "weights.safetensors"]


def test_the_weights_are_a_file_that_the_safetensors_library_reads(folder: Path) -> None:
    read = load_file(folder / "weights.safetensors")
    for name, array in bundles.arrays(bundles.SMALL).items():
        assert np.array_equal(read[name], array)


def test_rows_of_a_parameter_can_be_read_alone(folder: Path) -> None:
    weights = Bundle.load(folder).weights
    whole = weights.read("cov_proj.0.weight")
    assert np.array_equal(weights.read("cov_proj.0.weight", 5, 9), whole[5:9])
    assert np.array_equal(bundles.bundle().weights.read("cov_proj.0.weight", 190, 250), whole[190:])


def test_half_precision_halves_the_file_and_reads_as_float32(tmp_path: Path) -> None:
    arrays, manifest = bundles.arrays(bundles.SMALL), bundles.bundle().manifest
    Bundle.create(manifest, arrays, half=True).save(tmp_path / "half")
    Bundle.create(manifest, arrays).save(tmp_path / "whole")
    half, whole = ((tmp_path / name / "weights.safetensors").stat().st_size for name in ("half", "whole"))
    assert half < 0.55 * whole
    read = Bundle.load(tmp_path / "half").weights.read("head.2.weight")
    assert read.dtype == np.float32
    assert np.array_equal(read, arrays["head.2.weight"].astype(np.float16))


def test_one_altered_bit_of_the_weights_is_noticed(folder: Path) -> None:
    path = folder / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match="is not the file that the manifest was written for: sha256"):
        Bundle.load(folder)


@pytest.mark.parametrize("damage", [b"", b"not safetensors", None])
def test_weights_that_are_no_weights_are_named(folder: Path, damage: bytes | None) -> None:
    path = folder / "weights.safetensors"
    path.unlink() if damage is None else path.write_bytes(damage)
    with pytest.raises(BundleError, match=r"weights\.safetensors: no safetensors file"):
        Bundle.load(folder)


def test_weights_that_do_not_fit_the_manifest_are_named_one_by_one(folder: Path) -> None:
    arrays = bundles.arrays(bundles.SMALL)
    arrays["head.2.weight"] = arrays["head.2.weight"].T.copy()
    arrays["extra"] = arrays.pop("head.2.bias")
    save_file(arrays, folder / "weights.safetensors")
    edited(folder, sha256=WeightsFile.open(folder / "weights.safetensors").sha256())
    with pytest.raises(BundleError) as caught:
        Bundle.load(folder)
    assert "missing: head.2.bias (2,)" in str(caught.value)
    assert "unexpected: extra (2,)" in str(caught.value)
    assert "head.2.weight has shape (96, 2), expected (2, 96)" in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"temperature": 0}, "temperature: Input should be greater than 0"),
        ({"dropout_samples": 1}, "dropout_samples: Input should be greater than or equal to 2"),
        ({"rollout_order": "sideways"}, "rollout_order"),
        ({"surprise": 1}, "surprise: Extra inputs are not permitted"),
        ({"thresholds": {"high_likelihood": 1.5}}, r"thresholds\.high_likelihood"),
        ({"preprocessing": {"size": 64, "colour": "red"}}, "preprocessing: .*colour"),
        ({"preprocessing": {"size": 224}}, "preprocessing.size is not architecture.img_size"),
        ({"architecture": {"embed_dim": 50}}, "num_heads embed_dim"),
        ({"architecture": {"fusion_blocks": [12]}}, "fusion_blocks"),
        ({"sha256": "12"}, "sha256"),
        ({"format": 2}, "format"),
    ],
)
def test_a_manifest_with_a_wrong_key_is_refused_by_its_name(
    folder: Path, values: dict[str, object], message: str
) -> None:
    edited(folder, **values)
    with pytest.raises(BundleError, match=message):
        Bundle.load(folder)


def test_a_folder_without_a_bundle_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="there is no such bundle folder"):
        Bundle.load(tmp_path / "nowhere")
    with pytest.raises(BundleError, match=r"manifest\.json: cannot be read"):
        Bundle.load(tmp_path)


def test_the_identity_covers_the_weights_and_every_number_of_the_manifest() -> None:
    identities = {
        bundles.bundle().model_id.sha256,
        bundles.bundle(seed=8).model_id.sha256,
        bundles.bundle(temperature=2.0).model_id.sha256,
        bundles.bundle(thresholds={"high_likelihood": 0.8}).model_id.sha256,
        bundles.bundle(scope={"minimum_head_ml": 1.0}).model_id.sha256,
        bundles.bundle(rollout_order="first_to_last").model_id.sha256,
    }
    assert len(identities) == 6
    assert bundles.bundle().model_id == bundles.bundle().model_id


def test_values_that_are_not_finite_are_refused_also_when_rounding_makes_them_so() -> None:
    arrays = bundles.arrays(bundles.SMALL)
    arrays["head.2.bias"][0] = 1e5
    manifest = bundles.bundle().manifest
    Bundle.create(manifest, arrays)
    with pytest.raises(BundleError, match=r"head\.2\.bias: holds values that are not finite"):
        Bundle.create(manifest, arrays, half=True)


def test_untrained_weights_are_the_same_on_every_machine_and_say_what_they_are() -> None:
    made = Bundle.untrained(2025, Architecture(img_size=32, embed_dim=8, depth=2, num_heads=2))
    assert made.manifest.sha256.startswith("77d9b495d65c2fd9")
    assert not made.model_id.trained
    assert "no data" in made.manifest.provenance["source"]
    assert Bundle.untrained(2026, made.manifest.architecture).manifest.sha256 != made.manifest.sha256


def test_the_default_untrained_bundle_is_the_compact_one() -> None:
    made = Bundle.untrained()
    assert made.manifest.architecture.covariance_dim == 40
    assert made.manifest.preprocessing.size == 224
    with pytest.raises(BundleError, match="no preset 'huge'; presets: published, compact"):
        Bundle.untrained(preset="huge")


def test_saving_over_a_bundle_replaces_it_whole(folder: Path) -> None:
    bundles.bundle(seed=9).save(folder)
    assert Bundle.load(folder).model_id == bundles.bundle(seed=9).model_id


def test_writing_where_nothing_can_be_written_is_an_error_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BundleError, match="cannot be written"):
        bundles.bundle().save(tmp_path / "file")


def test_the_same_arrays_in_another_order_give_the_same_file() -> None:
    arrays = bundles.arrays(bundles.SMALL)
    backwards = {name: arrays[name] for name in reversed(arrays)}
    assert WeightsInMemory(arrays).sha256() == WeightsInMemory(backwards).sha256()
