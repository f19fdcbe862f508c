"""Charts as SVG, made here: numbers in, rectangles out. What is read beside them is HTML, so it keeps its size."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

WIDTH, HEIGHT = 1000.0, 100.0  # of a chart, stretched to the room that it gets
GAP = 0.22  # of a column


@dataclass(frozen=True)
class Bar:
    """One rectangle, in the units of the chart; its words are for who points at it."""

    x: float
    y: float
    width: float
    height: float
    words: str


@dataclass(frozen=True)
class Columns:
    """A chart of columns side by side."""

    bars: Sequence[Bar]
    ticks: Sequence[str]  # of the vertical axis, from the top
    labels: Sequence[str]  # below: the first, the middle and the last column
    rows: Sequence[tuple[str, str]]  # the same as a table


def columns(values: Sequence[tuple[str, float]], one: str, more: str = "") -> Columns:
    """One column a value, named by its words; `one` and `more` name what is counted."""
    top = nice_top(max((value for _, value in values), default=0))
    step = WIDTH / max(1, len(values))
    bars, rows = [], []
    for number, (label, value) in enumerate(values):
        height = HEIGHT * value / top
        words = f"{label}: {value:,.0f} {one if value == 1 else more or one + 's'}".replace(",", "\u202f")
        bars.append(Bar((number + GAP / 2) * step, HEIGHT - height, (1 - GAP) * step, height, words))
        rows.append((label, f"{value:,.0f}".replace(",", "\u202f")))
    ticks = [f"{share * top:,.0f}".replace(",", "\u202f") for share in (1, 0.5, 0)]
    middle = [label for label, _ in values]
    return Columns(bars, ticks, [middle[0], middle[len(middle) // 2], middle[-1]] if middle else [], rows)


def by_day(days: Mapping[date, int], one: str, more: str = "") -> Columns:
    """One column a day."""
    return columns([(f"{day:%a %d %b}", count) for day, count in days.items()], one, more)


def nice_top(value: float) -> float:
    """The top of an axis: 2, 4, 10 times a power of ten, so that its half is a whole number too.

    >>> [nice_top(each) for each in (0, 1, 3, 17, 41, 700)]
    [2.0, 2.0, 4.0, 20.0, 100.0, 1000.0]
    """
    if value <= 2:
        return 2.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (1, 2, 4, 10) if factor * power >= value)


def shares(counted: Mapping[str, int]) -> list[tuple[str, int, float]]:
    """Each name in words, how often, and how long its bar is of 100; the longest is 100."""
    longest = max(counted.values(), default=0)
    return [
        (name.replace("_", " "), count, 100 * count / longest if longest else 0.0) for name, count in counted.items()
    ]
