"""Checkpoints that are whole or not there: written beside, synced, renamed."""

import hashlib
import json
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from model.training.errors import ResumeError


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Replace the checkpoint at `path` in one step; a power cut leaves the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        torch.save(dict(state), file)
        _sync(file.fileno())
    part.replace(path)
    _sync_folder(path.parent)


def load(path: Path, fingerprint: str) -> dict[str, Any]:
    """The checkpoint, on the CPU; tensors and plain values only, nothing is executed.

    Raises ResumeError when it is damaged, or was written for another recipe or other data.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        found = state["fingerprint"]
    except (OSError, RuntimeError, EOFError, KeyError, TypeError, ValueError, pickle.UnpicklingError) as error:
        raise ResumeError(
            f"{path}: is no readable checkpoint ({type(error).__name__}); delete it to start over"
        ) from error
    if found != fingerprint:
        raise ResumeError(f"{path}: was made with another recipe or other data; use a new folder, or delete it")
    return state


def write_text(path: Path, text: str) -> None:
    """Replace a text file in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        _sync(file.fileno())
    part.replace(path)
    _sync_folder(path.parent)


def write_json(path: Path, content: object) -> None:
    """Replace a JSON file in one step."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def file_hash(path: Path) -> str:
    """sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(*parts: object) -> str:
    """A short hash of plain values: what must not have changed between a run and its resumption."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _sync(descriptor: int) -> None:
    os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
