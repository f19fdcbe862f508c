"""The captures that the destination received, side by side in one picture."""

from collections.abc import Sequence
from math import ceil
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset

COLUMNS = 4
GAP = 6


def write_montage(captures: Sequence[Dataset], path: Path) -> None:
    """The first capture, the summary, above the others in rows of four; RGB, at full resolution."""
    summary, *overlays = (Image.fromarray(np.asarray(each.pixel_array)) for each in captures)
    columns = min(COLUMNS, len(overlays)) or 1
    cell_width = max((each.width for each in overlays), default=0) + GAP
    cell_height = max((each.height for each in overlays), default=0) + GAP
    width = max(summary.width, columns * cell_width + GAP)
    rows = ceil(len(overlays) / columns)
    canvas = Image.new("RGB", (width, summary.height + GAP + rows * cell_height))
    canvas.paste(summary, ((width - summary.width) // 2, 0))
    left = (width - columns * cell_width + GAP) // 2
    for index, overlay in enumerate(overlays):
        row, column = divmod(index, columns)
        canvas.paste(overlay, (left + column * cell_width, summary.height + GAP + row * cell_height))
    canvas.save(path)
