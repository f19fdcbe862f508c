"""The few things that pictures are made of: fonts, colours, the colour map with its opacity, text in lines.

Pillow draws, with matplotlib's bundled DejaVu Sans and without any shaping library, so a picture depends on nothing
that is installed beside it. The colours are matplotlib's inferno, perceptually uniform and readable without colour
vision.
"""

from functools import cache

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from model import picture_grid
from model.picture_grid import font

Colour = tuple[int, int, int]
Pixels = NDArray[np.uint8]

BLACK: Colour = (0, 0, 0)
PAGE: Colour = picture_grid.PAGE
PANEL: Colour = (30, 34, 40)
LINE: Colour = (84, 92, 104)
MUTED: Colour = (168, 176, 186)
TEXT: Colour = picture_grid.INK
WARNING: Colour = (255, 196, 61)
WHITE: Colour = (255, 255, 255)
CLEAR_BELOW, MAXIMUM_OPACITY = 0.1, 0.7
DIMMED = 0.85  # white matter leaves room for brighter colours over it


@cache
def heat_table() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """For each of 256 steps of heat: colour times opacity (256, 3), 0-255, and 1 - opacity (256, 1)."""
    colours, opacity = _heat_colours()
    return (colours * opacity).astype(np.float32), (1 - opacity).astype(np.float32)


@cache
def heat_palette() -> tuple[bytes, bytes]:
    """The same steps for an image with a palette: 256 times red, green, blue, and 256 times opacity, 0-255."""
    colours, opacity = _heat_colours()
    return np.rint(colours).astype(np.uint8).tobytes(), np.rint(opacity * 255).astype(np.uint8).tobytes()


def _heat_colours() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Colours (256, 3), 0-255, and opacity (256, 1), 0-1.

    The map starts where inferno is no longer black, which on dark anatomy would be no colour at all.
    """
    heat = np.linspace(0, 1, 256)
    colours = mpl.colormaps["inferno"](0.2 + 0.8 * heat)[:, :3] * 255
    ramp = np.clip((heat - CLEAR_BELOW) / (1 - CLEAR_BELOW), 0, 1)
    return colours, (MAXIMUM_OPACITY * ramp * ramp * (3 - 2 * ramp))[:, None]


def blend(grey: Pixels, heat: NDArray[np.float32]) -> Pixels:
    """Heat (H, W) float32, 0-1, over grey (H, W) uint8 -> (H, W, 3) uint8: clear at 0, MAXIMUM_OPACITY at 1."""
    colours, clear = heat_table()
    index = np.clip(np.rint(heat * 255), 0, 255).astype(np.uint8)
    cover = colours[index]
    cover += (grey * np.float32(DIMMED))[..., None] * clear[index]
    return np.asarray(np.rint(cover), np.uint8)


def resized(pixels: NDArray[np.generic], width: int, height: int, how: Image.Resampling) -> NDArray[np.generic]:
    """The image on another grid over the same field: centres of pixels at (i + 0.5) * old / new - 0.5."""
    return np.asarray(Image.fromarray(pixels).resize((width, height), how))


def write(
    draw: ImageDraw.ImageDraw,
    at: tuple[float, float],
    text: str,
    size: int,
    colour: Colour = TEXT,
    *,
    bold: bool = False,
    anchor: str = "la",
    outline: Colour | None = None,
) -> None:
    """One line of text; `anchor` as in Pillow: horizontal l, m, r, vertical a, m, d; `outline` for text on pictures."""
    face = font(size, "-Bold" if bold else "")
    draw.text(at, text, colour, face, anchor, stroke_width=2 if outline else 0, stroke_fill=outline)


def width_of(text: str, size: int) -> float:
    """How wide a line of text is, in pixels."""
    return font(size).getlength(text)


def wrapped(text: str, size: int, width: int) -> list[str]:
    """The text in lines that are at most `width` pixels wide; only a single word can be wider."""
    lines: list[str] = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and width_of(longer, size) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
