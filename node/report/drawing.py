"""The few things that pictures are made of: fonts, colours, the colour map with its transparency, text in a box.

Pillow draws, with matplotlib's bundled DejaVu Sans and without any shaping library, so a picture depends on nothing
that is installed beside it. The colour map is matplotlib's inferno: perceptually uniform and readable without
colour vision.
"""

from functools import cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]
Pixels = NDArray[np.uint8]

BLACK: Colour = (0, 0, 0)
PAGE: Colour = (16, 18, 22)
PANEL: Colour = (30, 34, 40)
LINE: Colour = (84, 92, 104)
MUTED: Colour = (160, 168, 178)
TEXT: Colour = (238, 241, 245)
WARNING: Colour = (255, 196, 61)
MAXIMUM_ALPHA = 0.65


@cache
def font(size: int, weight: str = "") -> ImageFont.FreeTypeFont:
    """DejaVu Sans in pixels; `weight` is "" or "-Bold"."""
    path = Path(mpl.get_data_path()) / "fonts" / "ttf" / f"DejaVuSans{weight}.ttf"
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


@cache
def colour_map() -> NDArray[np.float32]:
    """(256, 3) float32, 0-255: inferno from its dark end to its bright one."""
    table = mpl.colormaps["inferno"](np.linspace(0, 1, 256))[:, :3]
    return np.asarray(table * 255, np.float32)


def blend(grey: Pixels, heat: NDArray[np.float32]) -> Pixels:
    """Heat (H, W) float32 in 0-1 over grey (H, W) uint8 -> (H, W, 3) uint8: clear at 0, MAXIMUM_ALPHA opaque at 1."""
    index = np.clip(np.rint(heat * 255), 0, 255).astype(np.uint8)
    alpha = (np.linspace(0, MAXIMUM_ALPHA, 256, dtype=np.float32))[:, None]
    cover = (colour_map() * alpha)[index]
    cover += grey[..., None] * (1 - alpha)[index]
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
) -> None:
    """One line of text; `anchor` as in Pillow: horizontal l, m, r and vertical a, m, s, d."""
    draw.text(at, text, font=font(size, "-Bold" if bold else ""), fill=colour, anchor=anchor)


def wrapped(text: str, size: int, width: int) -> list[str]:
    """The text in lines that are at most `width` pixels wide."""
    lines: list[str] = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and font(size).getlength(longer) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
