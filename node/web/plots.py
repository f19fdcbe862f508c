"""Plots as lengths in percent and paths in a box: the templates draw them as SVG, and no library is loaded for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from node import verdict
from node.observe.pictures import Picture

WIDTH, HEIGHT = 1000, 100  # of the box that the paths of a curve lie in


@dataclass(frozen=True)
class Zone:
    """A band on the line of probabilities; percent of its length."""

    name: str
    kind: str  # as a name in a style sheet
    left: float
    width: float

    @property
    def right(self) -> float:
        """Where it ends."""
        return self.left + self.width


@dataclass(frozen=True)
class Scale:
    """A probability on its line, with one standard deviation to each side; percent of its length."""

    zones: Sequence[Zone]
    at: float
    low: float
    high: float


@dataclass(frozen=True)
class Bar:
    """A class of a histogram; percent of the width and of the height, from the left."""

    left: float
    width: float
    height: float


@dataclass(frozen=True)
class Mark:
    """A slice that is worth a look; percent of the width and of the height, from the left and from the top."""

    letter: str
    number: int
    x: float
    y: float


@dataclass(frozen=True)
class Curve:
    """Probability along the slices, as paths in a box of WIDTH x HEIGHT, with its spread."""

    line: str
    spread: str
    marks: Sequence[Mark]
    zones: Sequence[tuple[str, float, float]]  # kind, top and height in percent


def scale(probability: float, spread: float, thresholds: Mapping[str, float]) -> Scale:
    """The line of a verdict."""
    zones = [
        Zone(name, kind(name), round(100 * low, 2), round(100 * (high - low), 2))
        for name, low, high in verdict.zones(thresholds)
    ]
    return Scale(zones, _percent(probability), _percent(probability - spread), _percent(probability + spread))


def bars(standing: verdict.Standing) -> list[Bar]:
    """Calibration subjects of one label along the line of probabilities; the largest class is as high as there is room.

    >>> from types import SimpleNamespace
    >>> bars(SimpleNamespace(histogram=(0, 2, 4, 0)))
    [Bar(left=25.0, width=25.0, height=50.0), Bar(left=50.0, width=25.0, height=100.0)]
    """
    width, most = 100 / len(standing.histogram), max(standing.histogram)
    heights = [round(100 * count / most, 2) for count in standing.histogram]
    return [Bar(round(place * width, 2), round(width, 2), each) for place, each in enumerate(heights) if each]


def curve(pictures: Sequence[Picture], thresholds: Mapping[str, float]) -> Curve:
    """Along these slices, from the first to the last."""
    xs = [WIDTH * position(index, len(pictures)) / 100 for index in range(len(pictures))]
    upper = [(x, _y(each.probability + each.spread)) for x, each in zip(xs, pictures, strict=True)]
    lower = [(x, _y(each.probability - each.spread)) for x, each in zip(xs, pictures, strict=True)]
    line = [(x, _y(each.probability)) for x, each in zip(xs, pictures, strict=True)]
    marked = [index for index, each in enumerate(pictures) if each.key]
    marks = [
        Mark(letter, pictures[index].number, round(xs[index] / WIDTH * 100, 2), round(line[index][1], 2))
        for letter, index in zip("ABCDEFGH", marked, strict=False)
    ]
    zones = [
        (kind(name), round(100 * (1 - high), 2), round(100 * (high - low), 2))
        for name, low, high in verdict.zones(thresholds)
    ]
    return Curve(_path(line), f"{_path(upper + lower[::-1])}Z", marks, zones)


def position(index: int, count: int) -> float:
    """Where a slice lies along the curve, in percent.

    >>> [position(index, 5) for index in range(5)], position(0, 1)
    ([0.0, 25.0, 50.0, 75.0, 100.0], 50.0)
    """
    return 100 * index / (count - 1) if count > 1 else 50.0


def kind(band: str | None) -> str:
    """A band as a name in a style sheet; "out" where there is none.

    >>> kind("no significant changes"), kind(None)
    ('no-significant-changes', 'out')
    """
    return band.replace(" ", "-") if band else "out"


def _percent(share: float) -> float:
    return round(100 * min(max(share, 0.0), 1.0), 2)


def _y(share: float) -> float:
    return HEIGHT - _percent(share)


def _path(points: Sequence[tuple[float, float]]) -> str:
    """Of an SVG: lines from point to point."""
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
