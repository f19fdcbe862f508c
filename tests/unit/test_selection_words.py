"""What names and headers of many vendors and languages say of a contrast agent, a kind of image, a part of the body."""

from typing import Any

import pytest
from pydicom import config as pydicom_config
from pydicom.dataset import Dataset

from node.config import SelectionSettings
from node.dicom.acquisition import acquisition
from node.series.body import other_part
from node.series.reasons import Reason
from node.series.selection import select
from node.series.study import ALONE
from node.series.weighting import weighting
from tests.unit.test_selection import series
from tests.unit.test_selection_weighting import mr

# Each line: series descriptions, by | ; all of an MPRAGE or SPGR whose header says nothing of an agent.
AGENT = """
AX T1 POST NON FS | AX T1 POST NO FAT SAT | T1 GAD W/O FS | SAG T1 3D POST GAD PRE-OP | T1Gd | 3DT1GD | T1CE
t1c | T1 MPRAGE POSTGAD | t1_mprage_sag_nachKM | 3D T1 INJECTE | T1 dopo mdc | T1 POST | SAG T1 MPRAGE +C
T1 + C | T1 C+ | COR T1 POST GAD | T1 SE KM | t1_mprage_tra_KM | T1 nach KM | T1 MIT KM | T1 mKM
T1 nach Kontrastmittel | T1 nach Gd | T1 nach Gadovist | 3D T1 GADO | T1 APRES GADO | T1 apres injection
T1 avec gado | 3D T1 IV+ INJ | T1 post injection | T1 avec injection de gadolinium | T1 CON CONTRASTE
T1 C/CONTRASTE | T1 con c | T1 tras gadolinio | T1 despues de gd | T1 CON GADOLINIO | T1 con mdc | T1 dopo Gd
T1 con mezzo di contrasto | T1 POS CONTRASTE | T1 COM CONTRASTE | T1 apos contraste | T1 com gadolinio
T1 met contrast | T1 na contrast | T1 na gadolinium | T1 CONTRAST | T1 w/ contrast | T1 W CONTRAST
t1_space_sag_CE | CE T1 | T1 gd dtpa | T1 DOTAREM | T1 ProHance | Gadavist T1 | T1 POST CONTRAST | T1_POST
Sag BRAVO Post | Ax 3D SPGR +GD | T1_MPR_GD | T1W_3D_TFE_GD | sT1W_3D_TFE_CE | WIP T1 3D POST
3D T1 TFE +C SENSE | T1 FFE POST GAD | T1 without and with contrast | T1 pre and post contrast | T1 W/WO GAD
T1 postcontrast | T1 delayed | T1 POST PRE OP | MPRAGE ENHANCED | T1 contrast enhanced | 3D FSPGR IR C+
T1 BOLUS | POST T1 MPRAGE | T1-POST-GD
"""
PLAIN = """
T1 MPRAGE PRECONTRAST | T1 vor KM | T1 MPRAGE SIN CONTRASTE | T1 ZONDER CONTRAST | SAG T1 MPRAGE | T1 PRE
T1 pre contrast | T1 PRE GAD | T1 NON CONTRAST | T1 noncontrast | T1 W/O CONTRAST | T1 WO CONTRAST | T1 w/o gad
T1 without contrast | T1 without IV contrast | T1 no gd | T1 ohne KM | T1 oKM | T1 o. KM | T1 nativ
t1_mprage_nativ | T1 ohne Kontrastmittel | T1 vor Gadovist | T1 vor Kontrastmittelgabe | T1 SANS INJECTION
T1 sans gado | T1 avant injection | T1 natif | T1 sans injection de gado | T1 s/c | T1 S/CONTRASTE
T1 sin gadolinio | T1 antes de contraste | T1 senza mdc | T1 prima di mdc | T1 senza mezzo di contrasto
T1 sem contraste | T1 antes do contraste | T1 voor contrast | T1 geen contrast | T1 unenhanced | T1 non enhanced
T1 pre-op | T1 POST OP | T1 post-op | POSTERIOR FOSSA T1 | T1 post surgery | t1_mprage_sag_p2_iso | Sag 3D BRAVO
Ax 3D FSPGR | T1W_3D_TFE | MPRAGE_GRAPPA2 | ADNI3 MPRAGE | T1 cor | T1 COR MPR | T1 3D post processing
T1_minus_C -C | T1 blanco | Accelerated Sagittal MPRAGE | T1 -C | WIP sag T1 3D TFE | tfl3d1 T1
"""
NOT_T1 = """
T1 FGATIR | WMn MPRAGE | WM nulled MPRAGE | white matter nulled | T1 map | T1_MapIt | MOLLI T1 | SyMRI T1
QALAS | T1_Images | T1 MT | T1 MTC on | t1_fl3d_mt | magnetization transfer T1 | T1_vibe_dixon_F
t1_vibe_dixon_opp | T1W_mDIXON_OP | t1 vibe opp | T1 opposed phase | T1 out of phase | T1 Gegenphase
T1 fat fraction | mDIXON_FF | T1 phase opposee | T1 fuera de fase | T1 fora de fase | T1 fuori fase
CSF nulled T1 | T1 relaxometry | mapping T1
"""
FLOW = """
3D TOF | TOF_3D_multi-slab | ToF MRA | MRA COW | circle of Willis | 3D PC | phase contrast venogram | MRV
Venography 3D | Venen TOF | ANGIO 3D | angiografia | Arterien 3D | QFLOW | INHANCE 3D | gre_field_mapping
B0 map | SWI | T2* GRE | QSM
"""
SCOUT = """
AAHead_Scout | AAScout | 3-PLANE LOC | 3Plane Loc | Survey | localizer | LOCALISER | Lokalizer | localizador
localizzatore | reperage | Uebersicht | topogram | surview | plan scan | SmartBrain | Calibration Scan
ASSET Cal | Coil Survey | SenseRefScan | 3PL | FastView | Pilot | verkenner | overzicht | tri-plane
"""


def listed(text: str) -> list[str]:
    return [name.strip() for line in text.strip().splitlines() for name in line.split("|")]


def mprage(**more: Any) -> Dataset:
    return mr("GR IR", "SK SP MP", 2300, 2.98, ti=900, fa=9, **more)


def spgr(**more: Any) -> Dataset:
    return mr("GR", "SP", 21, 3.4, fa=18, **more)


def reason(header: Dataset) -> Reason:
    return weighting(acquisition(header)).reason


@pytest.mark.parametrize("name", listed(AGENT))
def test_a_name_that_tells_of_an_agent(name: str) -> None:
    assert reason(mprage(SeriesDescription=name)) is Reason.CONTRAST_AGENT


@pytest.mark.parametrize("name", listed(PLAIN))
def test_a_name_that_tells_of_none(name: str) -> None:
    assert reason(mprage(SeriesDescription=name)) is Reason.ELIGIBLE


@pytest.mark.parametrize("name", listed(NOT_T1))
def test_a_name_of_another_kind_of_image_than_its_times_look_like(name: str) -> None:
    assert reason(spgr(SeriesDescription=name)) is Reason.NOT_T1_WEIGHTED


@pytest.mark.parametrize("name", listed(FLOW))
def test_a_gradient_echo_that_its_name_calls_an_angiogram_or_a_field_map(name: str) -> None:
    assert reason(spgr(SeriesDescription=name)) is Reason.NOT_T1_WEIGHTED
    assert reason(mprage(SeriesDescription=f"MPRAGE for {name}" if name == "SWI" else "MPRAGE")) is Reason.ELIGIBLE


@pytest.mark.parametrize("name", listed(SCOUT))
def test_a_scout_or_a_calibration_by_its_name(name: str) -> None:
    assert reason(spgr(SeriesDescription=name)) is Reason.LOCALIZER


NONE = """
NO_CONTRAST | - | No contrast given | kein | keine | NONE | N/A | sans | sin contraste | geen | nein | 0 | UNKNOWN
WITHOUT | no agent | NATIV | ohne | *** | non | aucun | nessuno | ohne KM | not given
"""
ELEMENTS: dict[str, tuple[dict[str, Any], Reason]] = {
    "agent": ({"ContrastBolusAgent": "GADOVIST"}, Reason.CONTRAST_AGENT),
    "agent, only yes": ({"ContrastBolusAgent": "YES"}, Reason.CONTRAST_AGENT),
    "ingredient": ({"ContrastBolusIngredient": "GADOLINIUM"}, Reason.CONTRAST_AGENT),
    "volume": ({"ContrastBolusVolume": 7.5}, Reason.CONTRAST_AGENT),
    "dose": ({"ContrastBolusTotalDose": 15}, Reason.CONTRAST_AGENT),
    "route": ({"ContrastBolusRoute": "IV"}, Reason.CONTRAST_AGENT),
    "start time": ({"ContrastBolusStartTime": "101500"}, Reason.CONTRAST_AGENT),
    "flow": ({"ContrastFlowRate": 2.0}, Reason.CONTRAST_AGENT),
    "none, though the name says post": (
        {"ContrastBolusAgent": "NONE", "SeriesDescription": "T1 POST"},
        Reason.CONTRAST_AGENT,
    ),
    **{
        f"says none: {value}": ({"ContrastBolusAgent": value}, Reason.ELIGIBLE)
        for value in listed(NONE)
    },
    "volume of zero": ({"ContrastBolusVolume": 0}, Reason.ELIGIBLE),
    "start at midnight": ({"ContrastBolusStartTime": "000000"}, Reason.ELIGIBLE),
    "protocol with run-together word": ({"ProtocolName": "t1_vibe_KM"}, Reason.CONTRAST_AGENT),
    "examination's name": ({"SeriesDescription": "SAG T1 MPRAGE", "ProtocolName": "BRAIN WITH GAD"}, Reason.ELIGIBLE),
    "series outweighs examination": (
        {"SeriesDescription": "SAG T1 MPRAGE +C", "ProtocolName": "BRAIN W/WO CONTRAST"},
        Reason.CONTRAST_AGENT,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ELEMENTS)
def test_every_element_of_the_contrast_bolus_module_is_heard(name: str) -> None:
    elements, expected = ELEMENTS[name]
    assert reason(mprage(**elements)) is expected


OTHER_PARTS = "KNEE | KNIE | RODILLA | CSPINE | LWS | ABDOMEN | LEBER | SHOULDER | PROSTATA | NECK | HALS | PELVIS"
HEADS = """
HEAD | BRAIN | SKULL | KOPF | SCHAEDEL | SCHÄDEL | ENCEPHALE | CRANEO | CABEZA | CRANE | TESTA | ENCEFALO | HOOFD
HERSENEN | CABECA | UNKNOWN | *** | WHOLEBODY | NA | OTHER | HEADNECK | - | NEURO | TETE | CEREBRO | XYZZY
"""


@pytest.mark.parametrize("part", listed(OTHER_PARTS) + listed(HEADS))
def test_parts_of_the_body_in_many_languages(part: str) -> None:
    header = mprage(SeriesDescription="T1")
    with pydicom_config.disable_value_validation():
        header.BodyPartExamined = part
    found = other_part(header, acquisition(header), ALONE)
    assert bool(found) is (part in listed(OTHER_PARTS)), found


def numbered(number: int, clock: str, **more: Any) -> Any:
    return series(series_uid=f"2.25.{number}", SeriesNumber=number, AcquisitionTime=clock, **more)


def test_what_is_acquired_after_a_series_with_agent_has_it_too() -> None:
    study = [numbered(2, "100000"), numbered(3, "101000", description="T1 +C"), numbered(4, "102000")]
    verdicts = select(study, SelectionSettings()).verdicts
    assert [each.reason for each in verdicts] == [Reason.ELIGIBLE, Reason.CONTRAST_AGENT, Reason.CONTRAST_AGENT]
    assert "after series 3" in verdicts[2].detail


def test_of_equal_acquisitions_the_later_is_read_and_the_others_are_its_twins() -> None:
    study = [numbered(2, "100000"), numbered(9, "104000")]
    chosen = select(study, SelectionSettings())
    assert chosen.chosen is study[1]
    assert [each.twins for each in chosen.verdicts] == [("9",), ("2",)]


def test_the_corrected_twin_is_read_and_neither_the_order_of_files_nor_of_series_counts() -> None:
    kinds = (["ORIGINAL", "PRIMARY", "M", "ND"], ["ORIGINAL", "PRIMARY", "M", "NORM", "DIS3D", "DIS2D"])
    study = [numbered(number, "100000", ImageType=kind) for number, kind in zip((2, 3), kinds, strict=True)]
    for each in (study, study[::-1]):
        found = select(each, SelectionSettings()).chosen
        assert found is not None
        assert found.series_instance_uid == "2.25.3"
