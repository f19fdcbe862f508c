"""Pictures: where they lie in the patient, what they show, and what they must not."""

import io
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from scipy import ndimage

from model.bands import Conformal
from model.types import Band, Prediction, Slice, SlicePrediction
from node import verdict
from node.report import curve, drawing, overlay, summary
from tests import reports
from tests.factories import ABSENT, mr_series

SERIES = mr_series(slices=6, rows=32, columns=32)
OBLIQUE = np.linalg.qr(np.array([[0.2, 0.9, 0.1], [0.9, -0.2, 0.3], [0.3, 0.1, -0.9]]))[0]


def with_slice(made: Prediction, **changes: object) -> Prediction:
    """The prediction with one slice, changed."""
    return replace(made, slices=(replace(made.slices[0], **changes),))


def overlay_of(made: Prediction, series: list[Dataset] = SERIES) -> Dataset:
    return reports.of_kind(reports.build(series, made, reports.context(captures=1)), "overlay")


def to_patient(capture: Dataset, column: float, row: float) -> NDArray[np.float64]:
    """PS3.3 equation C.7.6.2.1-1, by the letter."""
    along, down = (
        np.array(capture.ImageOrientationPatient[:3], float),
        np.array(capture.ImageOrientationPatient[3:], float),
    )
    between_rows, between_columns = (float(value) for value in capture.PixelSpacing)
    start = np.array(capture.ImagePositionPatient, float)
    return start + along * between_columns * column + down * between_rows * row


@pytest.mark.parametrize(
    "shape_and_steps", [((224, 224), (208 / 224, 176 / 224)), ((224, 224), (1.0, 1.0)), ((60, 100), (0.7, 2.1))]
)
@pytest.mark.parametrize("axes", [np.eye(3), OBLIQUE])
def test_every_point_of_the_anatomy_lies_where_the_slice_says(
    shape_and_steps: tuple[tuple[int, int], tuple[float, float]], axes: NDArray[np.float64]
) -> None:
    shape, (down_mm, along_mm) = shape_and_steps
    affine = np.eye(4)
    affine[:3, :3] = axes[:, [1, 0, 2]] * [down_mm, along_mm, 1]
    affine[:3, 3] = (-70.5, 33.25, 12)
    pixels = np.full(shape, 30, np.uint8)
    pixels[10:20, 30:50] = 250
    capture = overlay_of(
        with_slice(reports.prediction(), slice=Slice(pixels, affine), rollout=np.zeros((14, 14), np.float32))
    )
    field = capture.pixel_array[overlay.TOP : -overlay.BOTTOM, overlay.LEFT : -overlay.RIGHT].astype(float)
    parts, _ = ndimage.label(field[..., 0] > 140 * drawing.DIMMED)  # the patch, and the letters at the edges
    patch = parts == np.bincount(parts.ravel())[1:].argmax() + 1
    rows, columns = (np.flatnonzero(patch.any(axis=axis)) for axis in (1, 0))
    height, width = field.shape[:2]
    for place, first, last, scale in ((rows, 10, 20, height / shape[0]), (columns, 30, 50, width / shape[1])):
        assert abs(place[0] - first * scale) <= scale / 2 + 1
        assert abs(place[-1] + 1 - last * scale) <= scale / 2 + 1
    for row in (0, height / 2 - 0.5, height - 1):
        for column in (0, width / 2 - 0.5, width - 1):
            in_slice = (row + 0.5) * shape[0] / height - 0.5, (column + 0.5) * shape[1] / width - 0.5
            expected = (affine @ [*in_slice, 0, 1])[:3]
            np.testing.assert_allclose(
                to_patient(capture, column + overlay.LEFT, row + overlay.TOP), expected, atol=1e-4
            )


def test_the_picture_is_not_distorted() -> None:
    height, width = overlay.field_size(reports.prediction().slices[0].slice)
    assert height == overlay.FIELD
    assert width / height == pytest.approx(176 / 208, rel=0.002)
    spacing = [float(value) for value in overlay_of(reports.prediction()).PixelSpacing]
    assert spacing[0] == pytest.approx(spacing[1], rel=0.002)


def test_a_hot_patch_lights_up_where_it_lies() -> None:
    rollout = np.zeros((14, 14), np.float32)
    rollout[3, 9] = 1
    item = replace(reports.prediction().slices[0], slice=Slice(np.full((224, 224), 100, np.uint8)), rollout=rollout)
    picture = overlay.blended(item, 280, 280).astype(int)
    warm = np.abs(picture - picture[-1, 0]).sum(axis=2)
    row, column = np.unravel_index(warm.argmax(), warm.shape)
    assert abs((row + 0.5) / 20 - 3.5) < 0.1
    assert abs((column + 0.5) / 20 - 9.5) < 0.1
    assert warm[69:71, 189:191].min() > 100
    assert warm[:, :170].max() == 0
    assert warm[:50].max() == 0


def test_where_there_is_no_heat_the_anatomy_is_grey() -> None:
    grey = np.tile(np.arange(256, dtype=np.uint8), (4, 1))
    picture = drawing.blend(grey, np.zeros(grey.shape, np.float32))
    assert (picture[..., 0] == picture[..., 1]).all()
    assert (picture[..., 0] == picture[..., 2]).all()
    assert (np.diff(picture[0, :, 0].astype(int)) >= 0).all()


def test_heat_only_grows_warmer_and_more_opaque() -> None:
    colours, clear = drawing.heat_table()
    assert (np.diff(clear[:, 0]) <= 0).all()
    assert clear[0, 0] == 1
    assert clear[-1, 0] == pytest.approx(1 - drawing.MAXIMUM_OPACITY)
    assert (np.diff(colours.sum(axis=1)) >= -1e-3).all()


@pytest.mark.parametrize(
    ("directions", "letters"),
    [(("P", "L"), ("R", "L", "A", "P")), (("A", "R"), ("L", "R", "P", "A"))],
)
def test_letters_say_where_the_patients_sides_are(
    directions: tuple[str, str], letters: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = {"L": (1, 0, 0), "R": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0)}
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = vectors[directions[0]], vectors[directions[1]]
    written: list[str] = []
    monkeypatch.setattr(overlay, "write", lambda _draw, _at, text, *_, **__: written.append(text))
    made = with_slice(reports.prediction(), slice=Slice(np.zeros((224, 224), np.uint8), affine))
    overlay.picture(made, 0)
    assert tuple(each for each in written if len(each) == 1) == letters


@pytest.mark.parametrize(("height_mm", "said"), [(12.3, "H 12.3 mm"), (0.0, "H 0.0 mm"), (-4.5, "F 4.5 mm")])
def test_a_slice_says_its_number_and_its_height(height_mm: float, said: str) -> None:
    (one,) = reports.prediction(slices=1).slices
    made = replace(
        reports.prediction(), slices=(replace(one, slice=Slice(one.slice.pixels, reports.plane(height_mm))),)
    )
    assert overlay.place(made, 0) == f"Slice 1 of 1, {said}"


def test_a_picture_without_a_place_claims_none() -> None:
    made = with_slice(reports.prediction(), slice=Slice(np.zeros((224, 224), np.uint8)))
    capture = overlay_of(made)
    absent = (
        "PixelSpacing",
        "ImagePositionPatient",
        "ImageOrientationPatient",
        "FrameOfReferenceUID",
        "SliceThickness",
    )
    assert not [keyword for keyword in absent if keyword in capture]
    assert capture.PatientOrientation is None or capture.PatientOrientation == ""


def test_a_source_without_frame_of_reference_gives_spacing_and_no_position() -> None:
    series = mr_series(slices=4, rows=16, columns=16, FrameOfReferenceUID=ABSENT)
    capture = overlay_of(reports.prediction(), series)
    assert "ImagePositionPatient" not in capture
    assert "PixelSpacing" in capture


def test_the_frame_of_reference_and_orientation_are_the_patients() -> None:
    capture = overlay_of(reports.prediction())
    assert capture.FrameOfReferenceUID == SERIES[0].FrameOfReferenceUID
    assert list(capture.PatientOrientation) == ["L", "P"]
    assert list(capture.ImageOrientationPatient) == [1, 0, 0, 0, 1, 0]


def test_a_capture_is_plain_rgb_that_any_viewer_shows() -> None:
    results = reports.build(SERIES, reports.prediction(SERIES), reports.context(captures=2))
    for number, result in enumerate(results[:-1], 1):
        capture = reports.read(result)
        assert capture.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        assert (capture.Modality, capture.ConversionType, capture.PhotometricInterpretation) == ("OT", "WSD", "RGB")
        assert capture.ImageType == ["DERIVED", "SECONDARY", "OTHER"]
        assert (capture.InstanceNumber, capture.SeriesNumber) == (number, 9100)
        assert (capture.BurnedInAnnotation, capture.RecognizableVisualFeatures) == ("NO", "YES")
        assert capture.ContentQualification == "RESEARCH"
        assert "(RUO)" in capture.SeriesDescription
        assert capture.pixel_array.shape == (capture.Rows, capture.Columns, 3)
        assert capture.SourceImageSequence[0].PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
    assert "bilinear" in reports.read(results[1]).DerivationDescription


def words_of(made: Prediction, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every text that the pictures hold."""
    written: list[str] = []
    real = ImageDraw.ImageDraw.text

    def remember(self: ImageDraw.ImageDraw, xy: object, text: str, *rest: object, **more: object) -> None:
        written.append(text)
        real(self, xy, text, *rest, **more)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", remember)
    reports.build(SERIES, made, reports.context(captures=3))
    return written


def test_no_patient_identifier_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    said = " ".join(words_of(reports.prediction(SERIES), monkeypatch))
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "AccessionNumber", "StudyInstanceUID", "StudyDate"):
        for part in str(SERIES[0][keyword].value).split("^"):
            assert part not in said


def test_research_use_stands_on_every_picture_and_untrained_where_it_is_so(monkeypatch: pytest.MonkeyPatch) -> None:
    said = words_of(reports.prediction(SERIES), monkeypatch)
    assert said.count("RESEARCH USE ONLY") == 4
    assert not [text for text in said if "UNTRAINED" in text.upper()]
    said = words_of(reports.prediction(SERIES, model=replace(reports.MODEL, trained=False)), monkeypatch)
    assert said.count("UNTRAINED MODEL") == 3
    assert "UNTRAINED MODEL: random weights, the numbers mean nothing" in said
    assert "Untrained: high likelihood of dementia-related changes" in said


@pytest.mark.parametrize(
    ("band", "headline", "sentence"),
    [
        (Band.HIGH_LIKELIHOOD, "High likelihood of dementia-related changes", "not below the upper threshold of 75 %"),
        (Band.INDETERMINATE, "Indeterminate", "between the thresholds of 62 % and 75 %"),
        (Band.NO_SIGNIFICANT_CHANGES, "No significant changes", "below the lower threshold of 62 %"),
        (Band.LOW_CONFIDENCE, "Low confidence: no decision", "disagree by more than the limit of 15 %"),
    ],
)
def test_the_page_says_the_verdict_and_why(
    band: Band, headline: str, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = words_of(reports.prediction(SERIES, band=band), monkeypatch)
    assert headline in said
    assert sentence in " ".join(said)
    assert "82 %" in said
    assert "SD 3.1 % over dropout samples" in said


def test_the_verdict_bears_its_colour_and_an_untrained_one_none() -> None:
    for trained, band in ((True, Band.HIGH_LIKELIHOOD), (True, Band.NO_SIGNIFICANT_CHANGES), (False, None)):
        made = reports.prediction(band=band or Band.HIGH_LIKELIHOOD, model=replace(reports.MODEL, trained=trained))
        page = summary.picture(made, "meaning")
        assert tuple(page[210 if not trained else 170, 900]) == verdict.COLOURS[band]


@pytest.mark.parametrize("probability", [0.07, 0.3, 0.5, 0.93])
def test_the_marker_points_at_the_probability_and_its_whiskers_reach_one_deviation(probability: float) -> None:
    page = summary.picture(reports.prediction(probability=probability, spread=0.05), "meaning")

    def columns(row: int, colour: drawing.Colour) -> NDArray[np.intp]:
        return np.flatnonzero((page[row, 300:] == colour).all(axis=1)) + 300

    start = columns(272, verdict.COLOURS[Band.NO_SIGNIFICANT_CHANGES])[0]
    length = columns(272, verdict.COLOURS[Band.HIGH_LIKELIHOOD])[-1] + 2 - start  # bands end two pixels before the next
    assert (columns(242, drawing.WHITE).mean() - start) / length == pytest.approx(probability, abs=0.003)
    whiskers = columns(217, drawing.WHITE)
    low, high = (whiskers[0] + 1 - start) / length, (whiskers[-1] - 1 - start) / length
    assert (low, high) == pytest.approx((probability - 0.05, probability + 0.05), abs=0.003)


def test_whiskers_end_where_the_line_does() -> None:
    page = summary.picture(reports.prediction(probability=0.98, spread=0.5), "meaning")
    last = np.flatnonzero((page[272] == verdict.COLOURS[Band.HIGH_LIKELIHOOD]).all(axis=1))[-1]
    assert np.flatnonzero((page[217] == drawing.WHITE).all(axis=1))[-1] <= last + 4


@pytest.mark.parametrize("known", [{}, {"high_likelihood": 0.75}, {"no_significant_changes": 0.62}])
def test_without_both_thresholds_the_line_has_no_bands(known: dict[str, float]) -> None:
    made = reports.prediction(model=replace(reports.MODEL, thresholds=known))
    assert verdict.zones(made.model.thresholds) == [("", 0.0, 1.0)]


def test_a_band_too_narrow_for_its_name_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = {**reports.MODEL.thresholds, "no_significant_changes": 0.70, "high_likelihood": 0.75}
    said = words_of(reports.prediction(SERIES, model=replace(reports.MODEL, thresholds=narrow)), monkeypatch)
    assert "indeterminate" not in said
    assert {"no significant changes", "high likelihood"} <= set(said)


@pytest.mark.parametrize("probability", [0.07, 0.93])
def test_the_calibration_subjects_stand_under_the_line_with_a_mark_where_this_study_is(
    probability: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    low, high = [0.04] * 10 + [0.28] * 10, [0.74] * 20
    sets = Conformal.of(0.9, low, high)
    page = summary.picture(reports.conformal(sets, probability), "meaning")
    assert page.shape == (1024 + summary.STANDING + 14, 1024, 3)

    def columns(row: int, colour: drawing.Colour) -> NDArray[np.intp]:
        return np.flatnonzero((page[row, 300:] == colour).all(axis=1)) + 300

    start, end = 36 + 288, 1024 - 36 - 32
    mark = columns(66 + 262 + 100, drawing.WHITE)
    assert (mark.mean() - start) / (end - start) == pytest.approx(probability, abs=0.003)
    bars = (columns(66 + 262 + 60, verdict.COLOURS[verdict.LOW]) - start) / (end - start)
    assert {int(each * 20) for each in bars} == {0, 5}
    bars = (columns(66 + 262 + 110, verdict.COLOURS[verdict.HIGH]) - start) / (end - start)
    assert {int(each * 20) for each in bars} == {14}
    said = words_of(reports.conformal(sets, probability, SERIES), monkeypatch)
    assert {"20 without dementia", "20 with dementia", f"{100 if probability > 0.5 else 50} % lower"} <= set(said)


def test_a_page_without_result_says_so_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr(summary, "write", lambda _draw, _at, text, *_, **__: written.append(text))
    summary.skipped_picture("no series is T1-weighted", [reports.Verdict()])
    assert {"No result", "no series is T1-weighted", "RESEARCH USE ONLY"} <= set(written)
    assert "Series 3 (MR, 24 instances): not T1-weighted: EchoTime 90 ms" in written


def test_out_of_scope_is_said_as_clearly(monkeypatch: pytest.MonkeyPatch) -> None:
    said = words_of(reports.out_of_scope(), monkeypatch)
    assert "Out of scope: not classified" in said
    assert "Not classified: the volume does not look like a head" in said
    assert "head_ml: 212.3" in said


def test_the_page_names_model_and_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr(summary, "write", lambda _draw, _at, text, *_, **__: written.append(text))
    summary.picture(reports.prediction(), "meaning")
    assert f"sha256 {reports.MODEL.sha256}" in written
    facts = next(text for text in written if text.startswith("neurossl-test 1.0"))
    assert "61 slices, 10 dropout samples, temperature 1.7, predictive entropy 0.470 nat" in facts


def slices_with(probabilities: list[float]) -> tuple[SlicePrediction, ...]:
    (one,) = reports.prediction(slices=1).slices
    return tuple(replace(one, probability=value) for value in probabilities)


def test_half_of_the_shown_slices_run_evenly_through_the_slab() -> None:
    chosen = overlay.choose(slices_with([0.5] * 61), 12)
    assert len(set(chosen)) == 12
    assert chosen == sorted(chosen)
    assert {0, 12, 24, 36, 48, 60} <= set(chosen)


def test_the_rest_are_the_most_probable_that_are_not_neighbours() -> None:
    probabilities = [0.1] * 61
    for index in (29, 30, 31, 40):
        probabilities[index] = 0.9
    assert overlay.key_slices(slices_with(probabilities))[:2] == [29, 40]
    chosen = set(overlay.choose(slices_with(probabilities), 12))
    assert {29, 40} <= chosen
    assert not {30, 31} & chosen


@pytest.mark.parametrize(("count", "expected"), [(0, []), (1, [1]), (3, [0, 1, 2]), (99, [0, 1, 2])])
def test_no_more_slices_are_shown_than_there_are(count: int, expected: list[int]) -> None:
    assert overlay.choose(slices_with([0.2, 0.9, 0.3]), count) == expected


def test_pages_with_unusual_numbers_can_be_drawn() -> None:
    plain = replace(reports.MODEL, thresholds={})
    for made in (
        reports.prediction(slices=1),
        reports.prediction(slices=2, probability=0.0, spread=0.0),
        reports.prediction(probability=1.0, spread=0.5, model=plain),
    ):
        page = summary.picture(made, "x " * 400)
        assert page.shape == (1024, 1024, 3)


def test_a_page_of_many_skipped_series_ends_with_how_many_more() -> None:
    verdicts = [reports.Verdict(series_number=number, detail=chr(0x100 + number)) for number in range(100)]
    page = summary.skipped_picture("no T1", verdicts)
    assert page.shape[1] == 1024
    assert 900 < page.shape[0] <= 1024


def test_a_page_of_series_that_were_skipped_for_one_reason_says_it_once() -> None:
    alike = [reports.Verdict(series_number=number) for number in range(100)]
    assert summary.skipped_picture("no T1", alike).shape[0] <= summary.skipped_picture("no T1", alike[:5]).shape[0]


def test_the_curve_has_its_highest_point_where_the_probability_has() -> None:
    made = replace(reports.prediction(), slices=slices_with([0.1] * 20 + [0.95] + [0.1] * 20))
    panel = np.asarray(curve.picture(made, 600, 204, {})).astype(int)
    orange = (np.abs(panel - curve.CURVE).sum(axis=2) < 90).nonzero()
    peak = orange[1][orange[0].argmin()]
    left, right = curve.LEFT, 600 - curve.RIGHT
    assert peak == pytest.approx((left + right) / 2, abs=3)


def test_pictures_survive_a_round_trip_through_png() -> None:
    """What is drawn is what a person sees: no alpha, no palette."""
    pixels, _ = overlay.picture(reports.prediction(), 3)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    assert (np.asarray(Image.open(buffer)) == pixels).all()
