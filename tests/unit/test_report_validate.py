"""The gate finds what is broken: each rule is broken once, and the finding names it."""

import io
from collections.abc import Callable, Iterator

import pydicom
import pytest
from highdicom._standard_utils import get_iod_module_map, get_sop_class_iod_map
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import ImplicitVRLittleEndian

from node import report
from node.errors import InvalidResult, Permanent
from node.report import Encoded, Source, codes, validate
from node.report.iod import IODS
from node.report.source import keep_bytes
from node.report.template import MEASUREMENTS, concept, items
from tests import reports
from tests.factories import mr_series

pytestmark = pytest.mark.slow  # each test encodes, or reads and judges, whole results

SERIES = mr_series(slices=4, rows=16, columns=16)
Break = Callable[[Dataset], object]


def results() -> list[Encoded]:
    destinations = [reports.destination("a"), reports.destination("b", report="text")]
    how = reports.context(destinations, captures=1, parametric_map=True)
    return reports.build(SERIES, reports.prediction(SERIES, slices=3), how)


VALID = results()


def check(contents: list[bytes]) -> None:
    validate.check(contents, Source(SERIES), Source(SERIES).identity(SERIES))


def rewritten(content: bytes, break_it: Break) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(content))
    with pydicom.config.disable_value_validation():
        break_it(dataset)
        keep_bytes(dataset)
        buffer = io.BytesIO()
        pydicom.dcmwrite(buffer, dataset)
    return buffer.getvalue()


def assert_found(kind: str, break_it: Break, expected: str) -> None:
    contents = [rewritten(each.content, break_it) if each.kind == kind else each.content for each in VALID]
    with pytest.raises(InvalidResult, match=expected):
        check(contents)


def test_what_is_built_passes_also_after_a_round_trip() -> None:
    check([each.content for each in VALID])
    check([rewritten(each.content, lambda _: None) for each in VALID])


def item(tree: Dataset, name: Dataset, number: int = 0) -> Dataset:
    return [each for _, _, each in items(tree) if concept(each) == name.CodeValue][number]


def group(tree: Dataset) -> Dataset:
    return item(tree, codes.MEASUREMENT_GROUP)


def drop(parent: Dataset, name: Dataset, value_type: str = "") -> None:
    kept = [
        each
        for each in parent.ContentSequence
        if concept(each) != name.CodeValue or (value_type and each.ValueType != value_type)
    ]
    assert len(kept) < len(parent.ContentSequence)
    parent.ContentSequence = kept


def put(keyword: str, value: object) -> Break:
    return lambda dataset: setattr(dataset, keyword, value)


def raw(keyword: str, value: bytes) -> Break:
    def place(dataset: Dataset) -> None:
        tag = Tag(keyword)
        dataset[tag] = RawDataElement(tag, dictionary_VR(tag), len(value), value, 0, False, True)

    return place


def without(keyword: str) -> Break:
    return lambda dataset: delattr(dataset, keyword)


KINDS = {
    "summary": "1.2.840.10008.5.1.4.1.1.7",
    "parametric_map": "1.2.840.10008.5.1.4.1.1.30",
    "sr_comprehensive": "1.2.840.10008.5.1.4.1.1.88.33",
    "sr_text": "1.2.840.10008.5.1.4.1.1.88.11",
}


def required() -> Iterator[tuple[str, str, str]]:
    for kind, sop_class in KINDS.items():
        yield from ((kind, keyword, "1") for keyword in sorted(IODS[sop_class].type_1 - {"SOPClassUID"}))
        yield from ((kind, keyword, "2") for keyword in sorted(IODS[sop_class].type_2))


@pytest.mark.parametrize(("kind", "keyword", "attribute_type"), list(required()))
def test_a_missing_attribute_is_found(kind: str, keyword: str, attribute_type: str) -> None:
    (content,) = [each.content for each in VALID if each.kind == kind]
    with pytest.raises(InvalidResult, match=rf"{keyword} \(type {attribute_type}\) is missing"):
        check([rewritten(content, without(keyword))])


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_attribute_of_type_1_is_found(kind: str) -> None:
    assert_found(kind, put("Manufacturer", ""), r"Manufacturer \(type 1\) is missing or empty")


@pytest.mark.parametrize("kind", KINDS)
def test_the_tables_hold_what_the_standard_demands(kind: str) -> None:
    """Every attribute of type 1 or 2 at the top level of a mandatory module, by highdicom's copy of the standard."""
    from highdicom._standard_utils import get_module_attribute_map

    demanded: dict[str, set[str]] = {"1": set(), "2": set()}
    for module in get_iod_module_map()[get_sop_class_iod_map()[KINDS[kind]]]:
        for attribute in get_module_attribute_map()[module["key"]] if module["usage"] == "M" else ():
            if not attribute["path"] and attribute["type"] in demanded:
                demanded[attribute["type"]].add(attribute["keyword"])
    of_other_value_types = {
        "ReferencedSOPSequence",
        "TemporalRangeType",
        "ConceptCodeSequence",
        "MeasuredValueSequence",
    }
    of_other_value_types |= {"TabulatedValuesSequence", "GraphicData", "GraphicType", "ReferencedFrameOfReferenceUID"}
    iod = IODS[KINDS[kind]]
    assert demanded["1"] - of_other_value_types - iod.type_1 == set()
    assert demanded["2"] - of_other_value_types - iod.type_2 - iod.type_1 == set()


BROKEN: dict[str, tuple[str, Break, str]] = {
    "another SOP class": ("sr_text", put("SOPClassUID", "1.2.3"), "is none that leaves here"),
    "no SOP class": ("sr_text", without("SOPClassUID"), "missing is none that leaves here"),
    "a wrong modality": ("sr_text", put("Modality", "OT"), "Modality is none of SR"),
    "a verified report": ("sr_text", put("VerificationFlag", "VERIFIED"), "VerificationFlag is none of UNVERIFIED"),
    "palette colour": ("overlay", put("PhotometricInterpretation", "PALETTE COLOR"), "PhotometricInterpretation"),
    "burned in": ("summary", put("BurnedInAnnotation", "YES"), "BurnedInAnnotation is none of NO"),
    "not research": ("summary", put("ContentQualification", "PRODUCT"), "ContentQualification is none of RESEARCH"),
    "a malformed UID": ("overlay", put("SeriesInstanceUID", "2.25..1"), "SeriesInstanceUID: not a valid UID"),
    "a long UID": ("overlay", put("FrameOfReferenceUID", "1." * 40 + "1"), "FrameOfReferenceUID: not a valid UID"),
    "a malformed date": ("summary", raw("ContentDate", b"2026-1-1"), "ContentDate: the value does not fit DA"),
    "half a number": ("overlay", raw("Rows", b"\x01"), r"\(0028,0010\): the value cannot be read"),
    "a malformed time": ("summary", raw("SeriesTime", b"25:00 "), "SeriesTime: the value does not fit TM"),
    "a long text": ("summary", raw("SeriesDescription", b"x" * 70), "SeriesDescription: the value does not fit LO"),
    "a long station name": ("sr_text", raw("StationName", b"x" * 18), "StationName: the value does not fit SH"),
    "lower case code string": (
        "overlay",
        raw("BodyPartExamined", b"brain "),
        "BodyPartExamined: the value does not fit CS",
    ),
    "a long decimal": (
        "overlay",
        raw("SliceThickness", b"1.234567890123456789"),
        "SliceThickness: the value does not fit DS",
    ),
    "no number": ("overlay", raw("PixelSpacing", b"a\\b "), "two positive numbers"),
    "text that is not ASCII": ("summary", raw("SeriesDescription", b"K\xf6nig (RUO)"), "not ASCII"),
    "another patient": ("overlay", raw("PatientID", b"OTHER "), "PatientID is not the source's"),
    "another padding": ("overlay", raw("PatientID", b" TEST-0001"), "PatientID is not the source's"),
    "a name corrected": ("sr_comprehensive", raw("PatientName", b"MUSTER^E"), "PatientName is not the source's"),
    "a study moved": ("sr_text", raw("StudyInstanceUID", b"2.25.1"), "StudyInstanceUID is not the source's"),
    "an invented birth date": ("sr_text", raw("PatientBirthDate", b"19000101"), "PatientBirthDate is not the source's"),
    "another character set": ("sr_text", raw("SpecificCharacterSet", b"ISO_IR 192"), "SpecificCharacterSet is not"),
    "a study description lost": ("sr_text", without("StudyDescription"), "StudyDescription is not the source's"),
    "too few pixels": ("overlay", put("Rows", 1000), "pixel data does not have the length"),
    "no RUO in the series": ("overlay", put("SeriesDescription", "Heat maps"), "for research use only"),
    "half a plane": ("overlay", without("ImagePositionPatient"), "an incomplete image plane"),
    "a plane without spacing": ("overlay", without("PixelSpacing"), "an incomplete image plane"),
    "a skewed plane": ("overlay", put("ImageOrientationPatient", [1, 0, 0, 1, 0, 0]), "orthogonal unit vectors"),
    "a stretched plane": ("overlay", put("ImageOrientationPatient", [2, 0, 0, 0, 1, 0]), "orthogonal unit vectors"),
    "five cosines": ("overlay", put("ImageOrientationPatient", [1, 0, 0, 0, 1]), "orthogonal unit vectors"),
    "a flat position": ("overlay", put("ImagePositionPatient", [1, 2]), "does not hold three numbers"),
    "no spacing": ("overlay", put("PixelSpacing", [0, 1]), "two positive numbers"),
    "a source that is not there": (
        "overlay",
        lambda d: setattr(d.SourceImageSequence[0], "ReferencedSOPInstanceUID", "2.25.7"),
        r"SourceImageSequence\[1\]: refers to an instance that is neither",
    ),
    "a source by another class": (
        "overlay",
        lambda d: setattr(d.SourceImageSequence[0], "ReferencedSOPClassUID", "1.2.840.10008.5.1.4.1.1.2"),
        "refers to an instance by another SOP class",
    ),
    "a frame that is not there": (
        "overlay",
        lambda d: setattr(d.SourceImageSequence[0], "ReferencedFrameNumber", 2),
        "refers to a frame that is not there",
    ),
    "a frame too few": (
        "parametric_map",
        lambda d: d.PerFrameFunctionalGroupsSequence.pop(),
        "per-frame functional groups",
    ),
    "rows too many": ("parametric_map", put("Rows", 15), "pixel data does not have the length"),
    "a continuous container": (
        "sr_comprehensive",
        lambda d: setattr(group(d), "ContinuityOfContent", "CONTINUOUS"),
        "not SEPARATE",
    ),
    "a group without a coordinate": (
        "sr_comprehensive",
        lambda d: drop(group(d), codes.SOURCE_OF_MEASUREMENT),
        "measurement group 1 has no SCOORD 121112",
    ),
    "a coordinate without an image": (
        "sr_comprehensive",
        lambda d: delattr(item(d, codes.SOURCE_OF_MEASUREMENT), "ContentSequence"),
        "not selected from one image",
    ),
    "a coordinate of one point": (
        "sr_comprehensive",
        lambda d: setattr(item(d, codes.SOURCE_OF_MEASUREMENT), "GraphicData", [1.0, 2.0]),
        "2 numbers are no polyline",
    ),
    "a coordinate without points": (
        "sr_comprehensive",
        lambda d: delattr(item(d, codes.SOURCE_OF_MEASUREMENT), "GraphicData"),
        "GraphicData is missing or empty",
    ),
    "no tracking identifier": (
        "sr_comprehensive",
        lambda d: drop(group(d), codes.TRACKING_IDENTIFIER),
        "has no TEXT 112039",
    ),
    "no tracking UID": ("sr_comprehensive", lambda d: drop(group(d), codes.TRACKING_UID), "has no UIDREF 112040"),
    "no finding": ("sr_comprehensive", lambda d: drop(group(d), codes.FINDING), "has no CODE 121071"),
    "no algorithm": ("sr_comprehensive", lambda d: drop(group(d), codes.ALGORITHM_NAME), "has no TEXT 111001"),
    "no evaluation": ("sr_comprehensive", lambda d: drop(group(d), codes.DECISION_BAND), "has no CODE DECISION_BAND"),
    "no procedure": ("sr_comprehensive", lambda d: drop(d, codes.PROCEDURE_REPORTED), "the report has no CODE 121058"),
    "no observer": ("sr_comprehensive", lambda d: drop(d, codes.DEVICE_UID), "the report has no UIDREF 121012"),
    "no language": ("sr_comprehensive", lambda d: drop(d, codes.LANGUAGE), "the report has no CODE 121049"),
    "no image library": ("sr_comprehensive", lambda d: drop(d, codes.IMAGE_LIBRARY), "image library has no group"),
    "an empty image library": (
        "sr_comprehensive",
        lambda d: drop(item(d, codes.IMAGE_LIBRARY_GROUP), codes.SOURCE),
        "image library has no group",
    ),
    "no measurements": (
        "sr_comprehensive",
        lambda d: drop(d, codes.IMAGING_MEASUREMENTS),
        "there is no measurement group",
    ),
    "another title": (
        "sr_comprehensive",
        lambda d: setattr(d.ConceptNameCodeSequence[0], "CodeValue", "126001"),
        "not an Imaging Measurement Report",
    ),
    "no template": (
        "sr_comprehensive",
        lambda d: setattr(d.ContentTemplateSequence[0], "TemplateIdentifier", "1501"),
        "not an Imaging Measurement Report",
    ),
    "a number without a value": (
        "sr_comprehensive",
        lambda d: delattr(item(d, codes.PROBABILITY).MeasuredValueSequence[0], "NumericValue"),
        "a number without a value",
    ),
    "a number without a unit": (
        "sr_comprehensive",
        lambda d: delattr(item(d, codes.PROBABILITY).MeasuredValueSequence[0], "MeasurementUnitsCodeSequence"),
        "a number without one unit",
    ),
    "a number under a number": (
        "sr_comprehensive",
        lambda d: item(d, codes.PROBABILITY).ContentSequence.append(item(d, codes.STANDARD_DEVIATION)),
        "NUM CONTAINS NUM",
    ),
    "an item without relationship": (
        "sr_comprehensive",
        lambda d: delattr(item(d, codes.PROBABILITY), "RelationshipType"),
        "CONTAINER without relationship NUM",
    ),
    "an unknown value type": (
        "sr_comprehensive",
        lambda d: setattr(item(d, codes.PROBABILITY), "ValueType", "NUMBER"),
        "value type NUMBER",
    ),
    "an item without a name": (
        "sr_comprehensive",
        lambda d: delattr(item(d, codes.PROBABILITY), "ConceptNameCodeSequence"),
        "ConceptNameCodeSequence is missing",
    ),
    "a code without meaning": (
        "sr_comprehensive",
        lambda d: setattr(item(d, codes.DECISION_BAND).ConceptCodeSequence[0], "CodeMeaning", ""),
        "a code without CodeMeaning",
    ),
    "an empty text": ("sr_text", lambda d: setattr(item(d, codes.CONCLUSION), "TextValue", ""), "TextValue is missing"),
    "a text that is not ASCII": (
        "sr_text",
        lambda d: raw("TextValue", b"K\xf6nig ")(item(d, codes.CONCLUSION)),
        "TextValue: text of ours that is not ASCII",
    ),
    "no research use statement": (
        "sr_text",
        lambda d: setattr(item(d, codes.CONCLUSION), "TextValue", "Present"),
        "no item says that the result is for research use only",
    ),
    "a number in plain text": (
        "sr_text",
        lambda d: setattr(item(d, codes.CONCLUSION), "ValueType", "NUM"),
        "NUM in a Basic Text SR",
    ),
    "a private code that nobody identifies": (
        "sr_comprehensive",
        without("CodingSchemeIdentificationSequence"),
        "the private coding scheme 99NEUROSSL is used and not identified",
    ),
    "an unlisted image": (
        "sr_comprehensive",
        lambda d: evidence(d)[0].ReferencedSOPSequence.pop(),
        "that the evidence does not list",
    ),
    "no evidence": ("sr_text", without("CurrentRequestedProcedureEvidenceSequence"), "that the evidence does not list"),
    "an instance in two series": (
        "sr_comprehensive",
        lambda d: evidence(d)[1].ReferencedSOPSequence.append(evidence(d)[0].ReferencedSOPSequence[0]),
        "the evidence lists an instance in two series",
    ),
    "an image of another study": (
        "sr_comprehensive",
        lambda d: setattr(evidence(d)[0].ReferencedSOPSequence[0], "ReferencedSOPInstanceUID", "2.25.7"),
        "neither of the study nor of these results",
    ),
}


def evidence(tree: Dataset) -> list[Dataset]:
    return list(tree.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence)


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_broken_is_found(case: str) -> None:
    assert_found(*BROKEN[case])


def test_a_capture_that_is_not_sent_along_is_missed_by_the_report() -> None:
    with pytest.raises(InvalidResult, match="neither of the study nor of these results"):
        check([each.content for each in VALID if each.kind != "summary"])


def test_two_objects_with_one_uid_are_found() -> None:
    with pytest.raises(InvalidResult, match="the same SOP Instance UID"):
        check([*(each.content for each in VALID), VALID[0].content])


def test_a_file_whose_meta_information_names_another_instance_is_found() -> None:
    def rename(dataset: Dataset) -> None:
        dataset.file_meta.MediaStorageSOPInstanceUID = "2.25.5"
        dataset.file_meta.MediaStorageSOPClassUID = "1.2.3"

    assert_found("sr_text", rename, "name different instances")
    assert_found("sr_text", rename, "name different SOP classes")


def test_another_transfer_syntax_is_found() -> None:
    def reencode(dataset: Dataset) -> None:
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian

    contents = [each.content for each in VALID]
    dataset = pydicom.dcmread(io.BytesIO(contents[-1]))
    reencode(dataset)
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, implicit_vr=True, little_endian=True)
    with pytest.raises(InvalidResult, match="not Explicit VR Little Endian"):
        check([*contents[:-1], buffer.getvalue()])


def test_every_finding_is_told_and_no_value_of_the_patient() -> None:
    def several(dataset: Dataset) -> None:
        raw("PatientName", b"SECRET^NAME ")(dataset)
        raw("PatientID", b"SECRETID")(dataset)
        del dataset.Manufacturer

    with pytest.raises(InvalidResult) as caught:
        check([rewritten(each.content, several) for each in VALID])
    lines = str(caught.value).splitlines()
    assert len(lines) == 3 * len(VALID)
    assert "SECRET" not in str(caught.value)
    assert isinstance(caught.value, Permanent)


def test_nothing_is_returned_when_the_gate_finds_something(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report.sr, "RESEARCH_USE_ONLY", "Approved")
    with pytest.raises(InvalidResult, match="research use only"):
        results()


def test_measurements_stand_where_viewers_look() -> None:
    tree = pydicom.dcmread(io.BytesIO(VALID[-2].content))
    (measurements,) = [each for each in tree.ContentSequence if concept(each) == MEASUREMENTS]
    assert len(measurements.ContentSequence) == 1
