"""Complete examinations as scanners send them: which series is read, and why each of the others is not."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from pydicom.sequence import Sequence

from model.manifest import Subjects
from node.config import SelectionSettings
from node.series.reasons import Reason
from node.series.selection import SeriesHeaders, select
from tests.factories import ABSENT
from tests.unit.test_header_variants import BASES
from tests.unit.test_selection import of, series
from tests.unit.test_selection_weighting import mr

FINE: dict[str, Any] = {"slices": 24, "rows": 64, "columns": 64, "spacing_mm": (7.0, 3.0, 3.0)}
OLD = Subjects(age_years=(18, 96))
LOCALIZER: dict[str, Any] = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}
REFORMAT: dict[str, Any] = {"ImageType": ["DERIVED", "SECONDARY", "REFORMATTED"]}
SCREEN: dict[str, Any] = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}
NORMALISED: dict[str, Any] = {"ImageType": ["ORIGINAL", "PRIMARY", "M", "NORM", "DIS3D", "DIS2D"]}
MAPS: dict[str, Any] = {"ImageType": ["DERIVED", "PRIMARY", "MRAC"]}
THIN: dict[str, Any] = {"slices": 20, "spacing_mm": (4.0, 3.0, 3.0)}
EXTRA = {
    "loc": mr("GR", "SP", 8.6, 4, fa=20, dim="2D"),
    "tof": mr("GR", "SP", 21, 3.4, fa=18),
    "fatsat": mr("SE", "SK", 650, 9.1, fa=150, dim="2D"),
    "epi": mr("EP GR", "SK", 1800, 30, fa=80, dim="2D"),
    "asl": mr("GR EP", "SP", 4600, 10, fa=90, ImageType=["ORIGINAL", "PRIMARY", "ASL"]),
}


class S(NamedTuple):
    """A series: what it is called, its kind, why it is not read (ELIGIBLE: it is, or might be), and what is special."""

    description: str
    base: str
    right: Reason = Reason.NOT_T1_WEIGHTED
    more: Mapping[str, Any] = MappingProxyType({})


OK, AGENT, NOT_T1, SCOUT = Reason.ELIGIBLE, Reason.CONTRAST_AGENT, Reason.NOT_T1_WEIGHTED, Reason.LOCALIZER
DERIVED, CAPTURE, OTHER, UNLIKE = Reason.DERIVED, Reason.SECONDARY_CAPTURE, Reason.NOT_HEAD, Reason.OTHER_SUBJECT

# name: elements of the whole examination, its series in order, the number (from 1) of the one that is read, or 0
EXAMS: dict[str, tuple[dict[str, Any], list[S], int]] = {
    "dementia, Siemens": (
        {"Manufacturer": "SIEMENS", "StudyDescription": "MR Kopf Demenzprotokoll", "BodyPartExamined": "HEAD"},
        [
            S("AAHead_Scout", "spgr", SCOUT),
            S("localizer", "loc", SCOUT, LOCALIZER),
            S("t1_mprage_sag_p2_iso", "mprage", OK),
            S("t1_mprage_sag_p2_iso_MPR_tra", "mprage", DERIVED, REFORMAT),
            S("t2_space_dark-fluid_sag", "flair3d"),
            S("t2_tse_tra", "t2tse"),
            S("ep2d_diff_3scan_trace", "dwi"),
            S("t2_swi_tra", "swi"),
            S("Phoenix report", "loc", CAPTURE, SCREEN),
        ],
        3,
    ),
    "dementia, GE, with and without contrast": (
        {"Manufacturer": "GE MEDICAL SYSTEMS", "StudyDescription": "MRI BRAIN W/WO CONTRAST", "ProtocolName": "BRAIN"},
        [
            S("3-PLANE LOC", "loc", SCOUT),
            S("ASSET Cal", "spgr", SCOUT),
            S("Sag T1 FLAIR", "t1flair", OK),
            S("Ax T2 FLAIR", "flair"),
            S("Ax DWI", "dwi"),
            S("Sag 3D BRAVO +C", "bravo", AGENT),
            S("Ax T1 FSE", "tse", AGENT),
            S("Ax T1 reformat", "bravo", DERIVED, REFORMAT),
        ],
        3,
    ),
    "dementia, Philips": (
        {"Manufacturer": "Philips Medical Systems", "StudyDescription": "Hersenen dementie"},
        [
            S("SmartBrain", "spgr", SCOUT),
            S("Survey", "loc", SCOUT),
            S("sT1W_3D_TFE", "tfe", OK),
            S("3D_FLAIR_VISTA", "flair3d"),
            S("T2W_TSE", "t2tse"),
            S("SWIp", "swi"),
            S("DWI_b1000", "dwi"),
        ],
        3,
    ),
    "dementia, Canon": (
        {"Manufacturer": "CANON_MEC", "StudyDescription": "認知症 頭部MRI", "SpecificCharacterSet": "ISO_IR 192"},
        [
            S("Locator", "loc", SCOUT),
            S("3D MPRAGE Sag", "canon", OK),
            S("FLAIR Ax", "flair"),
            S("T2 Ax", "t2tse"),
            S("TOF MRA", "tof"),
        ],
        2,
    ),
    "dementia, UIH": (
        {"Manufacturer": "UIH", "StudyDescription": "Head^Dementia"},
        [
            S("scout", "spgr", SCOUT),
            S("t1_gre_fsp3d_sag", "uih", OK),
            S("t2_flair_tra", "flair"),
            S("dwi_epi_tra", "dwi"),
            S("gre_swi_tra", "swi"),
        ],
        2,
    ),
    "tumour, agent without a word after the first": (
        {"Manufacturer": "SIEMENS", "StudyDescription": "Schädel mit KM"},
        [
            S("t1_se_tra", "se", OK),
            S("t2_tse_tra", "t2tse"),
            S("t1_mprage_sag_KM", "mprage", AGENT),
            S("t1_se_cor", "se", AGENT),
            S("t1_se_tra", "se", AGENT),
        ],
        1,
    ),
    "before deep brain stimulation": (
        {"StudyDescription": "MRI brain DBS planning"},
        [
            S("localizer", "loc", SCOUT),
            S("FGATIR sag", "fgatir"),
            S("t1_mprage_sag", "mprage", OK),
            S("t2_space", "t2space"),
            S("swi", "swi"),
            S("T1 MPRAGE +Gd", "mprage", AGENT),
        ],
        3,
    ),
    "repeated because of motion, with uncorrected twins": (
        {"StudyDescription": "MRI brain"},
        [
            S("t1_mprage_sag_ND", "mprage", OK),
            S("t1_mprage_sag", "mprage", OK, NORMALISED),
            S("t1_mprage_sag_ND", "mprage", OK),
            S("t1_mprage_sag", "mprage", OK, NORMALISED),
        ],
        4,
    ),
    "child": (
        {"StudyDescription": "IRM encephale", "PatientAge": "007Y", "PatientBirthDate": "20180310"},
        [S("reperage", "loc", SCOUT), S("3D T1", "mprage", UNLIKE), S("T2", "t2tse")],
        0,
    ),
    "brain and spine in one": (
        {"StudyDescription": "MRI brain and whole spine", "BodyPartExamined": ABSENT},
        [
            S("Sag T1 C-spine", "tse", OTHER),
            S("Sag T2 C-spine", "t2tse"),
            S("Sag T1 T-spine", "tse", OTHER),
            S("SAG T1 MPRAGE BRAIN", "mprage", OK),
            S("Ax T1 L-spine", "tse", OTHER),
        ],
        4,
    ),
    "PET/MR": (
        {"StudyDescription": "PET MR brain FDG"},
        [
            S("Head_MRAC_PET_in-phase", "vibe", DERIVED, MAPS),
            S("Head_MRAC_UTE", "spgr", NOT_T1, {"ImageType": ["ORIGINAL", "PRIMARY", "MRAC"]}),
            S("t1_mprage_sag", "mprage", OK),
            S("FDG brain", "loc", Reason.NOT_MR, {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.128", "Modality": "PT"}),
        ],
        3,
    ),
    "research": (
        {"StudyDescription": "study^memory", "BodyPartExamined": "UNKNOWN"},
        [
            S("MPRAGE vNav setter", "mprage", Reason.SMALL_COVERAGE, THIN),
            S("MP2RAGE_INV1", "mp2rage_inv1"),
            S("MP2RAGE_UNI", "mprage", DERIVED, {"ImageType": ["DERIVED", "PRIMARY", "UNI"]}),
            S("ADNI3 MPRAGE", "adni3", OK),
            S("rsfMRI", "epi"),
            S("ASL", "asl"),
            S("gre_field_mapping", "spgr"),
            S("T1 map MOLLI", "spgr"),
        ],
        4,
    ),
    "Dixon, fat before water": (
        {"Manufacturer": "Philips Medical Systems", "StudyDescription": "MRI head"},
        [
            S("T1 mDIXON", "ffe", NOT_T1, {"ImageType": ["ORIGINAL", "PRIMARY", "F", "FFE"]}),
            S("T1 mDIXON", "ffe", OK, {"ImageType": ["ORIGINAL", "PRIMARY", "W", "FFE"]}),
            S("T1 mDIXON", "ffe", NOT_T1, {"ImageType": ["ORIGINAL", "PRIMARY", "OP", "FFE"]}),
        ],
        2,
    ),
}  # fmt: skip


def exam(common: dict[str, Any], content: list[S]) -> list[SeriesHeaders]:
    """The series of an examination, a quarter of an hour apart."""
    return [made(number, each, common) for number, each in enumerate(content, 1)]


def made(number: int, each: S, common: dict[str, Any]) -> SeriesHeaders:
    base = {**BASES, **EXTRA}[each.base]
    plain = dict.fromkeys(("InversionTime", "SequenceName", "ScanOptions", "ProtocolName", "FlipAngle"), ABSENT)
    elements = {element.keyword: element.value for element in base if not isinstance(element.value, Sequence)}
    clock = f"{9 + number // 4:02}{15 * (number % 4):02}00"
    special = {**FINE, **plain, **elements, "AcquisitionTime": clock, "SeriesTime": clock, **common, **each.more}
    return series(series_uid=f"2.25.{number}", SeriesNumber=number, description=each.description, **special)


@pytest.mark.parametrize("name", EXAMS)
def test_of_an_examination_the_right_series_is_read_and_each_other_has_its_reason(name: str) -> None:
    common, content, read = EXAMS[name]
    found = select(exam(common, content), SelectionSettings(), subjects=OLD)
    assert {each.name: each.reason for each in found.verdicts} == {str(n): s.right for n, s in enumerate(content, 1)}
    chosen = found.chosen.series_instance_uid if found.chosen else "none"
    assert chosen == (f"2.25.{read}" if read else "none")


def test_a_count_in_the_header_is_believed_and_the_rest_of_the_images_is_missed() -> None:
    whole = series(slices=34, spacing_mm=(5.0, 3.0, 3.0), ImagesInAcquisition=34)
    part = of(list(whole.headers[:26]))
    assert select([whole], SelectionSettings()).verdicts[0].reason is OK
    verdict = select([part], SelectionSettings()).verdicts[0]
    assert verdict.reason is Reason.GAPS
    assert "26 images are there, the header declares 34" in verdict.detail


def test_130_of_170_images_are_missing_images() -> None:
    part = series(slices=130, rows=32, columns=32, spacing_mm=(1.2, 6.0, 6.0), ImagesInAcquisition=170)
    verdict = select([part], SelectionSettings()).verdicts[0]
    assert verdict.reason is Reason.GAPS
    assert "declares 170" in verdict.detail
