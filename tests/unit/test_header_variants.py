"""Some hundred headers as vendors, languages and bug reports have them: each with its right verdict and its source."""

from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pydicom import config as pydicom_config
from pydicom.dataset import Dataset

from node.dicom.acquisition import acquisition
from node.series.body import other_part
from node.series.reasons import Reason
from node.series.study import ALONE
from node.series.weighting import weighting
from tests.unit.test_selection_weighting import OTHER_CONTRASTS, T1_WEIGHTED, mr

TABLE = Path(__file__).with_name("header_variants.txt")
BASES: dict[str, Dataset] = {
    "mprage": T1_WEIGHTED["Siemens MPRAGE"],
    "adni3": T1_WEIGHTED["Siemens MPRAGE of ADNI-3"],
    "spgr": mr("GR", "SP", 21, 3.4, fa=18),
    "bravo": T1_WEIGHTED["GE BRAVO"],
    "bravo_rm": T1_WEIGHTED["GE BRAVO as research mode"],
    "tfe": T1_WEIGHTED["Philips T1 TFE"],
    "tfe_no_ti": T1_WEIGHTED["Philips MPRAGE, TR between echoes and no TI"],
    "canon": T1_WEIGHTED["Canon FFE3D MPRAGE"],
    "uih": mr("GR IR", "SP MP", 7.9, 3.1, ti=810, fa=10, Manufacturer="UIH"),
    "oasis": T1_WEIGHTED["OASIS MPRAGE"],
    "ffe": T1_WEIGHTED["Philips FFE"],
    "vibe": T1_WEIGHTED["Siemens VIBE"],
    "se": T1_WEIGHTED["spin echo"],
    "tse": T1_WEIGHTED["turbo spin echo"],
    "space": T1_WEIGHTED["SPACE"],
    "t1flair": T1_WEIGHTED["T1 FLAIR"],
    "flash2d": T1_WEIGHTED["2D FLASH"],
    "fgatir": mr("GR IR", "SK SP MP", 3000, 3.4, ti=409, fa=8, MagneticFieldStrength=3),
    "t2tse": OTHER_CONTRASTS["T2 TSE"],
    "t2space": OTHER_CONTRASTS["T2 SPACE"],
    "pd": OTHER_CONTRASTS["proton density"],
    "flair": OTHER_CONTRASTS["FLAIR"],
    "flair3d": OTHER_CONTRASTS["3D FLAIR"],
    "stir": OTHER_CONTRASTS["STIR"],
    "dir": OTHER_CONTRASTS["DIR"],
    "dwi": OTHER_CONTRASTS["DWI"],
    "fmri": OTHER_CONTRASTS["fMRI"],
    "swi": OTHER_CONTRASTS["SWI"],
    "t2star": OTHER_CONTRASTS["T2* gradient echo"],
    "truefisp": OTHER_CONTRASTS["TrueFISP"],
    "mp2rage_inv1": OTHER_CONTRASTS["first inversion of MP2RAGE"],
    "mp2rage_inv2": OTHER_CONTRASTS["second inversion of MP2RAGE"],
}


class Variant(NamedTuple):
    """A base header, the element that makes it special, the right verdict, and who writes such headers."""

    base: str
    keyword: str
    value: str
    right: Reason
    source: str


def variants() -> list[Variant]:
    found = []
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            source, right, bases, keyword, values = (each.strip() for each in line.split(" | "))
            found += [
                Variant(base, keyword, value.strip(), Reason[right], source)
                for base in bases.split()
                for value in values.split(" ; ")
            ]
    return found


VARIANTS = variants()


def made(variant: Variant) -> Dataset:
    header = deepcopy(BASES[variant.base])
    if variant.keyword != "-" and not (variant.base == "fgatir" and variant.value == "-"):
        value: Any = variant.value.split(",") if variant.keyword == "ImageType" else variant.value
        with pydicom_config.disable_value_validation():
            setattr(header, variant.keyword, value)
    return header


def judged(header: Dataset) -> Reason:
    found = acquisition(header)
    verdict = weighting(found).reason
    is_other = verdict is Reason.ELIGIBLE and other_part(header, found, ALONE)
    return Reason.NOT_HEAD if is_other else verdict


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda each: f"{each.base} {each.keyword} {each.value}")
def test_a_header_of_the_field_has_its_right_verdict(variant: Variant) -> None:
    assert judged(made(variant)) is variant.right, variant.source


def test_the_table_has_some_hundred_headers_each_with_a_source() -> None:
    assert len(VARIANTS) >= 300
    assert len(set(VARIANTS)) == len(VARIANTS)
    assert all(each.source for each in VARIANTS)
