"""What a rejection note says: a Key Object Selection Document (PS3.3 A.35.4) that takes instances back (IHE IOCM).

Its title is of CID 7010. "Data Retention Policy Expired" makes no rejection note here: it says that the archive keeps
an instance no longer, not that it is wrong.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import KeyObjectSelectionDocumentStorage

from node.dicom.values import BROKEN, items, text, unwarned

REJECTED_FOR_QUALITY, REJECTED_FOR_SAFETY, WRONG_WORKLIST_ENTRY = "113001", "113037", "113038"
TITLES = {REJECTED_FOR_QUALITY, REJECTED_FOR_SAFETY, WRONG_WORKLIST_ENTRY}
NOTE = str(KeyObjectSelectionDocumentStorage)
LONGEST_NOTE_BYTES = 64 * 1024 * 1024
DEEPEST_ITEM = 8


class RejectionNote(NamedTuple):
    """The code value of its title in the scheme DCM, and the SOP Instance UIDs that it rejects, by study."""

    title: str
    instances: Mapping[str, frozenset[str]]


def read_note(path: Path, sop_class_uid: str) -> RejectionNote | None:
    """The rejection note in this file; None for any other instance, and for a note that cannot be read."""
    if sop_class_uid != NOTE or path.stat().st_size > LONGEST_NOTE_BYTES:
        return None
    try:
        with unwarned():
            return _note(dcmread(path))
    except (InvalidDicomError, *BROKEN):
        return None


def _note(document: Dataset) -> RejectionNote | None:
    title = next(iter(items(document, "ConceptNameCodeSequence")), Dataset())
    code = text(title, "CodeValue")
    if text(title, "CodingSchemeDesignator") != "DCM" or code not in TITLES:
        return None
    selected, found = set(_selected(document)), defaultdict[str, set[str]](set)
    for study in items(document, "CurrentRequestedProcedureEvidenceSequence"):
        for series in items(study, "ReferencedSeriesSequence"):
            listed = {text(each, "ReferencedSOPInstanceUID") for each in items(series, "ReferencedSOPSequence")}
            found[text(study, "StudyInstanceUID")] |= listed & selected
    return RejectionNote(code, {study: frozenset(uids) for study, uids in found.items() if uids})


def _selected(item: Dataset, depth: int = 0) -> Iterator[str]:
    """The SOP Instance UIDs that the content tree names."""
    for child in items(item, "ContentSequence") if depth < DEEPEST_ITEM else ():
        for each in items(child, "ReferencedSOPSequence"):
            yield text(each, "ReferencedSOPInstanceUID")
        yield from _selected(child, depth + 1)
