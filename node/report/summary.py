"""The page that is read first: verdict, probability with its uncertainty, the curve along the slices, key slices.

No patient identifiers: whose it is stands in the header, where it can be corrected.
"""

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageDraw

from model.types import Prediction
from node import verdict
from node.report import curve, overlay
from node.report.drawing import (
    BLACK,
    LINE,
    MUTED,
    PAGE,
    PANEL,
    TEXT,
    WARNING,
    WHITE,
    Colour,
    Pixels,
    width_of,
    wrapped,
    write,
)
from node.report.plain import SeriesVerdict, lines

SIZE, MARGIN = 1024, 36
RIGHT = SIZE - MARGIN
ROOM = 32  # lines of text on a page without pictures
HOW_MADE = (
    "Summary page of a model's assessment: verdict, calibrated probability with its standard deviation over dropout "
    "samples, probability along the slices, slices with attention rollout. Research use only."
)
STANDING = 138  # pixels along the panel of the calibration subjects
Box = tuple[int, int, int, int]  # left, top, right, bottom


def picture(prediction: Prediction, meaning: str) -> Pixels:
    """(H, 1024, 3) uint8, H about 1024, or half of it where there is little to show; `meaning` is a sentence."""
    remarks = wrapped(" ".join(prediction.remarks), 14, RIGHT - MARGIN) if prediction.remarks else []
    height = (SIZE if prediction.slices else SIZE // 2) + 22 * len(remarks)
    height += STANDING + 14 if prediction.standing else 0
    canvas = Image.new("RGB", (SIZE, height), PAGE)
    draw = ImageDraw.Draw(canvas)
    top = _head(draw, prediction.model.trained)
    band = prediction.band if prediction.scope.inside else None
    trained = prediction.model.trained
    _verdict(draw, top, verdict.headline(prediction), meaning, verdict.COLOURS[band if trained else None])
    if prediction.probability is not None:
        _probability(draw, (MARGIN, top + 126, RIGHT, top + 248), prediction)
    if prediction.standing:
        _standing(draw, (MARGIN, top + 262, RIGHT, top + 262 + STANDING), prediction)
        top += STANDING + 14
    if prediction.slices:
        marks = dict(zip(sorted(overlay.key_slices(prediction.slices)), "ABCD", strict=False))
        canvas.paste(curve.picture(prediction, RIGHT - MARGIN, 204, marks), (MARGIN, top + 262))
        _key_slices(canvas, draw, top + 480, prediction, marks)
    else:
        _lines(draw, top + 136, [f"{key}: {value:.6g}" for key, value in sorted(prediction.scope.measurements.items())])
    for number, row in enumerate(remarks):
        write(draw, (MARGIN, height - 92 - 22 * (len(remarks) - number)), row, 14)
    _foot(draw, height, prediction)
    return np.asarray(canvas)


def skipped_picture(reason: str, verdicts: Sequence[SeriesVerdict]) -> Pixels:
    """(H, 1024, 3) uint8: that there is no result, and why; without the series' descriptions, which are free text."""
    rows = [row for each in lines(verdicts, described=False) for row in wrapped(each, 16, RIGHT - MARGIN)]
    if len(rows) > ROOM:
        rows = [*rows[: ROOM - 1], f"... and {len(rows) - ROOM + 1} more lines in the report"]
    height = max(SIZE // 2, 260 + 23 * len(rows))
    canvas = Image.new("RGB", (SIZE, height), PAGE)
    draw = ImageDraw.Draw(canvas)
    top = _head(draw, True)
    _verdict(draw, top, "No result", reason, verdict.COLOURS[None])
    _lines(draw, top + 136, rows)
    write(draw, (MARGIN, height - 38), "No result will follow unless further images arrive.", 14, WARNING)
    return np.asarray(canvas)


def _lines(draw: ImageDraw.ImageDraw, top: int, rows: Sequence[str]) -> None:
    for number, row in enumerate(rows):
        write(draw, (MARGIN, top + 23 * number), row, 16)


def _head(draw: ImageDraw.ImageDraw, trained: bool) -> int:
    """Title and warnings; returns where the page goes on."""
    write(draw, (MARGIN, 18), "AI assessment of brain MRI", 26, bold=True)
    write(draw, (RIGHT, 21), "RESEARCH USE ONLY", 22, WARNING, bold=True, anchor="ra")
    if trained:
        return 66
    draw.rectangle((0, 60, SIZE, 92), fill=WARNING)
    text = "UNTRAINED MODEL: random weights, the numbers mean nothing"
    write(draw, (SIZE / 2, 76), text, 20, BLACK, bold=True, anchor="mm")
    return 106


def _verdict(draw: ImageDraw.ImageDraw, top: int, headline: str, meaning: str, colour: Colour) -> None:
    """The result in words, on its colour."""
    rows = wrapped(meaning, 17, RIGHT - MARGIN - 48)[:2]
    draw.rounded_rectangle((MARGIN, top, RIGHT, top + 112), 10, fill=colour)
    start = top + 24 - 12 * (len(rows) - 1)
    write(draw, (MARGIN + 24, start), headline, 32, WHITE, bold=True)
    for number, row in enumerate(rows):
        write(draw, (MARGIN + 24, start + 46 + 23 * number), row, 17, WHITE)


def _probability(draw: ImageDraw.ImageDraw, box: Box, prediction: Prediction) -> None:
    """The number, and the same on a line from 0 to 100 % that shows where the bands lie, with one SD to each side."""
    left, top, *_ = box
    probability, spread = prediction.probability or 0.0, prediction.spread or 0.0
    draw.rounded_rectangle(box, 10, fill=PANEL)
    write(draw, (left + 24, top + 12), f"{100 * probability:.0f} %", 50, bold=True)
    write(draw, (left + 24, top + 72), "calibrated probability", 14, TEXT)
    write(draw, (left + 24, top + 93), f"SD {100 * spread:.1f} % over dropout samples", 14, MUTED)
    x, y = _scale(box), top + 56
    for name, low, high in verdict.zones(prediction.model.thresholds):
        draw.rectangle((x(low), y, x(high) - 2, y + 26), fill=verdict.COLOURS[name] if name else LINE)
        size = next((each for each in (14, 13, 12, 11) if width_of(name, each) < x(high) - x(low) - 2), 0)
        if size:
            write(draw, ((x(low) + x(high)) / 2, y + 13), name, size, WHITE, anchor="mm")
        if high < 1:
            write(draw, (x(high), y + 32), f"{100 * high:.0f} %", 13, TEXT, anchor="ma")
    for value, anchor in ((0, "la"), (1, "ra")):
        write(draw, (x(value), y + 32), f"{100 * value} %", 13, MUTED, anchor=anchor)
    low, middle, high = x(probability - spread), x(probability), x(probability + spread)
    draw.line((low, y - 24, high, y - 24), fill=WHITE, width=3)
    for end_of_spread in (low, high):
        draw.line((end_of_spread, y - 32, end_of_spread, y - 16), fill=WHITE, width=3)
    draw.polygon([(middle - 9, y - 24), (middle + 9, y - 24), (middle, y - 3)], fill=WHITE)
    draw.ellipse((middle - 9, y - 33, middle + 9, y - 15), fill=WHITE)


def _scale(box: Box) -> Callable[[float], float]:
    """A probability -> where it lies in a panel, from left to right; the same in both of them."""
    start, end = box[0] + 288, box[2] - 32
    return lambda value: start + (end - start) * min(max(value, 0.0), 1.0)


def _standing(draw: ImageDraw.ImageDraw, box: Box, prediction: Prediction) -> None:
    """Where the probability lies among the calibration subjects without and with the label: two histograms, a mark."""
    left, top, *_ = box
    x = _scale(box)
    draw.rounded_rectangle(box, 10, fill=PANEL)
    write(draw, (left + 24, top + 10), "Calibration subjects", 15, bold=True)
    most = max(max(each.histogram) / each.subjects for each in prediction.standing)
    for number, each in enumerate(prediction.standing):
        foot = top + 68 + 58 * number
        write(draw, (left + 24, foot - 30), verdict.whose(each), 14, TEXT)
        write(draw, (left + 24, foot - 12), verdict.lower(each), 14, MUTED)
        draw.line((x(0), foot, x(1), foot), fill=LINE)
        width = 1 / len(each.histogram)
        for place, count in enumerate(each.histogram):
            height = 46 * count / each.subjects / most
            if count:
                colour = verdict.COLOURS[verdict.HIGH if each.label else verdict.LOW]
                draw.rectangle((x(place * width) + 1, foot - height, x((place + 1) * width) - 1, foot), fill=colour)
    at = x(prediction.probability or 0.0)
    draw.line((at, top + 12, at, top + STANDING - 8), fill=WHITE, width=3)


def _key_slices(
    canvas: Image.Image, draw: ImageDraw.ImageDraw, top: int, prediction: Prediction, marks: dict[int, str]
) -> None:
    """Slices with a high probability, heat map over anatomy, with the letters that mark them on the curve."""
    write(draw, (MARGIN, top), "Slices with a high probability, at a distance from each other", 15, bold=True)
    step, top = (RIGHT - MARGIN + 16) // overlay.KEY_SLICES, top + 28
    for number, (index, mark) in enumerate(marks.items()):
        item = prediction.slices[index]
        height, width = overlay.field_size(item.slice, 262)
        if width > step - 16:
            height, width = round(height * (step - 16) / width), step - 16
        left = MARGIN + number * step
        canvas.paste(Image.fromarray(overlay.blended(item, width, height)), (left, top))
        write(draw, (left + 8, top + 6), mark, 20, TEXT, bold=True, outline=BLACK)
        write(draw, (left, top + height + 8), overlay.place(prediction, index), 14)
        caption = f"{100 * item.probability:.0f} %, SD {100 * item.spread:.0f} %"
        write(draw, (left, top + height + 28), caption, 14, MUTED)


def _foot(draw: ImageDraw.ImageDraw, height: int, prediction: Prediction) -> None:
    model = prediction.model
    facts = [
        f"{model.name} {model.version}",
        f"{len(prediction.slices)} slices",
        f"{model.dropout_samples} dropout samples",
    ]
    facts.append(f"temperature {model.temperature:.3g}")
    if prediction.predictive_entropy is not None and prediction.mutual_information is not None:
        entropy = f"predictive entropy {prediction.predictive_entropy:.3f} nat"
        facts.extend([entropy, f"mutual information {prediction.mutual_information:.3f} nat"])
    write(draw, (MARGIN, height - 84), ", ".join(facts), 12, MUTED)
    write(draw, (MARGIN, height - 64), f"sha256 {model.sha256}", 12, MUTED)
    text = "Not a medical device. Not for diagnosis. Heat maps show attention, not lesions; scaled within each slice."
    write(draw, (MARGIN, height - 38), text, 14, WARNING)
