"""Is it a T1-weighted head at all? Named numbers of the volume, each beside its limit; a first, coarse form."""

from collections.abc import Mapping, Sequence

from model import head as heads
from model.types import Scope, Slice, Volume

THRESHOLDS: Mapping[str, float] = {"minimum_head_ml": 700.0, "maximum_head_ml": 7000.0}


def assess(volume: Volume | None, slices: Sequence[Slice], thresholds: Mapping[str, float]) -> Scope:
    """Whether the input looks like what the model was trained on; `thresholds` come from the bundle."""
    if volume is None:
        return Scope(True, "two-dimensional images are not measured", {})
    limits = {**THRESHOLDS, **thresholds}
    head = heads.find(volume)
    measured = {"head_ml": float(head.mask.sum()) * head.voxel_ml}
    if not limits["minimum_head_ml"] <= measured["head_ml"] <= limits["maximum_head_ml"]:
        return Scope(False, f"head volume {measured['head_ml']:.0f} ml is outside its limits", measured)
    return Scope(True, "looks like a head", measured)
