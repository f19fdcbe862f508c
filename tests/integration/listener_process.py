"""A listener over the data folder named on the command line, in a process that may be killed; prints its port.

With `--forget` it stores nothing.
"""

import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import structlog

from node import intake
from node.config import AllowedPeer, Listener
from node.dimse.scp import Received, start_listener
from node.dimse.status import Status
from storage import DataFolder, open_database

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
folder = DataFolder(Path(sys.argv[1]))
db = open_database(folder)
settings = Listener(port=0, allow=(AllowedPeer(ae_title="TESTER"),))


def on_store(received: Received) -> Status:
    """Store it, or forget it."""
    if "--forget" in sys.argv:
        for _ in received.data:
            pass
        return Status.SUCCESS
    return intake.receive(folder, db, received, datetime.now(UTC), maximum_disk_use_percent=100)


server = start_listener(settings, on_store)
sys.stdout.write(f"{server.port}\n")
sys.stdout.flush()
threading.Event().wait(60)
