"""Which presentation contexts the listener accepts, and why these (PS3.8 annex B, PS3.4 annex B).

A PACS that sends a whole MR study must get through without an error, so `study` takes what travels with one; what is
not read by the model is stored, and skipped with a reason. Of the transfer syntaxes that a peer proposes, the first
that we can decode is taken, so that it sends what it has and does not convert. Deflated is never taken: 600 KB of it
can inflate to a gigabyte, and no MR needs it. Private SOP classes are refused (result 3).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pynetdicom import AllStoragePresentationContexts, sop_class

from node.dicom.syntaxes import IMPLICIT, TRANSFER_SYNTAXES, UNCOMPRESSED

VERIFICATION = "1.2.840.10008.1.1"  # PS3.4 A.4
STORAGE_COMMITMENT = "1.2.840.10008.1.20.1"  # PS3.4 J.3.5, push model
STORAGE_COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"  # its well-known instance
STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"  # PS3.4 C.6.2
STUDY_ROOT_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
STUDY_ROOT_GET = "1.2.840.10008.5.1.4.1.2.2.3"

MR = (
    "MRImageStorage",
    "EnhancedMRImageStorage",
    "EnhancedMRColorImageStorage",
    "LegacyConvertedEnhancedMRImageStorage",
)
TRAVELS_WITH_MR = (
    "MRSpectroscopyStorage",
    "SecondaryCaptureImageStorage",
    "MultiFrameSingleBitSecondaryCaptureImageStorage",
    "MultiFrameGrayscaleByteSecondaryCaptureImageStorage",
    "MultiFrameGrayscaleWordSecondaryCaptureImageStorage",
    "MultiFrameTrueColorSecondaryCaptureImageStorage",
    "BasicTextSRStorage",
    "EnhancedSRStorage",
    "ComprehensiveSRStorage",
    "Comprehensive3DSRStorage",
    "ExtensibleSRStorage",
    "AcquisitionContextSRStorage",
    "ProcedureLogStorage",
    "KeyObjectSelectionDocumentStorage",
    "GrayscaleSoftcopyPresentationStateStorage",
    "ColorSoftcopyPresentationStateStorage",
    "PseudoColorSoftcopyPresentationStageStorage",
    "BlendingSoftcopyPresentationStateStorage",
    "AdvancedBlendingPresentationStateStorage",
    "GrayscalePlanarMPRVolumetricPresentationStateStorage",
    "CompositingPlanarMPRVolumetricPresentationStateStorage",
    "VolumeRenderingVolumetricPresentationStateStorage",
    "SegmentedVolumeRenderingVolumetricPresentationStateStorage",
    "MultipleVolumeRenderingVolumetricPresentationStateStorage",
    "RawDataStorage",
    "SpatialRegistrationStorage",
    "SpatialFiducialsStorage",
    "DeformableSpatialRegistrationStorage",
    "SegmentationStorage",
    "SurfaceSegmentationStorage",
    "LabelMapSegmentationStorage",
    "TractographyResultsStorage",
    "RealWorldValueMappingStorage",
    "ParametricMapStorage",
    "EncapsulatedPDFStorage",
    "EncapsulatedCDAStorage",
)

Accept = Literal["study", "mr", "all"]


def storage_classes(accept: Accept) -> frozenset[str]:
    """The Storage SOP classes of this setting."""
    if accept == "all":
        return frozenset(str(context.abstract_syntax) for context in AllStoragePresentationContexts)
    keywords = MR if accept == "mr" else MR + TRAVELS_WITH_MR
    return frozenset(str(getattr(sop_class, keyword)) for keyword in keywords)


@dataclass(frozen=True, slots=True)
class Proposed:
    """A presentation context as the requestor proposes it."""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Context:
    """A presentation context as the acceptor answered it; result 0 is acceptance (PS3.8 table 9-18)."""

    context_id: int
    abstract_syntax: str
    transfer_syntax: str
    result: int = 0


def negotiate(proposed: Iterable[Proposed], storage: frozenset[str], others: frozenset[str]) -> Sequence[Context]:
    """Our answer to each proposed context; `others` are the classes without objects (verification, commitment).

    >>> negotiate([Proposed(1, VERIFICATION, (IMPLICIT,))], frozenset(), frozenset({VERIFICATION}))[0].result
    0
    """
    return [_answer(each, storage, others) for each in proposed]


def _answer(proposed: Proposed, storage: frozenset[str], others: frozenset[str]) -> Context:
    first = proposed.transfer_syntaxes[0] if proposed.transfer_syntaxes else IMPLICIT
    if proposed.abstract_syntax in storage:
        known: Iterable[str] = TRANSFER_SYNTAXES
    elif proposed.abstract_syntax in others:
        known = UNCOMPRESSED
    else:
        return Context(proposed.context_id, proposed.abstract_syntax, first, result=3)  # abstract syntax not supported
    for syntax in proposed.transfer_syntaxes:
        if syntax in known:
            return Context(proposed.context_id, proposed.abstract_syntax, syntax)
    return Context(proposed.context_id, proposed.abstract_syntax, first, result=4)  # transfer syntaxes not supported


def negotiate_roles(proposed: Mapping[str, tuple[bool, bool]], storage: frozenset[str]) -> dict[str, tuple[bool, bool]]:
    """Our answer to the SCU and SCP roles that the requestor asks for, by SOP class (PS3.7 D.3.3.4).

    We are SCP of storage and verification only. Of storage commitment both roles are the requestor's to choose: a PACS
    that brings a report takes the SCP role on an association of its own.
    """
    return {
        class_uid: (scu, scp and class_uid == STORAGE_COMMITMENT)
        for class_uid, (scu, scp) in proposed.items()
        if class_uid in storage or class_uid in (VERIFICATION, STORAGE_COMMITMENT)
    }
