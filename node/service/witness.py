"""What the audit trail and the ledger hear of: associations that peers open, and results that go out."""

import threading
from collections import Counter

from node.config import Destination, Hl7Receiver
from node.deliver.cargo import Cargo
from node.dicom.header import Header
from node.dicom.received import Receipt
from node.dimse.witness import Witness
from node.observe import audit_message
from node.observe.audit import Trail
from node.service.ledger import Ledger

HERE = (Receipt.STORED, Receipt.REPLACED, Receipt.HERE_ALREADY)


class Reception(Witness):
    """Counts what comes over each association, which is a thread, and notes it when that ends."""

    def __init__(self, trail: Trail, ledger: Ledger) -> None:
        """Nothing is counted yet."""
        self._trail = trail
        self._ledger = ledger
        self._of_thread = threading.local()

    def refused(self, calling_ae_title: str, host: str, reason: str) -> None:
        """As `Witness`."""
        self._ledger.refused(calling_ae_title, host, reason)
        self._trail.note(audit_message.association_refused(self._trail.us, calling_ae_title, host, reason))

    def accepted(self, calling_ae_title: str, host: str) -> None:
        """As `Witness`."""
        self._ledger.count("associations", calling_ae_title, host)

    def echoed(self, calling_ae_title: str, host: str) -> None:
        """As `Witness`."""
        self._ledger.count("echoes", calling_ae_title, host)

    def answered(
        self, calling_ae_title: str, host: str, header: Header | None, receipt: Receipt, size_bytes: int
    ) -> None:
        """An instance of this size came over the association of this thread."""
        self._ledger.received(calling_ae_title, host, header, receipt, size_bytes)
        if header is None or receipt not in HERE or not self._trail.is_on:
            return
        counts: dict[tuple[str, str, str], Counter[str]] = self._of_thread.__dict__.setdefault("counts", {})
        study = counts.setdefault((calling_ae_title, host, header.study_instance_uid), Counter())
        study[header.sop_class_uid] += 1

    def ended(self) -> None:
        """As `Witness`."""
        for (calling, host, study), counted in self._of_thread.__dict__.pop("counts", {}).items():
            self._trail.note(audit_message.received(self._trail.us, calling, host, study, counted))


class Telling:
    """Notes what one information system is told by HL7; it must not raise, and must not take long."""

    def __init__(self, trail: Trail, receiver: Hl7Receiver) -> None:
        """Nothing is told yet."""
        self._trail = trail
        self._from = "|".join((receiver.sending_facility, receiver.sending_application))
        named = (receiver.receiving_facility, receiver.receiving_application)
        self._to = "|".join(named) if any(named) else receiver.name
        self._host = receiver.host

    @property
    def is_on(self) -> bool:
        """As `Witness`."""
        return self._trail.is_on

    def begins(self, cargo: Cargo) -> None:
        """A message is no transfer of instances, and nobody asks for its beginning."""

    def ended(self, cargo: Cargo) -> None:
        """What of it was acknowledged."""
        study, complete = cargo.study_instance_uid, cargo.acknowledged == cargo.planned
        self._trail.note(audit_message.exported(self._from, self._to, self._host, study, complete=complete))


class Dispatch:
    """Notes what goes to one destination."""

    def __init__(self, trail: Trail, destination: Destination) -> None:
        """Nothing goes yet."""
        self._trail = trail
        self._to = (destination.calling_ae_title or trail.us, destination.ae_title, destination.host)

    @property
    def is_on(self) -> bool:
        """Whether anybody hears of it."""
        return self._trail.is_on

    def begins(self, cargo: Cargo) -> None:
        """What is planned for one association."""
        self._trail.note(audit_message.sending_begins(*self._to, cargo.study_instance_uid, cargo.planned))

    def ended(self, cargo: Cargo) -> None:
        """What of it was acknowledged."""
        complete = cargo.acknowledged == cargo.planned
        self._trail.note(audit_message.sent(*self._to, cargo.study_instance_uid, cargo.acknowledged, complete=complete))
