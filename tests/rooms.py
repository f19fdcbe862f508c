"""The rooms of the house and the ways between them, read off the imports: for the test of the walls, and as a picture.

python -m tests.rooms                      floors and ways as text
python -m tests.rooms --svg node/rooms.svg  the picture of the documentation
"""

import ast
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("node", "model", "storage")
DOORS_OF_THE_HOUSE = ("__main__",)  # starts the command line, and is drawn nowhere

Ways = Mapping[str, frozenset[str]]  # room -> the rooms that it imports

WIDTH, HEIGHT, GAP, FLOOR = 112, 44, 28, 104
HUES = ("#e3ecf7", "#e6f2e9", "#f7f0df", "#f3e6ee", "#e9e6f5")


class Import(NamedTuple):
    """One module imports another."""

    importer: str
    imported: str


@cache
def modules() -> dict[str, Path]:
    """Every module of the product and its file."""
    found = {}
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def room(module: str) -> str:
    """The folder of `node` that a module lies in, or its root file; `model` and `storage` are one room each."""
    package, *inside = module.split(".")
    return inside[0] if package == "node" and inside else package


@cache
def imports() -> tuple[Import, ...]:
    """Every import of a module of ours by another, wherever it stands in the file."""
    return tuple(
        Import(name, each)
        for name, path in modules().items()
        for node in ast.walk(parsed(path))
        for each in _named(node)
        if each in modules()
    )


@cache
def parsed(path: Path) -> ast.Module:
    """What stands in a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def _named(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        for alias in node.names:
            inner = f"{node.module}.{alias.name}"
            yield inner if inner in modules() else node.module


def ways(found: Sequence[Import]) -> Ways:
    """Which rooms each room imports, itself left out."""
    every = {room(name) for name in modules()} - {"node", *DOORS_OF_THE_HOUSE}
    return {
        each: frozenset(room(way.imported) for way in found if room(way.importer) == each) - {each, "node"}
        for each in sorted(every)
    }


def circle(open_ways: Ways) -> list[str]:
    """The rooms of a circle in the order of their imports; [] where there is none."""
    done: set[str] = set()

    def follow(name: str, behind: list[str]) -> list[str]:
        if name in behind:
            return behind[behind.index(name) :]
        if name in done:
            return []
        found = next((found for each in sorted(open_ways[name]) if (found := follow(each, [*behind, name]))), [])
        done.add(name)
        return found

    return next((found for name in open_ways if (found := follow(name, []))), [])


def floors(open_ways: Ways) -> list[list[str]]:
    """The rooms from the ground up: each stands just above the highest room that it imports."""
    level: dict[str, int] = {}

    def of(name: str) -> int:
        if name not in level:
            level[name] = 1 + max((of(each) for each in open_ways[name]), default=-1)
        return level[name]

    return [
        [name for name in open_ways if of(name) == height] for height in range(1 + max(of(name) for name in open_ways))
    ]


def drawn(open_ways: Ways) -> str:
    """The house as text, the top floor first.

    >>> print(drawn({"cellar": frozenset(), "hall": frozenset({"cellar"})}))
    hall ──► cellar
    ────────
    cellar
    """
    storeys = []
    for storey in reversed(floors(open_ways)):
        lines = [f"{name} ──► {', '.join(sorted(open_ways[name]))}" if open_ways[name] else name for name in storey]
        storeys.append("\n".join(lines))
    return "\n────────\n".join(storeys)


def shortest(open_ways: Ways) -> Ways:
    """The ways that no longer way stands for: enough to see every dependency in a picture."""
    far: dict[str, frozenset[str]] = {}

    def reach(name: str) -> frozenset[str]:
        if name not in far:
            far[name] = open_ways[name].union(*(reach(each) for each in open_ways[name]))
        return far[name]

    return {
        name: frozenset(each for each in to if not any(each in reach(other) for other in to - {each}))
        for name, to in open_ways.items()
    }


def folders(open_ways: Ways) -> Ways:
    """Without the files in the root of `node`, on which everything stands."""
    files = {path.stem for path in (ROOT / "node").glob("*.py")}
    return {name: to - files for name, to in open_ways.items() if name not in files}


def picture(open_ways: Ways) -> str:
    """The house as SVG: floors, rooms, and an arrow from each room to what it stands on."""
    open_ways = folders(open_ways)
    house = floors(open_ways)
    widest = max(map(len, house))
    width, height = widest * (WIDTH + GAP) + GAP, len(house) * FLOOR
    at = {
        name: (
            (width - len(storey) * (WIDTH + GAP) + GAP) // 2 + place * (WIDTH + GAP),
            height - (level + 1) * FLOOR + (FLOOR - HEIGHT) // 2,
        )
        for level, storey in enumerate(house)
        for place, name in enumerate(_ordered(storey, house[level - 1] if level else [], open_ways))
    }
    arrows = [_arrow(at[name], at[each]) for name, to in shortest(open_ways).items() for each in sorted(to)]
    boxes = [_box(name, at[name], level) for level, storey in enumerate(house) for name in storey]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="system-ui, sans-serif" font-size="14">'
    )
    marker = (
        '<defs><marker id="to" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#7a8594"/></marker></defs>'
    )
    ground = f'<rect width="{width}" height="{height}" fill="#ffffff"/>'
    return "\n".join([head, marker, ground, *arrows, *boxes, "</svg>", ""])


def _ordered(storey: Sequence[str], below: Sequence[str], open_ways: Ways) -> list[str]:
    """Rooms of a storey, each near what it stands on."""

    def middle(name: str) -> float:
        places = [place for place, each in enumerate(below) if each in open_ways[name]]
        return sum(places) / len(places) if places else len(below) / 2

    return sorted(storey, key=lambda name: (middle(name), name))


def _arrow(start: tuple[int, int], end: tuple[int, int]) -> str:
    x, y, to_x, to_y = start[0] + WIDTH // 2, start[1] + HEIGHT, end[0] + WIDTH // 2, end[1] - 2
    bend = (to_y - y) // 2
    path = f"M{x} {y}C{x} {y + bend} {to_x} {to_y - bend} {to_x} {to_y}"
    return f'<path d="{path}" fill="none" stroke="#7a8594" stroke-width="1.2" marker-end="url(#to)"/>'


def _box(name: str, at: tuple[int, int], level: int) -> str:
    x, y = at
    box = f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="6" fill="{HUES[level % len(HUES)]}" '
    label = f'<text x="{x + WIDTH // 2}" y="{y + HEIGHT // 2 + 5}" text-anchor="middle">{escape(name)}</text>'
    return f'{box}stroke="#7a8594"/>{label}'


def main(arguments: Sequence[str]) -> None:
    """Print the house, or write its picture."""
    open_ways = ways(imports())
    if arguments[:1] == ["--svg"]:
        Path(arguments[1]).write_text(picture(open_ways), encoding="utf-8")
    else:
        sys.stdout.write(drawn(open_ways) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
