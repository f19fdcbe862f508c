"""A published checkpoint -> a bundle.

A checkpoint is a pickle, and a pickle is a program. Only torch's restricted unpickler reads it (`weights_only=True`),
which builds tensors, plain containers and numpy's numbers and refuses everything else before it runs.
"""

import hashlib
import re
import warnings
import zipfile
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from model.bundle import Bundle
from model.errors import BundleError, CheckpointError
from model.hub import Fetched
from model.manifest import Architecture, Manifest
from model.shapes import parameter_shapes
from model.weights import differences

STATE = "model_state"
NUMPY_SCALARS = (np.dtype, import_module("numpy._core.multiarray").scalar, *map(type, map(np.dtype, "dfliq?")))


def import_checkpoint(fetched: Fetched, manifest: Manifest, *, half: bool = False) -> Bundle:
    """The bundle of a checkpoint; the architecture is that of its names and shapes, all else comes from `manifest`.

    Raises CheckpointError that names the difference: not readable, not harmless, wrong names, shapes or values.
    """
    arrays = _arrays(_state(fetched.path), fetched.path)
    architecture = _architecture(arrays)
    wrong = differences(parameter_shapes(architecture), {name: array.shape for name, array in arrays.items()})
    if wrong:
        raise CheckpointError(f"{fetched.path}: is not a checkpoint of this network:\n" + "\n".join(wrong))
    with fetched.path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    provenance = {**manifest.provenance, **fetched.provenance, "checkpoint_sha256": sha256}
    update = {"architecture": architecture, "provenance": provenance, "trained": True}
    try:
        return Bundle.create(manifest.model_copy(update=update), arrays, half=half)
    except BundleError as error:
        raise CheckpointError(f"{fetched.path}: {error}") from error


def _state(path: Path) -> Any:
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"{path}: no safetensors file: {error}") from error
    checkpoint = _unpickled(path)
    if not isinstance(checkpoint, Mapping):
        raise CheckpointError(f"{path}: holds a {type(checkpoint).__name__}, expected a dict with '{STATE}'")
    if STATE not in checkpoint:
        keys = ", ".join(sorted(map(str, checkpoint))[:8]) or "nothing"
        raise CheckpointError(f"{path}: has no '{STATE}'; it holds {keys}")
    return checkpoint[STATE]


def _unpickled(path: Path) -> Any:
    try:
        zipped = zipfile.is_zipfile(path)
        if zipped:
            _refuse_compressed(path)
        with warnings.catch_warnings(), torch.serialization.safe_globals([*NUMPY_SCALARS]):
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except CheckpointError:
        raise
    except Exception as error:
        raise CheckpointError(f"{path}: {_pickle_problem(path, error)}") from error


def _refuse_compressed(path: Path) -> None:
    """torch.save stores without compression; a compressed entry could grow without limit while it is read."""
    with zipfile.ZipFile(path) as archive:
        packed = [entry.filename for entry in archive.infolist() if entry.compress_type != zipfile.ZIP_STORED]
    if packed:
        raise CheckpointError(f"{path}: has compressed entries, which torch.save never writes: {packed[0]!r}")


def _pickle_problem(path: Path, error: Exception) -> str:
    refused = re.search(r"GLOBAL ([\w.]+)", str(error))
    if refused:
        return (
            f"refused: reading it would call {refused[1]}, and a checkpoint may only hold tensors, numbers and text; "
            "nothing of it was run"
        )
    lines = [line for line in str(error).splitlines() if line.strip() and "weights_only" not in line]  # torch's advice
    words = lines[0].strip()[:300] if lines else type(error).__name__
    return f"cannot be read as a checkpoint ({path.stat().st_size} bytes): {words}"


def _arrays(state: Any, path: Path) -> dict[str, NDArray[np.float32]]:
    if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
        raise CheckpointError(f"{path}: '{STATE}' is no mapping from names to tensors")
    arrays = {}
    for name, value in state.items():
        if not isinstance(value, Tensor) or value.layout is not torch.strided or not value.is_floating_point():
            raise CheckpointError(f"{path}: '{STATE}' holds under {name!r} something else than a dense float tensor")
        arrays[name] = value.detach().float().numpy()
    return arrays


def _architecture(arrays: Mapping[str, NDArray[np.float32]]) -> Architecture:
    """The published one, unless the tokens are projected before the covariance."""
    reduce = arrays.get("cov_reduce.weight")
    return Architecture() if reduce is None or reduce.ndim != 2 else Architecture(covariance_dim=reduce.shape[0])
