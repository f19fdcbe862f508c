"""One slice with its heat map, as a picture whose every pixel has a place in the patient.

The grey anatomy is the slice as the network saw it, bicubic; the heat map is the 14 x 14 attention rollout, bilinear,
and scaled within its slice, so its colours say where in this slice and not how much compared with another one. Margins
for the colour bar and the words lie outside of the anatomy, and the picture's Image Position (Patient) accounts for
them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from model.types import PLANES, ModelId, Prediction, Slice, SlicePrediction
from node.report import drawing
from node.report.drawing import BLACK, MUTED, PAGE, TEXT, WARNING, Pixels, write

KEY_SLICES = 4
FIELD = 512  # pixels along the longer side of the anatomy
TOP, BOTTOM, LEFT, RIGHT = 56, 76, 16, 96  # margins, pixels
HOW_MADE = (
    "{} slice resampled from the source series, as the network saw it, bicubic; over it the 14 x 14 attention "
    "rollout, bilinear, scaled within the slice, colour map inferno. Attention is no lesion map. Research use only."
)
LETTERS = ("LR", "PA", "HF")  # of the axes x, y, z: to their positive and to their negative end


@dataclass(frozen=True)
class Plane:
    """Where a picture lies: (x, y, z) LPS mm of its first pixel's centre, directions along a row and down a column."""

    position_mm: tuple[float, float, float]
    along_row: tuple[float, float, float]
    along_column: tuple[float, float, float]
    pixel_spacing_mm: tuple[float, float]  # between rows, between columns (PS3.3 10.7.1.3)


def choose(slices: Sequence[SlicePrediction], count: int) -> list[int]:
    """Which slices get an overlay, in stack order: the key slices, then evenly through the slabs, then by probability.

    >>> choose([], 4)
    []
    """
    if count >= len(slices) or count < 1:
        return list(range(len(slices) if count else 0))
    even = np.linspace(0, len(slices) - 1, max(count // 2, 1)).round().astype(int).tolist()
    return sorted(apart(slices, [*even, *ranked(slices)], count, key_slices(slices)[:count]))


def key_slices(slices: Sequence[SlicePrediction]) -> list[int]:
    """The most probable slice of each plane, then those with the highest probability, at a distance from each other."""
    order = ranked(slices)
    best = {slices[index].slice.plane: index for index in reversed(order)}
    return apart(slices, [*sorted(best.values(), key=order.index), *order], min(KEY_SLICES, len(slices)))


def ranked(slices: Sequence[SlicePrediction]) -> list[int]:
    """The highest probability first, of equal ones the lower in the stack."""
    return sorted(range(len(slices)), key=lambda index: (-slices[index].probability, index))


def apart(slices: Sequence[SlicePrediction], order: Sequence[int], count: int, chosen: Sequence[int] = ()) -> list[int]:
    """`count` of the slices: `chosen`, then in this order those not close to one before them, then whichever are left.

    Close is half the distance that `count` slices spread evenly would have: neighbours within a plane look alike.
    """
    taken = list(dict.fromkeys(chosen))
    gap = len(slices) / (2 * count)
    for near in (gap, 0.0):
        for index in order:
            plane = slices[index].slice.plane
            beside = [other for other in taken if slices[other].slice.plane == plane]
            if len(taken) < count and index not in taken and all(abs(index - other) >= near for other in beside):
                taken.append(index)
    return taken


def picture(prediction: Prediction, index: int) -> tuple[Pixels, Plane | None]:
    """The overlay of slice `index`: (H, W, 3) uint8, and its plane where the slice has one."""
    item = prediction.slices[index]
    height, width = field_size(item.slice)
    canvas = Image.new("RGB", (LEFT + width + RIGHT, TOP + height + BOTTOM), PAGE)
    canvas.paste(Image.fromarray(blended(item, width, height)), (LEFT, TOP))
    draw = ImageDraw.Draw(canvas)
    _words_above(draw, prediction, index, LEFT + width + RIGHT - 16)
    _words_below(draw, prediction.model, TOP + height)
    _colour_bar(canvas, draw, LEFT + width + 18, height)
    _letters(draw, item.slice, width, height)
    return np.asarray(canvas), _plane(item.slice, width, height)


def field_size(item: Slice, longer: int = FIELD) -> tuple[int, int]:
    """Height and width in pixels that show the slice without distortion, the longer one being `longer`."""
    rows, columns = item.pixels.shape
    tall, wide = float(rows), float(columns)
    if item.affine_mm is not None:
        down, along = np.linalg.norm(item.affine_mm[:3, :2], axis=0)
        tall, wide = rows * float(down), columns * float(along)
    scale = longer / max(tall, wide)
    return max(round(tall * scale), 1), max(round(wide * scale), 1)


def blended(item: SlicePrediction, width: int, height: int) -> Pixels:
    """Anatomy and heat map, (height, width, 3) uint8, nothing else."""
    grey = drawing.resized(item.slice.pixels, width, height, Image.Resampling.BICUBIC)
    heat = drawing.resized(item.rollout.astype(np.float32), width, height, Image.Resampling.BILINEAR)
    return drawing.blend(np.asarray(grey, np.uint8), np.asarray(heat, np.float32))


def place(prediction: Prediction, index: int) -> str:
    """Which slice this is, of which plane unless all are axial, and where it lies in the patient."""
    item = prediction.slices[index].slice
    every = of_planes(prediction.slices)
    own = every[item.plane]
    text = f"Slice {own.index(index) + 1} of {len(own)}"
    text = text if [*every] == ["axial"] else f"{item.plane.capitalize()} {text.lower()}"
    where = at_mm(item)
    return f"{text}, {where}" if where else text


def of_planes(slices: Sequence[SlicePrediction]) -> dict[str, list[int]]:
    """The numbers of the slices by their plane, in stack order."""
    found: dict[str, list[int]] = {}
    for index, each in enumerate(slices):
        found.setdefault(each.slice.plane, []).append(index)
    return found


def counted(slices: Sequence[SlicePrediction]) -> str:
    """How many slices there are, and of which planes unless all are axial."""
    planes = of_planes(slices)
    by_plane = ", ".join(f"{len(own)} {plane}" for plane, own in planes.items() if [*planes] != ["axial"])
    return f"{len(slices)} ({by_plane})" if by_plane else str(len(slices))


def at_mm(item: Slice) -> str:
    """Where a slice lies along the axis across its plane, as viewers write it; "" where nobody knows."""
    position = item.position_mm
    if position is None:
        return ""
    return f"{LETTERS[PLANES.index(item.plane)][int(position < 0)]} {abs(position):.1f} mm"


def _words_above(draw: ImageDraw.ImageDraw, prediction: Prediction, index: int, right: int) -> None:
    item = prediction.slices[index]
    write(draw, (LEFT, 9), place(prediction, index), 18, bold=True)
    probability = f"probability of this slice {100 * item.probability:.0f} %, SD {100 * item.spread:.0f} %"
    write(draw, (LEFT, 33), probability, 14, MUTED)
    write(draw, (right, 10), "RESEARCH USE ONLY", 15, WARNING, bold=True, anchor="ra")
    if not prediction.model.trained:
        write(draw, (right, 33), "UNTRAINED MODEL", 14, WARNING, bold=True, anchor="ra")


def _words_below(draw: ImageDraw.ImageDraw, model: ModelId, top: int) -> None:
    write(draw, (LEFT, top + 8), "Colours: attention rollout 14 x 14, bilinear, scaled within this slice.", 13, TEXT)
    write(draw, (LEFT, top + 27), "Attention is no lesion map. Anatomy as the network saw it, bicubic.", 13, MUTED)
    write(draw, (LEFT, top + 52), f"{model.name} {model.version}, sha256 {model.sha256[:16]}", 12, MUTED)


def _colour_bar(canvas: Image.Image, draw: ImageDraw.ImageDraw, left: int, height: int) -> None:
    """The colours over mid grey as they look on the anatomy, from low (bottom) to high (top)."""
    top, length = TOP + height // 4, height // 2
    ramp = np.repeat(np.linspace(1, 0, length, dtype=np.float32)[:, None], 20, axis=1)
    canvas.paste(Image.fromarray(drawing.blend(np.full(ramp.shape, 96, np.uint8), ramp)), (left, top))
    draw.rectangle((left - 1, top - 1, left + 20, top + length), outline=MUTED)
    write(draw, (left - 2, top - 10), "attention", 13, MUTED, anchor="ld")
    for text, y in (("high", top + 6), ("low", top + length - 7)):
        write(draw, (left + 28, y), text, 13, MUTED, anchor="lm")


def _letters(draw: ImageDraw.ImageDraw, item: Slice, width: int, height: int) -> None:
    """Which end of the patient each side of the picture is."""
    if item.affine_mm is None:
        return
    down, along = item.affine_mm[:3, 0], item.affine_mm[:3, 1]
    middle_x, middle_y = LEFT + width / 2, TOP + height / 2
    for vector, at, anchor in (
        (-along, (LEFT + 6, middle_y), "lm"),
        (along, (LEFT + width - 6, middle_y), "rm"),
        (-down, (middle_x, TOP + 6), "ma"),
        (down, (middle_x, TOP + height - 6), "md"),
    ):
        write(draw, at, direction(vector)[0], 18, TEXT, bold=True, anchor=anchor, outline=BLACK)


def direction(vector: NDArray[np.float64]) -> str:
    """A direction in LPS as letters (PS3.3 C.7.6.1.1.1), the largest part first, parts below a twentieth left out.

    >>> direction(np.array([0.01, -0.9, 0.0])), direction(np.array([0.9, 0.1, -0.4]))
    ('A', 'LFP')
    """
    parts = np.asarray(vector) / np.linalg.norm(vector)
    order = sorted(range(3), key=lambda axis: -abs(parts[axis]))
    return "".join(("LPH", "RAF")[int(parts[axis] < 0)][axis] for axis in order if abs(parts[axis]) > 0.05)


def _plane(item: Slice, width: int, height: int) -> Plane | None:
    """The plane of a picture whose anatomy, width x height pixels, starts LEFT and TOP pixels within it."""
    if item.affine_mm is None:
        return None
    rows, columns = item.pixels.shape
    to_row, to_column = rows / height, columns / width
    first = item.affine_mm @ [(0.5 - TOP) * to_row - 0.5, (0.5 - LEFT) * to_column - 0.5, 0, 1]
    down, along = item.affine_mm[:3, 0], item.affine_mm[:3, 1]
    down_mm, along_mm = float(np.linalg.norm(down)), float(np.linalg.norm(along))
    spacing = down_mm * to_row, along_mm * to_column
    return Plane(_three(first[:3]), _three(along / along_mm), _three(down / down_mm), spacing)


def _three(vector: NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in vector)
    return x, y, z
