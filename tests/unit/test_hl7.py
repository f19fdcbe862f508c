"""HL7 messages: what they say, that nothing breaks out of its field, and what an acknowledgement means."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import hl7
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ComprehensiveSRStorage, ExplicitVRLittleEndian

from node.config import Settings
from node.config_telling import Hl7Receiver
from node.errors import Refused, UnreadableInstance
from node.hl7 import mllp, report
from node.hl7.message import Content, control_id, encode
from node.hl7.report import Report
from node.hl7.text import escaped, person
from node.work.outcome import PredictionOutcome

NOW = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)
REPORT = Report(
    sop_instance_uid="2.25.1",
    study_instance_uid="1.2.3",
    accession_number="A2025-0314",
    placer_order_number="P7",
    patient_id="TEST-0001",
    patient_id_issuer="HOSPITAL",
    patient_name="Muster^Erika^B^Dr.^MD",
    birth_date="19480312",
    sex="F",
    study_at="20250314093000",
    made_at="20260115100000+0000",
)
PREDICTION = PredictionOutcome.model_validate(
    {
        "model": {
            "name": "resnet|^~\\&",
            "version": "1.0",
            "sha256": "ab",
            "trained": True,
            "temperature": 1.0,
            "dropout_samples": 8,
            "rollout_order": "x",
            "thresholds": {},
        },
        "scope": {"inside": True, "reason": "", "measurements": {}},
        "probability": 0.8312,
        "spread": 0.041,
        "predictive_entropy": 0.4,
        "mutual_information": 0.1,
        "band": "high_likelihood",
        "slices": [],
    }
)


def receiver(**values: Any) -> Hl7Receiver:
    return Hl7Receiver(**{"name": "ris", "host": "127.0.0.1", "port": 2575, **values})


def content(says: Any = "first", found: Report = REPORT, prediction: Any = PREDICTION, **values: Any) -> Content:
    return Content(found, prediction, says, receiver(**values), control_id("2.25.1", "ris", says))


def parsed(made: Content, character_set: str = "utf-8") -> hl7.Message:
    return hl7.parse(encode(made, NOW).decode(character_set))


def observations(message: hl7.Message) -> dict[str, tuple[str, str]]:
    """Code -> value and status."""
    return {str(each(3)).split("^")[0]: (str(each(5)), str(each(11))) for each in message.segments("OBX")}


def test_a_result_says_what_it_is_of_whom_and_how_sure() -> None:
    message = parsed(
        content(link="https://pacs/?a={accession_number}&s={study_instance_uid}", receiving_application="RIS")
    )
    msh, pid, obr = message.segment("MSH"), message.segment("PID"), message.segment("OBR")
    assert (str(msh(5)), str(msh(9)), str(msh(12)), str(msh(18))) == (
        "RIS",
        "ORU^R01^ORU_R01",
        "2.5.1",
        "UNICODE UTF-8",
    )
    assert str(msh(10)) == control_id("2.25.1", "ris", "first")
    assert len(str(msh(10))) == 20
    assert (str(pid(3)), str(pid(5)), str(pid(7)), str(pid(8))) == (
        "TEST-0001^^^HOSPITAL^PI",
        "Muster^Erika^B^MD^Dr.^^L^A",
        "19480312",
        "F",
    )
    assert [str(obr(number)) for number in (2, 3, 7, 18, 22, 25)] == [
        "P7",
        "A2025-0314",
        "20250314093000",
        "A2025-0314",
        "20260115100000+0000",
        "P",
    ]
    found = observations(message)
    assert found["122157"] == ("83.12", "P")
    assert found["386136009"] == ("4.10", "P")
    assert found["DECISION_BAND"] == ("HIGH_LIKELIHOOD^high likelihood^99NEUROSSL", "P")
    assert "RESEARCH USE ONLY" in found["121106"][0]
    assert "Calibrated probability 83 %, SD 4.1 %: " in found["121106"][0]
    assert found["110180"][0] == "1.2.3"
    assert message.unescape(found["LINK"][0]) == "https://pacs/?a=A2025-0314&s=1.2.3"
    assert [str(each(1)) for each in message.segments("OBX")] == [str(number) for number in range(1, 9)]


def test_a_correction_and_a_withdrawal_have_their_status_and_a_withdrawal_no_values() -> None:
    corrected, void = parsed(content("corrected")), parsed(content("void"))
    assert {str(each.segment("OBR")(25)) for each in (corrected, void)} == {"C"}
    assert observations(corrected)["122157"] == ("83.12", "C")
    found = observations(void)
    assert {found[code] for code in ("122157", "386136009", "DECISION_BAND")} == {("", "W")}
    assert found["121106"][0].startswith("WITHDRAWN")
    assert "RESEARCH USE ONLY" in found["121106"][0]
    assert str(corrected.segment("MSH")(10)) != str(void.segment("MSH")(10))


def test_no_result_has_no_values_and_says_so() -> None:
    for prediction in (None, PREDICTION.model_copy(update={"probability": None})):
        found = observations(parsed(content(prediction=prediction)))
        assert {found[code] for code in ("122157", "386136009", "DECISION_BAND")} == {("", "X")}
        assert found["121106"][0].startswith("No result")


def test_an_untrained_model_says_so() -> None:
    model = PREDICTION.model.model_copy(update={"trained": False})
    untrained = PREDICTION.model_copy(update={"model": model})
    assert "UNTRAINED" in observations(parsed(content(prediction=untrained)))["121106"][0]


def test_the_settings_shape_the_header() -> None:
    made = parsed(content(enhanced_acknowledgement=True, result_status="F", processing="T"))
    msh = made.segment("MSH")
    assert (str(msh(11)), str(msh(15)), str(msh(16))) == ("T", "AL", "NE")
    assert str(made.segment("OBR")(25)) == "F"


@pytest.mark.parametrize(
    ("character_set", "name", "field"),
    [("iso-8859-1", "8859/1", "Müller?"), ("ascii", "ASCII", "M?ller?"), ("utf-8", "UNICODE UTF-8", "Müller山")],
)
def test_the_character_set_is_declared_and_kept(character_set: Any, name: str, field: str) -> None:
    made = content(found=replace(REPORT, patient_name="Müller山^Jörg"), character_set=character_set)
    message = parsed(made, character_set)
    assert str(message.segment("MSH")(18)) == name
    assert str(message.segment("PID")(5)).split("^")[0] == field


def test_a_name_has_a_repetition_for_each_of_its_groups() -> None:
    assert person("Yamada^Tarou=山田^太郎=やまだ^たろう") == (
        "Yamada^Tarou^^^^^L^A~山田^太郎^^^^^L^I~やまだ^たろう^^^^^L^P"
    )
    assert person("=山田^太郎") == "山田^太郎^^^^^L^I"
    assert person("") == ""


HOSTILE = [
    "Doe|Jane",
    "\rOBX|99|NM|x",
    "\n",
    "\x0b",
    "\x1c\r",
    "~",
    "\\",
    "&",
    "\\F\\",
    "a" * 5000,
    "\u2028",
    "\u202e",
    "\0",
]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_nothing_breaks_out_of_its_field(hostile: str) -> None:
    found = replace(
        REPORT, patient_name=hostile, patient_id=hostile, accession_number=hostile, placer_order_number=hostile
    )
    assert_whole(encode(content(found=found), NOW))


@given(st.text(), st.text())
def test_no_text_at_all_breaks_out_of_its_field(name: str, number: str) -> None:
    found = replace(REPORT, patient_name=name, patient_id=number, accession_number=number)
    assert_whole(encode(content(found=found), NOW))


def assert_whole(encoded: bytes) -> None:
    """The segments are those of a message without surprises, and the frame characters are not within."""
    lines = encoded.decode("utf-8").split("\r")
    assert [line[:3] for line in lines] == ["MSH", "PID", "OBR", *["OBX"] * 7, ""]
    assert not {0x0B, 0x1C, 0x0A} & set(encoded)
    assert [line.count("|") for line in lines[1:3]] == [8, 25]
    assert {line.count("|") for line in lines[3:-1]} == {11}
    assert max(map(len, lines)) < 5000


@given(st.text(max_size=200))
def test_a_receiver_reads_back_what_was_escaped(text: str) -> None:
    plain = "".join(c for c in text if c.isprintable()).strip()
    message = hl7.parse("MSH|^~\\&|\r")
    assert message.unescape(escaped(plain)) == plain


@pytest.mark.parametrize(
    ("answer", "code", "of"),
    [
        (b"MSH|^~\\&|A|B|C|D|20260101||ACK|1|P|2.5.1\rMSA|AA|77\r", "AA", "77"),
        (b"MSH|^~\\&|A|B|C|D|20260101||ACK|1|P|2.3\rMSA|ca|77|text\rERR|||207\r", "CA", "77"),
        (b"MSH|$%~&|A\rMSA|AE|\xff77", "AE", "\ufffd77"),
    ],
)
def test_an_acknowledgement_is_read(answer: bytes, code: str, of: str) -> None:
    assert mllp.acknowledgement(answer) == mllp.Acknowledgement(code, of)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400", b"MSH|^~\\&|A\r", b"\r\r", b"MSH", b"MSH|^~\\&|A\rMSA\r"])
def test_what_is_no_acknowledgement_is_refused_without_its_words(answer: bytes) -> None:
    with pytest.raises(Refused, match="no acknowledgement"):
        mllp.acknowledgement(answer)


def test_a_stored_report_is_read_as_far_as_it_can_be(tmp_path: Path) -> None:
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 100"
    made.SOPClassUID, made.SOPInstanceUID, made.StudyInstanceUID = ComprehensiveSRStorage, "2.25.1", "1.2.3"
    made.PatientName, made.PatientID, made.AccessionNumber = "Müller^Jörg", "7", "A1"
    made.PatientBirthDate, made.PatientSex = "19480312", "M"
    made.StudyDate, made.StudyTime = "20250314", "093000.123"
    made.ContentDate, made.ContentTime, made.TimezoneOffsetFromUTC = "20260115", "100000", "+0100"
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path = tmp_path / "report.dcm"
    dcmwrite(path, made, enforce_file_format=True)
    found = report.read(path)
    assert (found.patient_name, found.birth_date, found.sex) == ("Müller^Jörg", "19480312", "M")
    assert (found.study_at, found.made_at) == ("20250314093000", "20260115100000+0100")
    path.write_bytes(b"no report")
    with pytest.raises(UnreadableInstance):
        report.read(path)


def test_receivers_and_destinations_have_names_of_their_own() -> None:
    pacs = {"name": "ris", "ae_title": "PACS", "host": "h", "port": 104}
    with pytest.raises(ValueError, match="the same name"):
        Settings(destinations=[pacs], hl7=[{"name": "ris", "host": "h", "port": 1}])  # type: ignore[arg-type, list-item]
