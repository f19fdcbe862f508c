"""Every coded term that the results use, and the private scheme for the few that the standard has no code for.

Public terms: DCM (PS3.16 annex D), SCT, LN, UCUM. Private terms bear the designator 99NEUROSSL, which each report
declares in its Coding Scheme Identification Sequence (PS3.3 C.12.1.1.1).
"""

from highdicom.sr import CodedConcept
from pydicom.dataset import Dataset

from model.types import Band
from node.dicom.reading import DECISION_BAND as DECISION_BAND_CODE
from node.dicom.reading import PRIVATE_SCHEME


def _dcm(value: str, meaning: str) -> CodedConcept:
    return CodedConcept(value, "DCM", meaning)


def _sct(value: str, meaning: str) -> CodedConcept:
    return CodedConcept(value, "SCT", meaning)


def _private(value: str, meaning: str) -> CodedConcept:
    return CodedConcept(value, PRIVATE_SCHEME, meaning)


IMAGING_MEASUREMENT_REPORT = _dcm("126000", "Imaging Measurement Report")
DIAGNOSTIC_IMAGING_REPORT = CodedConcept("18748-4", "LN", "Diagnostic Imaging Report")  # CID 7000
LANGUAGE = _dcm("121049", "Language of Content Item and Descendants")
ENGLISH = CodedConcept("en-US", "RFC5646", "English (United States)")
OBSERVER_TYPE = _dcm("121005", "Observer Type")
DEVICE = _dcm("121007", "Device")
DEVICE_UID = _dcm("121012", "Device Observer UID")
DEVICE_NAME = _dcm("121013", "Device Observer Name")
DEVICE_MANUFACTURER = _dcm("121014", "Device Observer Manufacturer")
DEVICE_MODEL = _dcm("121015", "Device Observer Model Name")
DEVICE_SERIAL = _dcm("121016", "Device Observer Serial Number")
PROCEDURE_REPORTED = _dcm("121058", "Procedure reported")
BRAIN_MRI = CodedConcept("24590-2", "LN", "MR Brain")  # CID 100 is extensible
IMAGE_LIBRARY = _dcm("111028", "Image Library")
IMAGE_LIBRARY_GROUP = _dcm("126200", "Image Library Group")
MODALITY = _dcm("121139", "Modality")
MAGNETIC_RESONANCE = _dcm("MR", "Magnetic Resonance")
SOURCE = _sct("260753009", "Source")
IMAGING_MEASUREMENTS = _dcm("126010", "Imaging Measurements")
MEASUREMENT_GROUP = _dcm("125007", "Measurement Group")
TRACKING_IDENTIFIER = _dcm("112039", "Tracking Identifier")
TRACKING_UID = _dcm("112040", "Tracking Unique Identifier")
FINDING = _dcm("121071", "Finding")
FINDING_SITE = _sct("363698007", "Finding Site")
BRAIN = _sct("12738006", "Brain")
ALGORITHM_NAME = _dcm("111001", "Algorithm Name")
ALGORITHM_VERSION = _dcm("111003", "Algorithm Version")
ALGORITHM_PARAMETERS = _dcm("111002", "Algorithm Parameters")
PROBABILITY = _dcm("122157", "Probability")
STANDARD_DEVIATION = _sct("386136009", "Standard Deviation")
PERCENT = CodedConcept("%", "UCUM", "Percent")
VISUAL_EXPLANATION = _dcm("130401", "Visual explanation")
SALIENCY = _dcm("130404", "Saliency")
SOURCE_OF_MEASUREMENT = _dcm("121112", "Source of Measurement")
COMMENT = _dcm("121106", "Comment")
PROCEDURE_DESCRIPTIONS = _dcm("121064", "Current Procedure Descriptions")  # CID 7001: headings
FINDINGS = _dcm("121070", "Findings")
CONCLUSIONS = _dcm("121076", "Conclusions")
KEY_IMAGES = _dcm("121180", "Key Images")
PROCEDURE_DESCRIPTION = _dcm("121065", "Procedure Description")  # CID 7002: what stands under them
CONCLUSION = _dcm("121077", "Conclusion")
DERIVATION = _dcm("121401", "Derivation")
MEAN = _sct("373098007", "Mean")
SOURCE_IMAGE_FOR_PROCESSING = _dcm("121322", "Source image for image processing operation")
PROCESSING_EQUIPMENT = _dcm("109102", "Processing Equipment")
REJECTED_FOR_QUALITY = _dcm("113001", "Rejected for Quality Reasons")  # CID 7010: titles of Key Object Selections
REJECTED_FOR_SAFETY = _dcm("113037", "Rejected for Patient Safety Reasons")
KEY_OBJECT_DESCRIPTION = _dcm("113012", "Key Object Description")

LIKE_DEMENTIA = _private("LIKE_DEMENTIA", "Changes on MRI that the model associates with dementia")
DECISION_BAND = _private(DECISION_BAND_CODE[0], "Decision band")
PREDICTIVE_ENTROPY = _private("PRED_ENTROPY", "Predictive entropy")
MUTUAL_INFORMATION = _private("MUTUAL_INFO", "Mutual information")
SLICES_USED = _private("SLICES_USED", "Slices used")
OUT_OF_SCOPE = _private("OUT_OF_SCOPE", "Out of scope, not classified")
NATS = CodedConcept("{nat}", "UCUM", "nat")
SLICES = CodedConcept("{slices}", "UCUM", "slices")

BANDS: dict[Band, CodedConcept] = {
    Band.HIGH_LIKELIHOOD: _private("HIGH_LIKELIHOOD", "High likelihood"),
    Band.INDETERMINATE: _private("INDETERMINATE", "Indeterminate"),
    Band.NO_SIGNIFICANT_CHANGES: _private("NO_SIGNIFICANT", "No significant changes"),
    Band.LOW_CONFIDENCE: _private("LOW_CONFIDENCE", "Low confidence"),
    Band.UNLIKE: _private("UNLIKE", "Unlike anything seen"),
}


def scheme_identification() -> Dataset:
    """The item that says whose codes 99NEUROSSL are (PS3.3 C.12.1.1.1)."""
    item = Dataset()
    item.CodingSchemeDesignator = PRIVATE_SCHEME
    item.CodingSchemeName = "NeuroSSL node private terms"
    item.CodingSchemeVersion = "1"
    item.CodingSchemeResponsibleOrganization = "NeuroSSL"
    return item
