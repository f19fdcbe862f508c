"""The door for STOW-RS over the data folder named on the command line, in a process to be killed; prints its port.

With `--die` it kills itself when the first instance is stored, before anybody is answered.
"""

import os
import signal
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import structlog

from node.config import Settings
from node.dicom.received import Receipt, Received
from node.dicomweb.server import start
from node.dimse.witness import Witness
from node.receive.recovery import adopt_orphans
from node.receive.registrar import Registrar
from node.service.listener import on_store
from storage import DataFolder, files, open_database
from tests.dicomweb import FROM_HERE


def main(folder: DataFolder, *, die: bool) -> None:
    """Listen for a minute."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    folder.create()
    db = open_database(folder)
    adopt_orphans(folder, db, datetime.now(UTC))
    files.make_room(folder)
    sections = {"dicomweb": {"port": 0, "allow": [FROM_HERE]}, "listener": {"maximum_disk_use_percent": 100}}
    settings = Settings.model_validate({"data_folder": str(folder.root), **sections})

    def answer(received: Received) -> Receipt:
        receipt = on_store(folder, db, settings, received, note=registrar.note)
        if die:
            os.kill(os.getpid(), signal.SIGKILL)
        return receipt

    assert settings.dicomweb is not None
    with Registrar(db, folder) as registrar:
        server = start(settings, settings.dicomweb, answer, Witness())
        sys.stdout.write(f"{server.port}\n")
        sys.stdout.flush()
        threading.Event().wait(60)


if __name__ == "__main__":
    main(DataFolder(Path(sys.argv[1])), die="--die" in sys.argv)
