"""Images are read once; a killed run loses little, and what it left behind is put right."""

from pathlib import Path

import numpy as np
import pytest

from model.slicing import Preprocessing
from model.training import cache, sources
from model.training.cache import Cached
from model.training.volumes import Pixels
from tests import training_data

SMALL = Preprocessing(size=32)


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
def found(tmp_path: Path) -> sources.Found:
    return sources.find(training_data.table(tmp_path / "data", [0, 1] * 20))


def pixels_of(cached: Cached, position: int) -> np.ndarray:
    entry = cached.entries[position]
    return np.asarray(cached.pixels[entry.first : entry.first + entry.count])


def counting(found: sources.Found, until: int | None = None) -> tuple[list[sources.ImageSource], list[int]]:
    """The sources, noting which are loaded; after `until` loads the process is killed."""
    loads: list[int] = []

    def watched(number: int, source: sources.ImageSource) -> sources.ImageSource:
        def load(preprocessing: Preprocessing) -> Pixels:
            if until is not None and len(loads) == until:
                raise Killed
            loads.append(number)
            return source.load(preprocessing)

        return sources.ImageSource(source.files, source.subject, load, source.session, source.view, source.label)

    return [watched(number, source) for number, source in enumerate(found.sources)], loads


def test_the_second_time_nothing_is_read_again(found: sources.Found, tmp_path: Path) -> None:
    first = cache.build(tmp_path / "cache", found.sources, SMALL)
    watched, loads = counting(found)
    second = cache.build(tmp_path / "cache", watched, SMALL)
    assert not loads
    assert first.entries == second.entries
    for position, source in enumerate(found.sources):
        np.testing.assert_array_equal(pixels_of(second, position), source.load(SMALL).pixels)


def test_a_killed_run_goes_on_where_its_last_line_was_written(found: sources.Found, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        cache.build(tmp_path / "cache", counting(found, until=75)[0], SMALL)
    watched, loads = counting(found)
    cached = cache.build(tmp_path / "cache", watched, SMALL)
    assert loads == list(range(64, 120))  # two syncs of 32
    assert len(cached.entries) == 120
    np.testing.assert_array_equal(pixels_of(cached, 70), found.sources[70].load(SMALL).pixels)


@pytest.mark.parametrize("damage", ["half a line", "no pixels", "rubbish"])
def test_a_damaged_cache_is_put_right(found: sources.Found, tmp_path: Path, damage: str) -> None:
    cache.build(tmp_path / "cache", found.sources, SMALL)
    (journal,), (pixels,) = list(tmp_path.glob("cache/*.journal")), list(tmp_path.glob("cache/*.pixels"))
    if damage == "half a line":
        journal.write_bytes(journal.read_bytes()[:-30])
    elif damage == "no pixels":
        pixels.write_bytes(pixels.read_bytes()[: 50 * 32 * 32 + 7])
    else:
        journal.write_bytes(journal.read_bytes()[:2000] + b"\n\x00{]\n")
    cached = cache.build(tmp_path / "cache", found.sources, SMALL)
    for position, source in enumerate(found.sources):
        np.testing.assert_array_equal(pixels_of(cached, position), source.load(SMALL).pixels)


def test_a_changed_file_is_read_again(found: sources.Found, tmp_path: Path) -> None:
    before = cache.build(tmp_path / "cache", found.sources, SMALL)
    path = found.sources[5].files[0]
    path.write_bytes(found.sources[9].files[0].read_bytes() + b"trailing")
    after = cache.build(tmp_path / "cache", found.sources, SMALL)
    assert after.entries[5] != before.entries[5]
    np.testing.assert_array_equal(pixels_of(after, 5), pixels_of(before, 9))


def test_other_preprocessing_has_a_cache_of_its_own(found: sources.Found, tmp_path: Path) -> None:
    assert cache.build(tmp_path / "cache", found.sources, SMALL).pixels.shape[1:] == (32, 32)
    assert cache.build(tmp_path / "cache", found.sources, Preprocessing(size=16)).pixels.shape[1:] == (16, 16)
