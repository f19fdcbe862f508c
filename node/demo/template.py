"""The default study of the demo: the MNI152 template, which ships inside nilearn, as a T1-weighted series of nobody.

The template (ICBM 2009a, nonlinear, 1 mm) is an average of 152 healthy adults without skull: no face, no patient.
"""

import uuid
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage

from node.errors import ConfigurationError

BRIGHTEST = 1000
NAMESPACE = uuid.UUID("3f1f54d2-6c0e-5a43-9a7a-0f8d2c1b7e55")
SAGITTAL = (0, 1, 0, 0, 0, -1)  # rows of the image run to the back, columns to the feet

HEADERS: dict[str, Any] = {
    "SpecificCharacterSet": "ISO_IR 100",
    "ImageType": ["ORIGINAL", "PRIMARY", "M", "ND"],
    **dict.fromkeys(("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"), "20250314"),
    **dict.fromkeys(("StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime"), "101500"),
    "AccessionNumber": "DEMO",
    "ReferringPhysicianName": "",
    "StudyID": "DEMO",
    "StudyDescription": "Demonstration: MNI152 template",
    "SeriesDescription": "T1 MPRAGE sagittal, made from MNI152",
    "SeriesNumber": 2,
    "AcquisitionNumber": 1,
    "Modality": "MR",
    "Manufacturer": "Nobody",
    "ManufacturerModelName": "no scanner",
    "DeviceSerialNumber": "none",
    "SoftwareVersions": "1",
    "ImageComments": "Made up from the MNI152 template, an average of 152 brains. Not a scan, not a patient.",
    "PatientName": "Made-up^Template",
    "PatientID": "NEUROSSL-DEMO",
    "PatientBirthDate": "",
    "PatientSex": "O",
    "BodyPartExamined": "BRAIN",
    "PatientPosition": "HFS",
    "ScanningSequence": ["GR", "IR"],
    "SequenceVariant": ["SK", "SP", "MP"],
    "ScanOptions": "",
    "MRAcquisitionType": "3D",
    "RepetitionTime": 2300,
    "EchoTime": 2.98,
    "InversionTime": 900,
    "FlipAngle": 9,
    "EchoTrainLength": 1,
    "MagneticFieldStrength": 3,
    "PositionReferenceIndicator": "",
    "ImageOrientationPatient": list(SAGITTAL),
    "PixelSpacing": [1, 1],
    "SliceThickness": 1,
    "SpacingBetweenSlices": 1,
    "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2",
    "BitsAllocated": 16,
    "BitsStored": 12,
    "HighBit": 11,
    "PixelRepresentation": 0,
    "WindowCenter": BRIGHTEST // 2,
    "WindowWidth": BRIGHTEST,
}


def write_template(folder: Path) -> list[Path]:
    """The template as sagittal MR instances, 1 mm apart, in a new folder; the same UIDs each time.

    Raises ConfigurationError when nilearn is not installed.
    """
    planes, corner_mm = _sagittal_planes()
    folder.mkdir(parents=True)
    paths = []
    for index, pixels in enumerate(planes):
        path = folder / f"{index + 1:03}.dcm"
        left_mm = float(corner_mm[0]) - index
        position = [left_mm, float(corner_mm[1]), float(corner_mm[2])]
        _instance(pixels, index, position, len(planes)).save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def _sagittal_planes() -> tuple[NDArray[np.uint16], NDArray[np.float64]]:
    """Planes (D, rows, columns) from left to right, and the LPS position in mm of the first pixel of the first one."""
    try:
        from nilearn.datasets import load_mni152_template
    except ImportError:
        raise ConfigurationError(
            "the default study needs nilearn: install 'neurossl-node[demo]', or give a folder with --study"
        ) from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = load_mni152_template(resolution=1)
    right_front_up = np.asarray(image.dataobj, np.float32)  # indices grow to the right, the front and the head
    scaled = (right_front_up / right_front_up.max() * BRIGHTEST).round().astype(np.uint16)
    last = np.array(scaled.shape) - 1
    far_corner_ras = image.affine @ [0, last[1], last[2], 1]  # leftmost, foremost, topmost
    planes = np.ascontiguousarray(scaled[:, ::-1, ::-1].transpose(0, 2, 1))
    return planes, far_corner_ras[:3] * [-1, -1, 1]


def _instance(pixels: NDArray[np.uint16], index: int, position_mm: list[float], count: int) -> Dataset:
    dataset = Dataset()
    for keyword, value in HEADERS.items():
        setattr(dataset, keyword, value)
    dataset.SOPClassUID = MRImageStorage
    dataset.SOPInstanceUID = _uid(f"instance {index}")
    dataset.StudyInstanceUID = _uid("study")
    dataset.SeriesInstanceUID = _uid("series")
    dataset.FrameOfReferenceUID = _uid("frame of reference")
    dataset.NumberOfStudyRelatedInstances = count
    dataset.InstanceNumber = index + 1
    dataset.ImagePositionPatient = position_mm
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.PixelData = pixels.astype("<u2").tobytes()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = MRImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def _uid(name: str) -> UID:
    return UID(f"2.25.{uuid.uuid5(NAMESPACE, name).int}")
