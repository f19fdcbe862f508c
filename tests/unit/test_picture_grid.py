"""Pictures side by side: every pixel of each is there, each under its caption."""

import numpy as np
import pytest
from PIL import Image

from model.picture_grid import PAGE, Cell, font, grid


def picture(width: int, height: int, value: int) -> Image.Image:
    return Image.new("L", (width, height), value)


def at(image: Image.Image, left: int, top: int, like: Image.Image) -> bool:
    """Whether this picture lies there, pixel by pixel."""
    part = image.crop((left, top, left + like.width, top + like.height))
    return part.tobytes() == like.convert("RGB").tobytes()


def test_rows_are_as_high_and_columns_as_wide_as_they_must_be() -> None:
    a, b, c = picture(20, 10, 50), picture(30, 40, 100), picture(25, 15, 150)
    found = grid([Cell(a), Cell(b), Cell(c)], 2, gap=5)
    assert found.size == (25 + 5 + 30, 40 + 5 + 15)
    assert at(found, 0, 0, a)
    assert at(found, 30, 0, b)
    assert at(found, 0, 45, c)


def test_a_cell_can_begin_a_row() -> None:
    found = grid([Cell(picture(10, 10, 50)), Cell(picture(10, 10, 99), begins_row=True)], 4, gap=0)
    assert found.size == (10, 20)


def test_only_a_row_with_captions_has_room_for_them() -> None:
    cells = [Cell(picture(100, 10, 50), "a name"), Cell(picture(100, 10, 99)), Cell(picture(100, 10, 150))]
    found = grid(cells, 2, gap=0, heading=30)
    assert found.height == 30 + 10 + 10
    above = np.asarray(found)[:30]
    assert (above[:, :100] != PAGE).any()
    assert (above[:, 100:] == PAGE).all()


def test_a_long_caption_stays_above_its_picture_and_keeps_its_end() -> None:
    def drawn(caption: str) -> bytes:
        return grid([Cell(picture(120, 10, 50), caption), Cell(picture(120, 10, 50))], 2).tobytes()

    long = grid([Cell(picture(120, 10, 50), "w" * 80), Cell(picture(120, 10, 50))], 2)
    assert (np.asarray(long)[:40, 120:] == PAGE).all()
    assert drawn("a" * 80 + "7.nii") == drawn("b" + "a" * 79 + "7.nii") != drawn("a" * 80 + "8.nii")


def test_a_title_is_never_cut() -> None:
    title = "more words than a picture is wide"
    found = grid([Cell(picture(20, 10, 50))], 1, title=title)
    assert found.size == (round(font(16).getlength(title)) + 32, 40 + 10)


def test_nothing_cannot_be_shown() -> None:
    with pytest.raises(ValueError, match="no pictures"):
        grid([], 4)
