"""Slices with their heat maps in one picture, for answers that go to no PACS."""

from collections.abc import Sequence
from math import ceil
from pathlib import Path

import numpy as np
from PIL import Image

from model.types import Prediction
from node.report import overlay

COLUMNS, GAP, BACKGROUND = 4, 8, (16, 18, 22)
OF_A_VOLUME, AT_MOST = 12, 48


def write_heatmaps(predictions: Sequence[Prediction], path: Path) -> int:
    """Write the pictures of slices in a grid, at most 12 of a volume and 48 in all; returns how many."""
    cells: list[Image.Image] = []
    for prediction in predictions:
        for index in overlay.choose(prediction.slices, OF_A_VOLUME):
            if len(cells) < AT_MOST:
                cells.append(Image.fromarray(np.asarray(overlay.picture(prediction, index)[0])))
    if not cells:
        return 0
    width, height = (max(getattr(cell, side) for cell in cells) + GAP for side in ("width", "height"))
    columns = min(COLUMNS, len(cells))
    canvas = Image.new("RGB", (columns * width - GAP, ceil(len(cells) / columns) * height - GAP), BACKGROUND)
    for index, cell in enumerate(cells):
        row, column = divmod(index, columns)
        canvas.paste(cell, (column * width, row * height))
    canvas.save(path, format="PNG")
    return len(cells)
