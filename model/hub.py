"""Where a checkpoint comes from: a file, or one exact commit of a repository on the Hugging Face Hub."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from model.errors import CheckpointError

PUBLISHED_FILE = "checkpoint_best.pt"
REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Fetched:
    """A checkpoint on disk, and where it comes from, in words for the manifest."""

    path: Path
    provenance: Mapping[str, str]


def find(source: str, revision: str | None = None, filename: str = PUBLISHED_FILE) -> Fetched:
    """A file of this name, or else the checkpoint of the Hub repository of this name.

    Raises CheckpointError when there is neither.
    """
    path = Path(source)
    if path.is_file():
        if revision is not None:
            raise CheckpointError(f"{source} is a file; a revision belongs to a repository on the Hub")
        return Fetched(path, {"source": f"file {path.name}"})
    if path.exists() or not REPOSITORY.fullmatch(source):
        raise CheckpointError(f"{source}: neither a file, nor a repository on the Hub such as owner/name")
    return fetch(source, revision or "main", filename)


def fetch(repository: str, revision: str, filename: str) -> Fetched:
    """Download from the Hub at exactly one commit: a branch or tag is resolved to one first, and the bundle keeps it.

    Raises CheckpointError: no network, no such repository, revision or file.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]  # its documented place, not re-exported

    try:
        commit = revision if COMMIT.fullmatch(revision) else HfApi().model_info(repository, revision=revision).sha
        path = hf_hub_download(repository, filename, revision=commit)
    except (httpx.HTTPError, EntryNotFoundError, OSError, ValueError) as error:
        raise CheckpointError(f"{repository} at {revision}: {_problem(error, filename)}") from error
    return Fetched(Path(path), {"source": f"Hugging Face Hub, {filename}", "hub": repository, "revision": str(commit)})


def _problem(error: Exception, filename: str) -> str:
    from huggingface_hub import errors

    known: tuple[tuple[type[Exception], str], ...] = (
        (errors.LocalEntryNotFoundError, ""),
        (errors.GatedRepoError, "the repository is gated: ask for access there, then `hf auth login`"),
        (errors.RepositoryNotFoundError, "there is no such repository, or it is private"),
        (errors.RevisionNotFoundError, "the repository has no such revision"),
        (errors.EntryNotFoundError, f"the revision has no file {filename}"),
        (errors.HFValidationError, "that is no name of a repository"),
        (errors.HfHubHTTPError, "the Hub answered with an error"),
    )
    words = next((text for kind, text in known if isinstance(error, kind)), "")
    if not words:
        words = (
            "the Hub cannot be reached, and the file is not in the local cache; download "
            f"{filename} where there is a network, and import the file"
        )
    return f"{words} ({(str(error).strip() or type(error).__name__).splitlines()[0][:200]})"
