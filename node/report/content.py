"""Content items of a structured report (PS3.3 C.17.3), as short as the tree reads; every container is SEPARATE."""

from collections.abc import Iterable, Sequence

import numpy as np
from highdicom.sr import (
    CodeContentItem,
    CodedConcept,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    ImageContentItem,
    NumContentItem,
    ScoordContentItem,
    TextContentItem,
    UIDRefContentItem,
)
from pydicom.dataset import Dataset

from node.dicom.implementation import PRODUCT
from node.report import codes
from node.report.envelope import Envelope, ascii_text, new_object, referenced_series
from node.report.identity import digest
from node.report.source import Reference

SERIES_NUMBERS = {"sr_comprehensive": 1, "sr_comprehensive_3d": 2, "sr_text": 3}  # added to the configured number
CONTAINS, CONTEXT, ACQUISITION, MODIFIER = "CONTAINS", "HAS OBS CONTEXT", "HAS ACQ CONTEXT", "HAS CONCEPT MOD"


def code(name: CodedConcept, value: CodedConcept, relationship: str = CONTAINS) -> ContentItem:
    """A CODE item."""
    return CodeContentItem(name, value, relationship)


def text(name: CodedConcept, value: str, relationship: str = CONTAINS) -> ContentItem:
    """A TEXT item, in ASCII; a dash where the value is empty, which TEXT must not be."""
    return TextContentItem(name, ascii_text(value) or "-", relationship)


def uid_reference(name: CodedConcept, value: str, relationship: str = CONTEXT) -> ContentItem:
    """A UIDREF item."""
    return UIDRefContentItem(name, value, relationship)


def number(name: CodedConcept, value: float, unit: CodedConcept) -> ContentItem:
    """A NUM item; the value is rounded by the caller to what it means."""
    return NumContentItem(name, value, unit, relationship_type=CONTAINS)


def with_modifier(item: ContentItem, modifier: ContentItem) -> ContentItem:
    """The item with something said about its concept."""
    item.ContentSequence = ContentSequence([modifier])
    return item


def image(name: CodedConcept, reference: Reference, relationship: str = CONTAINS) -> ContentItem:
    """An IMAGE item."""
    sop_class, instance, frame = reference.sop_class_uid, reference.sop_instance_uid, reference.frame_number
    return ImageContentItem(name, sop_class, instance, frame, relationship_type=relationship)


def container(
    name: CodedConcept, items: Iterable[ContentItem], relationship: str | None = CONTAINS, template: str | None = None
) -> ContentItem:
    """A CONTAINER of these items; the root has no relationship."""
    item = ContainerContentItem(name, False, template, relationship)
    item.ContentSequence = ContentSequence([*items])
    return item


def marker(columns: int, rows: int, reference: Reference) -> ContentItem:
    """A small square at the left edge, high up, as a closed polyline: it marks the image, no place in it.

    Viewers write the measurements to the right of it. Beside an outline of the whole frame they would be cut off by the
    edge of the viewport; here they stand over the dark corner of the image.
    """
    side = max(2.0, min(columns, rows) / 32)
    left, top = 1.0, max(1.0, rows / 8)
    right, bottom = left + side, top + side
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom], [left, top]], np.float32)
    item = ScoordContentItem(codes.SOURCE_OF_MEASUREMENT, "POLYLINE", corners, relationship_type=CONTAINS)
    item.ContentSequence = ContentSequence([image(codes.SOURCE_OF_MEASUREMENT, reference, "SELECTED FROM")])
    return item


def language_and_observer(envelope: Envelope) -> list[ContentItem]:
    """TID 1204 and TID 1002 with a device observer (TID 1004)."""
    settings = envelope.context.settings
    return [
        code(codes.LANGUAGE, codes.ENGLISH, MODIFIER),
        code(codes.OBSERVER_TYPE, codes.DEVICE, CONTEXT),
        uid_reference(codes.DEVICE_UID, envelope.device_uid),
        text(codes.DEVICE_NAME, settings.station_name, CONTEXT),
        text(codes.DEVICE_MANUFACTURER, settings.manufacturer, CONTEXT),
        text(codes.DEVICE_MODEL, PRODUCT, CONTEXT),
        text(codes.DEVICE_SERIAL, envelope.serial_number, CONTEXT),
    ]


def document(
    envelope: Envelope, sop_class_uid: str, kind: str, tree: ContentItem, referenced: Sequence[Reference]
) -> Dataset:
    """An SR document around the tree (PS3.3 C.17.2); `referenced` are all instances that the tree points to.

    Each document has a series of its own, which depends on what it refers to: the report that goes with captures and
    the one that goes without them are two.
    """
    variant = f"{kind} {digest(each.sop_instance_uid for each in referenced)}"
    target = new_object(envelope, sop_class_uid, variant, 1, variant, "SR")
    target.update(tree)
    target.SeriesNumber = envelope.context.settings.series_number + SERIES_NUMBERS[kind]
    target.SeriesDescription = envelope.series_description("AI dementia report")
    target.CompletionFlag, target.VerificationFlag, target.PreliminaryFlag = "COMPLETE", "UNVERIFIED", "PRELIMINARY"
    target.ReferencedPerformedProcedureStepSequence = []
    target.PerformedProcedureCodeSequence = []
    if referenced:
        target.CurrentRequestedProcedureEvidenceSequence = [hierarchy(envelope, referenced)]
    predecessors = _predecessors(envelope, sop_class_uid)
    if predecessors:
        target.PredecessorDocumentsSequence = [hierarchy(envelope, predecessors)]
    return target


def _predecessors(envelope: Envelope, sop_class_uid: str) -> list[Reference]:
    """The superseded report of the same SOP class; where that was none, every superseded report."""
    every = [
        Reference(p.series_instance_uid, p.sop_class_uid, p.sop_instance_uid) for p in envelope.context.predecessor
    ]
    return [each for each in every if each.sop_class_uid == sop_class_uid] or every


def hierarchy(envelope: Envelope, references: Iterable[Reference]) -> Dataset:
    """Hierarchical SOP Instance Reference Macro (PS3.3 table C.17-3): study, series, instances, each once."""
    item = Dataset()
    item.StudyInstanceUID = envelope.source.study_instance_uid
    item.ReferencedSeriesSequence = []
    for series in referenced_series(references):
        each = Dataset()
        each.SeriesInstanceUID = series.SeriesInstanceUID
        each.ReferencedSOPSequence = series.ReferencedInstanceSequence
        item.ReferencedSeriesSequence.append(each)
    return item
