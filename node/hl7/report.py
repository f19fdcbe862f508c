"""What a stored report says of whose study it is: read when it is sent, and not kept."""

from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from node.dicom import values
from node.dicom.values import unwarned
from node.errors import UnreadableInstance


@dataclass(frozen=True)
class Report:
    """Values of a report's header, as text; "" where it has none."""

    sop_instance_uid: str
    study_instance_uid: str
    accession_number: str
    placer_order_number: str
    patient_id: str
    patient_id_issuer: str
    patient_name: str  # as DICOM has it, with ^ and =
    birth_date: str  # YYYYMMDD
    sex: str
    study_at: str  # YYYYMMDD[HHMMSS]
    made_at: str  # YYYYMMDDHHMMSS[+ZZZZ]


def read(path: Path) -> Report:
    """Raises UnreadableInstance."""
    with unwarned():
        try:
            header = dcmread(path, stop_before_pixels=True)
        except (InvalidDicomError, *values.BROKEN) as error:
            raise UnreadableInstance(f"{path.name}: a stored report cannot be read: {type(error).__name__}") from None
        return _of(header)


def _of(header: Dataset) -> Report:
    def text(keyword: str) -> str:
        return values.text(header, keyword)

    return Report(
        sop_instance_uid=text("SOPInstanceUID"),
        study_instance_uid=text("StudyInstanceUID"),
        accession_number=text("AccessionNumber"),
        placer_order_number=text("PlacerOrderNumberImagingServiceRequest"),
        patient_id=text("PatientID"),
        patient_id_issuer=text("IssuerOfPatientID"),
        patient_name=text("PatientName"),
        birth_date=_digits(text("PatientBirthDate"), 8),
        sex=text("PatientSex")[:1].upper(),
        study_at=_moment(text("StudyDate"), text("StudyTime")),
        made_at=_moment(text("ContentDate"), text("ContentTime"), text("TimezoneOffsetFromUTC")),
    )


def _moment(date: str, time: str, zone: str = "") -> str:
    day, clock = _digits(date, 8), _digits(time.partition(".")[0], 6)
    if not day or not clock:
        return day
    return f"{day}{clock}{zone if len(zone) == 5 and zone[1:].isdigit() else ''}"


def _digits(text: str, length: int) -> str:
    return text if len(text) == length and text.isascii() and text.isdigit() else ""
