"""Volume -> what the network sees of it, and whether it was trained on the like, by the way that the bundle names."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

from model import aligned, brain, brain_scope, scope, slicing
from model.slicing import Preprocessing
from model.types import Scope, Slice, Volume

Stage = Callable[[str], AbstractContextManager[object]]  # "slices" or "scope" is under way


def see(
    volume: Volume, preprocessing: Preprocessing, limits: Mapping[str, float], stage: Stage = nullcontext
) -> tuple[tuple[Slice, ...], Scope]:
    """The slices of a volume, and their scope. Raises VolumeError for values that are not finite."""
    if preprocessing.brain == "none":
        with stage("slices"):
            items = slicing.slices(volume, preprocessing)
        with stage("scope"):
            return items, scope.assess(volume, items, limits)
    with stage("slices"):
        found = brain.find(volume)
        placed = aligned.align(found)
        items = aligned.slices(volume, found, placed, preprocessing)
    with stage("scope"):
        return items, brain_scope.assess(found, placed, items, limits)


def slices(volume: Volume, preprocessing: Preprocessing) -> tuple[Slice, ...]:
    """The slices alone, of volumes that somebody chose. Raises VolumeError for values that are not finite."""
    if preprocessing.brain == "none":
        return slicing.slices(volume, preprocessing)
    found = brain.find(volume)
    return aligned.slices(volume, found, aligned.align(found), preprocessing)
