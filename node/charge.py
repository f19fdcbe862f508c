"""Which bundle is in charge: the one of config.yaml, or one that was promoted in its place.

A promotion is a line in `charge.json` of the data folder, and nothing is ever taken out of it: it names the bundle, its
hash, who promoted it and why. It holds for as long as `worker.bundle` is what it was then: whoever sets another bundle
in config.yaml, has that one. Workers look between two jobs, so a job ends with the bundle that it began with.
"""

import json
import os
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from node.config import Settings
from node.errors import ConfigurationError
from storage import DataFolder
from storage.folder import sync

FILE, LOCK = "charge.json", "charge"
LOCK_WAIT_S = 10.0


@dataclass(frozen=True)
class Charge:
    """One promotion; bundles are folders, and their identity is their SHA-256."""

    at: str  # ISO 8601, UTC
    who: str
    configured: str  # worker.bundle of config.yaml when it was made
    bundle: str
    sha256: str
    before: str  # what was in charge until then
    before_sha256: str
    why: str  # the commissioning report that it stands on, or the reason for there being none


class ModelAt(NamedTuple):
    """A bundle and where it lies."""

    folder: Path
    sha256: str


def history(data_folder: Path) -> list[Charge]:
    """Every promotion, oldest first. Raises ConfigurationError when the file cannot be read."""
    path = data_folder / FILE
    try:
        return [Charge(**each) for each in json.loads(path.read_text(encoding="utf-8"))["promotions"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{path}: cannot be read, so nobody knows which bundle is in charge") from error


def of(settings: Settings) -> Charge | None:
    """The promotion that holds; None where the configured bundle is in charge. Raises ConfigurationError."""
    newest = newest_of(settings)
    return None if newest is None or newest.bundle == newest.configured else newest


def newest_of(settings: Settings) -> Charge | None:
    """The last promotion in place of the bundle that is configured now, also one that went back to it."""
    newest = next(reversed(history(settings.data_folder)), None)
    return None if newest is None or newest.configured != configured(settings) else newest


def configured(settings: Settings) -> str:
    """The bundle of config.yaml; "" where it names none."""
    return "" if settings.worker.bundle is None else str(settings.worker.bundle.resolve())


def serving(settings: Settings) -> Settings:
    """The settings with the bundle in charge as `worker.bundle`. Raises ConfigurationError."""
    return put(settings, of(settings))


def put(settings: Settings, promoted: Charge | None) -> Settings:
    """The settings with this promotion's bundle as `worker.bundle`."""
    if promoted is None:
        return settings
    worker = settings.worker.model_copy(update={"bundle": Path(promoted.bundle)})
    return settings.model_copy(update={"worker": worker})


def refuse_another(promoted: Charge | None, sha256: str) -> None:
    """Raises ConfigurationError when what lies where a promoted bundle lay is another one now."""
    if promoted is not None and promoted.sha256 != sha256:
        raise ConfigurationError(
            f"{promoted.bundle}: is not the bundle that was promoted: "
            f"sha256 {sha256[:16]}…, expected {promoted.sha256[:16]}…"
        )


def promote(settings: Settings, to: ModelAt, of_now: ModelAt, who: str, why: str, now: datetime) -> Charge:
    """Put a bundle in charge, durably, in place of the one that is. Raises ConfigurationError, and as `lock` does."""
    folder = DataFolder(settings.data_folder)
    with folder.lock(LOCK, wait_s=LOCK_WAIT_S):
        made = Charge(
            at=now.isoformat(),
            who=who,
            configured=configured(settings),
            bundle=str(to.folder.resolve()),
            sha256=to.sha256,
            before=str(of_now.folder.resolve()),
            before_sha256=of_now.sha256,
            why=why,
        )
        _write(folder, [*history(folder.root), made])
    return made


def _write(folder: DataFolder, promotions: list[Charge]) -> None:
    text = json.dumps({"promotions": [asdict(each) for each in promotions]}, indent=2) + "\n"
    part = folder.path(f"tmp/{FILE}")
    with part.open("w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(folder.root / FILE)
    sync(folder.root)
