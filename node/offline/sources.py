"""DICOM series as images to pre-train on: the same selection and the same reading as in the service."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.slicing import Preprocessing
from model.training.sources import Load, Skipped, Source
from model.training.volumes import Unreadable, slab_pixels
from node.config import SelectionSettings
from node.dicom.values import text
from node.errors import UnreadableInstance
from node.series.geometry import GeometryError
from node.series.selection import SeriesHeaders, judge
from node.series.volume import read_series, read_volume

MAXIMUM_BYTES = 1 << 30


def dicom_sources(folder: Path) -> Iterator[Source | Skipped]:
    """Every series of the folder's files that the service would read; the others are skipped, with its reason.

    A subject is a hash of the PatientID, so that no id reaches a cache or a report.
    """
    reading = read_series(sorted(each for each in folder.iterdir() if each.is_file()))
    yield from (Skipped(each.path, each.reason) for each in reading.unreadable)
    for series in reading.series:
        verdict = judge(series, SelectionSettings())
        if verdict.eligible:
            yield Source(series.paths, _subject(series), _load(series))
        else:
            yield Skipped(series.paths[0], f"series refused: {verdict.reason}: {verdict.detail}")


def _load(series: SeriesHeaders) -> Load:
    def load(preprocessing: Preprocessing) -> NDArray[np.uint8]:
        try:
            return slab_pixels(series.paths[0], read_volume(series, MAXIMUM_BYTES), preprocessing)
        except (UnreadableInstance, GeometryError) as error:
            raise Unreadable(series.paths[0], str(error)) from error

    return load


def _subject(series: SeriesHeaders) -> str:
    name = text(series.headers[0], "PatientID") or text(series.headers[0], "StudyInstanceUID")
    return f"dicom-{hashlib.sha256(name.encode()).hexdigest()[:10]}"
