"""Slices with their heat maps in one picture, for answers that go to no PACS."""

from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from model.picture_grid import Cell, grid
from model.types import Prediction
from node.report import overlay

COLUMNS, OF_A_VOLUME, AT_MOST = 4, 12, 48


def write_heatmaps(predictions: Iterable[tuple[str, Prediction]], path: Path) -> int:
    """Write slices in rows of four under the name of their input, at most 12 of a volume and 48 in all; how many.

    A volume has rows of its own; inputs of one slice share theirs.
    """
    cells: list[Cell] = []
    after_volume = False
    for name, prediction in predictions:
        chosen = overlay.choose(prediction.slices, OF_A_VOLUME)[: AT_MOST - len(cells)]
        is_volume = len(chosen) > 1
        for place, index in enumerate(chosen):
            picture = Image.fromarray(overlay.picture(prediction, index)[0])
            cells.append(Cell(picture) if place else Cell(picture, name, begins_row=is_volume or after_volume))
        after_volume = is_volume if chosen else after_volume
    if cells:
        grid(cells, COLUMNS).save(path, format="PNG")
    return len(cells)
