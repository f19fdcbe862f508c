"""Pictures side by side in one, each under its caption: heat maps, slices, captures, reconstructions.

A pixel of a picture is a pixel of the whole; what is too large is made smaller before.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import matplotlib as mpl
from PIL import Image, ImageDraw, ImageFont

PAGE, INK = (16, 18, 22), (238, 241, 245)


@dataclass(frozen=True)
class Cell:
    """A picture and the words above it; `begins_row`: it stands at the left whatever is beside the one before it."""

    picture: Image.Image
    caption: str = ""
    begins_row: bool = False


@cache
def font(size: int, weight: str = "") -> ImageFont.FreeTypeFont:
    """DejaVu Sans as matplotlib brings it, `size` in pixels; `weight` is "" or "-Bold"."""
    path = Path(mpl.get_data_path()) / "fonts" / "ttf" / f"DejaVuSans{weight}.ttf"
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


def grid(
    cells: Sequence[Cell], columns: int, *, title: str = "", gap: int = 8, size: int = 16, heading: int = 40
) -> Image.Image:
    """The cells in rows of at most so many columns, RGB, under a title; words are `size` pixels high.

    A row is as high as its highest picture, with `heading` above it where it has captions; a column is as wide as its
    widest picture. Raises ValueError when there are no cells.
    """
    if not cells:
        raise ValueError("there are no pictures to show")
    rows = _rows(cells, columns)
    used = range(max(len(row) for row in rows))
    widths = [max(row[column].picture.width for row in rows if column < len(row)) for column in used]
    headings = [heading if any(cell.caption for cell in row) else 0 for row in rows]
    heights = [above + max(cell.picture.height for cell in row) for row, above in zip(rows, headings, strict=True)]
    top = heading if title else 0
    least = round(font(size).getlength(title)) + 2 * size if title else 0
    total = max(least, sum(widths) + gap * (len(widths) - 1)), top + sum(heights) + gap * (len(heights) - 1)
    canvas = Image.new("RGB", total, PAGE)
    draw = ImageDraw.Draw(canvas)
    draw.text((size, top // 2), title, INK, font(size), "lm")
    for row, above, height in zip(rows, headings, heights, strict=True):
        left = 0
        for cell, width in zip(row, widths, strict=False):
            draw.text(
                (left + size, top + above // 2), _fitting(cell.caption, size, width - size), INK, font(size), "lm"
            )
            canvas.paste(cell.picture, (left, top + above))
            left += width + gap
        top += height + gap
    return canvas


def _rows(cells: Sequence[Cell], columns: int) -> list[list[Cell]]:
    rows: list[list[Cell]] = []
    for cell in cells:
        if not rows or cell.begins_row or len(rows[-1]) == columns:
            rows.append([])
        rows[-1].append(cell)
    return rows


def _fitting(text: str, size: int, width: int) -> str:
    """The text, or as much of its end as is no wider; the end of a name tells inputs apart."""
    ends = (text, *(f"…{text[cut:]}" for cut in range(1, len(text))))
    return next((each for each in ends if font(size).getlength(each) <= width), "")
