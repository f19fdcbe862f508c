"""T1 weighting is decided by acquisition parameters, as scanners of many vendors write them."""

from typing import Any

import pytest
from pydicom.dataset import Dataset

from node.dicom.acquisition import acquisition
from node.series.reasons import Reason
from node.series.weighting import Weighting, weighting


def header(**elements: Any) -> Dataset:
    found = Dataset()
    for keyword, value in {"ImageType": ["ORIGINAL", "PRIMARY"], **elements}.items():
        setattr(found, keyword, value)
    return found


def mr(sequence: str, variant: str, tr: float, te: float, **more: Any) -> Dataset:
    """A header with ScanningSequence, SequenceVariant, RepetitionTime and EchoTime; "ti", "fa" and "dim" for short."""
    short = {"ti": "InversionTime", "fa": "FlipAngle", "dim": "MRAcquisitionType"}
    elements = {short.get(name, name): value for name, value in {"dim": "3D", **more}.items()}
    return header(
        ScanningSequence=sequence.split(), SequenceVariant=variant.split(), RepetitionTime=tr, EchoTime=te, **elements
    )


def judged(made: Dataset) -> Weighting:
    return weighting(acquisition(made))


T1_WEIGHTED = {
    "Siemens MPRAGE": mr("GR IR", "SK SP MP", 2300, 2.98, ti=900, fa=9),
    "Siemens MPRAGE of ADNI-3": mr("GR IR", "SK SP MP", 3000, 3.5, ti=1000, fa=8),
    "Siemens MPRAGE at 7 T": mr("GR IR", "SK SP MP", 3000, 2.5, ti=1100, fa=6),
    "Siemens FLASH": mr("GR", "SP", 11, 4.9, fa=15),
    "Siemens VIBE": mr("GR", "SP OSP", 4.5, 1.9, fa=12),
    "GE BRAVO": mr("GR", "SS SP SK", 8.2, 3.2, ti=450, fa=12),
    "GE BRAVO as research mode": mr("RM", "NONE", 8.2, 3.2, ti=450, fa=12),
    "GE IR-FSPGR": mr("GR IR", "SP", 7, 3, ti=400, fa=11),
    "Philips MPRAGE, TR between echoes and no TI": mr("GR", "MP", 6.5, 2.93, fa=9),
    "Philips T1 TFE": mr("GR", "MP", 9.9, 4.6, fa=8),
    "Philips FFE": mr("GR", "SP", 25, 4.6, fa=30),
    "Canon FFE3D MPRAGE": mr("GR IR", "NONE", 6.7, 2.7, ti=900, fa=9),
    "OASIS MPRAGE": mr("GR", "SP MP", 9.7, 4.0, ti=20, fa=10),
    "spin echo": mr("SE", "NONE", 500, 12, fa=90, dim="2D"),
    "turbo spin echo": mr("SE", "SK", 650, 9.1, fa=150, dim="2D"),
    "SPACE": mr("SE", "SK SP OSP", 700, 11, fa=120),
    "T1 FLAIR": mr("SE IR", "SK", 2500, 24, ti=860, fa=111, dim="2D"),
    "2D FLASH": mr("GR", "SP OSP", 300, 2.46, fa=80, dim="2D"),
    "Philips, b-value of zero in every header": mr("GR", "MP", 6.5, 2.93, fa=9, DiffusionBValue=0.0),
    "misleading description": mr("GR IR", "SK SP MP", 2300, 2.98, ti=900, fa=9, SeriesDescription="T2 FLAIR localizer"),
    "contrast agent denied": mr("GR IR", "MP", 2300, 2.98, ti=900, ContrastBolusAgent="NO CONTRAST"),
    "described as before contrast": mr("GR", "SP", 11, 4.9, fa=15, SeriesDescription="T1 vibe pre contrast"),
}

OTHER_CONTRASTS = {
    "T2 TSE": mr("SE", "SK", 5000, 100, fa=150, dim="2D"),
    "T2 SPACE": mr("SE", "SK SP OSP", 3200, 408, fa=120),
    "proton density": mr("SE", "SK", 2300, 22, fa=90, dim="2D"),
    "FLAIR": mr("SE IR", "SK", 9000, 120, ti=2500, fa=150, dim="2D"),
    "3D FLAIR": mr("SE IR", "SK SP OSP", 5000, 388, ti=1800, fa=120),
    "STIR": mr("SE IR", "SK", 3500, 35, ti=165, fa=150, dim="2D"),
    "DIR": mr("SE IR", "SK", 7500, 30, ti=3000, fa=150),
    "DWI": mr("SE EP", "NONE", 6000, 90, fa=90, dim="2D"),
    "DWI that is not echo planar": mr("SE", "SK", 800, 30, fa=90, dim="2D", DiffusionBValue=1000.0),
    "fMRI": mr("EP GR", "SK", 2000, 30, fa=80, dim="2D"),
    "SWI": mr("GR", "SP", 28, 20, fa=15),
    "T2* gradient echo": mr("GR", "SP", 650, 20, fa=20, dim="2D"),
    "TOF with flag": mr("GR", "SP", 21, 3.4, fa=18, AngioFlag="Y"),
    "TOF by its description": mr("GR", "SP OSP", 21, 3.4, fa=18, SeriesDescription="TOF_3D_multi-slab"),
    "field map": mr("GR", "SP", 488, 4.92, fa=60, dim="2D", SeriesDescription="gre_field_mapping"),
    "proton density of a parameter mapping": mr("GR", "SP", 24, 2.3, fa=6),
    "TrueFISP": mr("GR", "SS", 5, 2.2, fa=50),
    "CISS with spoiling variant": mr("GR", "SS SP OSP", 8, 3.6, fa=50),
    "first inversion of MP2RAGE": mr("GR IR", "SK SP MP", 5000, 2.98, ti=700, fa=4),
    "second inversion of MP2RAGE": mr("GR IR", "SK SP MP", 3500, 2.98, ti=2500, fa=5),
    "ASL map": mr("GR", "SP", 25, 4, fa=30, ImageType=["ORIGINAL", "PRIMARY", "ASL", "NONE"]),
    "misleading description": mr("SE", "SK", 5000, 100, fa=150, dim="2D", SeriesDescription="T1 MPRAGE"),
}


@pytest.mark.parametrize("name", T1_WEIGHTED)
def test_is_t1_weighted(name: str) -> None:
    verdict = judged(T1_WEIGHTED[name])
    assert verdict.reason is Reason.ELIGIBLE, verdict
    assert verdict.score > 0


@pytest.mark.parametrize("name", OTHER_CONTRASTS)
def test_is_not_t1_weighted(name: str) -> None:
    verdict = judged(OTHER_CONTRASTS[name])
    assert verdict.reason is Reason.NOT_T1_WEIGHTED, verdict
    assert verdict.score == 0
    assert "TR" in verdict.detail or "description" in verdict.detail


def test_inversion_prepared_3d_suits_best_and_2d_less_than_3d() -> None:
    order = ["Siemens MPRAGE", "Siemens FLASH", "SPACE", "spin echo", "T1 FLAIR"]
    scores = [judged(T1_WEIGHTED[name]).score for name in order]
    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == len(scores)


@pytest.mark.parametrize(
    "more",
    [
        {"ImageType": ["ORIGINAL", "PRIMARY", "P", "ND"]},
        {"ImageType": ["ORIGINAL", "PRIMARY", "PHASE MAP", "P", "FFE"]},
        {"ImageType": ["ORIGINAL", "PRIMARY", "R_IR", "R", "IR"]},
        {"ComplexImageComponent": "REAL"},
        {"ComplexImageComponent": "MIXED"},
    ],
)
def test_only_magnitude_images_are_read(more: dict[str, Any]) -> None:
    verdict = judged(mr("GR IR", "MP", 2300, 2.98, ti=900, **more))
    assert verdict.reason is Reason.NOT_MAGNITUDE


def test_a_phase_image_of_ge_is_known_by_its_private_element() -> None:
    made = mr("GR", "SP", 11, 4.9, fa=15, Manufacturer="GE MEDICAL SYSTEMS")
    block = made.private_block(0x0043, "GEMS_PARM_01", create=True)
    block.add_new(0x2F, "SS", 0)
    assert judged(made).reason is Reason.ELIGIBLE
    block[0x2F].value = 1
    assert judged(made).reason is Reason.NOT_MAGNITUDE


@pytest.mark.parametrize(
    "more",
    [
        {"ContrastBolusAgent": "GADOVIST"},
        {"ContrastBolusVolume": 7.5},
        {"SeriesDescription": "t1_mprage_sag +C"},
        {"SeriesDescription": "T1 MPR POST GD"},
        {"ProtocolName": "t1_vibe_KM"},
    ],
)
def test_contrast_agent_is_refused_by_header_or_else_by_description(more: dict[str, Any]) -> None:
    assert judged(mr("GR IR", "MP", 2300, 2.98, ti=900, **more)).reason is Reason.CONTRAST_AGENT


@pytest.mark.parametrize("said", ["AAHead_Scout", "3-PLANE LOC", "Survey", "localizer"])
def test_a_scout_is_known_by_its_description_where_nothing_prepares_its_magnetisation(said: str) -> None:
    scout = mr("GR", "SP OSP", 3.15, 1.37, fa=8, SeriesDescription=said)
    assert judged(scout).reason is Reason.LOCALIZER


@pytest.mark.parametrize("missing", ["RepetitionTime", "EchoTime"])
def test_without_its_times_nothing_is_known_of_the_weighting(missing: str) -> None:
    made = mr("GR IR", "MP", 2300, 2.98, ti=900, SeriesDescription="T1 MPRAGE")
    delattr(made, missing)
    verdict = judged(made)
    assert verdict.reason is Reason.UNKNOWN_WEIGHTING
    assert "site rule" in verdict.detail


@pytest.mark.parametrize("value", ["nonsense", "", "1e999"])
def test_a_time_that_is_no_number_counts_as_missing(value: str) -> None:
    made = mr("GR IR", "MP", 2300, 2.98, ti=900)
    made._dict[made.data_element("RepetitionTime").tag] = made["RepetitionTime"].__class__(
        0x00180080, "LO", value, validation_mode=0
    )
    assert judged(made).reason is Reason.UNKNOWN_WEIGHTING


def enhanced(contrast: str = "UNKNOWN", **top: Any) -> Dataset:
    """An Enhanced MR header: times in the shared groups, echo time and frame type in those of each frame."""
    found = header(EchoPulseSequence="GRADIENT", MRAcquisitionType="3D", AcquisitionContrast=contrast, **top)
    times = header(RepetitionTime=1800, FlipAngle=9)
    prepared = header(InversionRecovery="YES", InversionTimes=[900.0])
    found.SharedFunctionalGroupsSequence = [
        header(MRTimingAndRelatedParametersSequence=[times], MRModifierSequence=[prepared])
    ]
    kind = header(FrameType=["ORIGINAL", "PRIMARY", "M", "NONE"], ComplexImageComponent="MAGNITUDE")
    echo = header(EffectiveEchoTime=2.41)
    found.PerFrameFunctionalGroupsSequence = [header(MREchoSequence=[echo], MRImageFrameTypeSequence=[kind])]
    return found


def test_enhanced_objects_are_read_from_their_functional_groups() -> None:
    verdict = judged(enhanced())
    assert verdict.reason is Reason.ELIGIBLE
    assert verdict.detail == "3D inversion-prepared gradient echo, TR 1800, TE 2.41, TI 900 ms, 9 degrees"


@pytest.mark.parametrize("contrast", ["T2", "PERFUSION", "DIFFUSION", "PROTON_DENSITY", "TOF", "MIXED"])
def test_the_contrast_that_an_enhanced_object_states_is_believed(contrast: str) -> None:
    assert judged(enhanced(contrast)).reason is Reason.NOT_T1_WEIGHTED


def test_stated_t1_contrast_is_enough_without_times() -> None:
    made = enhanced("T1")
    del made.SharedFunctionalGroupsSequence
    assert judged(made).reason is Reason.ELIGIBLE


@pytest.mark.parametrize("flag", ["TimeOfFlightContrast", "PhaseContrast"])
def test_flow_encoding_of_enhanced_objects_is_refused(flag: str) -> None:
    assert judged(enhanced(**{flag: "YES"})).reason is Reason.NOT_T1_WEIGHTED
