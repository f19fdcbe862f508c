"""One HL7 receiver, as the courier sends to it: a message for each delivery, made when it goes."""

from collections.abc import Generator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from node.config import Hl7Receiver
from node.dimse.scu import SendOutcome
from node.errors import NodeError, Transient
from node.hl7 import mllp, report
from node.hl7.message import Content, Says, control_id, encode
from node.work.outcome import Outcome
from storage import Database, queue, retraction
from storage.records import Delivery


class ByHl7:
    """Says what each report says, or that it no longer holds."""

    trouble = ""  # what is acknowledged needs no proof

    def __init__(self, receiver: Hl7Receiver, timeout_s: float, db: Database) -> None:
        """Nothing is sent yet."""
        self._receiver = receiver
        self._timeout_s = timeout_s
        self._db = db

    def send(self, plan: Sequence[tuple[Delivery, Path]]) -> Generator[SendOutcome]:
        """One outcome for each, in this order."""
        for delivery, path in plan:
            yield self._one(delivery, path)

    def prove(self, now: datetime, now_s: float) -> None:
        """There is nothing to ask."""

    def _one(self, delivery: Delivery, path: Path) -> SendOutcome:
        uid = delivery.sop_instance_uid
        try:
            says = self._says(delivery)
            identifier = control_id(uid, self._receiver.name, says)
            outcome = Outcome.from_row(queue.get(self._db, delivery.job_id).outcome)
            prediction = outcome.prediction if outcome else None
            content = Content(report.read(path), prediction, says, self._receiver, identifier)
            code = mllp.send(self._receiver, encode(content, datetime.now(UTC)), identifier, self._timeout_s)
        except NodeError as error:
            return SendOutcome(path, uid, None, False, isinstance(error, Transient), str(error))
        return SendOutcome(path, uid, None, True, False, f"{code}, told as {says}")

    def _says(self, delivery: Delivery) -> Says:
        if not retraction.holds(self._db, delivery):
            return "void"
        return "corrected" if retraction.follows(self._db, delivery) else "first"
