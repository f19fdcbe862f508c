"""A listener over the data folder named on the command line, in a process that may be killed; prints its port.

With `--forget` it stores nothing.
"""

import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import structlog

from node.config import AllowedPeer, Listener
from node.dicom.received import Receipt, Received
from node.dimse.scp import start_listener
from node.receive import intake
from storage import DataFolder, open_database


def main(folder: DataFolder, *, forget: bool) -> None:
    """Listen for a minute."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    db = open_database(folder)

    def on_store(received: Received) -> Receipt:
        if forget:
            for _ in received.data:
                pass
            return Receipt.STORED
        return intake.receive(folder, db, received, datetime.now(UTC), maximum_disk_use_percent=100)

    server = start_listener(Listener(port=0, allow=(AllowedPeer(ae_title="TESTER"),)), on_store)
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    threading.Event().wait(60)


if __name__ == "__main__":
    main(DataFolder(Path(sys.argv[1])), forget="--forget" in sys.argv)
