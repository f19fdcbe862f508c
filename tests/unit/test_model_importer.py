"""Importing a published checkpoint: what fits becomes a bundle, and everything else is named and never run."""

import io
import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from model.bundle import Bundle
from model.errors import CheckpointError
from model.hub import Fetched, find
from model.importer import import_checkpoint
from model.manifest import Architecture, Manifest
from tests import bundles

ARCHITECTURE = Architecture(covariance_dim=4)
COMMIT = "0123456789abcdef0123456789abcdef01234567"
MANIFEST = Manifest(trained=True)


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    """Every parameter of a network that can be imported."""
    return bundles.arrays(ARCHITECTURE)


@pytest.fixture(scope="module")
def checkpoint(arrays: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with everything that training loops leave in one."""
    path = tmp_path_factory.mktemp("checkpoint") / "checkpoint_best.pt"
    weight = torch.nn.Parameter(torch.zeros(3))
    optimizer = torch.optim.AdamW([weight])
    weight.sum().backward()
    optimizer.step()
    torch.save(
        {
            "model_state": OrderedDict((name, torch.from_numpy(value)) for name, value in arrays.items()),
            "optimizer_state": optimizer.state_dict(),
            "epoch": 20,
            "best_auc": np.float64(0.893),
            "counts": [np.int64(3), np.float32(0.5), np.bool_(True)],
        },
        path,
    )
    return path


def refused(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        import_checkpoint(Fetched(path, {}), MANIFEST)
    return str(caught.value)


def test_a_checkpoint_becomes_a_bundle_that_says_where_it_comes_from(
    checkpoint: Path, arrays: dict[str, np.ndarray], tmp_path: Path
) -> None:
    import_checkpoint(find(str(checkpoint)), MANIFEST).save(tmp_path / "bundle")
    loaded = Bundle.load(tmp_path / "bundle")
    assert loaded.manifest.architecture == ARCHITECTURE
    assert loaded.manifest.provenance["source"] == "file checkpoint_best.pt"
    assert len(loaded.manifest.provenance["checkpoint_sha256"]) == 64
    assert (loaded.manifest.temperature, loaded.manifest.dropout_samples) == (1.6995, 10)
    for name, value in arrays.items():
        assert np.array_equal(loaded.weights.read(name), value)


def test_importing_twice_gives_the_same_bundle(checkpoint: Path) -> None:
    first, second = (import_checkpoint(find(str(checkpoint)), MANIFEST).model_id for _ in range(2))
    assert first == second


def test_a_state_in_safetensors_is_taken_too(arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    save_file({name: torch.from_numpy(value) for name, value in arrays.items()}, tmp_path / "state.safetensors")
    made = import_checkpoint(find(str(tmp_path / "state.safetensors")), MANIFEST)
    assert np.array_equal(made.weights.read("head.2.weight"), arrays["head.2.weight"])


def test_half_precision_states_are_widened(arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    state = {name: torch.from_numpy(value).bfloat16() for name, value in arrays.items()}
    torch.save({"model_state": state}, tmp_path / "half.pt")
    read = import_checkpoint(find(str(tmp_path / "half.pt")), MANIFEST).weights.read("head.2.weight")
    np.testing.assert_allclose(read, arrays["head.2.weight"], rtol=0.01)


class Attack:
    """Unpickling this runs a command."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch {self.proof}",)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_malicious_pickle_is_refused_by_name_and_nothing_of_it_runs(tmp_path: Path, zipped: bool) -> None:
    content = {"model_state": {"head.2.bias": Attack(tmp_path / "ran")}}
    torch.save(content, tmp_path / "attack.pt", _use_new_zipfile_serialization=zipped)
    assert "refused: reading it would call posix.system" in refused(tmp_path / "attack.pt")
    assert not (tmp_path / "ran").exists()


def test_a_plain_pickle_is_refused_as_well(tmp_path: Path) -> None:
    for protocol, words in ((2, "posix.system"), (4, "cannot be read as a checkpoint")):
        (tmp_path / "attack.pt").write_bytes(pickle.dumps(Attack(tmp_path / "ran"), protocol=protocol))
        message = refused(tmp_path / "attack.pt")
        assert words in message
        assert "weights_only" not in message  # torch's advice to load it all the same
    assert not (tmp_path / "ran").exists()


def test_code_behind_an_innocent_container_is_refused(tmp_path: Path) -> None:
    torch.save({"model_state": torch.nn.Linear(2, 2)}, tmp_path / "module.pt")
    assert "would call torch.nn.modules.linear.Linear" in refused(tmp_path / "module.pt")


@pytest.mark.parametrize("kept", [0, 1, 100, 5_000, -1_000, -20])
def test_a_truncated_file_is_an_error_with_its_size(checkpoint: Path, tmp_path: Path, kept: int) -> None:
    content = checkpoint.read_bytes()
    (tmp_path / "cut.pt").write_bytes(content[:kept])
    assert "cannot be read as a checkpoint" in refused(tmp_path / "cut.pt")


@pytest.mark.parametrize(
    "content", [b"GIF89a" + bytes(100), b"\x80\x02" + bytes(50), b"{'model_state': 1}", b"PK\x03\x04"]
)
def test_a_file_that_is_something_else_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "other.pt").write_bytes(content)
    assert "other.pt: cannot be read as a checkpoint" in refused(tmp_path / "other.pt")


def test_an_archive_that_would_grow_is_refused_before_it_is_read(tmp_path: Path) -> None:
    plain = io.BytesIO()
    torch.save({"model_state": {"head.2.bias": torch.zeros(1_000_000)}}, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as packed:
        for entry in source.infolist():
            packed.writestr(entry.filename, source.read(entry))
    assert "compressed entries" in refused(tmp_path / "bomb.pt")


def test_wrong_names_and_shapes_are_named(arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    state = {name: torch.from_numpy(value) for name, value in arrays.items()}
    state["classifier.weight"] = state.pop("head.2.weight")
    state["head.2.bias"] = torch.zeros(4)
    torch.save({"model_state": state}, tmp_path / "other.pt")
    message = refused(tmp_path / "other.pt")
    assert "missing: head.2.weight (2, 768)" in message
    assert "unexpected: classifier.weight (2, 768)" in message
    assert "head.2.bias has shape (4,), expected (2,)" in message


def test_a_long_list_of_differences_is_cut_and_counted(arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    torch.save({"model_state": {f"module.{name}": torch.zeros(1) for name in arrays}}, tmp_path / "parallel.pt")
    message = refused(tmp_path / "parallel.pt")
    assert len(message.splitlines()) == 10
    assert "and 317 more" in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"state_dict": {}, "epoch": 1}, "has no 'model_state'; it holds epoch, state_dict"),
        ({}, "it holds nothing"),
        ([1, 2], "holds a list, expected a dict"),
        ({"model_state": 3}, "no mapping from names to tensors"),
        ({"model_state": {1: torch.zeros(1)}}, "no mapping from names to tensors"),
        ({"model_state": {"head.2.bias": [0.0, 0.0]}}, "'head.2.bias' something else than a dense float tensor"),
        ({"model_state": {"head.2.bias": torch.zeros(2, dtype=torch.int64)}}, "dense float tensor"),
        ({"model_state": {"head.2.bias": torch.zeros(2).to_sparse()}}, "dense float tensor"),
    ],
)
def test_a_checkpoint_of_another_make_is_told_from_ours(tmp_path: Path, content: object, message: str) -> None:
    torch.save(content, tmp_path / "make.pt")
    assert message in refused(tmp_path / "make.pt")


def test_values_that_are_not_finite_are_named(arrays: dict[str, np.ndarray], tmp_path: Path) -> None:
    state = {name: torch.from_numpy(value) for name, value in arrays.items()}
    torch.save({"model_state": state | {"head.2.bias": torch.tensor([0.0, torch.nan])}}, tmp_path / "nan.pt")
    assert "head.2.bias: holds values that are not finite" in refused(tmp_path / "nan.pt")


@pytest.mark.parametrize("source", ["nowhere.pt", "a/b/c", "..", "/nowhere/at/all"])
def test_what_is_neither_a_file_nor_a_repository_is_said_to_be_neither(source: str) -> None:
    with pytest.raises(CheckpointError, match="neither a file, nor a repository"):
        find(source)


def test_a_file_has_no_revision(checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match="a revision belongs to a repository"):
        find(str(checkpoint), revision="main")
