"""A contact sheet: slices side by side, pixel by pixel as the network sees them, each with its height above it."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from model.types import Slice

COLUMNS = 8
CAPTION = 16


def contact_sheet(slices: Sequence[Slice], columns: int = COLUMNS) -> Image.Image:
    """A grey picture of all slices, from foot to head. Raises ValueError when there are none."""
    if not slices:
        raise ValueError("there are no slices to show")
    rows, width = -(-len(slices) // columns), slices[0].pixels.shape[1]
    height = slices[0].pixels.shape[0] + CAPTION
    sheet = Image.new("L", (min(columns, len(slices)) * width, rows * height))
    draw = ImageDraw.Draw(sheet)
    for index, item in enumerate(slices):
        left, top = index % columns * width, index // columns * height
        place = "" if item.position_mm is None else f"  z {item.position_mm:+.1f} mm"
        draw.text((left + 4, top + 3), f"{index + 1}{place}", fill=200)
        sheet.paste(Image.fromarray(np.ascontiguousarray(item.pixels)), (left, top + CAPTION))
    return sheet
