"""Patient and study come out as they came in, however odd they are."""

import io
import warnings
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from node import report
from node.errors import MixedPatients, UnreadableInstance
from node.report import Source
from node.report.source import CARRIED, TYPE_2, carried, encoded, keep_bytes, written
from tests import reports
from tests.factories import mr_series, write

pytestmark = pytest.mark.slow  # each test encodes, or reads and judges, whole results

KANJI = "Yamada^Tarou=山田^太郎=やまだ^たろう".encode("iso2022_jp")
HANGUL = b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf"
NAMES: dict[str, tuple[bytes | None, bytes]] = {
    "latin 1": (b"ISO_IR 100", "Müller^Jörg".encode("latin-1")),
    "greek": (b"ISO_IR 126", "Διονυσιος".encode("iso8859-7")),
    "arabic": (b"ISO_IR 127", "قباني^لنزار".encode("iso8859-6")),
    "cyrillic": (b"ISO_IR 144", "Люкceмбypг".encode("iso8859-5")),
    "utf-8": (b"ISO_IR 192", "Wang^XiaoDong=王^小东".encode()),
    "gb 18030": (b"GB18030", "Wang^XiaoDong=王^小东".encode("gb18030")),
    "gbk": (b"GBK", "Wang^XiaoDong=王^小东".encode("gbk")),
    "japanese, two sets": (b"ISO 2022 IR 13\\ISO 2022 IR 87", b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=" + KANJI[13:]),
    "japanese, empty first": (b"\\ISO 2022 IR 87", KANJI),
    "korean, empty first": (b"\\ISO 2022 IR 149", HANGUL),
    "none, latin 1 bytes": (None, "Müller^Jörg".encode("latin-1")),
    "none, gbk bytes": (None, "王^小东".encode("gbk")),
    "none, utf-8 bytes": (None, "Müller".encode()),
    "iso_ir 6": (b"ISO_IR 6", b"Doe^Jane"),
    "unknown term": (b"KLINGON 1", b"Doe^Jane"),
    "empty": (b"", b"Doe^Jane"),
    "invalid utf-8": (b"ISO_IR 192", b"M\xfcller^J\xf6rg"),
}
VALUES: list[tuple[str, bytes]] = [
    ("PatientBirthDate", b"1945"),
    ("PatientBirthDate", b"00000000"),
    ("PatientBirthDate", b"19450230"),
    ("PatientBirthDate", b"UNKNOWN"),
    ("PatientBirthDate", b"2026-01-15"),
    ("StudyDate", b"1945"),
    ("StudyDate", b"2026.01.15"),
    ("StudyTime", b"25:61"),
    ("StudyTime", b"10:15:00"),
    ("PatientSex", b"f"),
    ("PatientSex", b"U"),
    ("PatientSex", b"X"),
    ("PatientSex", b"female"),
    ("PatientName", b"A" * 90),
    ("PatientName", b"Doe^Jane^^^^^^=a=b=c=d"),
    ("PatientName", b"  Doe ^ Jane  "),
    ("PatientID", b"X" * 80),
    ("PatientID", b" 007 "),
    ("PatientID", b"A\\B"),
    ("AccessionNumber", b"ACCESSION-" * 4),
    ("StudyID", b"S" * 40),
    ("StudyID", b""),
    ("ReferringPhysicianName", b"^"),
    ("PatientAge", b"77"),
    ("PatientAge", b"77 years"),
    ("PatientWeight", b"61,5"),
    ("PatientSize", b"1.6500000000000000000001"),
    ("StudyDescription", b"x" * 200),
    ("StudyDescription", b"line\r\nbreak\ttab"),
    ("IssuerOfPatientID", b"Hospital\x00"),
    ("TimezoneOffsetFromUTC", b"CEST"),
    ("PatientIdentityRemoved", b"yes"),
]


def series_with(changes: dict[str, bytes | None]) -> list[Dataset]:
    """Four slices as `dcmread` gives them from files that hold exactly these bytes, whatever the standard says."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [received(each, changes) for each in mr_series(slices=4, rows=16, columns=16)]


def received(dataset: Dataset, changes: dict[str, bytes | None]) -> Dataset:
    dataset.preamble = bytes(128)
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    for keyword, value in changes.items():
        dataset.pop(keyword, None)
        if value is not None:
            padded = value + b" " * (len(value) % 2)
            tag = Tag(keyword)
            dataset[tag] = RawDataElement(tag, dictionary_VR(tag), len(padded), padded, 0, False, True)
    keep_bytes(dataset)
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset)
    return pydicom.dcmread(io.BytesIO(buffer.getvalue()), stop_before_pixels=True)


def raw(dataset: Dataset, keyword: str) -> bytes | None:
    """The value as it stands in the file; None where the element is absent."""
    return dataset.get_item(keyword).value or b"" if keyword in dataset else None


def assert_identity_is_kept(series: list[Dataset], expected: dict[str, bytes | None]) -> None:
    for result in reports.build(series, reports.prediction(series, slices=3), reports.context(captures=1)):
        ours = reports.read(result)
        for keyword in CARRIED:
            value = expected.get(keyword)
            if value is None and keyword in TYPE_2:
                assert raw(ours, keyword) == b"", keyword
            else:
                assert raw(ours, keyword) == value, keyword


@pytest.mark.parametrize("case", NAMES)
def test_a_name_keeps_its_bytes_in_its_character_set(case: str) -> None:
    character_set, name = NAMES[case]
    series = series_with({"SpecificCharacterSet": character_set, "PatientName": name, "StudyDescription": name})
    assert_identity_is_kept(series, {keyword: raw(series[0], keyword) for keyword in CARRIED})
    assert (raw(series[0], "PatientName") or b"").rstrip(b" ") == name


@pytest.mark.parametrize(("keyword", "value"), VALUES)
def test_a_malformed_value_is_carried_as_it_is(keyword: str, value: bytes) -> None:
    series = series_with({keyword: value})
    assert_identity_is_kept(series, {each: raw(series[0], each) for each in CARRIED})


def test_no_value_of_the_patient_reaches_a_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        series = series_with({keyword: b"SECRET-" + keyword.encode() for keyword in TYPE_2})
        reports.build(series, reports.prediction(series, slices=3), reports.context(parametric_map=True))
        report.build_skipped(Source(series), [reports.Verdict()], "a test", reports.context(capture_skipped=True))
    assert "SECRET" not in caplog.text


@pytest.mark.parametrize("keyword", TYPE_2)
def test_an_absent_type_2_attribute_comes_out_empty(keyword: str) -> None:
    series = series_with({keyword: None})
    assert_identity_is_kept(series, {each: raw(series[0], each) for each in CARRIED})


# What pydicom itself writes differently once it has read it: broken UTF-8, and another escape sequence back to ASCII.
READ_AND_CHANGED = {"invalid utf-8", "japanese, two sets"}


@pytest.mark.parametrize("case", sorted(NAMES.keys() - READ_AND_CHANGED))
def test_a_name_that_was_read_before_keeps_its_bytes(case: str) -> None:
    character_set, name = NAMES[case]
    series = series_with({"SpecificCharacterSet": character_set, "PatientName": name})
    expected = {keyword: raw(series[0], keyword) for keyword in CARRIED}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for header in series:
            assert str(header.PatientName)
    assert_identity_is_kept(series, expected)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_other_transfer_syntaxes_of_the_source_change_nothing(tmp_path: Path, syntax: str) -> None:
    issuer = Dataset()
    issuer.LocalNamespaceEntityID = "HOSPITAL"
    made = mr_series(slices=4, rows=16, columns=16, IssuerOfAccessionNumberSequence=[issuer])
    series = [pydicom.dcmread(path, stop_before_pixels=True) for path in write(made, tmp_path, transfer_syntax=syntax)]
    for result in reports.build(series, reports.prediction(series, slices=3), reports.context(captures=1)):
        ours = reports.read(result)
        assert ours.IssuerOfAccessionNumberSequence[0].LocalNamespaceEntityID == "HOSPITAL"
        assert ours.PatientName == made[0].PatientName
        assert ours.StudyInstanceUID == made[0].StudyInstanceUID


@pytest.mark.parametrize("value", [b"not a uid", b"1..2", b"1." * 40])
def test_a_malformed_frame_of_reference_places_nothing_and_stops_nothing(value: bytes) -> None:
    series = series_with({"FrameOfReferenceUID": value})
    results = reports.build(series, reports.prediction(series, slices=3), reports.context(parametric_map=True))
    assert [each.kind for each in results] == ["summary", "overlay", "overlay", "sr_comprehensive"]
    assert "ImagePositionPatient" not in reports.read(results[1])


def test_private_elements_of_the_source_stay_behind() -> None:
    issuer = Dataset()
    issuer.LocalNamespaceEntityID = "HOSPITAL"
    issuer.add_new(0x00091001, "LO", "private")
    header = mr_series(slices=1, rows=16, columns=16, IssuerOfAccessionNumberSequence=[issuer])[0]
    element = carried(header, "IssuerOfAccessionNumberSequence")
    assert element is not None
    assert [each.tag for each in element.value[0]] == [0x00400031]


def test_nothing_encrypted_is_carried_into_a_result() -> None:
    """F44."""
    locked = Dataset()
    locked.EncryptedContentTransferSyntaxUID, locked.EncryptedContent = ExplicitVRLittleEndian, b"secret"
    series = mr_series(slices=2, rows=16, columns=16, EncryptedAttributesSequence=[locked])
    for result in reports.build(series, reports.prediction(series, slices=2), reports.context()):
        assert b"secret" not in result.content
        assert "EncryptedAttributesSequence" not in reports.read(result)


def test_the_carried_bytes_are_those_of_the_file() -> None:
    header = series_with({"PatientID": b" 007"})[0]
    assert encoded(header, "PatientID") == b"007"
    assert written(carried(header, "PatientID")) == b"\x10\x00\x20\x00LO\x04\x00 007"


def test_two_patients_in_one_study_are_refused() -> None:
    series = series_with({}) + series_with({"PatientID": b"SOMEBODY ELSE"})
    with pytest.raises(MixedPatients, match="PatientID"):
        Source(series)


def test_a_header_without_patient_id_belongs_to_the_patient_of_the_others() -> None:
    series = series_with({})
    source = Source([*series_with({"PatientID": None}), *series])
    assert encoded(source.identity(), "PatientID") == b"TEST-0001"


def test_two_studies_are_refused() -> None:
    with pytest.raises(MixedPatients, match="StudyInstanceUID"):
        Source([*series_with({}), *series_with({"StudyInstanceUID": b"1.2.3"})])


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "SeriesInstanceUID", "SOPClassUID", "StudyInstanceUID"])
@pytest.mark.parametrize("value", [None, b"", b"../../etc/passwd", b"1.2." + b"3" * 70])
def test_a_header_without_valid_uids_is_refused(keyword: str, value: bytes | None) -> None:
    series = series_with({keyword: value})
    with pytest.raises(UnreadableInstance, match=keyword):
        reports.build(series, reports.prediction(slices=1), reports.context())


def test_a_study_without_instances_is_refused() -> None:
    with pytest.raises(UnreadableInstance):
        Source([])


def test_the_order_of_arrival_leaves_no_trace() -> None:
    series = series_with({})
    series[1].PatientAge = "078Y"
    how, made = reports.context(captures=1), reports.prediction(series, slices=3)
    forward = report.build(Source(series), series, made, how)
    backward = report.build(Source(series[::-1]), series, made, how)
    assert forward == backward


def test_what_was_read_before_is_written_like_a_raw_value() -> None:
    """The two ways of `carried` agree for every element of a header."""
    untouched, touched = series_with({})[0], series_with({})[0]
    for element in touched:
        buffer = DicomBytesIO()
        buffer.is_little_endian, buffer.is_implicit_VR = True, True
        write_data_element(buffer, element)
    for keyword in CARRIED:
        assert written(carried(untouched, keyword)) == written(carried(touched, keyword))


def headers(folder: Path) -> list[tuple[Path, Dataset]]:
    found: list[tuple[Path, Dataset]] = []
    for path in sorted(folder.rglob("*")):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                dataset: Any = pydicom.dcmread(path, stop_before_pixels=True) if path.is_file() else None
            except (pydicom.errors.InvalidDicomError, OSError, ValueError, EOFError, KeyError, AttributeError):
                continue
        if dataset is not None and len(dataset):
            found.append((path, dataset))
    return found


@pytest.mark.realdata
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_header_there_is_leads_to_valid_results_or_a_named_refusal(real_data: Path) -> None:
    built = refused = 0
    made = reports.prediction(slices=1)
    seen = set[tuple[str | None, ...]]()
    for path, header in headers(real_data):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = {keyword: raw(header, keyword) for keyword in CARRIED}
            kind = (header.get("SOPClassUID"), *map(str, expected.values()))
        if kind in seen:  # the other slices of a series carry the same
            continue
        seen.add(kind)
        try:
            source = Source([header])
        except UnreadableInstance:
            refused += 1
            continue
        results = report.build_skipped(source, [reports.Verdict()], "a test", reports.context())
        if header.get("Rows"):
            results += report.build(source, [header], made, reports.context(captures=0))
        for result in results:
            ours = reports.read(result)
            for keyword in TYPE_2:
                value = expected[keyword] or b""
                assert (raw(ours, keyword) or b"").rstrip() == value.rstrip(), f"{path.name}: {keyword}"
        built += 1
    assert built > 30
    assert refused < 20
