"""What every result object has in common: identity of patient and study, UIDs, times, equipment, and the file around
it.

The objects are written attribute by attribute with pydicom. highdicom's classes for whole documents stamp the time
of the call, decode the source's values and know no Basic Text SR; its content items and parametric map are used
where they serve.
"""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from model.types import ModelId, Prediction
from node.dicom.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, PRODUCT
from node.dicom.uids import is_uid
from node.report import codes
from node.report.identity import da, derived_uid, digest, dt, local_time, tm
from node.report.key import Context, no_result_key, result_key
from node.report.source import Reference, Source, encoded, keep_bytes, take_identity, written

META_STARTS = 128 + 4 + 12  # after preamble, "DICM", and the group length (its last 4 bytes) that counts the rest
RESEARCH_USE_ONLY = "RESEARCH USE ONLY - not for diagnosis. Not a medical device."
UNTRAINED = "UNTRAINED MODEL - random weights, for testing the installation; the numbers mean nothing."


@dataclass(frozen=True)
class Envelope:
    """One study's results under way: whose they are, when, by which device, and how their UIDs are derived."""

    source: Source
    header: Dataset  # the instance that patient and study are taken from
    context: Context
    model: ModelId | None
    key: str
    at: datetime

    def uid(self, *parts: str) -> str:
        """A UID of this answer, and of all that is in its objects beside it: when it was made, and what it follows."""
        after = digest(each.sop_instance_uid for each in self.context.predecessor)
        return derived_uid("result", self.key, str(self.context.generation), dt(self.at), after, *parts)

    def name(self, kind: str, ordinal: int) -> str:
        """What this answer calls one of its results: the same whenever it is encoded."""
        return f"{self.key}.{self.context.generation}.{kind}.{ordinal}"

    @property
    def device_uid(self) -> str:
        """Changes with the bundle and with the software (PS3.3 C.7.5.2, Device UID)."""
        return derived_uid("device", self.model.sha256 if self.model else "", self.context.software_version)

    @property
    def serial_number(self) -> str:
        """The first digits of the bundle's hash; the station's name where no bundle was asked."""
        return self.model.sha256[:16] if self.model else self.context.settings.station_name

    @property
    def frame_of_reference_uid(self) -> str:
        """The source's; empty where it has none that is a UID, and then nothing is placed in the patient."""
        text = encoded(self.header, "FrameOfReferenceUID").decode("ascii", "replace")
        return text if is_uid(text) else ""

    def series_description(self, text: str) -> str:
        """What a viewer's list of series shows: what this is, and with which reserve."""
        return f"{'' if self.model is None or self.model.trained else 'UNTRAINED '}{text} (RUO)"

    @property
    def tracking_uid(self) -> str:
        """The same finding of the same study, whatever the answer or the bundle."""
        return derived_uid("tracking", self.source.study_instance_uid)


def open_envelope(source: Source, chosen: Sequence[Dataset], prediction: Prediction, context: Context) -> Envelope:
    """The envelope for the results of a series that was read."""
    header = source.identity(chosen)
    key = result_key(header, chosen, prediction.model, context, inside=prediction.scope.inside)
    return _envelope(source, header, context, prediction.model, key)


def open_without_result(source: Source, reasons: Iterable[str], context: Context) -> Envelope:
    """The envelope for what is said when no series can be read."""
    header = source.identity()
    return _envelope(source, header, context, None, no_result_key(header, reasons, context))


def open_again(source: Source, header: Dataset, key: str, context: Context) -> Envelope:
    """The envelope of an answer that was given before; `header` is one of its objects."""
    return _envelope(source, header, context, None, key)


def _envelope(source: Source, header: Dataset, context: Context, model: ModelId | None, key: str) -> Envelope:
    offset = encoded(header, "TimezoneOffsetFromUTC").decode("ascii", "replace")
    return Envelope(source, header, context, model, key, local_time(context.created_at, offset))


def new_object(envelope: Envelope, sop_class_uid: str, kind: str, index: int, series: str, modality: str) -> Dataset:
    """A data set with all that does not depend on what is shown: patient, study, series, equipment, SOP common."""
    target = Dataset()
    take_identity(envelope.header, target)
    date, time = da(envelope.at), tm(envelope.at)
    target.SOPClassUID, target.SOPInstanceUID = UID(sop_class_uid), UID(envelope.uid(kind, str(index)))
    target.InstanceCreationDate, target.InstanceCreationTime = date, time
    target.ContentDate, target.ContentTime = date, time
    target.SeriesInstanceUID, target.Modality = envelope.uid("series", series), modality
    target.SeriesDate, target.SeriesTime = date, time
    target.InstanceNumber = index
    target.ContentQualification = "RESEARCH"
    _put_equipment(envelope, target)
    target.ContributingEquipmentSequence = [_contributing_equipment(envelope)]
    return target


def _put_equipment(envelope: Envelope, target: Dataset) -> None:
    settings = envelope.context.settings
    target.Manufacturer = settings.manufacturer
    target.ManufacturerModelName = PRODUCT
    target.DeviceSerialNumber = envelope.serial_number
    target.SoftwareVersions = envelope.context.software_version
    target.StationName = settings.station_name
    if settings.institution_name:
        target.InstitutionName = settings.institution_name


def _contributing_equipment(envelope: Envelope) -> Dataset:
    """What computed this; its Device UID is new with each bundle (IHE AIR 6.5.3.1)."""
    item = Dataset()
    _put_equipment(envelope, item)
    if envelope.model is not None:
        item.ManufacturerModelName = ascii_text(envelope.model.name, 64)
        item.SoftwareVersions = [ascii_text(envelope.model.version, 64), envelope.context.software_version]
    item.PurposeOfReferenceCodeSequence = [codes.PROCESSING_EQUIPMENT]
    item.ContributionDateTime = dt(envelope.at)
    item.ContributionDescription = "Inference of dementia-related changes. " + RESEARCH_USE_ONLY
    item.DeviceUID = envelope.device_uid
    return item


def reference_item(reference: Reference) -> Dataset:
    """SOP Instance Reference Macro (PS3.3 table 10-11), with the frame where there is one."""
    item = Dataset()
    item.ReferencedSOPClassUID = reference.sop_class_uid
    item.ReferencedSOPInstanceUID = reference.sop_instance_uid
    if reference.frame_number is not None:
        item.ReferencedFrameNumber = reference.frame_number
    return item


def referenced_series(references: Iterable[Reference]) -> list[Dataset]:
    """Items of a Referenced Series Sequence (PS3.3 C.12.2): the instances by series, each once, without frames."""
    series: dict[str, dict[str, Reference]] = {}
    for each in references:
        series.setdefault(each.series_instance_uid, {})[each.sop_instance_uid] = replace(each, frame_number=None)
    return [_series_item(uid, instances.values()) for uid, instances in series.items()]


def _series_item(uid: str, references: Iterable[Reference]) -> Dataset:
    item = Dataset()
    item.SeriesInstanceUID = uid
    item.ReferencedInstanceSequence = [reference_item(reference) for reference in references]
    return item


def put_sources(target: Dataset, sources: Sequence[Reference]) -> None:
    """General Reference and Common Instance Reference (PS3.3 C.12.4, C.12.2): what a derived image was made from."""
    target.SourceImageSequence = [reference_item(each) for each in sources]
    for item in target.SourceImageSequence:
        item.PurposeOfReferenceCodeSequence = [codes.SOURCE_IMAGE_FOR_PROCESSING]
    target.ReferencedSeriesSequence = referenced_series(sources)


def ascii_text(text: str, limit: int = 1024) -> str:
    """`text` in printable ASCII without backslash, cut to `limit`: safe in every character set and representation.

    >>> ascii_text("Größe\\\\n", 4)
    'Gr??'
    """
    return "".join(c if c.isascii() and c.isprintable() and c != "\\" else "?" for c in text)[:limit]


def encode(dataset: Dataset) -> bytes:
    """The Part 10 file of this data set, explicit VR little endian; the preamble is zeros.

    The character set is put in last, as bytes: it is the first element of the data set (nothing of ours has a lower
    tag), and pydicom would otherwise decode every value under whatever the source calls its character set.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    dataset.file_meta = meta
    named = dataset.pop("SpecificCharacterSet", None)
    character_set = written(named)
    keep_bytes(dataset)
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    if named is not None:
        dataset[named.tag] = named
    content = buffer.getvalue()
    start = META_STARTS + int.from_bytes(content[META_STARTS - 4 : META_STARTS], "little")
    return content[:start] + character_set + content[start:]
