"""Which series of a study is read: the eligible ones by rank, until one can be read and is in the model's scope.

The one way for the service, `inspect`, `predict` and training. A series that makes no volume, has a damaged file or is
outside the model's scope is refused with that reason, and let go before the next is read. Where every readable one is
outside, the best of them stands for the study.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from model import sight
from model.errors import TooCoarse, VolumeError
from model.manifest import Manifest, Subjects
from model.slicing import Preprocessing
from model.types import Scope, Slice
from node.config import SelectionSettings, Settings
from node.errors import UnreadableInstance
from node.series.beside import beside
from node.series.geometry import GeometryError
from node.series.reasons import Reason, SeriesRefused
from node.series.selection import Selection, SeriesHeaders, SeriesVerdict, refused, select
from node.series.volume import check_files, read_volume

MIB = 2**20

Refusal = tuple[Reason, str]  # and its detail
Known = Callable[[SeriesHeaders, Sequence[str]], bool]  # this one, beside those, was read and in scope before
Stage = Callable[[str], AbstractContextManager[object]]  # "selection", "volume", "slices" or "scope" is under way


@dataclass(frozen=True)
class Limits:
    """What a series is held against: the site's settings, and the numbers of the bundle that would serve.

    maximum_bytes  of the volume as float32, and of each file
    preprocessing, scope, subjects  of the bundle's manifest
    """

    selection: SelectionSettings
    own_manufacturer: str
    maximum_bytes: int
    preprocessing: Preprocessing
    scope: Mapping[str, float]
    subjects: Subjects

    @classmethod
    def of(cls, settings: Settings, manifest: Manifest) -> Self:
        """Those of this site with this bundle."""
        return cls(
            selection=settings.selection,
            own_manufacturer=settings.results.manufacturer,
            maximum_bytes=settings.worker.maximum_volume_mib * MIB,
            preprocessing=manifest.preprocessing,
            scope=manifest.scope,
            subjects=manifest.subjects,
        )


@dataclass(frozen=True)
class SeriesLook:
    """A series that was read: what the network would see of it, and whether that is in the model's scope.

    shape, affine_mm  of the volume, as in `model.Volume`, which itself is not kept
    values            its lowest and highest, modality units
    """

    series: SeriesHeaders
    shape: tuple[int, ...]
    affine_mm: NDArray[np.float64]
    values: tuple[float, float]
    slices: tuple[Slice, ...]
    scope: Scope


@dataclass(frozen=True)
class Choice:
    """The series that stands for its study, None when none can be read, and what became of every one.

    verdicts  on every series, in the order given
    tried     the Series Instance UIDs of those that were to be read, by rank
    damage    where none can be read: what is wrong with the first of them that has a damaged file; "" without one
    recalled  the series that would be read next, when what it leads to is known already; then none is read
    """

    look: SeriesLook | None
    verdicts: tuple[SeriesVerdict, ...]
    tried: tuple[str, ...]
    damage: str = ""
    recalled: SeriesHeaders | None = None

    @property
    def chosen(self) -> str | None:
        """The Series Instance UID of the one that is read."""
        found = self.look.series if self.look else self.recalled
        return found.series_instance_uid if found else None

    @property
    def beside(self) -> tuple[str, ...]:
        """What is to be said of the others beside the one that is read, in sentences."""
        return beside(self.chosen, self.verdicts, self.tried)

    @property
    def refused(self) -> tuple[SeriesVerdict, ...]:
        """The verdicts on those that were tried and are not the one that is read, by rank."""
        verdicts = {each.series_instance_uid: each for each in self.verdicts}
        return tuple(verdicts[uid] for uid in self.tried if uid != self.chosen)


def unknown(_series: SeriesHeaders, _twins: Sequence[str]) -> bool:
    """Nothing was read before."""
    return False


def choose(
    series: Sequence[SeriesHeaders], limits: Limits, stage: Stage = nullcontext, is_known: Known = unknown
) -> Choice:
    """Read the eligible series of one study by rank, until one is in the model's scope, or `is_known` to have been."""
    with stage("selection"):
        selection = eligible(series, limits)
        refusals = _damaged(selection.ranked, limits)
    best: SeriesLook | None = None
    tried: list[str] = []
    for candidate in selection.ranked:
        tried.append(candidate.series_instance_uid)
        if candidate.series_instance_uid in refusals:
            continue
        verdicts = _verdicts(selection, refusals | _outside(best))
        if is_known(candidate, beside(candidate.series_instance_uid, verdicts, tried)):
            return Choice(None, verdicts, tuple(tried), recalled=candidate)
        try:
            found = look(candidate, limits, stage)
        except SeriesRefused as error:
            refusals[candidate.series_instance_uid] = error.reason, error.detail
            continue
        best, worse = (found, best) if best is None or found.scope.inside else (best, found)
        refusals |= _outside(worse)
        if best.scope.inside:
            break
    return Choice(best, _verdicts(selection, refusals), tuple(tried), "" if best else _damage(refusals))


def eligible(series: Sequence[SeriesHeaders], limits: Limits) -> Selection:
    """The verdicts by headers alone, and the eligible series in the order in which they are tried."""
    return select(series, limits.selection, limits.own_manufacturer, limits.subjects)


def look(series: SeriesHeaders, limits: Limits, stage: Stage = nullcontext) -> SeriesLook:
    """Read one series, eligible or not. Raises SeriesRefused; out of the model's scope is no reason to."""
    try:
        with stage("volume"):
            volume = read_volume(series, limits.maximum_bytes, limits.selection)
        slices, judged = sight.see(volume, limits.preprocessing, limits.scope, stage)
    except GeometryError as error:
        raise SeriesRefused(error.reason, error.detail) from error
    except TooCoarse as error:
        raise SeriesRefused(Reason.TOO_COARSE, str(error)) from error
    except VolumeError as error:
        raise SeriesRefused(Reason.NO_GEOMETRY, str(error)) from error
    except UnreadableInstance as error:
        raise SeriesRefused(Reason.UNREADABLE, str(error)) from error
    values = float(volume.voxels.min()), float(volume.voxels.max())
    return SeriesLook(series, volume.voxels.shape, volume.affine_mm, values, slices, judged)


def seed(series: SeriesHeaders, bundle_sha256: str) -> bytes:
    """The seed of the dropout masks: the same instances and the same bundle give the same numbers again."""
    uids = sorted(str(header.SOPInstanceUID) for header in series.headers)
    return hashlib.sha256("\n".join([bundle_sha256, *uids]).encode()).digest()


def nothing_to_read(verdicts: Iterable[SeriesVerdict]) -> str:
    """Why no series was read, in one line.

    >>> nothing_to_read([])
    'no series that the model can read: the study has no series'
    """
    counted = Counter(str(verdict.reason) for verdict in verdicts)
    reasons = ", ".join(f"{count} x {reason}" if count > 1 else reason for reason, count in counted.items())
    return f"no series that the model can read: {reasons or 'the study has no series'}"


def _verdicts(selection: Selection, refusals: Mapping[str, Refusal]) -> tuple[SeriesVerdict, ...]:
    return tuple(
        refused(verdict, *refusals[verdict.series_instance_uid]) if verdict.series_instance_uid in refusals else verdict
        for verdict in selection.verdicts
    )


def _damaged(ranked: Sequence[SeriesHeaders], limits: Limits) -> dict[str, Refusal]:
    """Those with a file whose pixels are not all there, by Series Instance UID: seen before any of them is decoded."""
    found: dict[str, Refusal] = {}
    for series in ranked:
        try:
            check_files(series, limits.maximum_bytes)
        except UnreadableInstance as error:
            found[series.series_instance_uid] = Reason.UNREADABLE, str(error)
    return found


def _outside(found: SeriesLook | None) -> dict[str, Refusal]:
    return {} if found is None else {found.series.series_instance_uid: (Reason.OUT_OF_SCOPE, found.scope.reason)}


def _damage(refusals: Mapping[str, Refusal]) -> str:
    return next((detail for reason, detail in refusals.values() if reason is Reason.UNREADABLE), "")
