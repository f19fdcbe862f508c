"""Named arrays in a safetensors file, read a piece at a time and written without a second copy in memory.

The layout is that of https://github.com/huggingface/safetensors: 8 bytes little-endian length, JSON header, data.
Reading is memory-mapped and each mapping is dropped after its piece, so that the file's pages never add up to its size;
writing sorts the names and streams the data, so that the same weights always give the same bytes and the same hash.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from model.errors import BundleError

NAMES = {"float32": "F32", "float16": "F16"}
Shapes = Mapping[str, tuple[int, ...]]


class Weights(Protocol):
    """Where the parameters of a network are kept."""

    @property
    def shapes(self) -> Shapes:
        """Name -> shape."""

    def read(self, name: str, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """The parameter, or its rows from start to stop along the first axis, as float32."""


@dataclass(frozen=True)
class WeightsInMemory:
    """Arrays that have just been made or imported."""

    arrays: Mapping[str, NDArray[np.float32] | NDArray[np.float16]]

    @property
    def shapes(self) -> Shapes:
        """Name -> shape."""
        return {name: array.shape for name, array in self.arrays.items()}

    def read(self, name: str, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """The parameter, or its rows from start to stop along the first axis, as float32."""
        return np.asarray(self.arrays[name][start:stop], np.float32)

    def encoded(self) -> Iterator[bytes | memoryview]:
        """The safetensors file, piece by piece."""
        header, offset = {}, 0
        for name in sorted(self.arrays):
            array = self.arrays[name]
            entry = {"dtype": NAMES[array.dtype.name], "shape": list(array.shape)}
            header[name] = {**entry, "data_offsets": [offset, offset := offset + array.nbytes]}
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        yield len(text).to_bytes(8, "little")
        yield text
        for name in sorted(self.arrays):
            yield np.ascontiguousarray(self.arrays[name]).reshape(-1).view(np.uint8).data

    def sha256(self) -> str:
        """Of the file that `write` writes."""
        digest = hashlib.sha256()
        for piece in self.encoded():
            digest.update(piece)
        return digest.hexdigest()

    def write(self, path: Path) -> None:
        """Write the file durably: all of it is there, or the old one still is."""
        with path.with_suffix(".part").open("wb") as file:
            for piece in self.encoded():
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        path.with_suffix(".part").replace(path)


@dataclass(frozen=True)
class WeightsFile:
    """A safetensors file on disk; raises BundleError when it cannot be read as one."""

    path: Path
    shapes: Shapes

    @classmethod
    def open(cls, path: Path) -> "WeightsFile":
        """Read the header only."""
        try:
            with safe_open(path, framework="numpy") as file:
                return cls(path, {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()})  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise BundleError(f"{path}: no safetensors file: {error}") from error

    def read(self, name: str, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """The parameter, or its rows from start to stop along the first axis, as float32."""
        with safe_open(self.path, framework="numpy") as file:
            return np.asarray(file.get_slice(name)[start:stop], np.float32)

    def sha256(self) -> str:
        """Of the whole file."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def differences(expected: Shapes, found: Shapes, limit: int = 8) -> list[str]:
    """Where names and shapes differ, in words, at most `limit` lines and how many more there are.

    >>> differences({"a": (2,), "b": (3, 4)}, {"b": (4, 3), "c": ()})
    ['missing: a (2,)', 'unexpected: c ()', 'b has shape (4, 3), expected (3, 4)']
    """
    lines = [f"missing: {name} {expected[name]}" for name in expected if name not in found]
    lines += [f"unexpected: {name} {found[name]}" for name in found if name not in expected]
    shared = (name for name in expected if name in found and tuple(found[name]) != tuple(expected[name]))
    lines += [f"{name} has shape {found[name]}, expected {expected[name]}" for name in shared]
    return lines if len(lines) <= limit else [*lines[:limit], f"and {len(lines) - limit} more"]
