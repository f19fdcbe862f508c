"""How much of a study the archive has beyond what is here; it is asked again when the study has grown.

Only series of MR images count: the archive also holds what nobody sends us, and the results that we have sent to it.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence

import structlog

from node.dimse import query
from node.dimse.query import ArchivedSeries
from node.dimse.requestor import Peer
from node.errors import NodeError
from storage import Database, instances, studies
from storage.errors import NotFound

log = structlog.get_logger()

ASK_EVERY_S = 15.0
READ = "MR"


def missing(archived: Sequence[ArchivedSeries], here: Counter[str]) -> dict[str, int | None]:
    """By Series Instance UID how many instances of MR series are not here; None where the archive does not count.

    >>> missing([ArchivedSeries("1.1", "MR", 5), ArchivedSeries("1.2", "SR", 1)], Counter({"1.1": 3}))
    {'1.1': 2}
    """
    return {
        each.series_instance_uid: None if each.instances is None else lacking
        for each in archived
        if each.modality == READ
        and (lacking := (each.instances or here[each.series_instance_uid] + 1) - here[each.series_instance_uid]) > 0
    }


class Counting:
    """Notes with each study that is being received how many instances it should have."""

    def __init__(
        self, peer: Peer, timeout_s: float, db: Database, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Nothing is asked before `ask`."""
        self._peer = peer
        self._timeout_s = timeout_s
        self._db = db
        self._monotonic = monotonic
        self._asked: dict[str, tuple[int, float]] = {}

    def ask(self) -> None:
        """Once around; a study is asked for again when it has grown, and not too often."""
        now_s = self._monotonic()
        receiving = {study.study_instance_uid: study for study in studies.receiving(self._db)}
        self._asked = {uid: asked for uid, asked in self._asked.items() if uid in receiving}
        for uid, study in receiving.items():
            known, at_s = self._asked.get(uid, (0, float("-inf")))
            if study.instances == known or now_s - at_s < ASK_EVERY_S:
                continue
            self._asked[uid] = (study.instances, now_s)
            try:
                self._note(uid)
            except NotFound:
                continue
            except NodeError as error:
                log.warning("instances not counted", peer=str(self._peer), reason=str(error))
                return

    def _note(self, study_instance_uid: str) -> None:
        archived = query.find_series(self._peer, study_instance_uid, self._timeout_s)
        here = stored(self._db, study_instance_uid)
        lacking = missing(archived, here)
        expected: int | None = here.total() + sum(count or 0 for count in lacking.values())
        if None in lacking.values():
            expected = query.count_instances(self._peer, study_instance_uid, self._timeout_s)
        known = studies.get(self._db, study_instance_uid).expected_instances
        if archived and expected is not None and expected != known:
            studies.set_expected(self._db, study_instance_uid, expected)


def stored(db: Database, study_instance_uid: str) -> Counter[str]:
    """How many instances of each series are here."""
    return Counter(each.series_instance_uid for each in instances.of_study(db, study_instance_uid))
