"""A contact sheet: slices side by side, pixel by pixel as the network sees them, each with its place above it."""

from collections.abc import Sequence

from PIL import Image

from model.picture_grid import Cell, grid
from model.types import PLANES, Slice

COLUMNS, CAPTION = 8, 16
AXES = dict(zip(PLANES, "xyz", strict=True))


def contact_sheet(slices: Sequence[Slice]) -> Image.Image:
    """A grey picture of all slices, plane by plane. Raises ValueError when there are none."""
    cells = [Cell(Image.fromarray(item.pixels), _caption(number, item)) for number, item in enumerate(slices, 1)]
    return grid(cells, COLUMNS, gap=0, size=11, heading=CAPTION).convert("L")


def _caption(number: int, item: Slice) -> str:
    return f"{number}" if item.position_mm is None else f"{number}  {AXES[item.plane]} {item.position_mm:+.1f} mm"
