"""What the standard demands of the kinds of objects that leave here: attributes of type 1 and 2, and fixed values.

From PS3.3: SR documents and Key Object Selection A.35, Secondary Capture A.8.1, Parametric Map A.75 with their
mandatory modules; a test holds the tables against highdicom's machine-readable copy of the standard.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from pydicom.uid import (
    BasicTextSRStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    KeyObjectSelectionDocumentStorage,
    ParametricMapStorage,
    SecondaryCaptureImageStorage,
)


@dataclass(frozen=True)
class Iod:
    """Attributes at the top level: with a value (type 1), at least present (type 2), and values that they may take."""

    type_1: frozenset[str]
    type_2: frozenset[str]
    values: Mapping[str, frozenset[str]] = field(default_factory=dict)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_COMMON_1 = _words("SOPClassUID SOPInstanceUID StudyInstanceUID SeriesInstanceUID Modality")
_COMMON_2 = _words(
    "PatientName PatientID PatientBirthDate PatientSex StudyDate StudyTime AccessionNumber ReferringPhysicianName "
    "StudyID"
)
_OURS_1 = _words(
    "SeriesNumber InstanceNumber SeriesDescription Manufacturer ManufacturerModelName SoftwareVersions "
    "ContentQualification ContentDate ContentTime ContributingEquipmentSequence"
)
_OURS_VALUES = {"ContentQualification": frozenset({"RESEARCH"})}

_SR = Iod(
    _COMMON_1
    | _OURS_1
    | _words("CompletionFlag VerificationFlag PreliminaryFlag ValueType ConceptNameCodeSequence ContinuityOfContent")
    | _words("ContentTemplateSequence ContentSequence"),
    _COMMON_2 | _words("ReferencedPerformedProcedureStepSequence PerformedProcedureCodeSequence"),
    {
        **_OURS_VALUES,
        "Modality": frozenset({"SR"}),
        "CompletionFlag": frozenset({"COMPLETE"}),
        "VerificationFlag": frozenset({"UNVERIFIED"}),
        "PreliminaryFlag": frozenset({"PRELIMINARY"}),
        "ValueType": frozenset({"CONTAINER"}),
        "ContinuityOfContent": frozenset({"SEPARATE"}),
    },
)
_PIXELS = _words("SamplesPerPixel PhotometricInterpretation Rows Columns BitsAllocated")
_CAPTURE = Iod(
    _COMMON_1
    | _OURS_1
    | _PIXELS
    | _words("ConversionType BitsStored HighBit PixelRepresentation PlanarConfiguration PixelData ImageType")
    | _words("BurnedInAnnotation RecognizableVisualFeatures DerivationDescription BodyPartExamined"),
    _COMMON_2 | _words("PatientOrientation"),
    {
        **_OURS_VALUES,
        "Modality": frozenset({"OT"}),
        "ConversionType": frozenset({"WSD"}),
        "PhotometricInterpretation": frozenset({"RGB"}),
        "BurnedInAnnotation": frozenset({"NO"}),
        "SamplesPerPixel": frozenset({"3"}),
        "PlanarConfiguration": frozenset({"0"}),
        "BitsAllocated": frozenset({"8"}),
        "BitsStored": frozenset({"8"}),
        "HighBit": frozenset({"7"}),
        "PixelRepresentation": frozenset({"0"}),
    },
)
_MAP = Iod(
    _COMMON_1
    | _OURS_1
    | _PIXELS
    | _words("DeviceSerialNumber FrameOfReferenceUID ImageType BurnedInAnnotation RecognizableVisualFeatures")
    | _words("LossyImageCompression ContentLabel PresentationLUTShape NumberOfFrames SharedFunctionalGroupsSequence")
    | _words("PerFrameFunctionalGroupsSequence DimensionOrganizationSequence DimensionIndexSequence FloatPixelData"),
    _COMMON_2 | _words("PositionReferenceIndicator ContentDescription AcquisitionContextSequence"),
    {
        **_OURS_VALUES,
        "Modality": frozenset({"OT"}),
        "PhotometricInterpretation": frozenset({"MONOCHROME2"}),
        "BitsAllocated": frozenset({"32"}),
        "SamplesPerPixel": frozenset({"1"}),
        "PresentationLUTShape": frozenset({"IDENTITY"}),
    },
)

_NOTE = Iod(
    _COMMON_1
    | (_OURS_1 - {"ContentQualification"})
    | _words("CurrentRequestedProcedureEvidenceSequence ValueType ConceptNameCodeSequence ContinuityOfContent")
    | _words("ContentTemplateSequence ContentSequence"),
    _COMMON_2 | _words("ReferencedPerformedProcedureStepSequence"),
    {
        "Modality": frozenset({"KO"}),
        "ValueType": frozenset({"CONTAINER"}),
        "ContinuityOfContent": frozenset({"SEPARATE"}),
    },
)

IODS: Mapping[str, Iod] = MappingProxyType(
    {
        BasicTextSRStorage: _SR,
        ComprehensiveSRStorage: _SR,
        Comprehensive3DSRStorage: _SR,
        SecondaryCaptureImageStorage: _CAPTURE,
        ParametricMapStorage: _MAP,
        KeyObjectSelectionDocumentStorage: _NOTE,
    }
)
