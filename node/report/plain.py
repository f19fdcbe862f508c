"""Reports in plain sentences: Basic Text SR after TID 2000, for receivers that cannot show TID 1500, and for studies
without a result.

A study that was skipped always gets this form. It has nothing to measure and perhaps no image to point at, and a
TID 1500 report without spatial coordinates opens to a blank viewport in OHIF 3.13, while any other title opens as
text.
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

from highdicom.sr import CodedConcept, ContentItem
from pydicom.dataset import Dataset
from pydicom.uid import BasicTextSRStorage

from model.types import Prediction
from node.report import codes, overlay
from node.report.content import container, document, image, language_and_observer, text
from node.report.envelope import RESEARCH_USE_ONLY, Envelope
from node.report.keyslice import KeySlice
from node.report.source import Reference
from node.report.sr import parameters, statements
from node.series.grouping import Judged, examples, grouped, why

NO_RESULT_SERIES = "AI dementia: no result"
NO_RESULT = "No result: this study was not classified, and none will follow unless further images arrive."


class SeriesVerdict(Judged, Protocol):
    """What became of one series, as `node.series.selection.SeriesVerdict` has it."""

    @property
    def description(self) -> str: ...
    @property
    def instances(self) -> int: ...


def text_report(
    envelope: Envelope, prediction: Prediction, key_slice: KeySlice, captures: Sequence[Reference]
) -> Dataset:
    """The result of a prediction in sentences."""
    model = prediction.model
    method = [f"Algorithm {model.name} {model.version}", *parameters(model)]
    sections = [
        _section(codes.CONCLUSIONS, codes.CONCLUSION, statements(prediction)),
        _section(codes.FINDINGS, codes.FINDING, numbers(prediction)),
        _section(codes.PROCEDURE_DESCRIPTIONS, codes.PROCEDURE_DESCRIPTION, method),
    ]
    images = [*captures, key_slice.reference]
    sections.append(_key_images(captures, [key_slice.reference]))
    return _document(envelope, sections, images)


def skipped_report(
    envelope: Envelope, reason: str, verdicts: Sequence[SeriesVerdict], captures: Sequence[Reference]
) -> Dataset:
    """Why there is no result, series by series."""
    sections = [
        _section(codes.CONCLUSIONS, codes.CONCLUSION, [NO_RESULT, f"Reason: {reason}", RESEARCH_USE_ONLY]),
        _section(codes.FINDINGS, codes.FINDING, lines(verdicts) or ["The study holds no series."]),
    ]
    if captures:
        sections.append(_key_images(captures))
    target = _document(envelope, sections, captures)
    target.SeriesDescription = envelope.series_description(NO_RESULT_SERIES)
    return target


def lines(verdicts: Sequence[SeriesVerdict], described: bool = True) -> list[str]:
    """What became of the series, in a line each; many that share a reason share a line."""
    return [line(each[0], described) if len(each) == 1 else _of_many(each) for each in grouped(verdicts)]


def _of_many(group: Sequence[SeriesVerdict]) -> str:
    numbers, detail = examples(group).replace("…", "..."), why(group)
    which = f", series {numbers}" if numbers else ""
    return f"{len(group)} series ({group[0].modality or 'no modality'}{which}): {group[0].reason}: {detail}"


def line(verdict: SeriesVerdict, described: bool = True) -> str:
    """What became of one series in a line; the description is free text of the site and can be left out."""
    name = f"Series {verdict.series_number if verdict.series_number not in (None, '') else 'without number'}"
    facts = [verdict.modality or "no modality", f"{verdict.instances} instances"]
    if described and verdict.description:
        facts.insert(0, f'"{verdict.description}"')
    why = f"{verdict.reason}: {verdict.detail}" if verdict.detail else str(verdict.reason)
    return f"{name} ({', '.join(facts)}): {'eligible' if verdict.eligible else why}"


def numbers(prediction: Prediction) -> list[str]:
    """Every number of the result in a line of its own."""
    values = (
        ("Probability of dementia-related changes", prediction.probability, 100, 2, "%"),
        ("Standard deviation over the dropout samples", prediction.spread, 100, 2, "%"),
        ("Predictive entropy", prediction.predictive_entropy, 1, 4, "nat"),
        ("Mutual information", prediction.mutual_information, 1, 4, "nat"),
    )
    lines = [
        f"{name}: {scale * value:.{digits}f} {unit}" for name, value, scale, digits, unit in values if value is not None
    ]
    return [*lines, f"Slices used: {overlay.counted(prediction.slices)}"]


def _section(heading: CodedConcept, name: CodedConcept, lines: Iterable[str]) -> ContentItem:
    return container(heading, (text(name, each) for each in lines))


def _key_images(captures: Sequence[Reference], source: Sequence[Reference] = ()) -> ContentItem:
    shown = [image(codes.VISUAL_EXPLANATION, each) for each in captures]
    return container(codes.KEY_IMAGES, [*shown, *(image(codes.SOURCE, each) for each in source)])


def _document(envelope: Envelope, sections: Sequence[ContentItem], referenced: Sequence[Reference]) -> Dataset:
    items = [*language_and_observer(envelope), *sections]
    tree = container(codes.DIAGNOSTIC_IMAGING_REPORT, items, relationship=None, template="2000")
    return document(envelope, BasicTextSRStorage, "sr_text", tree, referenced)
