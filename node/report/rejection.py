"""The note that calls results back: a Key Object Selection Document (PS3.3 A.35.4, TID 2010), as IHE IOCM has it.

Its title says how wrong they are: (113001, DCM, "Rejected for Quality Reasons") for results that newer ones replace,
which a PACS hides but may show on request; (113037, DCM, "Rejected for Patient Safety Reasons") for those that were
withdrawn, or read from images that were rejected or belong to somebody else.
"""

from collections.abc import Sequence

from pydicom.dataset import Dataset
from pydicom.uid import KeyObjectSelectionDocumentStorage

from node.report import codes
from node.report.content import container, hierarchy, language_and_observer, text
from node.report.envelope import Envelope, new_object, reference_item
from node.report.identity import digest
from node.report.source import Reference

SERIES_NUMBER = 4  # added to the configured number
REPLACED = "These results of the node were replaced by newer ones. " + (
    "They are not wrong by themselves, but no longer its answer."
)
WITHDRAWN = "These results of the node were withdrawn and must not be used."


def rejection_note(envelope: Envelope, objects: Sequence[Reference], *, superseded: bool) -> Dataset:
    """The note that lists these objects of the envelope's answer; other objects, or another title, other UIDs."""
    title = codes.REJECTED_FOR_QUALITY if superseded else codes.REJECTED_FOR_SAFETY
    said = text(codes.KEY_OBJECT_DESCRIPTION, REPLACED if superseded else WITHDRAWN)
    tree = container(title, [*language_and_observer(envelope), said], relationship=None, template="2010")
    variant = f"rejection {title.value} {digest(each.sop_instance_uid for each in objects)}"
    target = new_object(envelope, KeyObjectSelectionDocumentStorage, variant, 1, variant, "KO")
    del target.ContentQualification  # of no module of this IOD
    target.update(tree)
    target.ContentSequence = [*tree.ContentSequence, *(_selected(each) for each in objects)]
    target.SeriesNumber = envelope.context.settings.series_number + SERIES_NUMBER
    target.SeriesDescription = envelope.series_description("AI dementia: results called back")
    target.ReferencedPerformedProcedureStepSequence = []
    target.CurrentRequestedProcedureEvidenceSequence = [hierarchy(envelope, objects)]
    return target


def _selected(reference: Reference) -> Dataset:
    """An item that names one object; in this template it has no concept name (TID 2010)."""
    item = Dataset()
    item.RelationshipType = "CONTAINS"
    item.ValueType = "IMAGE" if reference.is_image else "COMPOSITE"
    item.ReferencedSOPSequence = [reference_item(reference)]
    return item
