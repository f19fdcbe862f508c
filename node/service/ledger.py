"""What peers do, counted in memory and written down every few seconds, so that nothing that comes in waits for it.

A crash loses what was counted since the last time: it is for people to look at, and nothing is decided by it. Peers
that the settings do not name choose their own titles, so only so many of them are told apart within an hour.
"""

import threading
from collections import Counter
from collections.abc import Collection
from datetime import datetime

import structlog

from node.dicom.header import Header
from node.dicom.received import Receipt
from node.logs import safe_text
from storage import Database, DataFolder, accessions, tallies
from storage.errors import StorageError

log = structlog.get_logger()

HERE = (Receipt.STORED, Receipt.HERE_ALREADY)
MOST_STRANGERS = 20
OTHERS = "(others)"
LONGEST_TITLE = 16
MOST_STUDIES = 10_000  # whose accession number is known to be noted already

Key = tuple[str, tuple[tuple[str, str], ...]]  # name and labels


class Ledger:
    """Takes counts from any thread; `write` puts them into the database."""

    def __init__(self, folder: DataFolder, known: Collection[str]) -> None:
        """`known` are the AE titles that the settings name."""
        self._folder = folder
        self._known = frozenset(known)
        self._lock = threading.Lock()
        self._counts: Counter[Key] = Counter()
        self._accessions: dict[str, str] = {}
        self._noted: dict[str, str] = {}
        self._strangers: set[str] = set()
        self._hour: datetime | None = None

    def count(self, name: str, peer: str, host: str, value: int = 1, **labels: str) -> None:
        """So many more of this, by this peer."""
        with self._lock:
            self._counts[name, tuple(sorted({"peer": self._told_apart(peer), "host": host, **labels}.items()))] += value

    def refused(self, peer: str, host: str, reason: str) -> None:
        """A peer was not let in."""
        with self._lock:
            peer = self._told_apart(peer)
            host = OTHERS if peer == OTHERS else host
            labels = {"peer": peer, "host": host, "reason": reason}
            self._counts["associations_refused", tuple(sorted(labels.items()))] += 1

    def received(self, peer: str, host: str, header: Header | None, receipt: Receipt, size_bytes: int) -> None:
        """An instance came, and was answered so."""
        if receipt not in HERE:
            self.count("instances_refused", peer, host, reason=receipt.name.lower().replace("_", " "))
            return
        self.count("received_instances", peer, host)
        self.count("received_bytes", peer, host, size_bytes)
        if header is not None and header.accession_number:
            self._note_accession(header.study_instance_uid, header.accession_number)

    def write(self, db: Database, now: datetime) -> None:
        """Write down what was counted; what the database does not take stays for the next time."""
        with self._lock:
            if self._hour != (hour := now.replace(minute=0, second=0, microsecond=0)):
                self._hour, self._strangers = hour, set()
            counts, found = self._counts, self._accessions
            self._counts, self._accessions = Counter(), {}
        try:
            if counts:
                tallies.add(db, [(name, dict(labels), value) for (name, labels), value in counts.items()], now)
                counts = Counter()
            if found:
                accessions.note(db, found)
                found = {}
        except StorageError as error:
            log.warning("what was counted is not written down yet", reason=str(error))
        with self._lock:
            self._counts.update(counts)
            self._accessions = found | self._accessions

    def _told_apart(self, peer: str) -> str:
        if peer in self._known:
            return peer
        title = "".join(each for each in peer[:LONGEST_TITLE] if each.isprintable()) or "unknown"
        if title not in self._strangers and len(self._strangers) >= MOST_STRANGERS:
            return OTHERS
        self._strangers.add(title)
        return title

    def _note_accession(self, study_instance_uid: str, accession_number: str) -> None:
        """Once for each study; without the number itself."""
        with self._lock:
            if self._noted.get(study_instance_uid) == accession_number:
                return
            if len(self._noted) >= MOST_STUDIES:
                self._noted.clear()
            self._noted[study_instance_uid] = accession_number
        try:
            found = accessions.keyed_hash(self._folder, accession_number)
        except StorageError as error:
            log.warning("accession number not noted", reason=safe_text(error))
            return
        with self._lock:
            self._accessions[study_instance_uid] = found
