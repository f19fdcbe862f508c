"""What a report says, to a machine and to a person."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest
from highdicom.sr import srread
from pydicom.dataset import Dataset
from pydicom.uid import (
    BasicTextSRStorage,
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EnhancedMRImageStorage,
    SecondaryCaptureImageStorage,
)

from model.bands import Conformal
from model.types import Band, Prediction, SourceFrame
from node import report
from node.report import Source, codes
from node.report.keyslice import MIDDLE, MOST_PROBABLE
from node.report.template import concept, items
from tests import reports
from tests.factories import enhanced_mr, mr_series

SERIES = mr_series(slices=6, rows=32, columns=48)


def report_of(made: Prediction, how: report.Context | None = None, series: list[Dataset] = SERIES) -> Dataset:
    results = reports.build(series, made, how or reports.context())
    return reports.read(next(each for each in results if each.kind.startswith("sr_")))


def found(tree: Dataset, name: Dataset) -> list[Dataset]:
    return [item for _, _, item in items(tree) if concept(item) == name.CodeValue]


def number(tree: Dataset, name: Dataset) -> tuple[float, str]:
    (item,) = found(tree, name)
    value = item.MeasuredValueSequence[0]
    return float(value.NumericValue), value.MeasurementUnitsCodeSequence[0].CodeValue


def coded(tree: Dataset, name: Dataset) -> str:
    (item,) = [each for each in found(tree, name) if each.ValueType == "CODE"]
    return str(item.ConceptCodeSequence[0].CodeValue)


def texts(tree: Dataset, name: Dataset | None = None) -> list[str]:
    chosen = found(tree, name) if name is not None else [item for _, _, item in items(tree)]
    return [item.TextValue for item in chosen if "TextValue" in item]


def test_the_numbers_are_percent_and_rounded() -> None:
    odd = {"predictive_entropy": 0.470123, "mutual_information": 0.012345}
    tree = report_of(reports.prediction(SERIES, probability=0.823449, spread=0.03149, **odd))
    assert number(tree, codes.PROBABILITY) == (82.34, "%")
    assert number(tree, codes.STANDARD_DEVIATION) == (3.15, "%")
    assert number(tree, codes.PREDICTIVE_ENTROPY) == (0.4701, "{nat}")
    assert number(tree, codes.MUTUAL_INFORMATION) == (0.0123, "{nat}")
    assert number(tree, codes.SLICES_USED) == (61.0, "{slices}")


@pytest.mark.parametrize("band", Band)
def test_each_band_is_a_coded_evaluation_and_a_sentence(band: Band) -> None:
    tree = report_of(reports.prediction(SERIES, band=band))
    assert coded(tree, codes.DECISION_BAND) == codes.BANDS[band].CodeValue
    assert any(text.startswith(f"Decision: {band}. ") for text in texts(tree, codes.COMMENT))


@pytest.mark.parametrize("band", Band)
def test_nothing_is_called_present_or_absent(band: Band) -> None:
    """A receiving system may copy a coded finding into a record: it must not read as a diagnosis."""
    tree = report_of(reports.prediction(SERIES, band=band))
    said = str(tree)
    assert coded(tree, codes.FINDING) == codes.LIKE_DEMENTIA.CodeValue
    for code_value in ("52448006", "26929004", "52101004", "272519000", "373068000"):
        assert code_value not in said


@pytest.mark.parametrize(
    ("stated", "reported"),
    [
        ([], "24590-2"),
        (
            [{"CodeValue": "RPID2774", "CodingSchemeDesignator": "RADLEX", "CodeMeaning": "MR BRAIN WO IV CONTRAST"}],
            "RPID2774",
        ),
        ([{"CodeValue": "", "CodingSchemeDesignator": "LN", "CodeMeaning": "empty"}], "24590-2"),
        ([{"CodeValue": "X\\Y", "CodingSchemeDesignator": "L", "CodeMeaning": "no code"}], "24590-2"),
    ],
)
def test_the_procedure_is_the_sources_own_or_an_mri_of_the_brain(stated: list[dict[str, str]], reported: str) -> None:
    items = [Dataset() for _ in stated]
    for item, values in zip(items, stated, strict=True):
        for keyword, value in values.items():
            setattr(item, keyword, value)
    series = mr_series(slices=3, rows=32, columns=32, ProcedureCodeSequence=items)
    tree = report_of(reports.prediction(series), series=series)
    assert coded(tree, codes.PROCEDURE_REPORTED) == reported


def test_low_confidence_keeps_the_probability() -> None:
    tree = report_of(reports.prediction(SERIES, band=Band.LOW_CONFIDENCE, spread=0.2))
    assert number(tree, codes.PROBABILITY)[0] == 82.34
    assert any("disagree by more than the limit of 15 %" in text for text in texts(tree, codes.COMMENT))


def test_a_conformal_set_is_said_with_its_promise_and_the_place_among_others() -> None:
    sets = Conformal.of(0.9, [0.1, 0.6] * 10, [0.4, 0.8] * 10)
    tree = report_of(reports.conformal(sets, 0.7, SERIES))
    assert coded(tree, codes.DECISION_BAND) == "HIGH_LIKELIHOOD"
    said = " ".join(texts(tree, codes.COMMENT))
    assert "only yes fits, {yes}: of people without dementia like the 20 it was calibrated on, at most 10 %" in said
    assert "of the 20 without dementia 100 % and of the 20 with dementia 50 % have a lower probability" in said
    assert {"thresholds.level=0.9", "thresholds.no_up_to=0.6", "thresholds.no_subjects=20"} <= set(
        texts(tree, codes.ALGORITHM_PARAMETERS)
    )


def test_out_of_scope_is_said_and_nothing_is_measured() -> None:
    tree = report_of(reports.out_of_scope())
    assert coded(tree, codes.DECISION_BAND) == codes.OUT_OF_SCOPE.CodeValue
    assert tree.SeriesDescription == "AI dementia: out of scope (RUO)"
    assert not found(tree, codes.PROBABILITY)
    assert "Decision: out of scope. Not classified: the volume does not look like a head" in texts(tree, codes.COMMENT)
    assert "Scope measurement head_ml=212.3" in texts(tree, codes.COMMENT)
    assert len([item for _, _, item in items(tree) if item.ValueType == "SCOORD"]) == 1


def test_every_number_that_shaped_the_answer_is_named() -> None:
    parameters = texts(report_of(reports.prediction(SERIES)), codes.ALGORITHM_PARAMETERS)
    assert parameters == [
        f"sha256={reports.MODEL.sha256}",
        "trained=true",
        "temperature=1.6995",
        "dropout_samples=10",
        "rollout_order=last_to_first",
        "thresholds.high_likelihood=0.75",
        "thresholds.low_confidence_spread=0.15",
        "thresholds.no_significant_changes=0.62",
    ]


def test_a_field_that_the_model_adds_to_its_identity_reaches_the_report() -> None:
    @dataclass(frozen=True)
    class Extended(type(reports.MODEL)):  # type: ignore[misc]
        ensemble: str = "five folds"

    extended = Extended(**vars(reports.MODEL))
    parameters = texts(report_of(reports.prediction(SERIES, model=extended)), codes.ALGORITHM_PARAMETERS)
    assert parameters[-1] == "ensemble=five folds"


def test_an_untrained_model_says_so_everywhere() -> None:
    untrained = replace(reports.MODEL, trained=False)
    for form in ("comprehensive", "comprehensive_3d", "text"):
        tree = report_of(
            reports.prediction(SERIES, model=untrained), reports.context([reports.destination(report=form)])
        )
        assert any(text.startswith("UNTRAINED MODEL") for text in texts(tree))
        assert tree.SeriesDescription == "UNTRAINED AI dementia report (RUO)"
    assert not any("UNTRAINED" in text for text in texts(report_of(reports.prediction(SERIES))))


def test_the_coordinate_marks_the_key_slice_and_says_that_it_is_no_location() -> None:
    made = reports.prediction()
    best = max(range(len(made.slices)), key=lambda index: made.slices[index].probability)
    slices = [
        replace(
            each, slice=replace(each.slice, source=SourceFrame(str(SERIES[1 if index == best else 4].SOPInstanceUID)))
        )
        for index, each in enumerate(made.slices)
    ]
    tree = report_of(replace(made, slices=tuple(slices)))
    (coordinate,) = [item for _, _, item in items(tree) if item.ValueType == "SCOORD"]
    assert list(coordinate.GraphicData) == [1, 4, 3, 4, 3, 6, 1, 6, 1, 4]
    (image,) = coordinate.ContentSequence
    assert image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == SERIES[1].SOPInstanceUID
    assert "ReferencedFrameNumber" not in image.ReferencedSOPSequence[0]
    comments = texts(tree, codes.COMMENT)
    assert MOST_PROBABLE in comments
    assert any("not the location of a lesion" in text for text in comments)


def test_without_sources_the_middle_image_is_the_key_slice() -> None:
    tree = report_of(reports.prediction())
    (coordinate,) = [item for _, _, item in items(tree) if item.ValueType == "SCOORD"]
    image = coordinate.ContentSequence[0].ReferencedSOPSequence[0]
    assert image.ReferencedSOPInstanceUID == SERIES[3].SOPInstanceUID
    assert MIDDLE in texts(tree, codes.COMMENT)


@pytest.mark.parametrize(("frame", "expected"), [(2, 2), (None, 4)])
def test_a_multi_frame_source_is_pointed_at_with_its_frame(frame: int | None, expected: int) -> None:
    enhanced = enhanced_mr(slices=8, rows=32, columns=32)
    made = reports.prediction()
    source = SourceFrame(str(enhanced.SOPInstanceUID), frame) if frame else None
    slices = tuple(replace(each, slice=replace(each.slice, source=source)) for each in made.slices)
    results = reports.build([enhanced], replace(made, slices=slices), reports.context())
    tree = reports.of_kind(results, "sr_comprehensive")
    (coordinate,) = [item for _, _, item in items(tree) if item.ValueType == "SCOORD"]
    image = coordinate.ContentSequence[0].ReferencedSOPSequence[0]
    assert image.ReferencedSOPClassUID == EnhancedMRImageStorage
    assert image.ReferencedFrameNumber == expected
    (_, overlay, *_rest) = map(reports.read, results)
    if frame:
        assert overlay.SourceImageSequence[0].ReferencedFrameNumber == frame


def test_every_reference_is_evidence_and_every_capture_is_shown() -> None:
    results = reports.build(SERIES, reports.prediction(SERIES), reports.context(captures=3))
    tree = reports.of_kind(results, "sr_comprehensive")
    (study,) = tree.CurrentRequestedProcedureEvidenceSequence
    evidence = {
        each.ReferencedSOPInstanceUID
        for series in study.ReferencedSeriesSequence
        for each in series.ReferencedSOPSequence
    }
    captures = [each.sop_instance_uid for each in results[:-1]]
    assert evidence == {*captures, *(each.SOPInstanceUID for each in SERIES)}
    shown = [item.ReferencedSOPSequence[0] for item in found(tree, codes.VISUAL_EXPLANATION)]
    assert [each.ReferencedSOPInstanceUID for each in shown] == captures
    assert {each.ReferencedSOPClassUID for each in shown} == {SecondaryCaptureImageStorage}


def test_captures_come_first_and_the_report_last() -> None:
    results = reports.build(SERIES, reports.prediction(SERIES), reports.context(captures=2))
    assert [each.kind for each in results] == ["summary", "overlay", "overlay", "sr_comprehensive"]
    assert [each.ordinal for each in results] == [0, 1, 2, 3]


FORMS = {
    "comprehensive": ComprehensiveSRStorage,
    "comprehensive_3d": Comprehensive3DSRStorage,
    "text": BasicTextSRStorage,
}


def test_each_destination_gets_the_form_it_is_configured_for() -> None:
    destinations = [reports.destination(form.replace("_", "-"), report=form) for form in FORMS]
    results = reports.build(SERIES, reports.prediction(SERIES), reports.context(destinations))
    forms = {each.destinations: each.sop_class_uid for each in results if each.kind.startswith("sr_")}
    assert forms == {(form.replace("_", "-"),): sop_class for form, sop_class in FORMS.items()}
    numbers = [reports.read(each).SeriesNumber for each in results if each.kind.startswith("sr_")]
    assert numbers == [9101, 9102, 9103]


def test_a_destination_without_captures_gets_none_and_no_reference_to_one() -> None:
    destinations = [reports.destination("a"), reports.destination("b", captures=False)]
    results = reports.build(SERIES, reports.prediction(SERIES), reports.context(destinations, captures=1))
    assert [(each.kind, each.destinations) for each in results] == [
        ("summary", ("a",)),
        ("overlay", ("a",)),
        ("sr_comprehensive", ("a",)),
        ("sr_comprehensive", ("b",)),
    ]
    assert found(reports.read(results[2]), codes.VISUAL_EXPLANATION)
    assert not found(reports.read(results[3]), codes.VISUAL_EXPLANATION)


def test_without_destinations_the_default_form_is_kept_for_the_record() -> None:
    results = reports.build(SERIES, reports.prediction(SERIES), reports.context([], captures=0))
    assert [(each.kind, each.destinations) for each in results] == [("summary", ()), ("sr_comprehensive", ())]


def test_the_plain_text_report_says_the_same_in_sentences() -> None:
    tree = report_of(reports.prediction(SERIES), reports.context([reports.destination(report="text")]))
    said = texts(tree)
    assert "Probability of dementia-related changes: 82.34 %" in said
    assert "Standard deviation over the dropout samples: 3.10 %" in said
    assert "Slices used: 61" in said
    assert f"sha256={reports.MODEL.sha256}" in said
    assert {item.ValueType for _, _, item in items(tree)} == {"CONTAINER", "TEXT", "CODE", "UIDREF", "IMAGE"}


def test_flags_say_complete_unverified_preliminary() -> None:
    for form in FORMS:
        tree = report_of(reports.prediction(SERIES), reports.context([reports.destination(report=form)]))
        assert (tree.CompletionFlag, tree.VerificationFlag, tree.PreliminaryFlag) == (
            "COMPLETE",
            "UNVERIFIED",
            "PRELIMINARY",
        )
        assert "(RUO)" in tree.SeriesDescription


@dataclass(frozen=True)
class Earlier:
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str


def test_a_superseding_report_names_its_predecessor_of_the_same_form() -> None:
    earlier = (
        Earlier(ComprehensiveSRStorage, "2.25.1", "2.25.2"),
        Earlier(BasicTextSRStorage, "2.25.3", "2.25.4"),
    )
    how = replace(reports.context(), predecessor=earlier)
    (study,) = report_of(reports.prediction(SERIES), how).PredecessorDocumentsSequence
    assert study.StudyInstanceUID == SERIES[0].StudyInstanceUID
    (series,) = study.ReferencedSeriesSequence
    assert series.SeriesInstanceUID == "2.25.2"
    assert [each.ReferencedSOPInstanceUID for each in series.ReferencedSOPSequence] == ["2.25.1"]


def test_a_report_after_a_skipped_revision_names_that_one() -> None:
    how = replace(reports.context(), predecessor=(Earlier(BasicTextSRStorage, "2.25.3", "2.25.4"),))
    (study,) = report_of(reports.prediction(SERIES), how).PredecessorDocumentsSequence
    assert study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "2.25.3"


def test_a_first_report_has_no_predecessor() -> None:
    assert "PredecessorDocumentsSequence" not in report_of(reports.prediction(SERIES))


def test_all_text_of_ours_is_ascii_whatever_comes_in() -> None:
    model = replace(reports.MODEL, name="Modèle ünï\\code")
    scope = replace(reports.OUT_OF_SCOPE, reason="Größe zu klein")
    tree = report_of(replace(reports.out_of_scope(), model=model, scope=scope))
    assert all(text.isascii() and "\\" not in text for text in texts(tree))
    assert texts(tree, codes.ALGORITHM_NAME) == ["Mod?le ?n??code"]


def test_private_codes_are_identified_and_fit_their_representation() -> None:
    tree = report_of(reports.prediction(SERIES))
    (scheme,) = tree.CodingSchemeIdentificationSequence
    assert scheme.CodingSchemeDesignator == codes.PRIVATE_SCHEME
    private = [each for each in vars(codes).values() if getattr(each, "CodingSchemeDesignator", "") == "99NEUROSSL"]
    assert len([*private, *codes.BANDS.values()]) >= 9
    assert all(len(each.CodeValue) <= 16 for each in (*private, *codes.BANDS.values()))


def test_highdicom_reads_it_back(tmp_path: object) -> None:
    results = reports.build(SERIES, reports.prediction(SERIES), reports.context())
    path = tmp_path / "report.dcm"  # type: ignore[operator]
    path.write_bytes(results[-1].content)
    (group,) = srread(path).content.get_image_measurement_groups()
    assert group.tracking_identifier == "AI dementia assessment"
    assert {each.name.meaning: each.value for each in group.get_measurements()}["Probability"] == 82.34


def skipped(series: list[Dataset], how: report.Context, *verdicts: reports.Verdict) -> list[report.Encoded]:
    return report.build_skipped(Source(series), verdicts, "no series is a T1-weighted volume", how)


def test_a_skipped_study_gets_a_text_report_that_names_each_series() -> None:
    verdicts = (
        reports.Verdict(),
        reports.Verdict(series_number=None, description="", modality="", detail=""),
        reports.Verdict(5, "Größe", "MR", 3, eligible=True),
    )
    (result,) = skipped(SERIES, reports.context(), *verdicts)
    tree = reports.read(result)
    assert (result.kind, result.destinations, tree.SOPClassUID) == ("sr_text", ("pacs",), BasicTextSRStorage)
    assert texts(tree, codes.CONCLUSION)[1:] == [
        "Reason: no series is a T1-weighted volume",
        "RESEARCH USE ONLY - not for diagnosis. Not a medical device.",
    ]
    assert texts(tree, codes.FINDING) == [
        'Series 3 ("T2 TSE", MR, 24 instances): not T1-weighted: EchoTime 90 ms',
        "Series without number (no modality, 24 instances): not T1-weighted",
        'Series 5 ("Gr??e", MR, 3 instances): eligible',
    ]


def test_a_skipped_study_gets_a_page_where_the_setting_asks_for_it() -> None:
    destinations = [reports.destination("a"), reports.destination("b", captures=False)]
    results = skipped(SERIES, reports.context(destinations, capture_skipped=True), reports.Verdict())
    assert [(each.kind, each.destinations) for each in results] == [
        ("summary", ("a",)),
        ("sr_text", ("a",)),
        ("sr_text", ("b",)),
    ]
    page = reports.read(results[0])
    assert (page.RecognizableVisualFeatures, page.BurnedInAnnotation) == ("NO", "NO")
    assert {reports.read(each).SeriesDescription for each in results} == {"AI dementia: no result (RUO)"}
    images = [item for _, _, item in items(reports.read(results[1])) if item.ValueType == "IMAGE"]
    assert [each.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for each in images] == [results[0].sop_instance_uid]


def test_a_skipped_study_leaves_nothing_where_the_setting_says_so() -> None:
    assert skipped(SERIES, reports.context(report_skipped=False), reports.Verdict()) == []


def odd_study() -> Iterator[Dataset]:
    for number, sop_class in enumerate((SecondaryCaptureImageStorage, ComprehensiveSRStorage, "1.2.3.4.5.6")):
        header = Dataset()
        header.StudyInstanceUID, header.SeriesInstanceUID = "2.25.10", f"2.25.20{number}"
        header.SOPClassUID, header.SOPInstanceUID = sop_class, f"2.25.30{number}"
        yield header


def test_a_study_without_any_mr_image_still_gets_a_valid_report() -> None:
    (result,) = skipped([*odd_study()], reports.context())
    tree = reports.read(result)
    assert tree.StudyInstanceUID == "2.25.10"
    assert tree.PatientName == ""
    assert texts(tree, codes.FINDING) == ["The study holds no series."]
