"""The captures that the destination received, side by side in one picture."""

from collections.abc import Sequence
from math import ceil
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset

COLUMNS = 4
CELL_HEIGHT = 440
GAP = 8
BACKGROUND = (17, 19, 23)


def write_montage(captures: Sequence[Dataset], path: Path) -> None:
    """The first capture, the summary page, at full size, and the others beside it in rows of four, smaller; RGB."""
    summary, *overlays = (Image.fromarray(np.asarray(each.pixel_array)) for each in captures)
    cells = [_smaller(overlay) for overlay in overlays]
    columns, rows = min(COLUMNS, len(cells)), ceil(len(cells) / COLUMNS)
    cell_width = max((cell.width for cell in cells), default=0) + GAP
    height = max(summary.height, rows * (CELL_HEIGHT + GAP) - GAP)
    canvas = Image.new("RGB", (summary.width + columns * cell_width, height), BACKGROUND)
    canvas.paste(summary, (0, (height - summary.height) // 2))
    for index, cell in enumerate(cells):
        row, column = divmod(index, COLUMNS)
        canvas.paste(cell, (summary.width + GAP + column * cell_width, row * (CELL_HEIGHT + GAP)))
    canvas.save(path)


def _smaller(image: Image.Image) -> Image.Image:
    scale = min(1.0, CELL_HEIGHT / image.height)
    return image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
