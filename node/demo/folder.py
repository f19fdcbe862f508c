"""The folder that a demo runs in, and what of it stays."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from node.errors import ConfigurationError


@dataclass(frozen=True)
class DemoFolder:
    """Where everything of one demo lies."""

    root: Path

    @property
    def study(self) -> Path:
        """The made-up study that is sent."""
        return self.root / "study"

    @property
    def bundle(self) -> Path:
        """The weights."""
        return self.root / "bundle"

    @property
    def config(self) -> Path:
        """What `neurossl serve --config` is started with."""
        return self.root / "config.yaml"

    @property
    def data(self) -> Path:
        """The node's data folder: database, received instances, results."""
        return self.root / "data"

    @property
    def log(self) -> Path:
        """The node's log."""
        return self.root / "node.log"

    @property
    def received(self) -> Path:
        """What the destination got."""
        return self.root / "received"

    @property
    def report(self) -> Path:
        """The structured report as text."""
        return self.root / "report.txt"

    @property
    def montage(self) -> Path:
        """The captures in one picture."""
        return self.root / "montage.png"


@contextmanager
def demo_folder(keep: Path | None) -> Iterator[DemoFolder]:
    """A new folder for one demo: `keep`, where everything stays, or a temporary one, of which only the results stay.

    Raises ConfigurationError when `keep` is a file, holds something, or cannot be made.
    """
    if keep is not None:
        yield DemoFolder(_empty(keep))
        return
    folder = DemoFolder(Path(tempfile.mkdtemp(prefix="neurossl-demo-")))
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder.root, ignore_errors=True)
        raise
    for path in (folder.study, folder.bundle, folder.data):
        shutil.rmtree(path, ignore_errors=True)
    for path in (folder.config, folder.log):
        path.unlink(missing_ok=True)


def _empty(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ConfigurationError(f"--keep {folder}: the folder is not empty")
    except OSError as error:
        raise ConfigurationError(f"--keep {folder}: {error.strerror}") from error
    return folder.resolve()
