"""Slices with their heat maps in one picture, for answers that go to no PACS."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from model.types import Prediction
from node.report import overlay
from node.report.drawing import PAGE, TEXT, write

COLUMNS, GAP, HEADING = 4, 8, 40
OF_A_VOLUME, AT_MOST = 12, 48


def write_heatmaps(predictions: Iterable[tuple[str, Prediction]], path: Path) -> int:
    """Write slices in rows of four under the name of their input, at most 12 of a volume and 48 in all; how many."""
    cells: list[tuple[str, Image.Image]] = []
    for name, prediction in predictions:
        for index in overlay.choose(prediction.slices, OF_A_VOLUME)[: AT_MOST - len(cells)]:
            cells.append((name, Image.fromarray(np.asarray(overlay.picture(prediction, index)[0]))))
    if cells:
        _grid(cells).save(path, format="PNG")
    return len(cells)


def _grid(cells: list[tuple[str, Image.Image]]) -> Image.Image:
    width, height = (max(getattr(cell, side) for _, cell in cells) + GAP for side in ("width", "height"))
    places, row, column = [], 0, 0
    for index, (name, _) in enumerate(cells):
        if index and (column == COLUMNS or (name != cells[index - 1][0] and _is_volume(cells, index))):
            row, column = row + 1, 0
        places.append((row, column))
        column += 1
    columns = 1 + max(column for _, column in places)
    canvas = Image.new("RGB", (columns * width - GAP, (row + 1) * (height + HEADING) - GAP), PAGE)
    draw = ImageDraw.Draw(canvas)
    for index, ((name, cell), (row, column)) in enumerate(zip(cells, places, strict=True)):
        top = row * (height + HEADING)
        if index == 0 or name != cells[index - 1][0]:
            write(draw, (column * width + 16, top + 12), _short(name), 18, TEXT)
        canvas.paste(cell, (column * width, top + HEADING))
    return canvas


def _is_volume(cells: list[tuple[str, Image.Image]], index: int) -> bool:
    """Whether this cell or the one before it stands in a row of its own input; pictures share rows."""
    names = [name for name, _ in cells]
    return names.count(names[index]) > 1 or names.count(names[index - 1]) > 1


def _short(name: str) -> str:
    """The end of a name, which tells inputs apart."""
    return name if len(name) <= 60 else f"…{name[-59:]}"
