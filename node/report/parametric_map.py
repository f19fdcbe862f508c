"""The raw attention rollout of every slice as a Parametric Map (PS3.3 A.75): numbers for research, not a picture.

14 x 14 float values a slice, scaled to 0-1 within it, each as large as the patch of the image it stands for. highdicom
builds the functional groups; identity, UIDs and times are those of every other result.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from highdicom import PixelMeasuresSequence, PlaneOrientationSequence, PlanePositionSequence, VOILUTTransformation
from highdicom.pm import ParametricMap, RealWorldValueMapping
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as public
from pydicom.uid import UID, MRImageStorage, ParametricMapStorage

from model.types import Prediction, SlicePrediction
from node.report import codes
from node.report.envelope import Envelope, new_object, put_sources
from node.report.overlay import of_planes
from node.report.source import TYPE_2, Reference, encoded

KIND = "parametric_map"
SERIES_NUMBER = 4  # added to the configured number


def parametric_maps(envelope: Envelope, prediction: Prediction, images: Sequence[Reference]) -> list[Dataset]:
    """The map of each plane of a prediction from these images, since the frames of one lie in parallel.

    Empty where the slices have no place in the patient, or the source no frame of reference.
    """
    if not envelope.frame_of_reference_uid or any(each.slice.affine_mm is None for each in prediction.slices):
        return []
    planes = of_planes(prediction.slices).values()
    return [
        _map(envelope, number, [prediction.slices[index] for index in own], images)
        for number, own in enumerate(planes, 1)
    ]


def _map(envelope: Envelope, number: int, items: Sequence[SlicePrediction], images: Sequence[Reference]) -> Dataset:
    placed = [each.slice.affine_mm for each in items if each.slice.affine_mm is not None]
    rollout = np.stack([item.rollout for item in items]).astype(np.float32)
    pixels = items[0].slice.pixels.shape
    target = _functional_groups(envelope, rollout, [_patches(p, pixels, rollout.shape[1:]) for p in placed])
    common = new_object(envelope, ParametricMapStorage, KIND, number, KIND, "OT")
    for element in common.elements():
        target[element.tag] = element
    put_sources(target, images)  # every image of the series went into every slice
    target.FrameOfReferenceUID = envelope.frame_of_reference_uid
    target.SeriesNumber = envelope.context.settings.series_number + SERIES_NUMBER
    target.SeriesDescription = envelope.series_description("AI dementia attention rollout")
    target.BodyPartExamined = "BRAIN"
    dimensions = envelope.uid(KIND, "dimensions" if number == 1 else f"dimensions {number}")
    for item in (*target.DimensionOrganizationSequence, *target.DimensionIndexSequence):
        item.DimensionOrganizationUID = dimensions
    return target


def _patches(plane: NDArray[np.float64], pixels: Sequence[int], patches: Sequence[int]) -> NDArray[np.float64]:
    """(4, 4) from (patch row, patch column, 0, 1) to LPS mm, of a slice whose pixels lie at `plane`."""
    rows, columns = pixels[0] / patches[0], pixels[1] / patches[1]
    grid = np.diag([rows, columns, 1.0, 1.0])
    grid[:2, 3] = (rows - 1) / 2, (columns - 1) / 2
    return np.asarray(plane @ grid)


def _functional_groups(
    envelope: Envelope, rollout: NDArray[np.float32], planes: Sequence[NDArray[np.float64]]
) -> Dataset:
    down, along = planes[0][:3, 0], planes[0][:3, 1]
    spacing = float(np.linalg.norm(down)), float(np.linalg.norm(along))
    orientation = [*(along / spacing[1]), *(down / spacing[0])]
    between = float(np.linalg.norm(planes[1][:3, 3] - planes[0][:3, 3])) if len(planes) > 1 else 1.0
    settings = envelope.context.settings
    arguments: dict[str, Any] = {
        "source_images": [_shadow(envelope)],
        "pixel_array": rollout,
        "series_instance_uid": envelope.uid("series", KIND),
        "series_number": 1,
        "sop_instance_uid": envelope.uid(KIND, "1"),
        "instance_number": 1,
        "manufacturer": settings.manufacturer,
        "manufacturer_model_name": "-",
        "software_versions": "-",
        "device_serial_number": "-",
        "contains_recognizable_visual_features": False,
        "real_world_value_mappings": [
            RealWorldValueMapping(
                lut_label="rollout",
                lut_explanation="Attention rollout, 0-1 within the slice",
                unit=public.UCUM.NoUnits,
                value_range=(0.0, 1.0),
                slope=1.0,
                intercept=0.0,
                quantity_definition=codes.SALIENCY,
            )
        ],
        "voi_lut_transformations": [VOILUTTransformation(window_center=0.5, window_width=1.0)],
        "content_label": "ROLLOUT",
        "content_description": "Attention rollout, research use only",
        "pixel_measures": PixelMeasuresSequence(spacing, between, between),
        "plane_orientation": PlaneOrientationSequence("PATIENT", orientation),
        "plane_positions": [PlanePositionSequence("PATIENT", plane[:3, 3].tolist()) for plane in planes],
    }
    return ParametricMap(**arguments)


def _shadow(envelope: Envelope) -> Dataset:
    """What highdicom wants to know of a source image: a plain MR one, without the values that it would refuse."""
    reference = envelope.source.references[encoded(envelope.header, "SOPInstanceUID").decode()]
    shadow = Dataset()
    shadow.StudyInstanceUID = envelope.source.study_instance_uid
    shadow.SeriesInstanceUID = reference.series_instance_uid
    shadow.SOPClassUID, shadow.SOPInstanceUID = MRImageStorage, UID(reference.sop_instance_uid)
    shadow.FrameOfReferenceUID = envelope.frame_of_reference_uid
    shadow.Rows = shadow.Columns = 1
    shadow.Modality, shadow.ImageOrientationPatient = "MR", [1, 0, 0, 0, 1, 0]
    shadow.ImagePositionPatient, shadow.PixelSpacing, shadow.SliceThickness = [0, 0, 0], [1, 1], 1
    for keyword in (*TYPE_2, "PositionReferenceIndicator"):
        setattr(shadow, keyword, None)
    return shadow
