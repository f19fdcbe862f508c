"""A destination that plays the PACS: a Storage SCP that keeps what it gets as files in one folder."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from node.config import AllowedPeer, Listener
from node.dicom import part10
from node.dicom.received import Receipt, Received
from node.dimse.scp import start_listener

AE_TITLE = "DEMO-PACS"


class Folder:
    """The receiving end; its files are numbered in the order in which they came."""

    def __init__(self, folder: Path) -> None:
        """Makes the folder."""
        folder.mkdir(parents=True)
        self._folder = folder
        self._lock = threading.Lock()
        self.count = 0

    def store(self, received: Received) -> Receipt:
        """Keep an instance as a Part 10 file; the name is ours, never the sender's."""
        with self._lock:
            self.count += 1
            path = self._folder / f"{self.count:03}.dcm"
        meta = part10.FileMeta(
            received.sop_class_uid, received.sop_instance_uid, received.transfer_syntax_uid, received.calling_ae_title
        )
        with path.open("xb") as file:
            file.write(part10.header(meta))
            for piece in received.data:
                file.write(piece)
        return Receipt.STORED


@contextmanager
def plays_pacs(folder: Path, calling_ae_title: str) -> Iterator[int]:
    """Receive into a new folder what `calling_ae_title` sends from this machine; gives the port."""
    settings = Listener(
        ae_title=AE_TITLE, port=0, allow=(AllowedPeer(ae_title=calling_ae_title, host="127.0.0.1"),), accept="all"
    )
    server = start_listener(settings, Folder(folder).store)
    try:
        yield server.port
    finally:
        server.stop(timeout_s=5)
