"""A made-up head as one Enhanced MR object (PS3.3 A.36.2): frames in functional groups, complete and valid."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedMRImageStorage

FRAME_TYPE = ["ORIGINAL", "PRIMARY", "T1", "NONE"]
NATURE = {
    "PixelPresentation": "MONOCHROME",
    "VolumetricProperties": "VOLUME",
    "VolumeBasedCalculationTechnique": "NONE",
    "ComplexImageComponent": "MAGNITUDE",
    "AcquisitionContrast": "T1",
}
PULSE_SEQUENCE = {
    "PulseSequenceName": "*tfl3d1",
    "MRAcquisitionType": "3D",
    "EchoPulseSequence": "GRADIENT",
    "MultiPlanarExcitation": "NO",
    "PhaseContrast": "NO",
    "TimeOfFlightContrast": "NO",
    "SteadyStatePulseSequence": "NONE",
    "EchoPlanarPulseSequence": "NO",
    "SaturationRecovery": "NO",
    "SpectrallySelectedSuppression": "NONE",
    "OversamplingPhase": "NONE",
    "GeometryOfKSpaceTraversal": "RECTILINEAR",
    "SegmentedKSpaceTraversal": "SINGLE",
    "RectilinearPhaseEncodeReordering": "LINEAR",
    "CoverageOfKSpace": "FULL",
    "NumberOfKSpaceTrajectories": 1,
}
ACQUISITION = {
    "ContentQualification": "RESEARCH",
    "ResonantNucleus": "1H",
    "KSpaceFiltering": "NONE",
    "MagneticFieldStrength": 3.0,
    "ApplicableSafetyStandardAgency": "IEC",
    "AcquisitionNumber": 1,
    "AcquisitionDateTime": "20250314093000",
    "AcquisitionDuration": 300.0,
    "BurnedInAnnotation": "NO",
    "LossyImageCompression": "00",
    "PresentationLUTShape": "IDENTITY",
    "PatientPosition": "HFS",
}


def group(**values: Any) -> Dataset:
    """A dataset with these elements."""
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def code(value: str, scheme: str, meaning: str) -> list[Dataset]:
    """A code sequence of one item."""
    return [group(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)]


def shared_groups(directions: Sequence[float], spacing_mm: Sequence[float]) -> Dataset:
    """Functional groups that are the same for all frames: a T1-weighted gradient echo."""
    return group(
        PixelMeasuresSequence=[
            group(
                SliceThickness=spacing_mm[0],
                SpacingBetweenSlices=spacing_mm[0],
                PixelSpacing=[spacing_mm[1], spacing_mm[2]],
            )
        ],
        PlaneOrientationSequence=[group(ImageOrientationPatient=list(directions))],
        FrameAnatomySequence=[
            group(FrameLaterality="U", AnatomicRegionSequence=code("12738006", "SCT", "Brain")),
        ],
        PixelValueTransformationSequence=[group(RescaleIntercept=0, RescaleSlope=1, RescaleType="US")],
        FrameVOILUTSequence=[group(WindowCenter=500, WindowWidth=1000)],
        MRImageFrameTypeSequence=[group(FrameType=FRAME_TYPE, **NATURE)],
        MRTimingAndRelatedParametersSequence=[
            group(
                RepetitionTime=2300.0,
                FlipAngle=9.0,
                EchoTrainLength=1,
                RFEchoTrainLength=0,
                GradientEchoTrainLength=1,
                SpecificAbsorptionRateSequence=[
                    group(SpecificAbsorptionRateDefinition="IEC_HEAD", SpecificAbsorptionRateValue=0.1)
                ],
                GradientOutputType="DB_DT",
                GradientOutput=10.0,
                OperatingModeSequence=[group(OperatingModeType="STATIC FIELD", OperatingMode="IEC_NORMAL")],
            )
        ],
        MRFOVGeometrySequence=[
            group(
                InPlanePhaseEncodingDirection="ROW",
                MRAcquisitionFrequencyEncodingSteps=128,
                MRAcquisitionPhaseEncodingStepsInPlane=128,
                MRAcquisitionPhaseEncodingStepsOutOfPlane=64,
                PercentSampling=100.0,
                PercentPhaseFieldOfView=100.0,
            )
        ],
        MREchoSequence=[group(EffectiveEchoTime=2.98)],
        MRModifierSequence=[
            group(
                InversionRecovery="YES",
                InversionTimes=900.0,
                FlowCompensation="NONE",
                Spoiling="RF",
                T2Preparation="NO",
                SpectrallySelectedExcitation="NONE",
                SpatialPresaturation="NONE",
                PartialFourier="NO",
                ParallelAcquisition="NO",
            )
        ],
        MRImagingModifierSequence=[
            group(
                MagnetizationTransfer="NONE",
                BloodSignalNulling="NO",
                Tagging="NONE",
                TransmitterFrequency=123.25,
                PixelBandwidth=240.0,
            )
        ],
        MRReceiveCoilSequence=[
            group(
                ReceiveCoilName="HEAD",
                ReceiveCoilManufacturerName="Made-up Scanners",
                ReceiveCoilType="VOLUME",
                QuadratureReceiveCoil="YES",
            )
        ],
        MRTransmitCoilSequence=[
            group(TransmitCoilName="BODY", TransmitCoilManufacturerName="Made-up Scanners", TransmitCoilType="BODY")
        ],
        MRAveragesSequence=[group(NumberOfAverages=1.0)],
    )


def frame_groups(position: Sequence[float], index: int) -> Dataset:
    """Functional groups of one frame: where it lies and when it was acquired."""
    return group(
        FrameContentSequence=[
            group(
                FrameAcquisitionNumber=1,
                FrameReferenceDateTime="20250314093000",
                FrameAcquisitionDateTime="20250314093000",
                FrameAcquisitionDuration=300000.0,
                StackID="1",
                InStackPositionNumber=index + 1,
                DimensionIndexValues=[1, index + 1],
            )
        ],
        PlanePositionSequence=[group(ImagePositionPatient=[f"{value:.6g}" for value in position])],
    )


def dimensions(organization_uid: str) -> Mapping[str, Any]:
    """Frames are ordered by stack and by position in the stack (PS3.3 C.7.6.17)."""
    pointers = [
        group(
            DimensionOrganizationUID=organization_uid,
            DimensionIndexPointer=pointer,
            FunctionalGroupPointer=0x00209111,
            DimensionDescriptionLabel=label,
        )
        for pointer, label in ((0x00209056, "Stack ID"), (0x00209057, "Position in stack"))
    ]
    return {
        "DimensionOrganizationSequence": [group(DimensionOrganizationUID=organization_uid)],
        "DimensionIndexSequence": pointers,
    }


def fill(
    dataset: Dataset,
    affine: NDArray[np.float64],
    directions: Sequence[float],
    spacing_mm: Sequence[float],
    organization_uid: str,
) -> None:
    """Everything that makes an Enhanced MR object of a dataset with the common headers and the pixels."""
    dataset.SOPClassUID = EnhancedMRImageStorage
    dataset.ImageType = FRAME_TYPE
    frames = len(dataset.PixelData) // (2 * dataset.Rows * dataset.Columns)
    dataset.NumberOfFrames = frames
    for keyword in ("AcquisitionDate", "AcquisitionTime", "WindowCenter", "WindowWidth"):
        del dataset[keyword]
    for keyword, value in {**NATURE, **PULSE_SEQUENCE, **ACQUISITION, **dimensions(organization_uid)}.items():
        setattr(dataset, keyword, value)
    dataset.AcquisitionContextSequence = []
    dataset.SharedFunctionalGroupsSequence = [shared_groups(directions, spacing_mm)]
    corners = (affine @ [index, 0, 0, 1] for index in range(frames))
    dataset.PerFrameFunctionalGroupsSequence = [
        frame_groups(corner[:3].tolist(), index) for index, corner in enumerate(corners)
    ]
