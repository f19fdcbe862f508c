"""The probability of each slice along the slab of its plane, axial ones from foot to head, with its spread."""

from collections.abc import Container, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from model.types import Prediction
from node.report import overlay
from node.report.drawing import LINE, MUTED, PAGE, PANEL, TEXT, WHITE, Colour, write

SMOOTH = 3  # drawn this many times larger and reduced, which Pillow's lines need to look smooth
CURVE: Colour = (244, 154, 66)
BAND: Colour = (104, 74, 50)
LEFT, RIGHT, TOP, BOTTOM, BETWEEN = 64, 24, 42, 30, 36  # margins, and between the curves of two planes, pixels
ENDS = {"axial": ("foot", "head"), "sagittal": ("right", "left"), "coronal": ("front", "back")}

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Part:
    """The curve of one plane: which slices, where each stands from left to right, and its ends, in pixels."""

    plane: str
    own: list[int]
    xs: NDArray[np.float64]
    left: float
    right: float


def picture(prediction: Prediction, width: int, height: int, marks: Mapping[int, str]) -> Image.Image:
    """The panel, width x height pixels, one curve for each plane; `marks` are letters for some of the slices."""
    big = Image.new("RGB", (width * SMOOTH, height * SMOOTH), PAGE)
    draw = ImageDraw.Draw(big)
    draw.rounded_rectangle((0, 0, big.width - 1, big.height - 1), 10 * SMOOTH, fill=PANEL)
    probability = np.array([item.probability for item in prediction.slices])
    spread = np.array([item.spread for item in prediction.slices])
    parts = _parts(prediction, width)

    def y(value: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(height - BOTTOM - (height - BOTTOM - TOP) * np.clip(value, 0, 1))

    levels = y(np.array([0, 0.5, 1.0]))
    for part in parts:
        _draw_part(draw, part, levels, (y(probability + spread), y(probability), y(probability - spread)), marks)
    panel = big.resize((width, height), Image.Resampling.BOX)
    _words(ImageDraw.Draw(panel), levels.tolist(), parts)
    for part in parts:
        for x, index in zip(part.xs, part.own, strict=True):
            if index in marks:
                below = probability[index] > 0.8
                at = float(x), float(y(probability[index])) + (9 if below else -9)
                anchor = "ma" if below else "md"
                write(ImageDraw.Draw(panel), at, marks[index], 15, TEXT, bold=True, anchor=anchor)
    return panel


def _parts(prediction: Prediction, width: int) -> list[_Part]:
    planes = overlay.of_planes(prediction.slices)
    span = (width - LEFT - RIGHT - BETWEEN * (len(planes) - 1)) / len(planes)
    parts = []
    for number, (plane, own) in enumerate(planes.items()):
        left, count = LEFT + number * (span + BETWEEN), len(own)
        xs = left + span * (np.arange(count) / (count - 1) if count > 1 else np.array([0.5]))
        parts.append(_Part(plane, own, xs, left, left + span))
    return parts


def _draw_part(
    draw: ImageDraw.ImageDraw, part: _Part, levels: Floats, curves: tuple[Floats, Floats, Floats], marks: Container[int]
) -> None:
    (upper, middle, lower), own, xs = curves, part.own, part.xs
    for level in levels:
        draw.line(_points([part.left, part.right], [level, level]), fill=LINE, width=SMOOTH)
    if len(own) > 1:
        draw.polygon(_points(xs, upper[own]) + _points(xs, lower[own])[::-1], fill=BAND)
        draw.line(_points(xs, middle[own]), fill=CURVE, width=2 * SMOOTH, joint="curve")
    marked = [place for place, index in enumerate(own) if index in marks or len(own) == 1]
    for cx, cy in _points(xs[marked], middle[own][marked]):
        draw.ellipse((cx - 5 * SMOOTH, cy - 5 * SMOOTH, cx + 5 * SMOOTH, cy + 5 * SMOOTH), fill=WHITE)


def _points(xs: NDArray[np.float64] | list[float], ys: NDArray[np.float64] | list[float]) -> list[tuple[float, float]]:
    return [(float(x) * SMOOTH, float(y) * SMOOTH) for x, y in zip(xs, ys, strict=True)]


def _words(draw: ImageDraw.ImageDraw, levels: list[float], parts: list[_Part]) -> None:
    height = draw.im.size[1]
    write(draw, (20, 11), "Probability along the slices (band: 1 SD)", 15, bold=True)
    for text, level in zip(("0 %", "50 %", "100 %"), levels, strict=True):
        write(draw, (LEFT - 8, level), text, 13, MUTED, anchor="rm")
    for part in parts:
        first, last = ENDS[part.plane]
        write(draw, (part.left, height - 8), f"{first}, slice 1", 13, MUTED, anchor="ld")
        write(draw, (part.right, height - 8), f"{last}, slice {len(part.own)}", 13, MUTED, anchor="rd")
        if [each.plane for each in parts] != ["axial"]:
            write(draw, ((part.left + part.right) / 2, height - 8), part.plane, 13, TEXT, bold=True, anchor="md")
