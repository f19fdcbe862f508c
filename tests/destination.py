"""A destination made of pynetdicom, which shares no line with the node's own SCU: it keeps what comes and answers as
told.

    with destination() as pacs:
        ...
        assert pacs.uids == [...]
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO

from pydicom import Dataset, dcmread
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import (
    BasicTextSRStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    KeyObjectSelectionDocumentStorage,
    ParametricMapStorage,
    SecondaryCaptureImageStorage,
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

STORAGE = (
    SecondaryCaptureImageStorage,
    ComprehensiveSRStorage,
    Comprehensive3DSRStorage,
    BasicTextSRStorage,
    ParametricMapStorage,
    KeyObjectSelectionDocumentStorage,
)
REJECTION_TITLES = {"113001", "113037", "113038", "113039"}  # CID 7011, scheme DCM


@dataclass
class Destination:
    """What it got, and how it answers: `answer` gives the status for a SOP Instance UID, and may take its time."""

    answer: Callable[[str], int] = lambda uid: 0x0000
    port: int = 0
    stored: list[tuple[str, bytes]] = field(default_factory=list)  # every C-STORE with its data set, in order
    asked: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)  # commitment: transaction, instances
    associations: int = 0
    hidden: set[str] = field(default_factory=set)  # what it says not to have
    report_to: tuple[str, int] | None = None  # our listener: AE title, port

    @property
    def uids(self) -> list[str]:
        """Every instance that it took, once, in the order of the first time."""
        return list(dict.fromkeys(uid for uid, _ in self.stored))

    @property
    def contents(self) -> dict[str, set[bytes]]:
        """Every content that came for each UID; more than one would be a fault."""
        found: dict[str, set[bytes]] = {}
        for uid, content in self.stored:
            found.setdefault(uid, set()).add(content)
        return found

    @property
    def modalities(self) -> Counter[str]:
        """How many instances of each modality it has."""
        first = dict(reversed(self.stored))
        return Counter(str(dcmread(BytesIO(content), force=True).Modality) for content in first.values())

    @property
    def datasets(self) -> dict[str, Dataset]:
        """What it has, by UID."""
        return {uid: dcmread(BytesIO(content), force=True) for uid, content in reversed(self.stored)}

    @property
    def notes(self) -> list[Dataset]:
        """The rejection notes that it got, in order."""
        found = self.datasets
        return [found[uid] for uid in self.uids if is_rejection_note(found[uid])]

    @property
    def shown(self) -> set[str]:
        """What its users see: all but the notes and what they list, as IHE IOCM has an image manager do it."""
        notes = self.notes
        gone = {uid for note in notes for uid in rejected_by(note)} | {str(note.SOPInstanceUID) for note in notes}
        return set(self.uids) - gone

    def _store(self, event: evt.Event) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        status = self.answer(uid)
        if status == 0 or 0xB000 <= status <= 0xBFFF or status == 0x0111:
            self.stored.append((uid, event.encoded_dataset(include_meta=False)))
        return status

    def _find(self, event: evt.Event) -> Iterator[tuple[int, Dataset | None]]:
        for uid in self.uids:
            if uid not in self.hidden:
                match = Dataset()
                match.QueryRetrieveLevel, match.SOPInstanceUID = "IMAGE", uid
                yield 0xFF00, match

    def _commit(self, event: evt.Event) -> tuple[int, None]:
        request = event.action_information
        references = [
            (item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID) for item in request.ReferencedSOPSequence
        ]
        self.asked.append((str(request.TransactionUID), tuple(str(uid) for _, uid in references)))
        if self.report_to is not None:
            threading.Thread(target=self._report, args=(str(request.TransactionUID), references), daemon=True).start()
        return 0x0000, None

    def _report(self, transaction: str, references: list[tuple[str, str]]) -> None:
        assert self.report_to is not None
        ae = AE("PACS")
        ae.add_requested_context(StorageCommitmentPushModel)
        role = build_role(StorageCommitmentPushModel, scp_role=True)  # PS3.4 J.3.3
        association = ae.associate("127.0.0.1", self.report_to[1], ae_title=self.report_to[0], ext_neg=[role])
        report = Dataset()
        report.TransactionUID = transaction
        have = [(c, u) for c, u in references if u in self.uids and u not in self.hidden]
        missing = [(c, u) for c, u in references if (c, u) not in have]
        report.ReferencedSOPSequence = [_item(*each) for each in have]
        if missing:
            report.FailedSOPSequence = [_item(*each, reason=0x0112) for each in missing]
        association.send_n_event_report(
            report, 2 if missing else 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
        )
        association.release()

    def _opened(self, event: evt.Event) -> None:
        self.associations += 1


def is_rejection_note(dataset: Dataset) -> bool:
    """A Key Object Selection whose title says that what it lists is not to be used."""
    if dataset.get("Modality") != "KO":
        return False
    (title,) = dataset.ConceptNameCodeSequence
    return title.CodingSchemeDesignator == "DCM" and title.CodeValue in REJECTION_TITLES


def rejected_by(note: Dataset) -> set[str]:
    """The SOP Instance UIDs that a note lists as its evidence."""
    return {
        str(reference.ReferencedSOPInstanceUID)
        for study in note.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for reference in series.ReferencedSOPSequence
    }


def _item(sop_class: str, uid: str, reason: int | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
    if reason is not None:
        item.FailureReason = reason
    return item


@contextmanager
def destination(
    answer: Callable[[str], int] = lambda uid: 0x0000,
    *,
    port: int = 0,
    commitment: bool = True,
    classes: tuple[str, ...] = STORAGE,
    keep: Destination | None = None,
) -> Iterator[Destination]:
    """A running destination called PACS; `keep` goes on with what an earlier one got."""
    pacs = keep or Destination()
    pacs.answer = answer
    ae = AE("PACS")
    ae.maximum_associations = 50
    for each in (*classes, Verification, StudyRootQueryRetrieveInformationModelFind):
        ae.add_supported_context(each)
    if commitment:
        ae.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
    handlers = [
        (evt.EVT_C_STORE, pacs._store),
        (evt.EVT_C_FIND, pacs._find),
        (evt.EVT_N_ACTION, pacs._commit),
        (evt.EVT_ACCEPTED, pacs._opened),
    ]
    server = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
    assert server is not None
    pacs.port = server.server_address[1]
    try:
        yield pacs
    finally:
        server.shutdown()
        for thread in threading.enumerate():
            if thread.name.startswith("AcceptorThread"):
                thread.join(5)


def wait_until(ask: Callable[[], bool], what: str, timeout_s: float = 30) -> None:
    """Fails, naming what was waited for."""
    deadline = time.monotonic() + timeout_s
    while not ask():
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s for {what}"
        time.sleep(0.02)
