"""The gate: no object leaves that was not read back from its bytes and found whole.

Checked are the file, the attributes that its kind must have (`iod`), every value against its representation, UIDs,
that patient and study are the source's, byte for byte, that each reference leads to something the receiver has, the
geometry of pictures, and the content tree of reports (`template`). Findings name attributes and places, never values of
the patient.
"""

import io
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence

import pydicom
from pydicom import config
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.tag import Tag
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    KeyObjectSelectionDocumentStorage,
    ParametricMapStorage,
    SecondaryCaptureImageStorage,
)
from pydicom.valuerep import validate_value

from node.dicom.uids import is_uid
from node.errors import InvalidResult
from node.report.iod import IODS
from node.report.source import CARRIED, TYPE_2, Reference, Source, carried, integer, uid_of, written
from node.report.template import items, tree_findings

CARRIED_TAGS = frozenset(Tag(keyword) for keyword in CARRIED)
TEXT_VRS = frozenset({"LO", "SH", "LT", "ST", "UT", "UC", "PN"})


def check(files: Sequence[bytes], source: Source, header: Dataset) -> None:
    """Raise InvalidResult with every finding of every file, unless there is none.

    `files` are all objects of one result, `header` the instance that patient and study were taken from.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about values that are carried as they are; ours are judged below
        lines = [*_check(files, source, header)]
    if lines:
        raise InvalidResult("\n".join(lines))


def _check(files: Sequence[bytes], source: Source, header: Dataset) -> Iterator[str]:
    objects = [pydicom.dcmread(io.BytesIO(content)) for content in files]
    known = dict(source.references)
    for each in objects:
        uid, sop_class = str(each.get("SOPInstanceUID", "")), str(each.get("SOPClassUID", ""))
        known[uid] = Reference(str(each.get("SeriesInstanceUID", "")), sop_class, uid)
    for each in objects:
        yield from (f"{_name(each)}: {finding}" for finding in findings(each, source, header, known))
    if len(known) != len(source.references) + len(objects):
        yield "two objects have the same SOP Instance UID, or one has that of an instance of the study"


def findings(dataset: Dataset, source: Source, header: Dataset, known: Mapping[str, Reference]) -> Iterator[str]:
    """What is wrong with one object; `known` are the instances that may be referred to."""
    sop_class = str(dataset.get("SOPClassUID", ""))
    if sop_class not in IODS:
        yield f"SOP Class UID {sop_class or 'missing'} is none that leaves here"
        return
    broken = [*_unreadable(dataset)]
    if broken:
        yield from broken
        return
    yield from _file(dataset)
    yield from _attributes(dataset, sop_class)
    yield from _values(dataset)
    yield from _identity(dataset, header)
    yield from _references(dataset, source, known)
    yield from BY_CLASS.get(sop_class, _report)(dataset)


def _name(dataset: Dataset) -> str:
    return f"{UID(str(dataset.get('SOPClassUID', ''))).name} {dataset.get('SOPInstanceUID', 'without UID')}"


def _unreadable(dataset: Dataset) -> Iterator[str]:
    for tag in dataset.keys():  # noqa: SIM118, a data set iterates over its elements
        if tag in CARRIED_TAGS:
            continue
        try:
            element = dataset[tag]
        except (ValueError, TypeError, OverflowError, BytesLengthException):
            yield f"{tag}: the value cannot be read"
            continue
        for item in element.value if element.VR == "SQ" else ():
            yield from _unreadable(item)


def _file(dataset: Dataset) -> Iterator[str]:
    meta = getattr(dataset, "file_meta", Dataset())
    if meta.get("TransferSyntaxUID") != ExplicitVRLittleEndian:
        yield "the transfer syntax is not Explicit VR Little Endian"
    if meta.get("MediaStorageSOPInstanceUID") != dataset.get("SOPInstanceUID"):
        yield "file meta information and data set name different instances"
    if meta.get("MediaStorageSOPClassUID") != dataset.get("SOPClassUID"):
        yield "file meta information and data set name different SOP classes"


def _attributes(dataset: Dataset, sop_class: str) -> Iterator[str]:
    iod = IODS[sop_class]
    for keyword in sorted(iod.type_1):
        if keyword not in dataset or dataset[keyword].is_empty:
            yield f"{keyword} (type 1) is missing or empty"
    for keyword in sorted(iod.type_2):
        if keyword not in dataset:
            yield f"{keyword} (type 2) is missing"
    for keyword, allowed in iod.values.items():
        if keyword in dataset and str(dataset[keyword].value) not in allowed:
            yield f"{keyword} is none of {', '.join(sorted(allowed))}"


def _values(dataset: Dataset, path: str = "") -> Iterator[str]:
    """Every element that is ours: its value fits its representation (PS3.5 table 6.2-1) and its text is ASCII."""
    for tag in dataset.keys():  # noqa: SIM118, a data set iterates over its elements
        if not path and tag in CARRIED_TAGS:
            continue
        element = dataset[tag]
        name = f"{path}{element.keyword or element.tag}"
        if element.VR == "SQ":
            for number, item in enumerate(element.value, 1):
                yield from _values(item, f"{name}[{number}].")
            continue
        for value in [] if element.is_empty else element.value if element.VM > 1 else [element.value]:
            yield from _value(name, element.VR, value)


def _value(name: str, vr: str, value: object) -> Iterator[str]:
    if vr == "UI":
        if not is_uid(str(value)):
            yield f"{name}: not a valid UID"
        return
    text = getattr(value, "original_string", value) if vr in ("DS", "IS") else value
    try:
        validate_value(vr, str(text) if vr in ("DS", "IS") else text, config.RAISE)
    except (ValueError, TypeError):
        yield f"{name}: the value does not fit {vr}"
    if vr in TEXT_VRS and not str(value).isascii():
        yield f"{name}: text of ours that is not ASCII"


def _identity(dataset: Dataset, header: Dataset) -> Iterator[str]:
    """Patient and study are the source's: the same bytes, and nothing where it has nothing."""
    for keyword in CARRIED:
        ours, theirs = carried(dataset, keyword), carried(header, keyword)
        nothing = theirs is None and keyword in TYPE_2 and ours is not None and not ours.value
        if written(ours) != written(theirs) and not nothing:
            yield f"{keyword} is not the source's"


def _references(dataset: Dataset, source: Source, known: Mapping[str, Reference]) -> Iterator[str]:
    """Each reference leads to an instance of the study or to a result of this job, with its class and frame."""
    for place, item in _referring(dataset):
        uid = str(item.get("ReferencedSOPInstanceUID", ""))
        if uid not in known:
            yield f"{place}: refers to an instance that is neither of the study nor of these results"
        elif str(item.get("ReferencedSOPClassUID", "")) != known[uid].sop_class_uid:
            yield f"{place}: refers to an instance by another SOP class"
        elif "ReferencedFrameNumber" in item:
            header = next((each for each in source.headers if uid_of(each, "SOPInstanceUID") == uid), Dataset())
            if not 1 <= (integer(item, "ReferencedFrameNumber") or 0) <= (integer(header, "NumberOfFrames") or 1):
                yield f"{place}: refers to a frame that is not there"


def _referring(dataset: Dataset, path: str = "") -> Iterator[tuple[str, Dataset]]:
    """Every item with a referenced instance, except those of superseded reports, which are not at hand."""
    for tag in dataset.keys():  # noqa: SIM118, a data set iterates over its elements
        if tag in CARRIED_TAGS or tag == Tag("PredecessorDocumentsSequence"):
            continue
        element = dataset[tag]
        for number, item in enumerate(element.value if element.VR == "SQ" else [], 1):
            place = f"{path}{element.keyword}[{number}]"
            if "ReferencedSOPInstanceUID" in item:
                yield place, item
            yield from _referring(item, f"{place}.")


def _report(report: Dataset) -> Iterator[str]:
    yield from tree_findings(report)
    yield from _evidence(report)


def _evidence(report: Dataset) -> Iterator[str]:
    """Each instance once, and every one that the tree points to."""
    evidence = {
        (str(series.get("SeriesInstanceUID")), str(each.get("ReferencedSOPInstanceUID")))
        for study in report.get("CurrentRequestedProcedureEvidenceSequence") or []
        for series in study.get("ReferencedSeriesSequence") or []
        for each in series.get("ReferencedSOPSequence") or []
    }
    listed = {uid for _, uid in evidence}
    if len(listed) != len(evidence):
        yield "the evidence lists an instance in two series"
    for place, _, item in items(report):
        for each in item.get("ReferencedSOPSequence") or []:
            if str(each.get("ReferencedSOPInstanceUID")) not in listed:
                yield f"item {place}: refers to an instance that the evidence does not list (PS3.3 C.17.2.3)"


def _capture(capture: Dataset) -> Iterator[str]:
    rows, columns = integer(capture, "Rows") or 0, integer(capture, "Columns") or 0
    if len(capture.get("PixelData", b"")) != rows * columns * 3 + rows * columns * 3 % 2:
        yield "the pixel data does not have the length that rows and columns demand"
    if "(RUO)" not in str(capture.get("SeriesDescription", "")):
        yield "the series description does not say that this is for research use only"
    plane = ("ImagePositionPatient", "ImageOrientationPatient", "FrameOfReferenceUID")
    present = [keyword for keyword in (*plane, "SliceThickness", "PositionReferenceIndicator") if keyword in capture]
    if present and len(present) + ("PixelSpacing" in capture) < 6:
        yield f"an incomplete image plane: only {', '.join(present)}"
    elif present:
        yield from _plane(capture)


def _plane(capture: Dataset) -> Iterator[str]:
    """PS3.3 C.7.6.2.1.1: two orthogonal unit vectors; spacing above nothing."""
    cosines = _numbers(capture, "ImageOrientationPatient")
    along, down = cosines[:3], cosines[3:]
    products = (math.hypot(*along) - 1, math.hypot(*down) - 1, sum(a * b for a, b in zip(along, down, strict=False)))
    if len(cosines) != 6 or max(map(abs, products)) > 1e-4:
        yield "ImageOrientationPatient does not hold two orthogonal unit vectors"
    if len(_numbers(capture, "ImagePositionPatient")) != 3:
        yield "ImagePositionPatient does not hold three numbers"
    spacing = _numbers(capture, "PixelSpacing")
    if len(spacing) != 2 or min(spacing) <= 0:
        yield "PixelSpacing does not hold two positive numbers"


def _numbers(dataset: Dataset, keyword: str) -> list[float]:
    """The values; none where one of them is no number."""
    try:
        return [float(value) for value in dataset[keyword].value]
    except (TypeError, ValueError):
        return []


def _map(dataset: Dataset) -> Iterator[str]:
    frames = integer(dataset, "NumberOfFrames") or 0
    expected = frames * (integer(dataset, "Rows") or 0) * (integer(dataset, "Columns") or 0) * 4
    if len(dataset.get("FloatPixelData", b"")) != expected:
        yield "the pixel data does not have the length that frames, rows and columns demand"
    if len(dataset.get("PerFrameFunctionalGroupsSequence") or []) != frames:
        yield "there are not as many per-frame functional groups as frames"


BY_CLASS: Mapping[str, Callable[[Dataset], Iterator[str]]] = {
    SecondaryCaptureImageStorage: _capture,
    ParametricMapStorage: _map,
    KeyObjectSelectionDocumentStorage: _evidence,
}
