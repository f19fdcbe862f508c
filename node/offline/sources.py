"""DICOM studies as images to pre-train on: the series that the service would choose, read as it would read it."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from model.manifest import Manifest
from model.slicing import Preprocessing
from model.training.sources import ImageSource, Load, Skipped
from model.training.volumes import Pixels, Unreadable, slice_pixels
from node.config import Settings
from node.dicom.values import text, unwarned
from node.errors import UnreadableInstance
from node.series.choice import Limits, choose, eligible, nothing_to_read
from node.series.pixels import open_header
from node.series.selection import SeriesHeaders
from node.series.volume import read_series


def dicom_sources(paths: Sequence[Path], limits: Limits | None = None) -> Iterator[ImageSource | Skipped]:
    """One source for each study with an eligible series; every other series and file is skipped, with its reason.

    `limits` are by default those of the settings in the environment, with the numbers that a new bundle gets. Which of
    several eligible series is read shows when the source is loaded. A subject is a hash of the PatientID, so that no id
    reaches a cache or a report.
    """
    limits = limits or Limits.of(Settings(), Manifest(trained=False))
    studies, unreadable = _by_study(paths)
    yield from unreadable
    for files in studies:
        yield from _study(files, limits)


@unwarned()
def _by_study(paths: Iterable[Path]) -> tuple[Iterable[list[Path]], list[Skipped]]:
    studies: dict[str, list[Path]] = defaultdict(list)
    unreadable: list[Skipped] = []
    for path in paths:
        try:
            studies[text(open_header(path)[0], "StudyInstanceUID")].append(path)
        except UnreadableInstance as error:
            unreadable.append(Skipped(path, str(error)))
    return studies.values(), unreadable


def _study(paths: Iterable[Path], limits: Limits) -> Iterator[ImageSource | Skipped]:
    """Its headers are read again when it is loaded: those of all studies together would fill the memory."""
    reading = read_series(paths)
    yield from (Skipped(each.path, each.reason) for each in reading.unreadable)
    selection = eligible(reading.series, limits)
    for series, verdict in zip(reading.series, selection.verdicts, strict=True):
        if not verdict.eligible:
            yield Skipped(series.paths[0], f"series refused: {verdict.reason}: {verdict.detail}")
    if selection.ranked:
        files = tuple(path for series in selection.ranked for path in series.paths)
        yield ImageSource(files, _subject(selection.ranked[0]), _load(files, limits))


def _load(paths: Sequence[Path], limits: Limits) -> Load:
    def load(preprocessing: Preprocessing) -> Pixels:
        choice = choose(read_series(paths).series, replace(limits, preprocessing=preprocessing))
        if choice.look is None:
            raise Unreadable(paths[0], choice.damage or nothing_to_read(choice.verdicts))
        return slice_pixels(choice.look.series.paths[0], choice.look.slices)

    return load


def _subject(series: SeriesHeaders) -> str:
    name = text(series.headers[0], "PatientID") or text(series.headers[0], "StudyInstanceUID")
    return f"dicom-{hashlib.sha256(name.encode()).hexdigest()[:10]}"
