"""What the integration tests share: a bundle that answers quickly."""

from pathlib import Path

import pytest

from tests.services import small_bundle


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a network so small that a study takes seconds on any machine."""
    return small_bundle(tmp_path_factory.mktemp("bundle"))
