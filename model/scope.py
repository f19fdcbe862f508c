"""Is it a T1-weighted head at all? Thirteen numbers of what the network would see, each with its limits.

| number | what it says | real heads | what it refuses |
| --- | --- | --- | --- |
| head_ml | tissue down to 110 mm below the crown, ml | 1700 to 2900 | small objects, trunks, fields of noise |
| covered | share of the slices' middle that the volume reaches | 1 | volumes that end within the slab |
| top_fraction | area of the topmost 10 mm, of the largest | 0.1 to 0.6: a dome | limbs, bottles, cut-off tops |
| top_cut_cm2 | area of the head where it ends flat above | 0 to 139 | no crown to hang the slices on |
| side_cut_cm2 | the same on its left or right end | 0 to 16 | missing ends |
| front_cut_cm2 | the same on its front or back end | 0 to 17 | aliasing within the slices |
| veil | noise above the head, of what tells tissue there | 0 to 0.5 | a crown that is lost in noise |
| length_to_width | front-back over left-right extent | 1.09 to 1.41 | balls, limbs, heads turned by wrong headers |
| texture | spread of detail of 5 to 25 mm deep inside, of its mean | 0.08 to 0.36 | fluid phantoms |
| grain | spread of finer detail, of the texture | 0.2 to 0.9 | noise |
| furrows | skewness of the texture: dark furrows in bright tissue | -0.38 to -0.02 | T2, diffusion, perfusion |
| mirror | likeness of the inside to its left-right mirror image | 0.53 to 0.99 | random texture, trunks, fruit |
| mirror_lead | the same, above that of front and back | 0.04 to 0.72 | what is as symmetric both ways |

"Real heads" are, for the numbers of the outline (head_ml, the cuts and veil), seven volumes of as many people and an
average of skull-stripped brains, as they are; the limits of the cuts and of veil are those up to which the slices stay
within 3 mm of where they belong when such heads are cut, shaded 5:1 along any axis, aliased and made noisy. For the
others they are whole, de-faced and skull-stripped T1 volumes, turned by up to 20 degrees, scaled by 0.82 to 1.15, with
noise, shading or 5 mm slices added, and central slices of 136 people of 60 to 96 years. The limits lie outside of that;
they are part of the bundle. A head that ends flat within the limits is in scope, and a remark says so. Likeness is
measured after the head's own tilt is found. Skewness is Bowley's coefficient at 5 and 95 %, so that a few very dark or
bright spots do not count.
"""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from model import head as heads
from model.head import FLAT_CM2
from model.texture import Block, block_of, mirror, texture
from model.types import Scope, Slice, Volume

THRESHOLDS: Mapping[str, float] = MappingProxyType(
    {
        "head_ml_minimum": 900.0,
        "head_ml_maximum": 3500.0,
        "covered_minimum": 0.95,
        "top_fraction_maximum": 0.75,
        "top_cut_cm2_maximum": 140.0,
        "side_cut_cm2_maximum": 98.0,
        "front_cut_cm2_maximum": 60.0,
        "veil_maximum": 1.6,
        "length_to_width_minimum": 1.05,
        "length_to_width_maximum": 1.6,
        "texture_minimum": 0.05,
        "texture_maximum": 0.45,
        "grain_maximum": 1.0,
        "furrows_maximum": 0.0,
        "mirror_minimum": 0.42,
        "mirror_lead_minimum": 0.03,
    }
)
WORDS: Mapping[str, str] = MappingProxyType(
    {
        "head_ml": "tissue of the head, ml",
        "covered": "share of the slices that the volume reaches",
        "top_fraction": "area at the very top, of the largest",
        "top_cut_cm2": "head cut flat by the upper end of the volume, cm2",
        "side_cut_cm2": "head cut flat by a side of the volume, cm2",
        "front_cut_cm2": "head cut flat by front or back of the volume, cm2",
        "veil": "noise above the head, of what tells tissue there",
        "length_to_width": "length to width",
        "texture": "texture inside",
        "grain": "noise to texture",
        "furrows": "dark furrows in bright tissue",
        "mirror": "likeness of left and right",
        "mirror_lead": "its lead over front and back",
    }
)
SIDE_CM2 = 40.0
CUT: Mapping[str, tuple[float, str]] = MappingProxyType(  # from which area on it is said, and how
    {
        "top_cut_cm2": (
            FLAT_CM2,
            "The top of the head is cut off by the end of the volume, or overlaid ({:.0f} cm2 are flat): where the "
            "slices lie follows from the shape of the head below.",
        ),
        "side_cut_cm2": (SIDE_CM2, "The head is cut off by the left or right end of the volume ({:.0f} cm2 are flat)."),
        "front_cut_cm2": (SIDE_CM2, "The head is cut off by the front or back of the volume ({:.0f} cm2 are flat)."),
    }
)
CAP_MM = 110.0
LEVEL_MM = 10.0
REACH_MM = 45.0


def assess(volume: Volume | None, slices: Sequence[Slice], thresholds: Mapping[str, float] = THRESHOLDS) -> Scope:
    """Whether the slices, and the volume that they are from, look like what the model was trained on.

    `volume` is None for 2D pictures, of which only texture and grain are measured, because nothing tells how they lie.
    """
    return decide(measure(volume, slices), {**THRESHOLDS, **thresholds})


def measure(volume: Volume | None, slices: Sequence[Slice]) -> dict[str, float]:
    """The numbers; without those of the inside where nothing large enough is in the picture."""
    block = block_of(slices)
    inside = texture(block)
    if volume is None:
        return {name: inside[name] for name in ("texture", "grain") if name in inside}
    return {"covered": _covered(volume, slices), **_outline(volume, block), **inside, **mirror(block)}


def decide(measured: Mapping[str, float], limits: Mapping[str, float]) -> Scope:
    """The verdict on the numbers; the reason names each that is outside of its limits."""
    outside = list(beyond(measured, limits, WORDS))
    if "texture" not in measured:
        outside.insert(0, "nothing large enough is in the picture")
    if outside:
        return Scope(False, "; ".join(outside), measured)
    whole = "head_ml" in measured
    said = "looks like a T1-weighted head" if whole else "looks like a slice of a head"
    return Scope(True, said, measured, tuple(_remarks(measured)))


def _remarks(measured: Mapping[str, float]) -> Iterator[str]:
    for name, (least, said) in CUT.items():
        if measured.get(name, 0.0) > least:
            yield said.format(measured[name])


def _covered(volume: Volume, slices: Sequence[Slice]) -> float:
    """Of points up to `REACH_MM` around the middle of each slice, how many lie within the volume."""
    to_index, inside = np.linalg.inv(volume.affine_mm), []
    offsets = np.array([[x, y, 0, 0] for x in (-REACH_MM, 0, REACH_MM) for y in (-REACH_MM, 0, REACH_MM)]).T
    for item in slices:
        if item.affine_mm is not None:
            rows, columns = item.pixels.shape
            points = to_index @ ((item.affine_mm @ [(rows - 1) / 2, (columns - 1) / 2, 0, 1])[:, None] + offsets)
            ends = np.reshape(volume.voxels.shape, (3, 1)) - 0.5
            inside.append(np.mean(np.all((points[:3] >= -0.5) & (points[:3] <= ends), axis=0)))
    return float(np.mean(inside)) if inside else 0.0


def _outline(volume: Volume, block: Block) -> dict[str, float]:
    head = heads.find(volume)
    levels = head.crown_mm - np.arange(0, CAP_MM + 1, LEVEL_MM)
    above = np.array([head.above_ml(level) for level in levels])
    topmost = head.above_ml(float(head.points_mm[:, 2].max()) - LEVEL_MM)
    widest = block.head[int(block.head.sum(axis=(1, 2)).argmax())]
    measured = {"head_ml": float(above[-1]), "top_fraction": float(topmost / max(np.diff(above).max(), 1e-6))}
    measured |= dict(zip(("top_cut_cm2", "side_cut_cm2", "front_cut_cm2"), head.cut_cm2(), strict=True))
    measured["veil"] = head.veil
    if widest.any():
        ends = np.percentile(np.argwhere(widest), (0.5, 99.5), axis=0)
        length, width = np.maximum(ends[1] - ends[0], 1) * block.spacing_mm[1:]
        measured["length_to_width"] = float(length / width)
    return measured


def beyond(measured: Mapping[str, float], limits: Mapping[str, float], words: Mapping[str, str]) -> Iterator[str]:
    """In words, each number that lies outside of its limits."""
    for name, value in measured.items():
        low, high = limits.get(f"{name}_minimum", -np.inf), limits.get(f"{name}_maximum", np.inf)
        if value < low:
            yield f"{words[name]} {value:.3g}, at least {low:g} is expected"
        elif value > high:
            yield f"{words[name]} {value:.3g}, at most {high:g} is expected"
