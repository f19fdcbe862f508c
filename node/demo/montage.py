"""The captures that the destination received, side by side in one picture."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset

from model.picture_grid import Cell, grid

COLUMNS, CELL_HEIGHT = 4, 440


def write_montage(captures: Sequence[Dataset], path: Path) -> None:
    """The first capture, the summary page, at full size, and the others beside it in rows of four, smaller; RGB."""
    summary, *overlays = (Image.fromarray(np.asarray(each.pixel_array)) for each in captures)
    beside = [grid([Cell(_smaller(overlay)) for overlay in overlays], COLUMNS)] if overlays else []
    grid([Cell(summary), *map(Cell, beside)], 2).save(path)


def _smaller(image: Image.Image) -> Image.Image:
    scale = min(1.0, CELL_HEIGHT / image.height)
    return image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
