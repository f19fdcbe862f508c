"""What is missing of a study comes from the archive: by C-GET on our own association, or by C-MOVE to our listener."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import structlog

from node.archive.counting import missing, stored
from node.dicom.received import Receipt, Received
from node.dimse import query, retrieve
from node.dimse.errors import NotNegotiated
from node.dimse.requestor import Peer
from node.dimse.retrieve import Retrieved, Wanted
from node.errors import NodeError, Refused
from storage import Database, instances
from storage.records import Study

log = structlog.get_logger()

Method = Literal["auto", "get", "move"]
Tell = Callable[[str], None]
Version = tuple[int, int]  # revision and number of instances of a study
MOST_REMEMBERED = 1000
REFUSED = (Receipt.OTHER_CONTENT, Receipt.NO_ROOM, Receipt.MISMATCH, Receipt.UNPARSABLE)


@dataclass(frozen=True)
class Fetched:
    """What became of one study."""

    wanted: int | None  # instances that were not here; None where the archive does not count
    came: int  # of them that are here now
    trouble: str  # "" where nothing stands in the way


class Fetcher:
    """Brings what is missing of one study after the other, one request at a time."""

    def __init__(
        self,
        peer: Peer,
        db: Database,
        on_store: Callable[[Received], Receipt],
        *,
        method: Method = "auto",
        own_ae_title: str = "NEUROSSL",
        timeout_s: float = 30,
        pause_s: float = 0,
    ) -> None:
        """`on_store` stores what comes by C-GET, as the listener would; `pause_s` lies between two requests."""
        self._peer = peer
        self._db = db
        self._on_store = on_store
        self._method = method
        self._own_ae_title = own_ae_title
        self._timeout_s = timeout_s
        self._pause_s = pause_s

    def studies_of(self, accession_number: str) -> list[str]:
        """The Study Instance UIDs of an accession number. Raises Unreachable, Refused and their kinds."""
        return query.find_studies(self._peer, accession_number, self._timeout_s)

    def fetch(self, study_instance_uid: str, tell: Tell = lambda _: None) -> Fetched:
        """Bring what is not here of the MR series of a study; `tell` hears of each series.

        Does not raise for what the archive or the network does: that is said in the answer.
        """
        before = stored(self._db, study_instance_uid)
        wanted: int | None = None
        trouble: list[str] = []
        try:
            archived = query.find_series(self._peer, study_instance_uid, self._timeout_s)
            lacking = missing(archived, before)
            counts = list(lacking.values())
            wanted = None if None in counts else sum(count or 0 for count in counts)
            if not archived:
                trouble.append("the archive does not have this study")
            for number, series in enumerate(lacking, 1):
                tell(f"series {number} of {len(lacking)}")
                trouble += self._series(study_instance_uid, series)
                time.sleep(self._pause_s)
        except NodeError as error:
            trouble.append(str(error))
        came = (stored(self._db, study_instance_uid) - before).total()
        if trouble:
            log.warning("not everything was fetched", study=study_instance_uid, came=came, reason=trouble[0])
        return Fetched(wanted, came, "; ".join(dict.fromkeys(trouble)))

    def _series(self, study: str, series: str) -> list[str]:
        """What went wrong with the instances of a series that are not here."""
        here = {
            each.sop_instance_uid for each in instances.of_study(self._db, study) if each.series_instance_uid == series
        }
        lacking = query.find_instances(self._peer, study, series, self._timeout_s) - here
        said = []
        for wanted in retrieve.in_batches(Wanted(study, series, tuple(sorted(lacking)) if here else ())):
            said += self._request(wanted)
        return said

    def _request(self, wanted: Wanted) -> list[str]:
        refused: dict[Receipt, int] = {}

        def store(received: Received) -> Receipt:
            receipt = self._on_store(received)
            if receipt in REFUSED:
                refused[receipt] = refused.get(receipt, 0) + 1
            return receipt

        try:
            ended = self._get_or_move(wanted, store)
        except Refused as error:
            return [str(error)]
        said = [f"{count} not stored: {receipt}" for receipt, count in refused.items()]
        if ended.failed:
            said.append(f"the archive could not send {ended.failed}: {ended.text}")
        return said

    def _get_or_move(self, wanted: Wanted, on_store: Callable[[Received], Receipt]) -> Retrieved:
        if self._method != "move":
            try:
                return retrieve.get(self._peer, wanted, on_store, self._timeout_s)
            except NotNegotiated:
                if self._method == "get":
                    raise
                log.info("the archive offers no C-GET: C-MOVE is used", peer=str(self._peer))
                self._method = "move"
        return retrieve.move(self._peer, wanted, self._own_ae_title, self._timeout_s)


class Fetching:
    """Fetches for studies that fell silent before everything was here: once for each, as long as it does not grow."""

    def __init__(self, fetcher: Fetcher) -> None:
        """Nothing is fetched before `work`."""
        self._fetcher = fetcher
        self._lock = threading.Lock()
        self._due: dict[str, Version] = {}
        self._tried: dict[str, tuple[Version, str]] = {}

    def lacks(self, study: Study) -> str | None:
        """What could not be got, "" when nothing is missing; None while it is still to be fetched."""
        if study.expected_instances is None or study.instances >= study.expected_instances:
            return ""
        version = (study.revision, study.instances)
        with self._lock:
            tried, said = self._tried.get(study.study_instance_uid, (None, ""))
            if tried == version:
                return said
            self._due[study.study_instance_uid] = version
        return None

    def work(self) -> None:
        """Fetch for every study that waits for it."""
        with self._lock:
            due, self._due = self._due, {}
        for study_instance_uid, version in due.items():
            fetched = self._fetcher.fetch(study_instance_uid)
            said = f"; the archive gave {fetched.came}" + (f": {fetched.trouble}" if fetched.trouble else "")
            with self._lock:
                self._tried[study_instance_uid] = version, said
                for forgotten in list(self._tried)[:-MOST_REMEMBERED]:
                    del self._tried[forgotten]
