"""What a result takes over from the study it belongs to: identity of patient and study byte for byte, and references.

Values are carried as the source encoded them, in its character set, however odd they are: a PACS matches on those
bytes. Nothing is decoded on the way, so a malformed date or name can neither stop a report nor be "corrected" by
it. The price: every text of our own in these objects is ASCII, which reads the same in each of DICOM's character
sets.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pydicom.charset import convert_encodings, default_encoding
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID, ParametricMapStorage, SecondaryCaptureImageStorage

from node.dicom.uids import is_uid
from node.errors import MixedPatients, UnreadableInstance
from node.report import patient

PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")
STUDY = ("StudyInstanceUID", "StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber")
TYPE_2 = tuple(keyword for keyword in PATIENT + STUDY if keyword != "StudyInstanceUID")
WHERE_PRESENT = (
    "SpecificCharacterSet",
    "TimezoneOffsetFromUTC",
    "StudyDescription",
    "IssuerOfAccessionNumberSequence",
    "IssuerOfPatientID",
    "IssuerOfPatientIDQualifiersSequence",
    "OtherPatientIDsSequence",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
)
CARRIED = PATIENT + STUDY + WHERE_PRESENT
CharacterSet = str | list[str]
LONGEST_CARRIED_BYTES = 1024  # of a value: no name or id is longer in any character set; the rest is an accident


@dataclass(frozen=True, order=True)
class Reference:
    """An instance that a result points to."""

    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    frame_number: int | None = None

    @property
    def is_image(self) -> bool:
        """Of our own objects: whether it is no document."""
        return self.sop_class_uid in (SecondaryCaptureImageStorage, ParametricMapStorage)


@dataclass(frozen=True)
class Source:
    """The headers (no pixels) of a study's instances, as `dcmread` gives them.

    Raises MixedPatients when they name more than one StudyInstanceUID or contradict each other about the patient,
    UnreadableInstance when there are none or one lacks its UIDs.
    """

    headers: Sequence[Dataset]
    references: Mapping[str, Reference] = field(init=False)

    def __post_init__(self) -> None:
        if not self.headers:
            raise UnreadableInstance("a report needs at least one instance of its study")
        object.__setattr__(self, "references", {r.sop_instance_uid: r for r in map(reference_to, self.headers)})
        studies = {encoded(header, "StudyInstanceUID") for header in self.headers} - {b""}
        if len(studies) > 1:
            raise MixedPatients(f"the instances of this study hold {len(studies)} different values of StudyInstanceUID")
        found = patient.contradictions(map(_identity, self.headers))
        if found:
            raise MixedPatients(f"the instances of this study speak of different patients: {', '.join(found)} differ")

    @property
    def study_instance_uid(self) -> str:
        """As text."""
        return uid_of(self.headers[0], "StudyInstanceUID")

    def identity(self, chosen: Sequence[Dataset] = ()) -> Dataset:
        """The header that patient and study are taken from: of the chosen series, else an MR image, else any.

        Within those the smallest SOP Instance UID, so that the order of arrival leaves no trace.
        """
        return min(chosen or self.headers, key=_suitability)


def _identity(header: Dataset) -> patient.Identity:
    terms = _character_set(header)
    values = tuple((keyword, encoded(header, keyword)) for keyword in patient.RULES)
    return patient.Identity(values, terms if isinstance(terms, str) else tuple(terms))


def _suitability(header: Dataset) -> tuple[bool, bool, str]:
    return (
        not encoded(header, "PatientID"),
        encoded(header, "Modality") != b"MR",
        uid_of(header, "SOPInstanceUID"),
    )


def reference_to(header: Dataset) -> Reference:
    """The reference to the instance of this header; raises UnreadableInstance where a UID is missing."""
    return Reference(
        uid_of(header, "SeriesInstanceUID"), uid_of(header, "SOPClassUID"), uid_of(header, "SOPInstanceUID")
    )


def uid_of(header: Dataset, keyword: str) -> str:
    """A UID of the header as text; raises UnreadableInstance when it is missing or no UID."""
    text = encoded(header, keyword).decode("ascii", "replace").strip(" \0")
    if not is_uid(text):
        raise UnreadableInstance(f"an instance of this study has no valid {keyword}")
    return text


def encoded(header: Dataset, keyword: str) -> bytes:
    """The value's bytes without padding; empty where the element is absent or empty."""
    element = carried(header, keyword)
    return bytes(element.value or b"").strip(b" \0") if isinstance(element, RawDataElement) else b""


def integer(header: Dataset, keyword: str) -> int | None:
    """A number of the header, VR US or IS, without pydicom's remarks on it; None where it is absent or malformed."""
    element = header.get_item(keyword) if keyword in header else None
    value = element.value if element is not None else None
    if isinstance(element, RawDataElement) and isinstance(value, bytes):
        if dictionary_VR(element.tag) == "US":
            return int.from_bytes(value, "little" if element.is_little_endian else "big") if len(value) == 2 else None
        value = value.decode("ascii", "replace").strip(" \0")
    try:
        return int(str(value))
    except ValueError:
        return None


def carried(
    header: Dataset, keyword: str | BaseTag, inherited: CharacterSet = ""
) -> DataElement | RawDataElement | None:
    """The element as it can be written into an explicit VR little endian data set, its value's bytes untouched.

    None where it is absent. An element that somebody has read before is encoded again in the header's character set,
    or in the `inherited` one of the data set around a sequence's item.
    """
    tag = Tag(keyword)
    if tag not in header:
        return None
    vr = dictionary_VR(tag)
    if vr == "SQ":
        character_set = _character_set(header) or inherited
        return DataElement(tag, vr, [_carried_item(item, character_set) for item in header[tag].value or []])
    element = header.get_item(tag)
    if isinstance(element, DataElement) and isinstance(element.value, UID):
        value = element.value.encode()
    elif isinstance(element, DataElement):
        value = _encoded_again(element, _character_set(header) or inherited)
    else:
        value = bytes(element.value or b"")
    if len(value) > LONGEST_CARRIED_BYTES:
        return None
    if len(value) % 2:
        value += b"\0" if vr == "UI" else b" "
    return RawDataElement(tag, vr, len(value), value, 0, False, True)


def _carried_item(item: Dataset, character_set: CharacterSet) -> Dataset:
    target = Dataset()
    for tag in item.keys():  # noqa: SIM118, a data set iterates over its elements
        element = None if tag.is_private else carried(item, tag, character_set)
        if element is not None:
            target[tag] = element
    keep_bytes(target)
    return target


def keep_bytes(dataset: Dataset) -> None:
    """Mark a data set as encoded in explicit VR little endian; else pydicom encodes raw values anew."""
    terms = dataset.get("SpecificCharacterSet")
    dataset.set_original_encoding(False, True, convert_encodings(terms) if terms else default_encoding)
    for element in dataset.elements():
        if isinstance(element, DataElement) and element.VR == "SQ":
            for item in element.value:
                keep_bytes(item)


def _character_set(header: Dataset) -> CharacterSet:
    """The defined terms, read without touching the element; empty where there are none."""
    if "SpecificCharacterSet" not in header:
        return ""
    element = header.get_item("SpecificCharacterSet")
    value = element.value or ""
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else value
    return [term.strip() for term in text.split("\\")] if isinstance(text, str) else list(text)


def _encoded_again(element: DataElement, character_set: CharacterSet) -> bytes:
    """The value of an element that was decoded; in implicit VR it stands after 4 bytes of tag and 4 of length."""
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the source's oddities are carried on purpose
        write_data_element(buffer, element, character_set or None)
    return bytes(buffer.getvalue()[8:])


def written(element: DataElement | RawDataElement | None) -> bytes:
    """A carried element as it stands in a file, to compare two; empty for none."""
    if element is None:
        return b""
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_data_element(buffer, element)
    return bytes(buffer.getvalue())


def take_identity(header: Dataset, target: Dataset) -> None:
    """Put the patient's and study's attributes of `header` into `target`; absent type 2 attributes come empty."""
    for keyword in CARRIED:
        element = carried(header, keyword)
        if element is not None:
            target[element.tag] = element
        elif keyword in TYPE_2:
            setattr(target, keyword, None)
