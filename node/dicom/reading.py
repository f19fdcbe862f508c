"""What a structured report says of another one: that a reader agrees with it, disagrees, or cannot use it.

    named            the predecessors (Predecessor Documents Sequence, PS3.3 C.17.2), and COMPOSITE items of the tree
    said in a code   a CODE item (READERS_WORD, 99NEUROSSL) of AGREE, DISAGREE or NOT_USABLE;
                     (111050, DCM, Quality Assessment) of (111235, DCM, Unusable)
    said by a flag   Verification Flag VERIFIED (PS3.3 C.17.2) of a document that has the other as predecessor: it
                     agrees where its decision band is that of the other one, or it has none, and else disagrees

Free text is not read, and no name of a person.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import (
    BasicTextSRStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EnhancedSRStorage,
    ExtensibleSRStorage,
)

from node.dicom.values import BROKEN, items, text, unwarned

REPORTS = {
    str(each)
    for each in (
        BasicTextSRStorage,
        EnhancedSRStorage,
        ComprehensiveSRStorage,
        Comprehensive3DSRStorage,
        ExtensibleSRStorage,
    )
}
PRIVATE_SCHEME = "99NEUROSSL"
AGREE, DISAGREE, NOT_USABLE = "agree", "disagree", "not usable"
DECISION_BAND = ("DECISION_BAND", PRIVATE_SCHEME)
READERS_WORD = ("READERS_WORD", PRIVATE_SCHEME)
QUALITY_ASSESSMENT = ("111050", "DCM")
CODED: Mapping[tuple[tuple[str, str], tuple[str, str]], str] = {
    (READERS_WORD, ("AGREE", PRIVATE_SCHEME)): AGREE,
    (READERS_WORD, ("DISAGREE", PRIVATE_SCHEME)): DISAGREE,
    (READERS_WORD, ("NOT_USABLE", PRIVATE_SCHEME)): NOT_USABLE,
    (QUALITY_ASSESSMENT, ("111235", "DCM")): NOT_USABLE,
}
LONGEST_REPORT_BYTES = 16 * 1024 * 1024
DEEPEST_ITEM = 16


@dataclass(frozen=True)
class ReadReport:
    """A report that names others.

    predecessors, named  SOP Instance UIDs: of the documents that it follows, and of those that its tree refers to
    coded                the word that it says in a code; "" without one
    is_verified          somebody answers for what it says
    band                 code value of its decision band; "" without one
    """

    sop_instance_uid: str
    predecessors: tuple[str, ...]
    named: tuple[str, ...]
    coded: str
    is_verified: bool
    band: str

    def word_on(self, sop_instance_uid: str, band: str) -> str:
        """Its word on the report of this UID, which has this decision band; "" where it says none."""
        if sop_instance_uid not in (*self.predecessors, *self.named):
            return ""
        if self.coded:
            return self.coded
        if not self.is_verified or sop_instance_uid not in self.predecessors:
            return ""
        return AGREE if self.band in ("", band) else DISAGREE


def read_report(path: Path, sop_class_uid: str) -> ReadReport | None:
    """What this file says of others; None when it is no structured report, names none, or cannot be read."""
    if sop_class_uid not in REPORTS or path.stat().st_size > LONGEST_REPORT_BYTES:
        return None
    try:
        with unwarned():
            found = _report(dcmread(path))
    except (InvalidDicomError, *BROKEN):
        return None
    return found if found.predecessors or found.named else None


def decision_band(path: Path) -> str:
    """The code value of the decision band of a report in this file; "" where it has none, or cannot be read."""
    try:
        with unwarned():
            return _report(dcmread(path)).band
    except (InvalidDicomError, *BROKEN):
        return ""


def _report(document: Dataset) -> ReadReport:
    tree = list(_tree(document))
    said = [(_code(each, "ConceptNameCodeSequence"), _code(each, "ConceptCodeSequence")) for each in tree]
    return ReadReport(
        sop_instance_uid=text(document, "SOPInstanceUID"),
        predecessors=tuple(_predecessors(document)),
        named=tuple(_named(tree)),
        coded=next((CODED[each] for each in said if each in CODED), ""),
        is_verified=text(document, "VerificationFlag") == "VERIFIED",
        band=next((value[0] for name, value in said if name == DECISION_BAND), ""),
    )


def _predecessors(document: Dataset) -> Iterator[str]:
    for study in items(document, "PredecessorDocumentsSequence"):
        for series in items(study, "ReferencedSeriesSequence"):
            for each in items(series, "ReferencedSOPSequence"):
                yield text(each, "ReferencedSOPInstanceUID")


def _named(tree: list[Dataset]) -> Iterator[str]:
    for item in tree:
        if text(item, "ValueType") == "COMPOSITE":
            yield from (text(each, "ReferencedSOPInstanceUID") for each in items(item, "ReferencedSOPSequence"))


def _tree(item: Dataset, depth: int = 0) -> Iterator[Dataset]:
    for child in items(item, "ContentSequence") if depth < DEEPEST_ITEM else ():
        yield child
        yield from _tree(child, depth + 1)


def _code(item: Dataset, keyword: str) -> tuple[str, str]:
    code = next(iter(items(item, keyword)), Dataset())
    return text(code, "CodeValue"), text(code, "CodingSchemeDesignator")
