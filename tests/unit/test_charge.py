"""Which bundle is in charge: the configured one, until another is promoted, or another is configured."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from node import charge
from node.charge import ModelAt
from node.config import Settings
from node.errors import ConfigurationError
from storage import DataFolder

NOW = datetime(2026, 11, 26, tzinfo=UTC)
OLD, NEW = "0" * 64, "1" * 64


@pytest.fixture
def settings(folder: DataFolder) -> Settings:
    return configured(folder, "old")


def configured(folder: DataFolder, bundle: str) -> Settings:
    return Settings(data_folder=folder.root, worker={"bundle": folder.root / bundle})  # type: ignore[arg-type]


def promote(settings: Settings, folder: DataFolder, name: str, sha256: str) -> None:
    of_now = charge.serving(settings).worker.bundle
    assert of_now is not None
    charge.promote(settings, ModelAt(folder.root / name, sha256), ModelAt(of_now, OLD), "uid 0", "a report", NOW)


def served(settings: Settings) -> str:
    bundle = charge.serving(settings).worker.bundle
    return bundle.name if bundle else ""


def test_the_configured_bundle_is_in_charge_until_another_is_promoted(settings: Settings, folder: DataFolder) -> None:
    assert (served(settings), charge.of(settings)) == ("old", None)
    promote(settings, folder, "new", NEW)
    assert served(settings) == "new"
    found = charge.of(settings)
    assert found is not None
    assert (Path(found.before).name, found.before_sha256, found.why) == ("old", OLD, "a report")


def test_going_back_puts_the_configured_one_in_charge_again(settings: Settings, folder: DataFolder) -> None:
    promote(settings, folder, "new", NEW)
    promote(settings, folder, "old", OLD)
    assert (served(settings), charge.of(settings)) == ("old", None)
    assert [Path(each.bundle).name for each in charge.history(folder.root)] == ["new", "old"]


def test_whoever_configures_another_bundle_has_that_one(settings: Settings, folder: DataFolder) -> None:
    promote(settings, folder, "new", NEW)
    assert served(configured(folder, "third")) == "third"
    assert served(settings) == "new"


def test_a_file_that_cannot_be_read_is_no_reason_to_serve_any(settings: Settings, folder: DataFolder) -> None:
    (folder.root / charge.FILE).write_text('{"promotions": [')
    with pytest.raises(ConfigurationError, match="which bundle is in charge"):
        charge.serving(settings)


def test_another_bundle_in_the_place_of_the_promoted_one_is_refused(settings: Settings, folder: DataFolder) -> None:
    promote(settings, folder, "new", NEW)
    charge.refuse_another(charge.of(settings), NEW)
    with pytest.raises(ConfigurationError, match="is not the bundle that was promoted"):
        charge.refuse_another(charge.of(settings), OLD)
