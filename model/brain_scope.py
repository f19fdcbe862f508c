"""Is it a T1-weighted brain? Eleven numbers of the brain that was found and of its slices, each with its limits.

| number | what it says |
| --- | --- |
| brain_litres | volume of the brain with its fluid |
| agreement | overlap of the masks of both networks, Dice |
| likeness | overlap with the brain of the atlas, after turning, shifting and stretching it, Dice |
| stretch | the largest of the three stretches over the smallest |
| turn_degrees | how far the head is turned from the atlas |
| brain_cut_cm2 | area of the brain where the volume ends |
| texture, grain, furrows, mirror, mirror_lead | as in model/scope.py, of the slices without skull |
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from scipy.spatial.transform import Rotation

from model import scope
from model.aligned import Aligned
from model.brain import Brain
from model.head import FLAT_CM2
from model.texture import block_of, mirror, texture
from model.types import Scope, Slice

CUT = "The brain is cut off by the end of the volume ({:.0f} cm2 are flat): how the slices lie follows from the rest."
INSIDE = ("texture", "grain", "furrows", "mirror", "mirror_lead")
THRESHOLDS: Mapping[str, float] = MappingProxyType(
    {
        "brain_litres_minimum": 0.8,
        "brain_litres_maximum": 2.3,
        "agreement_minimum": 0.93,
        "likeness_minimum": 0.93,
        "stretch_maximum": 1.3,
        "turn_degrees_maximum": 40.0,
        "brain_cut_cm2_maximum": 60.0,
        **{key: value for key, value in scope.THRESHOLDS.items() if key.rsplit("_", 1)[0] in INSIDE},
    }
)
WORDS: Mapping[str, str] = MappingProxyType(
    {
        "brain_litres": "volume of the brain, litres",
        "agreement": "agreement of both networks on the brain",
        "likeness": "likeness to the brain of the atlas",
        "stretch": "stretch along one axis over that along another",
        "turn_degrees": "turn from the atlas, degrees",
        "brain_cut_cm2": "brain cut off by the end of the volume, cm2",
        **{name: scope.WORDS[name] for name in INSIDE},
    }
)


def assess(brain: Brain, aligned: Aligned, slices: Sequence[Slice], limits: Mapping[str, float]) -> Scope:
    """Whether a brain and its slices look like what the model was trained on; `limits` go before ours."""
    measured = measure(brain, aligned, slices)
    outside = list(scope.beyond(measured, {**THRESHOLDS, **limits}, WORDS))
    if not brain.mask.any():
        outside = ["there is no brain"]
    elif "texture" not in measured:
        outside.insert(0, "the slices hardly reach the brain")
    if outside:
        return Scope(False, "; ".join(outside), measured)
    said = f"looks like a T1-weighted brain of {measured['brain_litres']:.2f} litres"
    cut = measured["brain_cut_cm2"]
    return Scope(True, said, measured, (CUT.format(cut),) if cut > FLAT_CM2 else ())


def measure(brain: Brain, aligned: Aligned, slices: Sequence[Slice]) -> dict[str, float]:
    """The numbers; without those of the inside where too little of it is in the slices."""
    stretches = np.linalg.norm(aligned.affine_mm[:3, :3], axis=0)
    turn = Rotation.from_matrix(aligned.affine_mm[:3, :3] / stretches).magnitude()
    measured = {
        "brain_litres": brain.litres,
        "agreement": brain.agreement,
        "likeness": aligned.likeness,
        "stretch": float(stretches.max() / stretches.min()),
        "turn_degrees": float(np.degrees(turn)),
        "brain_cut_cm2": brain.cut_cm2(),
    }
    if not brain.mask.any():
        return measured
    block = block_of(slices)
    return {**measured, **texture(block), **mirror(block)}
