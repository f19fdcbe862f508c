"""Secondary captures (PS3.3 A.8.1): uncompressed RGB single frames, which every viewer shows as they are."""

from collections.abc import Sequence

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage
from pydicom.valuerep import format_number_as_ds

from node.report.drawing import Pixels
from node.report.envelope import Envelope, ascii_text, new_object, put_sources
from node.report.identity import da, tm
from node.report.overlay import Plane, direction
from node.report.source import Reference

SERIES = "captures"


def secondary_capture(
    envelope: Envelope,
    pixels: Pixels,
    index: int,
    kind: str,
    description: str,
    sources: Sequence[Reference],
    plane: Plane | None = None,
) -> Dataset:
    """The capture `index` (from 1) of the series of captures; `description` says how the picture was made."""
    target = new_object(envelope, SecondaryCaptureImageStorage, kind, index, SERIES, "OT")
    target.SeriesNumber = envelope.context.settings.series_number
    target.SeriesDescription = envelope.series_description("AI dementia heat maps")
    target.ConversionType = "WSD"
    target.DateOfSecondaryCapture, target.TimeOfSecondaryCapture = da(envelope.at), tm(envelope.at)
    target.BodyPartExamined = "BRAIN"
    target.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    target.DerivationDescription = ascii_text(description, 1024)
    target.BurnedInAnnotation, target.RecognizableVisualFeatures = "NO", "YES"
    if sources:
        put_sources(target, sources)
    _put_plane(envelope, target, plane)
    _put_pixels(target, pixels)
    return target


def _put_plane(envelope: Envelope, target: Dataset, plane: Plane | None) -> None:
    """Image plane and frame of reference (C.7.6.2, C.7.4.1): viewers cross-reference and sort by them."""
    frame_of_reference = envelope.frame_of_reference_uid
    target.PatientOrientation = None
    if plane is None:
        return
    target.PatientOrientation = [direction(np.array(plane.along_row)), direction(np.array(plane.along_column))]
    target.PixelSpacing = [format_number_as_ds(value) for value in plane.pixel_spacing_mm]
    if frame_of_reference:
        target.FrameOfReferenceUID, target.PositionReferenceIndicator = frame_of_reference, ""
        target.ImagePositionPatient = [format_number_as_ds(value) for value in plane.position_mm]
        target.ImageOrientationPatient = [format_number_as_ds(v) for v in (*plane.along_row, *plane.along_column)]
        target.SliceThickness = None


def _put_pixels(target: Dataset, pixels: Pixels) -> None:
    target.Rows, target.Columns = pixels.shape[:2]
    target.SamplesPerPixel, target.PlanarConfiguration, target.PhotometricInterpretation = 3, 0, "RGB"
    target.BitsAllocated, target.BitsStored, target.HighBit, target.PixelRepresentation = 8, 8, 7, 0
    target.LossyImageCompression = "00"
    data = pixels.tobytes()
    target.PixelData = data + b"\0" * (len(data) % 2)
    target["PixelData"].VR = "OB"
