"""A bundle: the folder that the node loads, `weights.safetensors` and `manifest.json`.

The manifest holds the hash of the weights, and the identity of a bundle is the hash of its manifest, so that a report
which names it names every number behind its answer. Nothing in a bundle is executable.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from model.errors import BundleError
from model.manifest import PRESETS, Architecture, Manifest
from model.shapes import parameter_shapes
from model.slicing import Preprocessing
from model.types import ModelId
from model.weights import WeightsFile, WeightsInMemory, differences

WEIGHTS, MANIFEST = "weights.safetensors", "manifest.json"
DEMONSTRATION = Path(__file__).parent / "demonstration"  # ships with the package; it demonstrates, no more


@dataclass(frozen=True)
class Bundle:
    """Weights that fit their manifest; one that does not fit cannot exist."""

    manifest: Manifest
    weights: WeightsInMemory | WeightsFile

    def __post_init__(self) -> None:
        wrong = differences(parameter_shapes(self.manifest.architecture), self.weights.shapes)
        if wrong:
            raise BundleError("the weights do not fit the architecture of the manifest:\n" + "\n".join(wrong))

    @property
    def model_id(self) -> ModelId:
        """The identity that travels into reports."""
        return self.manifest.model_id

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read and check a bundle. Raises BundleError: missing, altered, or not fitting its own manifest."""
        if not folder.is_dir():
            raise BundleError(f"{folder}: there is no such bundle folder")
        manifest = Manifest.read(folder / MANIFEST)
        weights = WeightsFile.open(folder / WEIGHTS)
        found = weights.sha256()
        if found != manifest.sha256:
            raise BundleError(
                f"{folder / WEIGHTS}: is not the file that the manifest was written for: "
                f"sha256 {found[:16]}…, expected {manifest.sha256[:16]}…"
            )
        return cls(manifest, weights)

    @classmethod
    def create(cls, manifest: Manifest, arrays: Mapping[str, NDArray[np.float32]], *, half: bool = False) -> Self:
        """A bundle in memory from a state dict as numpy arrays; `half` stores float16, and answers come from those.

        Raises BundleError when a value is not finite, or becomes so in half precision.
        """
        weights = WeightsInMemory({name: _stored(name, array, half) for name, array in arrays.items()})
        return cls(manifest.model_copy(update={"sha256": weights.sha256()}), weights)

    @classmethod
    def untrained(cls, seed: int = 2025, preset: str | Architecture = "compact") -> Self:
        """Random weights from a fixed seed, the same on every machine, for trying the node before any training.

        Raises BundleError for a preset that does not exist.
        """
        if isinstance(preset, str) and preset not in PRESETS:
            raise BundleError(f"there is no preset {preset!r}; presets: {', '.join(PRESETS)}")
        architecture = preset if isinstance(preset, Architecture) else PRESETS[preset]
        arrays = {name: _initial(name, shape, seed) for name, shape in parameter_shapes(architecture).items()}
        provenance = {"source": f"random weights from seed {seed}; no data has shaped them"}
        manifest = Manifest(
            name="neurossl-untrained",
            trained=False,
            architecture=architecture,
            preprocessing=replace(Preprocessing.card(), size=architecture.img_size),
            temperature=1.0,
            provenance=provenance,
        )
        return cls.create(manifest, arrays)

    def save(self, folder: Path) -> None:
        """Write the folder: weights first, the manifest last, each durably. Raises BundleError when it cannot."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if isinstance(self.weights, WeightsInMemory):
                self.weights.write(folder / WEIGHTS)
            elif self.weights.path != folder / WEIGHTS:
                raise BundleError(f"this bundle is kept in {self.weights.path.parent}: copy that folder")
            part = folder / f"{MANIFEST}.part"
            with part.open("w", encoding="utf-8") as file:
                file.write(self.manifest.to_json())
                file.flush()
                os.fsync(file.fileno())
            part.replace(folder / MANIFEST)
        except OSError as error:
            raise BundleError(f"{folder}: cannot be written: {error.strerror}") from error


def with_brain(bundle: Bundle, brain: str) -> Bundle:
    """The same weights behind slices of the brain: another bundle, since its answers differ. Raises BundleError."""
    manifest = bundle.manifest
    if manifest.preprocessing.planes:
        raise BundleError("preprocessing.planes lie in mm of what is looked for: a recipe with a brain names its own")
    try:
        preprocessing = replace(manifest.preprocessing, brain=brain)
    except ValueError as error:
        raise BundleError(str(error)) from None
    return Bundle(manifest.model_copy(update={"preprocessing": preprocessing}), bundle.weights)


def _stored(name: str, array: NDArray[np.float32], half: bool) -> NDArray[np.float32] | NDArray[np.float16]:
    stored: NDArray[np.float32] | NDArray[np.float16]
    with np.errstate(over="ignore"):
        stored = np.ascontiguousarray(array, np.float16) if half else np.ascontiguousarray(array, np.float32)
    if not np.isfinite(stored).all():
        raise BundleError(f"{name}: holds values that are not finite")
    return stored


def _initial(name: str, shape: tuple[int, ...], seed: int) -> NDArray[np.float32]:
    if "norm" in name or name.startswith(("head.0.", "encoder.scale_fusion.2.")):
        return np.full(shape, 1.0 if name.endswith("weight") else 0.0, np.float32)
    if name.endswith("bias"):
        return np.zeros(shape, np.float32)
    random = np.random.Generator(np.random.PCG64([seed, *name.encode()]))
    scale = 0.02 if name in ("encoder.pos_embed", "encoder.cls_token") else np.prod(shape[1:]) ** -0.5
    return np.asarray(random.standard_normal(shape, dtype=np.float32) * np.float32(scale))
