"""Who may import whom, as `node/__init__.py` says it; and what must start quickly starts without heavy libraries."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import rooms

ROOT = rooms.ROOT

# Room -> the rooms that it may import. Root files of `node` stand here like rooms.
WALLS: rooms.Ways = {
    name: frozenset(to.split())
    for name, to in {
        "cli": "charge config errors logs storage archive model dicom dimse receive series work service process "
        "observe notify offline trial conformance capacity demo web verdict access",
        "web": "certificates config config_web errors logs verdict storage observe process work access",
        "dicomweb": "config config_dicomweb errors logs dicom dimse access",
        "access": "config config_web errors",
        "demo": "config errors model storage dicom dimse process observe",
        "service": "config errors logs storage archive dicom dicomweb dimse receive deliver process observe notify hl7 "
        "report",
        "hl7": "config config_telling errors verdict storage dicom dimse work",
        "notify": "certificates silence config config_telling errors logs retry storage process access",
        "observe": "certificates charge silence config config_web errors logs verdict storage archive dicom dicomweb "
        "dimse receive deliver work process hl7 access trial",
        "trial": "charge config errors logs model storage dicom series work offline",
        "offline": "config errors model dicom series report",
        "conformance": "config config_dicomweb model dicom dicomweb dimse report deliver",
        "capacity": "errors",
        "work": "charge config dicom errors logs retry patience model storage series report process",
        "archive": "config errors storage dicom dimse",
        "deliver": "config errors logs retry patience storage dimse",
        "process": "config log_sink storage receive",
        "receive": "config errors storage dicom",
        "series": "config errors model dicom",
        "report": "config errors verdict model dicom series",
        "verdict": "",
        "certificates": "config config_telling config_web errors",
        "silence": "storage",
        "dimse": "config errors logs dicom",
        "dicom": "errors",
        "retry": "config errors logs storage",
        "charge": "config errors storage",
        "patience": "storage",
        "logs": "config log_sink",
        "log_sink": "",
        "config": "errors dicom config_file config_base config_dicomweb config_telling config_web",
        "config_base": "",
        "config_telling": "config_base",
        "config_web": "config_base",
        "config_dicomweb": "config_base config_telling config_web",
        "config_file": "errors",
        "errors": "",
        "model": "",
        "storage": "",
    }.items()
}

# Library -> the only places that may import it; a file, or a folder and all in it.
DOORS = {
    "torch": ("model",),
    "openvino": ("model",),
    "safetensors": ("model",),
    "huggingface_hub": ("model",),
    "lightning": ("model/training",),
    "lightning_fabric": ("model/training",),
    "nibabel": ("model/training", "node/offline/predictions.py"),  # NIfTI to train on, and to try the model on
    "sqlalchemy": ("storage",),
    "alembic": ("storage",),
    "pysqlite3": ("storage/backends/sqlite.py",),
    "sqlite3": ("storage/backends/sqlite.py",),
    "pynetdicom": ("node/dimse",),
    "highdicom": ("node/report", "node/series/geometry.py"),
    "typer": ("node/cli",),
    "fastapi": ("node/web",),
    "starlette": ("node/web",),
    "jinja2": ("node/web", "node/trial/page.py"),
    "uvicorn": ("node/web",),
    "argon2": ("node/access",),
    "authlib": ("node/web",),
    "joserfc": ("node/web/openid.py",),
    "httpx2": ("node/web/openid.py",),
    "nilearn": ("node/demo",),
    "simpy": ("node/capacity/simulation.py",),
    "prometheus_client": ("node/observe/metrics.py",),
    "yaml": ("node/config_file.py",),
    "pydicom": ("node",),
    "apprise": ("node/notify/service.py",),
    "smtplib": ("node/notify/mail.py",),
    "cryptography": ("node/certificates.py", "node/trial/signing.py"),
    "sklearn": ("node/trial/comparison.py",),
    "hl7": ("node/hl7",),
    "h11": ("node/dicomweb/conversation.py",),
}


def imported(path: Path) -> Iterator[str]:
    """The top-level names that a file imports, anywhere in it."""
    for node in ast.walk(rooms.parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def within(path: Path, places: tuple[str, ...]) -> bool:
    """Whether the file is one of these places or lies in one."""
    return any(path.relative_to(ROOT).is_relative_to(place) for place in places)


def test_each_library_has_one_door() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in rooms.modules().values()
        for name in sorted(set(imported(path)))
        if name in DOORS and not within(path, DOORS[name])
    ]
    assert wrong == []


def test_rooms_import_only_what_the_walls_let_through() -> None:
    found = rooms.imports()
    through = [
        f"{way.importer} imports {way.imported}"
        for way in found
        if rooms.room(way.importer) in WALLS
        and rooms.room(way.imported) not in WALLS[rooms.room(way.importer)] | {rooms.room(way.importer), "node"}
    ]
    assert through == [], f"through a wall; the house has\n\n{rooms.drawn(WALLS)}\n"


def test_every_room_has_its_walls_and_its_purpose() -> None:
    assert set(rooms.ways(rooms.imports())) == set(WALLS)
    silent = [path.parent.name for path in (ROOT / "node").glob("*/__init__.py") if len(path.read_text()) < 100]
    assert silent == []


def test_the_way_from_room_to_room_is_no_circle() -> None:
    assert rooms.circle(WALLS) == []
    opened = rooms.ways(rooms.imports())
    assert rooms.circle(opened) == [], rooms.drawn(opened)


def test_a_circle_is_found() -> None:
    """The test above can fail."""
    ways = {"a": frozenset({"b"}), "b": frozenset({"c"}), "c": frozenset({"a"}), "d": frozenset({"a"})}
    assert sorted(rooms.circle(ways)) == ["a", "b", "c"]


def test_the_picture_of_the_rooms_is_as_the_imports_are() -> None:
    """Renew it with `python -m tests.rooms --svg node/rooms.svg`."""
    kept = (ROOT / "node" / "rooms.svg").read_text(encoding="utf-8")
    assert kept == rooms.picture(rooms.ways(rooms.imports()))


PAGES = frozenset({"fastapi", "starlette", "jinja2", "uvicorn", "argon2", "authlib"})


def loaded_after(statement: str) -> set[str]:
    """Top-level modules that a fresh Python holds after this statement."""
    code = f"{statement}\nimport sys\nsys.stdout.write(' '.join({{name.split('.')[0] for name in sys.modules}}))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(told.stdout.split())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("statement", "without"),
    [
        ("import node.cli", {"torch", "highdicom", "openvino", "nilearn", "scipy", "matplotlib"}),
        ("import node.service.listener", {"torch", "highdicom", "openvino", "scipy", "matplotlib", *PAGES}),
        ("import node.service.office", {"torch", "openvino", *PAGES}),
        ("import node.web.server", {"torch", "highdicom", "openvino", "pynetdicom", "scipy", "matplotlib"}),
        ("import node.work.watchdog", {"torch", "highdicom", "openvino", "pynetdicom", "scipy", "matplotlib"}),
        ("import node.work.inference", {"pynetdicom"}),
        ("import storage", {"torch", "pydicom", "pynetdicom", "numpy"}),
        ("import model.types", {"torch", "pydicom", "sqlalchemy"}),
    ],
)
def test_what_must_start_quickly_starts_without_heavy_libraries(statement: str, without: set[str]) -> None:
    assert loaded_after(statement) & without == set()
