"""Pure: a report's header and the outcome of its job become the segments of an ORU^R01 (HL7 v2.5.1 chapter 7.3.1).

first       a result, status P or F as the settings say       corrected   it replaces one that was sent: status C
void        what was sent is wrong: its values are empty, status W (HL7 table 0085)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Literal
from urllib.parse import quote

from node import verdict
from node.config_telling import Hl7Receiver
from node.hl7.report import Report
from node.hl7.text import ENCODING_CHARACTERS, REPETITION, components, escaped, person, segment
from node.work.outcome import PredictionOutcome

Says = Literal["first", "corrected", "void"]

CHARACTER_SETS = {"utf-8": "UNICODE UTF-8", "iso-8859-1": "8859/1", "ascii": "ASCII"}  # HL7 table 0211
PROCEDURE = ("24590-2", "MR Brain", "LN")
PROBABILITY = ("122157", "Probability", "DCM")
DEVIATION = ("386136009", "Standard Deviation", "SCT")
BAND = ("DECISION_BAND", "Decision band", "99NEUROSSL")
COMMENT = ("121106", "Comment", "DCM")
ALGORITHM = ("111001", "Algorithm Name", "DCM")
ALGORITHM_VERSION = ("111003", "Algorithm Version", "DCM")
STUDY_UID = ("110180", "Study Instance UID", "DCM")
LINK = ("LINK", "Images and report", "99NEUROSSL")
PERCENT = ("%", "percent", "UCUM")
WHAT_IT_IS = "Probability of changes on MRI that the model associates with dementia."
RESEARCH_USE_ONLY = "RESEARCH USE ONLY - not for diagnosis. Not a medical device."
UNTRAINED = "UNTRAINED MODEL - random weights, for testing the installation; the numbers mean nothing."
WITHDRAWN = "WITHDRAWN: the AI result of this study is wrong or no longer holds. Do not use it."
NO_RESULT = "No result: this study was not classified."
SEXES = ("M", "F", "O")


@dataclass(frozen=True)
class Content:
    """What a message is made of."""

    report: Report
    prediction: PredictionOutcome | None
    says: Says
    receiver: Hl7Receiver
    control_id: str

    @property
    def status(self) -> str:
        """OBR-25 and OBX-11 of what is said (HL7 tables 0123 and 0085)."""
        return self.receiver.result_status if self.says == "first" else "C"


def control_id(sop_instance_uid: str, receiver: str, says: Says) -> str:
    """MSH-10, at most 20 characters: the same whenever the same thing is said again, and so known as such."""
    what = "void" if says == "void" else "result"
    return sha256(f"{sop_instance_uid}\n{receiver}\n{what}".encode()).hexdigest()[:20]


def encode(content: Content, now: datetime) -> bytes:
    """The message in the receiver's character set; what that does not have becomes a question mark."""
    lines = [_msh(content, now), _pid(content), _obr(content)]
    lines += [segment("OBX", [str(number), *fields]) for number, fields in enumerate(_observations(content), 1)]
    return "".join(f"{line}\r" for line in lines).encode(content.receiver.character_set, "replace")


def _msh(content: Content, now: datetime) -> str:
    receiver = content.receiver
    enhanced = ("AL", "NE") if receiver.enhanced_acknowledgement else ("", "")
    fields = [
        *(ENCODING_CHARACTERS, receiver.sending_application, receiver.sending_facility),
        *(receiver.receiving_application, receiver.receiving_facility, f"{now:%Y%m%d%H%M%S%z}", ""),
        *("ORU^R01^ORU_R01", content.control_id, receiver.processing, "2.5.1", "", "", *enhanced, ""),
        CHARACTER_SETS[receiver.character_set],
    ]
    return segment("MSH", fields)


def _pid(content: Content) -> str:
    report = content.report
    issuer = report.patient_id_issuer or content.receiver.patient_id_issuer
    sex = report.sex if report.sex in SEXES else "U"
    identifier = components(report.patient_id, "", "", issuer, "PI") if report.patient_id else ""
    return segment("PID", ["1", "", identifier, "", person(report.patient_name), "", report.birth_date, sex])


def _obr(content: Content) -> str:
    report = content.report
    fields = [""] * 25
    placed = {
        1: "1",
        2: components(report.placer_order_number),
        3: components(report.accession_number),
        4: components(*PROCEDURE),
        7: report.study_at,
        18: components(report.accession_number),
        22: report.made_at,
        24: "RAD",
        25: content.status,
    }
    for number, value in placed.items():
        fields[number - 1] = value
    return segment("OBR", fields)


def _observations(content: Content) -> Iterator[list[str]]:
    """OBX-2 to OBX-11 of each."""
    found = content.prediction
    held = content.says != "void" and found is not None and found.probability is not None
    value_status = "W" if content.says == "void" else content.status if held else "X"
    numbers = (found.probability, found.spread, found.band) if held and found else (None, None, None)
    yield _number(PROBABILITY, numbers[0], value_status)
    yield _number(DEVIATION, numbers[1], value_status)
    band = components(numbers[2].upper(), numbers[2].replace("_", " "), "99NEUROSSL") if numbers[2] else ""
    yield _observation("CWE", BAND, band, value_status)
    yield _observation("TX", COMMENT, REPETITION.join(_sentences(content, held=held)), content.status)
    if found is not None and content.says != "void":
        yield _observation("ST", ALGORITHM, escaped(found.model.name), content.status)
        yield _observation("ST", ALGORITHM_VERSION, escaped(found.model.version), content.status)
    yield _observation("ST", STUDY_UID, escaped(content.report.study_instance_uid), content.status)
    if content.receiver.link:
        yield _observation("ST", LINK, escaped(link(content), 2000), content.status)


def _sentences(content: Content, *, held: bool) -> Iterator[str]:
    found = content.prediction
    if content.says == "void":
        yield escaped(WITHDRAWN)
    else:
        yield escaped(WHAT_IT_IS if held else NO_RESULT)
    if held and found is not None:
        yield escaped(verdict.meaning(found))
        if not found.model.trained:
            yield escaped(UNTRAINED)
    yield escaped(RESEARCH_USE_ONLY)


def link(content: Content) -> str:
    """The configured URL for this study; what is filled in is quoted."""
    report = content.report
    filled = content.receiver.link.replace("{accession_number}", quote(report.accession_number, safe=""))
    return filled.replace("{study_instance_uid}", quote(report.study_instance_uid, safe=""))


def _number(concept: tuple[str, str, str], share: float | None, status: str) -> list[str]:
    value = "" if share is None else f"{100 * share:.2f}"
    return _observation("NM", concept, value, status, components(*PERCENT))


def _observation(kind: str, concept: tuple[str, str, str], value: str, status: str, units: str = "") -> list[str]:
    return [kind, components(*concept), "", value, units, "", "", "", "", status]
