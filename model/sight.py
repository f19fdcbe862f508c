"""Volume -> what the network sees of it, and whether it was trained on the like, by the way that the bundle names."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from model import aligned, brain, brain_scope, head, scope, slicing
from model.planes import Matrix, Readable, Slab, readable
from model.slicing import Preprocessing
from model.types import Scope, Slice, Volume

Stage = Callable[[str], AbstractContextManager[object]]  # "slices" or "scope" is under way
Limits = Mapping[str, float]


class _Way(NamedTuple):
    """How one volume is looked at: where a slab lies in it, its slices, and the scope of axial ones."""

    grid: Callable[[Slab], Matrix]
    cut: Callable[[Slab], tuple[Slice, ...]]
    judge: Callable[[tuple[Slice, ...], Limits], Scope]


def see(
    volume: Volume, preprocessing: Preprocessing, limits: Limits, stage: Stage = nullcontext
) -> tuple[tuple[Slice, ...], Scope]:
    """The slices of a volume, plane by plane, and their scope, which is that of its axial ones, read or not.

    Raises VolumeError for values that are not finite, TooCoarse where it is so for every plane.
    """
    with stage("slices"):
        way = _way(volume, preprocessing)
        read = readable(volume, preprocessing.slabs, way.grid)
        cut = {slab.plane: way.cut(slab) for slab in read.slabs}
    with stage("scope"):
        found = way.judge(cut.get("axial") or way.cut(preprocessing.axial), limits)
    items = tuple(item for each in cut.values() for item in each)
    return items, _with_planes(found, read) if preprocessing.planes else found


def slices(volume: Volume, preprocessing: Preprocessing) -> tuple[Slice, ...]:
    """The slices alone, of volumes that somebody chose. Raises VolumeError as `see` does."""
    way = _way(volume, preprocessing)
    return tuple(item for slab in readable(volume, preprocessing.slabs, way.grid).slabs for item in way.cut(slab))


def _way(volume: Volume, preprocessing: Preprocessing) -> _Way:
    size = preprocessing.size
    if preprocessing.brain == "none":
        outline = head.find(volume)
        return _Way(
            lambda slab: slab.grid(outline.anchor_mm, size),
            partial(slicing.cut, volume, outline, preprocessing),
            partial(scope.assess, volume),
        )
    found = brain.find(volume)
    placed = aligned.align(found)
    return _Way(
        lambda slab: placed.grid(slab, size),
        partial(aligned.slices, volume, found, placed, preprocessing),
        partial(brain_scope.assess, found, placed),
    )


def _with_planes(found: Scope, read: Readable) -> Scope:
    return replace(found, remarks=(*found.remarks, read.remark))
