"""The probability of each slice along the slab, foot to head, with its spread."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from model.types import Prediction
from node.report.drawing import LINE, MUTED, PAGE, PANEL, TEXT, WHITE, Colour, write

SMOOTH = 3  # drawn this many times larger and reduced, which Pillow's lines need to look smooth
CURVE: Colour = (244, 154, 66)
BAND: Colour = (104, 74, 50)
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 42, 30  # margins, pixels


def picture(prediction: Prediction, width: int, height: int, marks: Mapping[int, str]) -> Image.Image:
    """The panel, width x height pixels; `marks` are letters for some of the slices."""
    big = Image.new("RGB", (width * SMOOTH, height * SMOOTH), PAGE)
    draw = ImageDraw.Draw(big)
    draw.rounded_rectangle((0, 0, big.width - 1, big.height - 1), 10 * SMOOTH, fill=PANEL)
    count = len(prediction.slices)
    xs = LEFT + (width - LEFT - RIGHT) * (np.arange(count) / (count - 1) if count > 1 else np.array([0.5]))
    probability = np.array([item.probability for item in prediction.slices])
    spread = np.array([item.spread for item in prediction.slices])

    def y(value: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(height - BOTTOM - (height - BOTTOM - TOP) * np.clip(value, 0, 1))

    levels = y(np.array([0, 0.5, 1.0]))
    for level in levels:
        draw.line(_points([LEFT, width - RIGHT], [level, level]), fill=LINE, width=SMOOTH)
    if count > 1:
        edges = _points(xs, y(probability + spread)) + _points(xs, y(probability - spread))[::-1]
        draw.polygon(edges, fill=BAND)
        draw.line(_points(xs, y(probability)), fill=CURVE, width=2 * SMOOTH, joint="curve")
    dots = [*marks] if count > 1 else [0]
    for cx, cy in _points(xs[dots], y(probability[dots])):
        draw.ellipse((cx - 5 * SMOOTH, cy - 5 * SMOOTH, cx + 5 * SMOOTH, cy + 5 * SMOOTH), fill=WHITE)
    panel = big.resize((width, height), Image.Resampling.BOX)
    _words(ImageDraw.Draw(panel), levels.tolist(), count)
    for index, mark in marks.items():
        below = probability[index] > 0.8
        at = float(xs[index]), float(y(probability[index])) + (9 if below else -9)
        write(ImageDraw.Draw(panel), at, mark, 15, TEXT, bold=True, anchor="ma" if below else "md")
    return panel


def _points(xs: NDArray[np.float64] | list[float], ys: NDArray[np.float64] | list[float]) -> list[tuple[float, float]]:
    return [(float(x) * SMOOTH, float(y) * SMOOTH) for x, y in zip(xs, ys, strict=True)]


def _words(draw: ImageDraw.ImageDraw, levels: list[float], count: int) -> None:
    width, height = draw.im.size
    write(draw, (20, 11), "Probability along the slices (band: 1 SD)", 15, bold=True)
    for text, level in zip(("0 %", "50 %", "100 %"), levels, strict=True):
        write(draw, (LEFT - 8, level), text, 13, MUTED, anchor="rm")
    write(draw, (LEFT, height - 8), "foot, slice 1", 13, MUTED, anchor="ld")
    write(draw, (width - RIGHT, height - 8), f"head, slice {count}", 13, MUTED, anchor="rd")
