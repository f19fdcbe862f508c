"""Proof that a destination keeps what it acknowledged: storage commitment, or a read-back by C-FIND.

An acknowledgement is a promise; only commitment, or a look into the archive, shows that it was kept. SENT and COMMITTED
are therefore two states. A transaction is noted before it is asked for, because the report may come before the answer,
on an association of its own, to the listener process.
"""

import uuid
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import structlog

from node.config import DeliverySettings, Destination
from node.dimse import commitment, query
from node.dimse.commitment import CommitmentReport
from node.dimse.scu import Peer
from node.errors import NodeError
from node.retry import delay_s, spread
from storage import Database, outbox, queue
from storage.errors import InvalidTransition, LeaseLost
from storage.records import Delivery, Proof

log = structlog.get_logger()

AT_ONCE = 500  # references in one request
FIRST_LOOK_S = 1.0
LONGEST_PAUSE_S = 60.0
FAILURE_REASONS = {  # PS3.3 C.14.1.1
    0x0110: "processing failure",
    0x0112: "no such object instance",
    0x0119: "class and instance do not fit",
    0x0122: "class not supported",
    0x0131: "duplicate transaction",
    0x0213: "resource limitation",
}


class ArchiveCheck:
    """Asks one destination for proof of what it acknowledged."""

    def __init__(self, destination: Destination, peer: Peer, settings: DeliverySettings, db: Database) -> None:
        """Nothing is asked before `round`."""
        self.trouble = ""
        self._name = destination.name
        self._peer = peer
        self._settings = settings
        self._db = db
        self._pause = _Pause()
        self._in_vain: set[str] = set()  # transactions that the destination did not take

    def round(self, now: datetime, now_s: float) -> None:
        """Ask for what is due."""
        waiting = outbox.awaiting_commitment(self._db, self._name)
        if not self._pause.is_over({each.delivery_id for each in waiting}, now_s):
            return
        self.trouble = ""
        try:
            self._request([each for each in waiting if each.proof is Proof.COMMITMENT and self._is_due(each, now)], now)
            self._look_for([each for each in waiting if each.proof is Proof.FIND], now)
        except NodeError as error:
            self.trouble = f"no proof: {error}"
            log.warning("no proof", destination=self._name, reason=str(error))

    def _is_due(self, delivery: Delivery, now: datetime) -> bool:
        """Never asked for, asked in vain, or not answered in time; a time in the future is not to be believed."""
        if delivery.transaction_uid is None or delivery.transaction_uid in self._in_vain:
            return True
        return not 0 <= (now - delivery.updated_at).total_seconds() < self._settings.commitment_timeout_s

    def _request(self, due: Sequence[Delivery], now: datetime) -> None:
        for start in range(0, len(due), AT_ONCE):
            transaction_uid = f"2.25.{uuid.uuid4().int}"
            asked = outbox.requested(self._db, due[start : start + AT_ONCE], transaction_uid, now)
            results = (outbox.result(self._db, each.sop_instance_uid) for each in asked)
            references = [(each.sop_class_uid, each.sop_instance_uid) for each in results if each is not None]
            outcome = commitment.request(self._peer, transaction_uid, references, self._settings.timeout_s)
            if outcome.report is not None:
                record_report(self._db, outcome.report, self._settings, datetime.now(UTC))
            elif not outcome.accepted:
                self._in_vain.add(transaction_uid)
                self.trouble = f"no storage commitment: {outcome.text}"
                log.warning("commitment not requested", destination=self._name, reason=outcome.text)
                return

    def _look_for(self, waiting: Sequence[Delivery], now: datetime) -> None:
        by_series: dict[tuple[str, str], list[Delivery]] = defaultdict(list)
        for each in waiting:
            result = outbox.result(self._db, each.sop_instance_uid)
            study = queue.get(self._db, each.job_id).study_instance_uid
            by_series[study, result.series_instance_uid if result else ""].append(each)
        for (study, series), deliveries in by_series.items():
            found = query.find_instances(self._peer, study, series, self._settings.timeout_s)
            for each in deliveries:
                if each.sop_instance_uid in found:
                    outbox.committed(self._db, each, now)
                elif not 0 <= (now - each.updated_at).total_seconds() < self._settings.commitment_timeout_s:
                    _send_again(self._db, each, "not found by C-FIND", self._settings, now)


class _Pause:
    """Growing pauses while the same deliveries wait; a new one starts them over."""

    def __init__(self) -> None:
        self._waiting: set[int] = set()
        self._looks = 0
        self._next_s = float("-inf")

    def is_over(self, waiting: set[int], now_s: float) -> bool:
        """Whether there is something to ask for, and it is time to."""
        if waiting - self._waiting:
            self._looks, self._next_s = 0, float("-inf")
        self._waiting = waiting
        if not waiting or now_s < self._next_s:
            return False
        self._looks += 1
        self._next_s = now_s + min(LONGEST_PAUSE_S, FIRST_LOOK_S * 2.0 ** min(self._looks, 10))
        return True


def record_report(db: Database, report: CommitmentReport, settings: DeliverySettings, now: datetime) -> None:
    """Note what a destination commits to, and send again what it says not to have."""
    deliveries = outbox.by_transaction(db, report.transaction_uid)
    if not deliveries:
        log.warning("commitment report for no transaction of ours", transaction=report.transaction_uid)
    for each in deliveries:
        try:
            if each.sop_instance_uid in report.committed:
                outbox.committed(db, each, now)
            elif each.sop_instance_uid in report.failed:
                code = report.failed[each.sop_instance_uid]
                reason = f"not committed: {FAILURE_REASONS.get(code, 'failure')} (0x{code:04X})"
                _send_again(db, each, reason, settings, now)
        except (LeaseLost, InvalidTransition) as late:
            log.warning("commitment report came late", transaction=report.transaction_uid, reason=str(late))


def _send_again(db: Database, delivery: Delivery, reason: str, settings: DeliverySettings, now: datetime) -> None:
    wait_s = spread(delay_s(delivery.attempt, settings))
    outbox.uncommitted(db, delivery, reason, now + timedelta(seconds=wait_s), now)
    log.warning("result goes again", destination=delivery.destination, job_id=delivery.job_id, reason=reason)
