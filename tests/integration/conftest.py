"""What the integration tests share: an empty database, and a bundle that answers quickly."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from storage import Database
from tests import stored
from tests.services import small_bundle


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    """An empty database in a data folder of its own."""
    with stored.opened(tmp_path / "data") as database:
        yield database


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a network so small that a study takes seconds on any machine."""
    return small_bundle(tmp_path_factory.mktemp("bundle"))
