"""DICOM made for tests: complete, valid MR objects of a made-up head, the same bytes each time.

mr_series()                                    64 sagittal MPRAGE slices, as a scanner would send them
mr_series(plane="axial", SeriesNumber=7)       any header by its keyword; `ABSENT` leaves it out
mr_series(ImageComments=lambda i: f"slice {i}")   a function gets the slice's index
enhanced_mr()                                  the same head as one multi-frame Enhanced MR object
write(mr_series(), folder)                     Part 10 files, in any transfer syntax
"""

import uuid
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydicom import config as pydicom_config
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, EnhancedMRImageStorage, ExplicitVRLittleEndian, MRImageStorage
from pydicom.valuerep import format_number_as_ds

from tests import enhanced, phantom

Plane = Literal["sagittal", "axial", "coronal"]
Affine = NDArray[np.float64]
ABSENT: Any = object()

ORIENTATIONS: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "sagittal": (0, 1, 0, 0, 0, -1),
        "axial": (1, 0, 0, 0, 1, 0),
        "coronal": (1, 0, 0, 0, 0, -1),
    }
)

PATIENT: Mapping[str, Any] = MappingProxyType(
    {
        "PatientName": "Muster^Erika",
        "PatientID": "TEST-0001",
        "PatientBirthDate": "19480312",
        "PatientSex": "F",
        "PatientAge": "077Y",
    }
)

T1_MPRAGE: Mapping[str, Any] = MappingProxyType(
    {
        "ScanningSequence": ["GR", "IR"],
        "SequenceVariant": ["SK", "SP", "MP"],
        "ScanOptions": "",
        "MRAcquisitionType": "3D",
        "SequenceName": "*tfl3d1_16ns",
        "RepetitionTime": 2300,
        "EchoTime": 2.98,
        "InversionTime": 900,
        "EchoTrainLength": 1,
        "FlipAngle": 9,
        "MagneticFieldStrength": 3,
        "ImagingFrequency": 123.25,
        "ImagedNucleus": "1H",
        "NumberOfAverages": 1,
        "EchoNumbers": 1,
        "PixelBandwidth": 240,
        "ProtocolName": "t1_mprage_sag_p2_iso",
    }
)


def uid(*parts: object) -> UID:
    """A UID that depends on nothing but its parts.

    >>> uid("study", 1) == uid("study", 1) != uid("study", 2)
    True
    """
    return UID(f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, chr(31).join(map(str, parts))).int}")


def grid(orientation: Sequence[float], shape: tuple[int, int, int], spacing_mm: Sequence[float]) -> Affine:
    """(4, 4) from (d, h, w, 1) to LPS mm of a stack of `shape` = (slices, rows, columns) whose middle is the origin.

    `orientation` is ImageOrientationPatient; `spacing_mm` lies between slices, rows and columns. Slices run along the
    cross product of row and column direction (PS3.3 C.7.6.2.1.1).
    """
    along_row, along_column = np.array(orientation[:3], float), np.array(orientation[3:], float)
    matrix = np.eye(4)
    matrix[:3, :3] = np.column_stack([np.cross(along_row, along_column), along_column, along_row]) * spacing_mm
    matrix[:3, 3] = -matrix[:3, :3] @ ((np.array(shape) - 1) / 2)
    return matrix


def head_phantom(
    shape: tuple[int, int, int] = (64, 128, 128),
    spacing_mm: Sequence[float] = (2.5, 2.0, 2.0),
    *,
    plane: Plane = "sagittal",
    orientation: Sequence[float] | None = None,
    seed: int = 0,
) -> tuple[NDArray[np.uint16], Affine]:
    """A T1-weighted head: voxels `shape` uint16 (read-only) and the affine from (d, h, w, 1) to LPS mm."""
    affine = grid(orientation or ORIENTATIONS[plane], shape, spacing_mm)
    return phantom.sampled(shape, tuple(affine.ravel().tolist()), seed), affine


def mr_series(
    folder: Path | None = None,
    *,
    plane: Plane = "sagittal",
    orientation: Sequence[float] | None = None,
    slices: int = 64,
    rows: int = 128,
    columns: int = 128,
    spacing_mm: Sequence[float] = (2.5, 2.0, 2.0),
    study_uid: str | None = None,
    series_uid: str | None = None,
    patient: Mapping[str, Any] = PATIENT,
    description: str = "T1 MPRAGE",
    voxels: NDArray[np.integer[Any]] | None = None,
    seed: int = 0,
    **overrides: Any,
) -> list[Dataset]:
    """The slices of one MR series, in order along their normal; written to `folder` when one is given.

    `voxels` (slices, rows, columns) of 16 bit integers replace the head; a signed type makes signed pixels.
    """
    shape = (slices, rows, columns) if voxels is None else voxels.shape
    study = UID(study_uid) if study_uid else uid("study", patient.get("PatientID"))
    series = UID(series_uid) if series_uid else uid(study, "series", plane, orientation, shape, description)
    directions = tuple(orientation or ORIENTATIONS[plane])
    affine = grid(directions, shape, spacing_mm)
    pixels = head_phantom(shape, spacing_mm, orientation=directions, seed=seed)[0] if voxels is None else voxels
    datasets = []
    for index, plane_pixels in enumerate(pixels):
        dataset = _common(MRImageStorage, study, series, uid(series, index), patient, description)
        dataset.update(_image(plane_pixels))
        _set(dataset, T1_MPRAGE)
        _set(dataset, _place(affine, directions, spacing_mm, index))
        _override(dataset, overrides, index)
        datasets.append(dataset)
    if folder is not None:
        write(datasets, folder)
    return datasets


def enhanced_mr(
    folder: Path | None = None,
    *,
    plane: Plane = "sagittal",
    slices: int = 64,
    rows: int = 128,
    columns: int = 128,
    spacing_mm: Sequence[float] = (2.5, 2.0, 2.0),
    study_uid: str | None = None,
    patient: Mapping[str, Any] = PATIENT,
    description: str = "T1 MPRAGE",
    **overrides: Any,
) -> Dataset:
    """The head as one multi-frame Enhanced MR object; written to `folder` when one is given."""
    shape = (slices, rows, columns)
    study = UID(study_uid) if study_uid else uid("study", patient.get("PatientID"))
    series = uid(study, "enhanced", plane, shape, description)
    pixels, affine = head_phantom(shape, spacing_mm, plane=plane)
    dataset = _common(EnhancedMRImageStorage, study, series, uid(series, "object"), patient, description)
    dataset.update(_image(pixels))
    enhanced.fill(dataset, affine, ORIENTATIONS[plane], spacing_mm, uid(series, "dimensions"))
    _override(dataset, overrides, 0)
    if folder is not None:
        write([dataset], folder)
    return dataset


def write(
    datasets: Sequence[Dataset], folder: Path, *, transfer_syntax: UID | str = ExplicitVRLittleEndian
) -> list[Path]:
    """Part 10 files named 00001.dcm, 00002.dcm, … in `folder`, which is made; compressed syntaxes compress."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, dataset in enumerate(datasets, 1):
        path = folder / f"{number:05}.dcm"
        encoded(dataset, transfer_syntax).save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def encoded(dataset: Dataset, transfer_syntax: UID | str = ExplicitVRLittleEndian) -> Dataset:
    """A copy of the dataset with file meta information for this transfer syntax; compressed syntaxes compress it."""
    syntax = UID(transfer_syntax)
    copy = deepcopy(dataset)
    copy.file_meta = FileMetaDataset()
    copy.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian if syntax.is_compressed else syntax
    copy.file_meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", MRImageStorage)
    copy.file_meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", uid("none"))
    if syntax.is_compressed:
        copy.compress(syntax, generate_instance_uid=False)
    elif not syntax.is_little_endian:
        copy.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
    return copy


def _common(
    sop_class: UID, study: UID, series: UID, instance: UID, patient: Mapping[str, Any], description: str
) -> Dataset:
    dataset = Dataset()
    _set(
        dataset,
        {
            "SpecificCharacterSet": "ISO_IR 100",
            "SOPClassUID": sop_class,
            "SOPInstanceUID": instance,
            "StudyInstanceUID": study,
            "SeriesInstanceUID": series,
            "FrameOfReferenceUID": uid(study, "frame of reference"),
            "PositionReferenceIndicator": "",
            "ImageType": ["ORIGINAL", "PRIMARY", "M", "ND"],
            **dict.fromkeys(("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"), "20250314"),
            **dict.fromkeys(("StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime"), "093000"),
            "AccessionNumber": "A2025-0314",
            "StudyID": "S1",
            "StudyDescription": "MRI brain",
            "SeriesDescription": description,
            "SeriesNumber": 2,
            "AcquisitionNumber": 1,
            "InstanceNumber": 1,
            "Modality": "MR",
            "Manufacturer": "Made-up Scanners",
            "ManufacturerModelName": "Phantom 3T",
            "DeviceSerialNumber": "0000",
            "SoftwareVersions": "1",
            "InstitutionName": "Test hospital",
            "StationName": "MR1",
            "ReferringPhysicianName": "Beispiel^Arzt",
            "BodyPartExamined": "BRAIN",
            "PatientPosition": "HFS",
            **patient,
        },
    )
    return dataset


def _image(pixels: NDArray[np.integer[Any]]) -> Dataset:
    signed = bool(np.issubdtype(pixels.dtype, np.signedinteger))
    stored = 16 if signed or int(pixels.max()) > 4095 else 12
    dataset = Dataset()
    _set(
        dataset,
        {
            "SamplesPerPixel": 1,
            "PhotometricInterpretation": "MONOCHROME2",
            "Rows": pixels.shape[-2],
            "Columns": pixels.shape[-1],
            "BitsAllocated": 16,
            "BitsStored": stored,
            "HighBit": stored - 1,
            "PixelRepresentation": int(signed),
            "WindowCenter": 500,
            "WindowWidth": 1000,
        },
    )
    dataset.PixelData = np.ascontiguousarray(pixels, "<i2" if signed else "<u2").tobytes()
    dataset["PixelData"].VR = "OW"
    return dataset


def _place(affine: Affine, directions: Sequence[float], spacing_mm: Sequence[float], index: int) -> dict[str, Any]:
    corner = affine @ [index, 0, 0, 1]
    return {
        "ImagePositionPatient": [_ds(value) for value in corner[:3]],
        "ImageOrientationPatient": [_ds(value) for value in directions],
        "PixelSpacing": [_ds(spacing_mm[1]), _ds(spacing_mm[2])],
        "SliceThickness": _ds(spacing_mm[0]),
        "SpacingBetweenSlices": _ds(spacing_mm[0]),
        "SliceLocation": _ds(float(corner[:3] @ np.cross(directions[:3], directions[3:]))),
        "InstanceNumber": index + 1,
    }


def _ds(value: float) -> str:
    return format_number_as_ds(float(value) + 0.0)


def _set(dataset: Dataset, values: Mapping[str, Any]) -> None:
    for keyword, value in values.items():
        setattr(dataset, keyword, value)


def _override(dataset: Dataset, overrides: Mapping[str, Any], index: int) -> None:
    """Set what a test asks for; values that the standard forbids are what some tests are about."""
    with pydicom_config.disable_value_validation():
        for keyword, value in overrides.items():
            if tag_for_keyword(keyword) is None:
                raise TypeError(f"{keyword} is no keyword of the data dictionary")
            chosen = value(index) if callable(value) and not isinstance(value, type) else value
            if chosen is ABSENT:
                dataset.pop(keyword, None)
            else:
                setattr(dataset, keyword, chosen)
