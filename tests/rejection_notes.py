"""Rejection notes of IHE IOCM as an archive writes them, for whoever tests what becomes of one."""

from collections.abc import Iterable

from pydicom.dataset import Dataset
from pydicom.uid import KeyObjectSelectionDocumentStorage, generate_uid


def coded(value: str, meaning: str) -> Dataset:
    """A code of the scheme DCM."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning
    return item


def note(rejected: Iterable[Dataset], title: str = "113001", uid: str | None = None) -> Dataset:
    """A Key Object Selection Document of the study of the first of these, which refers to all of them."""
    every = list(rejected)
    document = Dataset()
    for keyword in ("PatientName", "PatientID", "StudyInstanceUID"):
        setattr(document, keyword, every[0].get(keyword))
    document.SOPClassUID, document.SOPInstanceUID = KeyObjectSelectionDocumentStorage, uid or generate_uid()
    document.SeriesInstanceUID, document.Modality = f"{document.SOPInstanceUID}.1"[:64].rstrip("."), "KO"
    document.ValueType, document.ConceptNameCodeSequence = "CONTAINER", [coded(title, "Rejected")]
    document.ContentSequence = [_content(each) for each in every]
    document.CurrentRequestedProcedureEvidenceSequence = [
        _evidence(study, [each for each in every if each.StudyInstanceUID == study])
        for study in dict.fromkeys(each.StudyInstanceUID for each in every)
    ]
    return document


def _content(instance: Dataset) -> Dataset:
    item = Dataset()
    item.RelationshipType, item.ValueType, item.ReferencedSOPSequence = "CONTAINS", "IMAGE", [_reference(instance)]
    return item


def _reference(instance: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = instance.SOPClassUID, instance.SOPInstanceUID
    return item


def _evidence(study: str, instances: list[Dataset]) -> Dataset:
    item = Dataset()
    item.StudyInstanceUID, item.ReferencedSeriesSequence = study, []
    for uid in dict.fromkeys(each.SeriesInstanceUID for each in instances):
        series = Dataset()
        series.SeriesInstanceUID = uid
        series.ReferencedSOPSequence = [_reference(each) for each in instances if each.SeriesInstanceUID == uid]
        item.ReferencedSeriesSequence.append(series)
    return item
