"""One verdict for every series of a study, with a named reason; the best eligible one is chosen by a stated rule."""

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    BasicTextSRStorage,
    CTImageStorage,
    EnhancedMRColorImageStorage,
    MRSpectroscopyStorage,
    SecondaryCaptureImageStorage,
)

from node.config import SelectionRule, SelectionSettings
from node.series.reasons import Reason
from node.series.selection import SeriesHeaders, SeriesVerdict, judge, select
from tests import factories
from tests.factories import ABSENT

SETTINGS = SelectionSettings()


def series(*, slices: int = 24, rows: int = 64, columns: int = 64, **more: Any) -> SeriesHeaders:
    """Headers of a small sagittal MPRAGE that covers 168 x 192 x 192 mm; any element by its keyword."""
    more.setdefault("spacing_mm", (7.0, 3.0, 3.0))
    return of(factories.mr_series(slices=slices, rows=rows, columns=columns, **more))


def of(datasets: list[Dataset]) -> SeriesHeaders:
    for dataset in datasets:
        dataset.pop("PixelData", None)
    uid = str(datasets[0].get("SeriesInstanceUID"))
    return SeriesHeaders(uid, tuple(datasets), tuple(Path(f"{i}.dcm") for i in range(len(datasets))))


def enhanced(**more: Any) -> SeriesHeaders:
    return of([factories.enhanced_mr(slices=24, rows=64, columns=64, spacing_mm=(7.0, 3.0, 3.0), **more)])


def verdict(found: SeriesHeaders, settings: SelectionSettings = SETTINGS) -> SeriesVerdict:
    return judge(found, settings)


@pytest.mark.parametrize("make", [series, enhanced])
def test_a_t1_weighted_head_is_eligible_and_says_why(make: Callable[[], SeriesHeaders]) -> None:
    found = verdict(make())
    assert found.eligible
    assert found.reason is Reason.ELIGIBLE
    assert "inversion-prepared gradient echo" in found.detail
    assert "24 slices 7.00 mm apart" in found.detail
    assert (found.modality, found.series_number, found.description) == ("MR", 2, "T1 MPRAGE")


def by_index(values: list[Any]) -> Callable[[int], Any]:
    return lambda index: values[index % len(values)]


REFUSED: dict[str, tuple[Reason, Callable[[], SeriesHeaders]]] = {
    "CT with perfect geometry": (Reason.NOT_MR, lambda: series(SOPClassUID=CTImageStorage, Modality="CT")),
    "MR class, other modality": (Reason.NOT_MR, lambda: series(Modality="CT")),
    "spectroscopy": (Reason.NOT_MR, lambda: series(SOPClassUID=MRSpectroscopyStorage)),
    "colour map": (Reason.NOT_MR, lambda: series(SOPClassUID=EnhancedMRColorImageStorage)),
    "a report": (Reason.NOT_MR, lambda: series(SOPClassUID=BasicTextSRStorage, Modality="SR")),
    "a private class": (Reason.NOT_MR, lambda: series(SOPClassUID="1.2.3.4.5")),
    "secondary capture": (Reason.SECONDARY_CAPTURE, lambda: series(SOPClassUID=SecondaryCaptureImageStorage)),
    "our own result": (Reason.OWN_RESULT, lambda: series(Manufacturer="NeuroSSL")),
    "palette": (Reason.COLOUR, lambda: series(PhotometricInterpretation="PALETTE COLOR")),
    "RGB": (Reason.COLOUR, lambda: series(PhotometricInterpretation="RGB", SamplesPerPixel=3)),
    "encrypted": (Reason.ENCRYPTED, lambda: series(Rows=ABSENT, EncryptedAttributesSequence=[Dataset()])),
    "no rows": (Reason.NO_PIXELS, lambda: series(Rows=ABSENT)),
    "localizer": (Reason.LOCALIZER, lambda: series(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])),
    "reformatted": (Reason.DERIVED, lambda: series(ImageType=["DERIVED", "PRIMARY", "MPR"])),
    "derived": (Reason.DERIVED, lambda: series(ImageType=["DERIVED", "SECONDARY"])),
    "secondary": (Reason.DERIVED, lambda: series(ImageType=["ORIGINAL", "SECONDARY", "M"])),
    "projection": (Reason.DERIVED, lambda: series(ImageType=["ORIGINAL", "PRIMARY", "PROJECTION IMAGE"])),
    "mosaic": (Reason.DERIVED, lambda: series(ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"])),
    "phase": (Reason.NOT_MAGNITUDE, lambda: series(ImageType=["ORIGINAL", "PRIMARY", "P", "ND"])),
    "T2": (Reason.NOT_T1_WEIGHTED, lambda: series(ScanningSequence="SE", InversionTime=ABSENT, EchoTime=100)),
    "no times": (Reason.UNKNOWN_WEIGHTING, lambda: series(RepetitionTime=ABSENT, EchoTime=ABSENT)),
    "contrast agent": (Reason.CONTRAST_AGENT, lambda: series(ContrastBolusAgent="Dotarem")),
    "knee": (Reason.NOT_HEAD, lambda: series(BodyPartExamined="KNEE")),
    "spine by its description": (
        Reason.NOT_HEAD,
        lambda: series(BodyPartExamined=ABSENT, StudyDescription="MR C-Spine", description="t1"),
    ),
    "too few": (Reason.TOO_FEW_SLICES, lambda: series(slices=19, spacing_mm=(7.9, 3, 3))),
    "no position": (Reason.NO_GEOMETRY, lambda: series(ImagePositionPatient=ABSENT)),
    "half empty geometry": (Reason.NO_GEOMETRY, lambda: series(PixelSpacing=by_index([[3, 3], ABSENT]))),
    "gap": (Reason.GAPS, lambda: of([d for i, d in enumerate(factories.mr_series(slices=40)) if i != 20])),
    "every second slice": (Reason.GAPS, lambda: of(factories.mr_series()[::2])),
    "two volumes": (
        Reason.SEVERAL_VOLUMES,
        lambda: of([*factories.mr_series(slices=24), *factories.mr_series(slices=24, EchoTime=3.1)]),
    ),
    "sent twice under new UIDs": (
        Reason.DUPLICATE_POSITIONS,
        lambda: of([*factories.mr_series(slices=48), *factories.mr_series(slices=48)[:5]]),
    ),
    "three planes": (
        Reason.MIXED_ORIENTATIONS,
        lambda: of(
            [d for plane in ("sagittal", "axial", "coronal") for d in factories.mr_series(slices=9, plane=plane)]  # type: ignore[arg-type]
        ),
    ),
    "two echoes side by side": (
        Reason.MIXED_KINDS,
        lambda: series(EchoTime=by_index([2.98, 4.5])),
    ),
    "two frames of reference": (
        Reason.MIXED_KINDS,
        lambda: series(FrameOfReferenceUID=by_index(["1.2.3", "1.2.4"])),
    ),
    "mixed sizes": (Reason.MIXED_SIZES, lambda: series(Rows=by_index([64, 64, 32]))),
    "thin slab": (Reason.SMALL_COVERAGE, lambda: series(slices=24, spacing_mm=(2, 3, 3), plane="axial")),
    "thin slab that lies obliquely": (
        Reason.SMALL_COVERAGE,
        lambda: series(slices=24, spacing_mm=(3, 3, 3), orientation=(0.8, 0.6, 0, -0.36, 0.48, 0.8)),
    ),
    "small field": (Reason.SMALL_COVERAGE, lambda: series(rows=32, columns=32)),
    "coarse": (Reason.TOO_COARSE, lambda: series(spacing_mm=(9, 3, 3))),
    "frames without groups": (Reason.NO_GEOMETRY, lambda: series(NumberOfFrames=30)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_every_refusal_has_its_name_and_its_numbers(name: str) -> None:
    reason, make = REFUSED[name]
    found = verdict(make())
    assert found.reason is reason, found
    assert not found.eligible
    assert found.score == 0
    assert found.detail


def test_the_reasons_are_all_different_and_readable() -> None:
    assert len({str(reason) for reason in Reason}) == len(Reason)
    assert all(str(reason) == str(reason).strip() and len(str(reason)) > 3 for reason in Reason)


def test_an_empty_series_is_judged_too() -> None:
    assert verdict(SeriesHeaders("1.2.3", (), ())).reason is Reason.TOO_FEW_SLICES


ALLOWED: dict[str, Callable[[], SeriesHeaders]] = {
    "no body part": lambda: series(BodyPartExamined=ABSENT),
    "empty body part": lambda: series(BodyPartExamined=""),
    "head": lambda: series(BodyPartExamined="HEAD"),
    "monochrome1": lambda: series(PhotometricInterpretation="MONOCHROME1"),
    "axial": lambda: series(plane="axial", spacing_mm=(5, 3, 3)),
    "coronal": lambda: series(plane="coronal"),
    "oblique": lambda: series(orientation=(0, 0.9848, 0.1736, 0, 0.1736, -0.9848)),
    "shuffled": lambda: of(Random(4).sample(factories.mr_series(slices=48), 48)),
    "no description": lambda: series(SeriesDescription=ABSENT, ProtocolName=ABSENT),
    "a capture among the slices": lambda: series(
        SOPClassUID=by_index(["1.2.840.10008.5.1.4.1.1.4"] * 23 + [SecondaryCaptureImageStorage])
    ),
    "no instance numbers": lambda: series(InstanceNumber=ABSENT, SeriesNumber=ABSENT),
    "GE writes the gap as spacing between slices": lambda: series(
        SpacingBetweenSlices=2, SliceThickness=5, MRAcquisitionType="2D", ScanningSequence="SE", RepetitionTime=500,
        InversionTime=ABSENT, EchoTime=12, SequenceVariant="SK",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ALLOWED)
def test_what_is_unusual_but_sound_is_eligible(name: str) -> None:
    found = verdict(ALLOWED[name]())
    assert found.eligible, found


def test_enhanced_objects_with_mixed_content_are_refused() -> None:
    phase = enhanced()
    groups = phase.headers[0].PerFrameFunctionalGroupsSequence
    for group in groups[12:]:
        kind = Dataset()
        kind.FrameType = ["ORIGINAL", "PRIMARY", "P", "NONE"]
        group.MRImageFrameTypeSequence = [kind]
    assert verdict(phase).reason is Reason.MIXED_KINDS
    twice = enhanced()
    twice.headers[0].PerFrameFunctionalGroupsSequence = [*groups[:12], *groups[:12]]
    assert verdict(twice).reason is Reason.SEVERAL_VOLUMES
    fewer = enhanced()
    fewer.headers[0].PerFrameFunctionalGroupsSequence = list(groups[:20])
    assert verdict(fewer).reason is Reason.NO_GEOMETRY


def test_the_anatomic_region_of_an_enhanced_object_counts() -> None:
    other = enhanced(BodyPartExamined=ABSENT)
    anatomy, region = Dataset(), Dataset()
    region.CodeValue, region.CodingSchemeDesignator, region.CodeMeaning = "T-D9200", "SRT", "Knee"
    anatomy.AnatomicRegionSequence = [region]
    shared = other.headers[0].SharedFunctionalGroupsSequence[0]
    shared.FrameAnatomySequence = [anatomy]
    assert verdict(other).reason is Reason.NOT_HEAD
    region.CodeMeaning = "Brain"
    assert verdict(other).eligible


def numbered(number: int, **more: Any) -> SeriesHeaders:
    return series(series_uid=f"2.25.{number}", SeriesNumber=number, **more)


def test_of_a_whole_study_the_best_t1_is_chosen() -> None:
    study = [
        numbered(1, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]),
        numbered(2, ScanningSequence="SE", SequenceVariant="SK", InversionTime=ABSENT, EchoTime=100),
        numbered(3, ScanningSequence="SE", SequenceVariant="SK", InversionTime=ABSENT, RepetitionTime=500, EchoTime=12),
        numbered(4),
        numbered(5, ContrastBolusAgent="Gadovist"),
    ]
    chosen = select(study, SETTINGS)
    assert chosen.chosen is study[3]
    assert [each.eligible for each in chosen.verdicts] == [False, False, True, True, False]
    assert select(study[::-1], SETTINGS).chosen is study[3]


def test_finer_slices_win_among_the_same_kind() -> None:
    coarse = numbered(2, spacing_mm=(6.0, 2.5, 2.5), rows=80, columns=80, slices=30)
    fine = numbered(3, spacing_mm=(4.0, 2.5, 2.5), rows=80, columns=80, slices=45)
    assert select([coarse, fine], SETTINGS).chosen is fine


def test_ties_go_to_more_slices_then_to_the_lower_number_then_to_the_lower_uid() -> None:
    more, less = numbered(9, slices=25), numbered(8, slices=24)
    assert select([less, more], SETTINGS).chosen is more
    early, late = numbered(3), numbered(4)
    assert select([late, early], SETTINGS).chosen is early
    first, second = series(series_uid="2.25.1"), series(series_uid="2.25.2")
    assert select([second, first], SETTINGS).chosen is first


def test_nothing_eligible_chooses_nothing() -> None:
    assert select([numbered(1, Modality="CT")], SETTINGS).chosen is None
    assert select([], SETTINGS).verdicts == ()


def ruled(when: str, then: str, **more: Any) -> SelectionSettings:
    return SelectionSettings(rules=(SelectionRule(when=when, then=then, why="the site wants it"),), **more)  # type: ignore[arg-type]


def test_a_site_rule_refuses() -> None:
    found = verdict(series(), ruled('SeriesDescription ~ "mprage"', "refuse"))
    assert (found.reason, found.detail) == (Reason.SITE_RULE, "the site wants it")


def test_a_site_rule_accepts_what_lacks_its_parameters_but_no_broken_geometry() -> None:
    settings = ruled('ManufacturerModelName == "nifti2dicom"', "accept")
    converted: dict[str, Any] = {
        "ImageType": ["DERIVED", "SECONDARY"],
        "RepetitionTime": ABSENT,
        "BodyPartExamined": "KNEE",
        "ManufacturerModelName": "nifti2dicom",
    }
    found = verdict(series(**converted), settings)
    assert found.eligible
    assert "the site wants it" in found.detail
    assert verdict(series(**converted), SETTINGS).reason is Reason.DERIVED
    assert verdict(series(**converted, ImagePositionPatient=ABSENT), settings).reason is Reason.NO_GEOMETRY
    assert verdict(series(**converted, Modality="CT"), settings).reason is Reason.NOT_MR


def test_a_site_rule_prefers() -> None:
    first, second = numbered(3), numbered(4, description="T1 for the node")
    assert select([first, second], SETTINGS).chosen is first
    assert select([first, second], ruled('SeriesDescription ~ "for the node"', "prefer")).chosen is second
    broken = numbered(5, description="T1 for the node", ImagePositionPatient=ABSENT)
    assert select([first, broken], ruled('SeriesDescription ~ "for the node"', "prefer")).chosen is first


def test_a_rule_holds_for_a_series_only_when_it_holds_for_every_instance() -> None:
    mixed = series(ImageComments=by_index(["good", "bad"]))
    assert verdict(mixed, ruled('ImageComments == "bad"', "refuse")).eligible


def test_the_limits_are_settings() -> None:
    assert verdict(series(), SelectionSettings(minimum_slices=25)).reason is Reason.TOO_FEW_SLICES
    assert verdict(series(), SelectionSettings(minimum_coverage_mm=170)).reason is Reason.SMALL_COVERAGE
    assert verdict(series(), SelectionSettings(maximum_spacing_mm=6)).reason is Reason.TOO_COARSE
    gap = of([d for i, d in enumerate(factories.mr_series(slices=60)) if i != 20])
    bridged = verdict(gap, SelectionSettings(maximum_gap_fraction=0.02))
    assert bridged.eligible
    assert "1 missing" in bridged.detail


@pytest.mark.slow
def test_nothing_of_the_patient_gets_into_a_verdict() -> None:
    secrets = {"PatientName": "Geheim^Hannelore", "PatientID": "ID-77123", "PatientBirthDate": "19310101"}
    for _, make in REFUSED.values():
        headers = make().headers
        for header in headers:
            for keyword, secret in secrets.items():
                setattr(header, keyword, secret)
            header.SeriesDescription = "T1 Hannelore GEHEIM ID-77123"
        said = repr(verdict(SeriesHeaders("1.2.3", headers, ())))
        assert not any(part in said.lower() for part in ("geheim", "hannelore", "77123", "19310101")), said


def test_judging_leaves_the_headers_as_they_were() -> None:
    found = series()
    before = [header.to_json() for header in found.headers]
    select([found], ruled("EchoTime is present", "prefer"))
    assert [header.to_json() for header in found.headers] == before
