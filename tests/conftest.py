"""What every test may ask for: real data and recorded answers where they are, a data folder and its database, made-up
DICOM, free ports."""

import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:  # so that tests can `from tests import factories`
    sys.path.insert(0, str(ROOT))

from storage import Database, DataFolder  # noqa: E402 - needs the line above
from tests import factories, stored  # noqa: E402


def _kept_beside(variable: str, default: str, what: str) -> Path:
    folder = Path(os.environ.get(variable) or ROOT.parent / "shared" / default)
    if not folder.is_dir():
        pytest.skip(f"{what} are not there: set {variable} to their folder")
    return folder


@pytest.fixture(autouse=True)
def environment_as_before() -> Iterator[None]:
    """A command that ran within the test's process leaves nothing behind for the processes of the next."""
    before, compiles = dict(os.environ), sys.dont_write_bytecode
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)
    sys.dont_write_bytecode = compiles


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real series kept beside the project."""
    return _kept_beside("NEUROSSL_DATA", "data", "the real series")


@pytest.fixture(scope="session")
def reference() -> Path:
    """The folder of recorded answers of the published network."""
    return _kept_beside("NEUROSSL_REFERENCE", "reference", "the recorded answers")


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    """An empty data folder."""
    folder = DataFolder(tmp_path / "data")
    folder.create()
    return folder


@pytest.fixture
def db(folder: DataFolder) -> Iterator[Database]:
    """An empty database in `folder`."""
    with stored.opened(folder.root) as db:
        yield db


@pytest.fixture
def free_port() -> Callable[[], int]:
    """A function that gives a loopback port nobody listens on; each call another one."""
    given: set[int] = set()

    def find() -> int:
        while True:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = int(probe.getsockname()[1])
            if port not in given:
                given.add(port)
                return port

    return find


@pytest.fixture(scope="session")
def mr_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 sagittal T1 slices of the made-up head as files; read-only by agreement."""
    folder = tmp_path_factory.mktemp("mr")
    factories.mr_series(folder)
    return folder


@pytest.fixture(scope="session")
def untrained_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights, the same each time, as a bundle that a node can load."""
    from model import Bundle

    folder = tmp_path_factory.mktemp("bundle") / "untrained"
    Bundle.untrained().save(folder)
    return folder


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of whoever runs the tests must not configure the node under test."""
    for name in list(os.environ):
        if name.startswith("NEUROSSL__"):
            monkeypatch.delenv(name)
