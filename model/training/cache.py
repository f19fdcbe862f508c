"""Every image once through model.slicing, into one packed file that training maps into memory.

    <name>.pixels   uint8, slice after slice, S x S each
    <name>.journal  a header, then one JSON line per source: key, first slice, count, a hash of each slice

`name` is a hash of the preprocessing. A line is written only after its pixels are on the disk, so a killed run loses at
most the sources since the last line; what is left behind is cut off when the cache is opened again.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.slicing import Preprocessing
from model.training.sources import ImageSource, Skipped
from model.training.volumes import Pixels, Unreadable

SOURCES_BETWEEN_SYNCS = 32

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Entry:
    """Where the slices of a source lie in the packed file; digests: a hash of each slice's pixels."""

    first: int
    count: int
    digests: tuple[str, ...]
    planes: tuple[str, ...] = ()  # of each slice, where the source's own view is not that of all


@dataclass(frozen=True)
class Cached:
    """The packed slices (n, S, S) uint8, memory-mapped, and where those of each readable source lie."""

    pixels: NDArray[np.uint8]
    entries: dict[int, Entry]  # by position of the source in the sequence that was asked for
    skipped: tuple[Skipped, ...]


def build(
    folder: Path, sources: Sequence[ImageSource], preprocessing: Preprocessing, progress: Progress | None = None
) -> Cached:
    """Load what is not in the cache yet. Waits while another process builds the same cache."""
    folder.mkdir(parents=True, exist_ok=True)
    choices = json.dumps(preprocessing.to_dict(), sort_keys=True)
    name = hashlib.sha256(choices.encode()).hexdigest()[:12]
    entries: dict[int, Entry] = {}
    skipped: list[Skipped] = []
    with _open(folder / name, preprocessing.size) as store:
        for position, source in enumerate(sources):
            if progress is not None:
                progress(position, len(sources), source.files[0].name)
            try:
                entries[position] = store.get(source, preprocessing)
            except Unreadable as error:
                skipped.append(Skipped(error.path, error.reason))
        store.sync()
        if progress is not None:
            progress(len(sources), len(sources), "")
        return Cached(store.mapped(), entries, tuple(skipped))


class _Store:
    """The two open files; entries whose line is not on the disk yet wait in `pending`."""

    def __init__(self, base: Path, size: int) -> None:
        self.size = size
        self.pixels = base.with_suffix(".pixels").open("a+b")
        self.journal = base.with_suffix(".journal").open("a+b")
        self.known: dict[str, Entry] = {}
        self.pending: list[dict[str, Any]] = []
        fcntl.flock(self.journal, fcntl.LOCK_EX)
        self._recover()

    def get(self, source: ImageSource, preprocessing: Preprocessing) -> Entry:
        key = _key(source)
        if key not in self.known:
            self._append(key, source.load(preprocessing))
        return self.known[key]

    def sync(self) -> None:
        self.pixels.flush()
        os.fsync(self.pixels.fileno())
        for line in self.pending:
            self.journal.write(json.dumps(line).encode() + b"\n")
        self.journal.flush()
        os.fsync(self.journal.fileno())
        self.pending.clear()

    def mapped(self) -> NDArray[np.uint8]:
        if not self.slices:
            return np.empty((0, self.size, self.size), np.uint8)
        return np.memmap(self.pixels.name, np.uint8, "r", shape=(self.slices, self.size, self.size))

    def close(self) -> None:
        self.pixels.close()
        self.journal.close()

    def _append(self, key: str, loaded: Pixels) -> None:
        slices = np.ascontiguousarray(loaded.pixels)
        digests = tuple(hashlib.sha256(each.tobytes()).hexdigest()[:16] for each in slices)
        self.pixels.write(slices.tobytes())
        self.known[key] = Entry(self.slices, len(slices), digests, loaded.planes)
        self.pending.append({"key": key, **asdict(self.known[key])})
        self.slices += len(slices)
        if len(self.pending) >= SOURCES_BETWEEN_SYNCS:
            self.sync()

    def _recover(self) -> None:
        """Read the journal up to the first line that is damaged or has no pixels; cut off the rest of both files."""
        self.journal.seek(0)
        present = os.fstat(self.pixels.fileno()).st_size // self.size**2
        self.slices, valid = 0, 0
        for line in self.journal:
            entry = _parsed(line)
            if entry is None or entry[1].first != self.slices or self.slices + entry[1].count > present:
                break
            self.known[entry[0]] = entry[1]
            self.slices += entry[1].count
            valid += len(line)
        self.journal.truncate(valid)
        self.pixels.truncate(self.slices * self.size**2)


@contextmanager
def _open(base: Path, size: int) -> Iterator[_Store]:
    store = _Store(base, size)
    try:
        yield store
    finally:
        store.close()


def _key(source: ImageSource) -> str:
    """Changes when a file of the source does; a file that is gone has no size."""
    facts = [(str(path.resolve()), *_facts(path)) for path in source.files]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24]


def _facts(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return -1, -1
    return status.st_size, status.st_mtime_ns


def _entry(content: Mapping[str, Any]) -> Entry:
    planes = tuple(content.get("planes", ()))  # a line of an earlier version has none: its slices were all axial
    return Entry(content["first"], content["count"], tuple(content["digests"]), planes)


def _parsed(line: bytes) -> tuple[str, Entry] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        content = json.loads(line)
        return content["key"], _entry(content)
    except (ValueError, KeyError, TypeError):
        return None
