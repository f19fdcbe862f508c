"""A listener over the data folder named on the command line, in a process that may be killed; prints its port.

With `--forget` it stores nothing.
"""

import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import structlog

from node.config import AllowedPeer, Listener, Settings
from node.dicom.received import Receipt, Received
from node.dimse.scp import start_listener
from node.receive.recovery import adopt_orphans
from node.receive.registrar import Registrar
from node.service.listener import on_store
from storage import DataFolder, files, open_database


def main(folder: DataFolder, *, forget: bool) -> None:
    """Listen for a minute."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    db = open_database(folder)
    adopt_orphans(folder, db, datetime.now(UTC))
    files.make_room(folder)
    listener = Listener(port=0, allow=(AllowedPeer(ae_title="TESTER"),), maximum_disk_use_percent=100)
    settings = Settings(data_folder=folder.root, listener=listener)

    def answer(received: Received) -> Receipt:
        if forget:
            for _ in received.data:
                pass
            return Receipt.STORED
        return on_store(folder, db, settings, received, note=registrar.note)

    with Registrar(db, folder) as registrar:
        server = start_listener(settings.listener, answer)
        sys.stdout.write(f"{server.port}\n")
        sys.stdout.flush()
        threading.Event().wait(60)


if __name__ == "__main__":
    main(DataFolder(Path(sys.argv[1])), forget="--forget" in sys.argv)
