"""The page that is read first: verdict, probability with its uncertainty, the curve along the slices, key slices.

No patient identifiers: whose it is stands in the header, where it can be corrected.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from model.types import Band, Prediction
from node.report import overlay
from node.report.drawing import LINE, MUTED, PAGE, PANEL, TEXT, WARNING, Colour, Pixels, wrapped, write
from node.report.plain import Verdict, line

SIZE, MARGIN = 1024, 36
SMOOTH = 3  # the curve is drawn this many times larger and reduced, which Pillow's lines need to look smooth
WHITE: Colour = (255, 255, 255)
COLOURS: dict[Band | None, Colour] = {
    Band.HIGH_LIKELIHOOD: (190, 74, 50),
    Band.INDETERMINATE: (160, 112, 24),
    Band.NO_SIGNIFICANT_CHANGES: (40, 104, 158),
    Band.LOW_CONFIDENCE: (110, 90, 142),
    None: (90, 96, 106),
}
HEADLINES: dict[Band | None, str] = {
    Band.HIGH_LIKELIHOOD: "High likelihood of dementia-related changes",
    Band.INDETERMINATE: "Indeterminate",
    Band.NO_SIGNIFICANT_CHANGES: "No significant changes",
    Band.LOW_CONFIDENCE: "Low confidence: no decision",
    None: "Out of scope: not classified",
}
CURVE: Colour = (244, 154, 66)
HOW_MADE = (
    "Summary page of a model's assessment: verdict, calibrated probability with its standard deviation over dropout "
    "samples, probability along the slices, slices with attention rollout. Research use only."
)
Box = tuple[int, int, int, int]  # left, top, right, bottom


def picture(prediction: Prediction, shown: Sequence[int], meaning: str) -> Pixels:
    """(1024, 1024, 3) uint8. `shown`: slices with an overlay of their own; `meaning`: the verdict in a sentence."""
    canvas = Image.new("RGB", (SIZE, SIZE), PAGE)
    draw = ImageDraw.Draw(canvas)
    top = head(draw, prediction.model.trained)
    verdict(
        draw, (MARGIN, top, SIZE - MARGIN, top + 122), HEADLINES[prediction.band], meaning, COLOURS[prediction.band]
    )
    top += 142
    if prediction.probability is not None:
        _probability(draw, (MARGIN, top, SIZE - MARGIN, top + 122), prediction)
        top += 142
    if prediction.slices:
        _curve(canvas, (MARGIN, top, SIZE - MARGIN, top + 216), prediction, shown)
        _key_slices(canvas, draw, top + 236, prediction, shown)
    _foot(draw, prediction)
    return np.asarray(canvas)


def skipped_picture(reason: str, verdicts: Sequence[Verdict]) -> Pixels:
    """(1024, 1024, 3) uint8: that there is no result, and why; without the series' descriptions, free text."""
    canvas = Image.new("RGB", (SIZE, SIZE), PAGE)
    draw = ImageDraw.Draw(canvas)
    top = head(draw, True)
    verdict(draw, (MARGIN, top, SIZE - MARGIN, top + 122), "No result", reason, COLOURS[None])
    lines = [row for each in verdicts for row in wrapped(line(each, described=False), 16, SIZE - 2 * MARGIN)]
    room = 34
    if len(lines) > room:
        lines = [*lines[: room - 1], f"... and {len(lines) - room + 1} more lines in the report"]
    for number, row in enumerate(lines):
        write(draw, (MARGIN, top + 148 + 23 * number), row, 16)
    write(draw, (MARGIN, SIZE - 30), "No result will follow unless further images arrive.", 13, WARNING)
    return np.asarray(canvas)


def head(draw: ImageDraw.ImageDraw, trained: bool) -> int:
    """Title and warnings; returns where the page goes on."""
    write(draw, (MARGIN, 20), "Brain MRI: assessment by a model", 26, bold=True)
    write(draw, (SIZE - MARGIN, 24), "RESEARCH USE ONLY", 22, WARNING, bold=True, anchor="ra")
    if trained:
        return 72
    draw.rectangle((0, 64, SIZE, 100), fill=WARNING)
    write(
        draw,
        (SIZE / 2, 82),
        "UNTRAINED MODEL: random weights, the numbers mean nothing",
        20,
        PAGE,
        bold=True,
        anchor="mm",
    )
    return 116


def verdict(draw: ImageDraw.ImageDraw, box: Box, headline: str, meaning: str, colour: Colour) -> None:
    """The result in words, on its colour."""
    left, top, right, _ = box
    draw.rounded_rectangle(box, 10, fill=colour)
    write(draw, (left + 24, top + 16), headline, 34, WHITE, bold=True)
    for number, row in enumerate(wrapped(meaning, 17, right - left - 48)[:2]):
        write(draw, (left + 24, top + 66 + 23 * number), row, 17, WHITE)


def _probability(draw: ImageDraw.ImageDraw, box: Box, prediction: Prediction) -> None:
    """The number, and the same on a line from 0 to 100 % with the thresholds and the spread."""
    left, top, right, _ = box
    probability, spread = prediction.probability or 0.0, prediction.spread or 0.0
    draw.rounded_rectangle(box, 10, fill=PANEL)
    write(draw, (left + 24, top + 14), f"{100 * probability:.0f} %", 52, bold=True)
    write(draw, (left + 24, top + 84), f"± {100 * spread:.1f} % (1 SD of dropout)", 15, MUTED)
    start, end, y = left + 290, right - 40, top + 62

    def x(value: float) -> float:
        return start + (end - start) * min(max(value, 0.0), 1.0)

    draw.rounded_rectangle((start, y - 5, end, y + 5), 5, fill=LINE)
    for percent in (0, 25, 50, 75, 100):
        write(draw, (x(percent / 100), y + 18), f"{percent}", 14, MUTED, anchor="ma")
    for name, value in _decision_thresholds(prediction).items():
        draw.line((x(value), y - 16, x(value), y + 12), fill=TEXT, width=2)
        write(draw, (x(value), y - 20), f"{name.replace('_', ' ')} {100 * value:.0f} %", 13, MUTED, anchor="md")
    draw.rectangle((x(probability - spread), y - 9, x(probability + spread), y + 9), fill=(*CURVE,))
    draw.ellipse((x(probability) - 11, y - 11, x(probability) + 11, y + 11), fill=WHITE, outline=PAGE, width=3)


def _decision_thresholds(prediction: Prediction) -> dict[str, float]:
    """Thresholds of the probability, not of its spread."""
    return {name: value for name, value in prediction.model.thresholds.items() if "spread" not in name}


def _curve(canvas: Image.Image, box: Box, prediction: Prediction, shown: Sequence[int]) -> None:
    """Probability of each slice along the slab with its spread, foot to head; dots: slices with an overlay."""
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    big = Image.new("RGB", (width * SMOOTH, height * SMOOTH), PAGE)
    draw = ImageDraw.Draw(big)
    draw.rounded_rectangle((0, 0, *big.size), 10 * SMOOTH, fill=PANEL)
    x0, x1, y0, y1 = 64 * SMOOTH, (width - 24) * SMOOTH, (height - 34) * SMOOTH, 40 * SMOOTH
    count = len(prediction.slices)
    xs = np.linspace(x0, x1, count) if count > 1 else np.array([(x0 + x1) / 2])
    value = np.array([item.probability for item in prediction.slices])
    spread = np.array([item.spread for item in prediction.slices])

    def y(values: NDArray[np.float64]) -> list[float]:
        return [float(y0 + (y1 - y0) * min(max(value, 0.0), 1.0)) for value in values]

    for level in y(np.array([0, 0.5, 1])):
        draw.line((x0, level, x1, level), fill=LINE, width=SMOOTH)
    outline = [*zip(xs, y(value + spread), strict=True), *reversed([*zip(xs, y(value - spread), strict=True)])]
    if count > 1:
        draw.polygon(outline, fill=(104, 74, 50))
        draw.line([*zip(xs, y(value), strict=True)], fill=CURVE, width=2 * SMOOTH, joint="curve")
    for index in shown:
        cx, cy, r = float(xs[index]), y(value[index : index + 1])[0], 4 * SMOOTH
        draw.ellipse((cx - r, cy - r, cx + r, cy + r), fill=WHITE)
    canvas.paste(big.resize((width, height), Image.Resampling.BOX), (left, top))
    page = ImageDraw.Draw(canvas)
    write(page, (left + 20, top + 10), "Probability along the slices", 16, bold=True)
    for level in (0, 50, 100):
        write(page, (left + 56, top + (y0 + (y1 - y0) * level / 100) / SMOOTH), f"{level} %", 13, MUTED, anchor="rm")
    write(page, (left + 64, bottom - 10), "foot", 13, MUTED, anchor="ld")
    write(page, (right - 24, bottom - 10), "head", 13, MUTED, anchor="rd")


def _key_slices(
    canvas: Image.Image, draw: ImageDraw.ImageDraw, top: int, prediction: Prediction, shown: Sequence[int]
) -> None:
    """The slices with the highest probability among those shown, heat map over anatomy."""
    best = sorted(sorted(shown, key=lambda index: -prediction.slices[index].probability)[:4])
    height, step = 226, (SIZE - 2 * MARGIN) // 4
    for place, index in enumerate(best):
        item = prediction.slices[index]
        tall, wide = overlay.field_size(item.slice)
        width = round(height * wide / tall)
        left = MARGIN + place * step
        canvas.paste(Image.fromarray(overlay.blended(item, width, height)), (left, top))
        write(draw, (left, top + height + 6), overlay.place(prediction, index), 14)
        write(draw, (left, top + height + 25), f"{100 * item.probability:.0f} % ± {100 * item.spread:.0f} %", 14, MUTED)


def _foot(draw: ImageDraw.ImageDraw, prediction: Prediction) -> None:
    model = prediction.model
    write(draw, (MARGIN, SIZE - 50), f"{model.name} {model.version}   sha256 {model.sha256}", 12, MUTED)
    line = "Not a medical device. Not for diagnosis. Heat maps show attention, not lesions."
    write(draw, (MARGIN, SIZE - 30), line, 13, WARNING)
