"""Predictions as DICOM objects: captures and structured reports, validated, as files ready to be sent.

    source: identity as bytes, references ──┐
    prediction ─► summary, overlay ─► capture ─┬─► validate ─► files: captures first, reports last
               ├► sr (TID 1500), plain (text) ─┘
               └► pictures: anatomy and heat map of every slice, kept for a screen and sent to nobody

What is built follows from its inputs alone, times and UIDs included: building again gives the same bytes. The only
place that writes with highdicom.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydicom.dataset import Dataset

from model.types import Prediction
from node import verdict
from node.report import capture, overlay, parametric_map, pictures, plain, rejection, sr, summary, validate
from node.report.envelope import Envelope, encode, open_again, open_envelope, open_without_result
from node.report.identity import derived_uid
from node.report.iod import IODS
from node.report.key import Context, no_result_key, result_key
from node.report.keyslice import KeySlice, key_slice, source_of
from node.report.plain import SeriesVerdict
from node.report.source import Reference, Source, reference_to

__all__ = [
    "BUILT",
    "Context",
    "Encoded",
    "SeriesVerdict",
    "Source",
    "build",
    "build_pictures",
    "build_rejection",
    "build_skipped",
    "no_result_key",
    "result_key",
]

BUILT = tuple(IODS)  # the SOP classes of what is built here

REJECTION_NOTE, LAST = "rejection_note", 1000  # its kind; behind every result of its answer
Destinations = tuple[str, ...]
Draft = tuple[str, Dataset, Destinations]


@dataclass(frozen=True)
class Encoded:
    """One result object as a Part 10 file, and the names of the destinations that get it.

    `name` is the same for the same answer, whenever it is encoded. What is no DICOM object has no SOP class and no
    series.
    """

    name: str
    kind: str
    ordinal: int
    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    destinations: Destinations
    content: bytes


def build(source: Source, chosen: Sequence[Dataset], prediction: Prediction, context: Context) -> list[Encoded]:
    """The results of a prediction in the order of sending. `chosen` are the headers of the series that was read.

    Raises InvalidResult when an object does not pass its validation.
    """
    envelope = open_envelope(source, chosen, prediction, context)
    prediction = replace(prediction, remarks=(*prediction.remarks, *context.beside))
    key = key_slice(chosen, prediction)
    receivers = tuple(each.name for each in context.destinations if each.captures)
    captures = [(kind, each, receivers) for kind, each in _captures(envelope, prediction, chosen, key)]
    references = [_reference(each) for _, each, _ in captures]
    reports = []
    for (report, has_captures), names in variants(context).items():
        shown = references if has_captures else []
        reports.append((f"sr_{report}", _report(envelope, f"sr_{report}", prediction, chosen, key, shown), names))
    if not prediction.scope.inside:
        for _, each, _ in (*captures, *reports):
            each.SeriesDescription = envelope.series_description("AI dementia: out of scope")
    return _finish(envelope, [*captures, *reports])


def build_skipped(source: Source, verdicts: Sequence[SeriesVerdict], reason: str, context: Context) -> list[Encoded]:
    """A short report that says, series by series, why there is no result; with a capture where the settings ask for it.

    Raises InvalidResult when an object does not pass its validation.
    """
    envelope = open_without_result(source, (str(each.reason) for each in verdicts), context)
    drafts: list[Draft] = []
    if context.settings.capture_skipped:
        receivers = tuple(each.name for each in context.destinations if each.captures)
        pixels = summary.skipped_picture(reason, verdicts)
        page = capture.secondary_capture(envelope, pixels, 1, "summary", "Page of text: why there is no result.", [])
        page.RecognizableVisualFeatures = "NO"
        page.SeriesDescription = envelope.series_description(plain.NO_RESULT_SERIES)
        drafts.append(("summary", page, receivers))
    if context.settings.report_skipped:
        references = [_reference(each) for _, each, _ in drafts]
        for has_captures in dict.fromkeys(has_captures for _, has_captures in variants(context)):
            names = tuple(each.name for each in context.destinations if each.captures is has_captures)
            shown = references if has_captures else []
            drafts.append(("sr_text", plain.skipped_report(envelope, reason, verdicts, shown), names))
    return _finish(envelope, drafts)


def build_rejection(objects: Sequence[Dataset], key: str, context: Context, *, superseded: bool) -> Encoded:
    """The note that calls back these objects of the answer of this key, of which `context` has the generation.

    Of the context also the time and the names of the receivers count. Raises InvalidResult.
    """
    source = Source(objects)
    envelope = open_again(source, source.identity(), key, context)
    note = rejection.rejection_note(envelope, sorted(source.references.values()), superseded=superseded)
    names = tuple(each.name for each in context.destinations)
    variant = f"{REJECTION_NOTE}.{note.SOPInstanceUID}"
    (encoded,) = _finish(envelope, [(REJECTION_NOTE, note, names)])
    return replace(encoded, name=envelope.name(variant, LAST), ordinal=LAST)


def build_pictures(prediction: Prediction, answer: str, ordinal: int) -> Encoded:
    """The slices of a prediction for a screen; `answer` is what its results are named after."""
    uid = derived_uid("result", answer, pictures.KIND)
    content = pictures.archive(prediction)
    return Encoded(f"{answer}.{pictures.KIND}", pictures.KIND, ordinal, uid, "", "", (), content)


def variants(context: Context) -> dict[tuple[str, bool], Destinations]:
    """The reports that are needed, (form, with captures), and who gets each; the default form where nobody does.

    A receiver that wants no captures gets a report that does not point at any.
    """
    needed: dict[tuple[str, bool], Destinations] = {}
    for each in context.destinations:
        key = (each.report, each.captures)
        needed[key] = (*needed.get(key, ()), each.name)
    return needed or {("comprehensive", True): ()}


def _captures(
    envelope: Envelope, prediction: Prediction, chosen: Sequence[Dataset], key: KeySlice
) -> list[tuple[str, Dataset]]:
    shown = overlay.choose(prediction.slices, envelope.context.settings.captures)
    pixels = summary.picture(prediction, verdict.meaning(prediction))
    text = summary.HOW_MADE
    results = [("summary", capture.secondary_capture(envelope, pixels, 1, "summary", text, [key.reference]))]
    for number, index in enumerate(shown, 2):
        pixels, plane = overlay.picture(prediction, index)
        item = prediction.slices[index].slice
        sources = source_of(item.source, envelope.source.references)
        how_made = overlay.HOW_MADE.format(item.plane.capitalize())
        dataset = capture.secondary_capture(envelope, pixels, number, "overlay", how_made, sources, plane)
        results.append(("overlay", dataset))
    if envelope.context.settings.parametric_map:
        references = [reference_to(header) for header in chosen]
        maps = parametric_map.parametric_maps(envelope, prediction, references)
        results.extend((parametric_map.KIND, each) for each in maps)
    return results


def _report(
    envelope: Envelope,
    kind: str,
    prediction: Prediction,
    chosen: Sequence[Dataset],
    key: KeySlice,
    captures: Sequence[Reference],
) -> Dataset:
    if kind == "sr_text":
        return plain.text_report(envelope, prediction, key, captures)
    images = [reference_to(header) for header in chosen]
    return sr.measurement_report(envelope, kind, prediction, images, key, captures)


def _reference(dataset: Dataset) -> Reference:
    return Reference(str(dataset.SeriesInstanceUID), str(dataset.SOPClassUID), str(dataset.SOPInstanceUID))


def _finish(envelope: Envelope, drafts: Sequence[Draft]) -> list[Encoded]:
    """The files, once all of them have passed the gate."""
    results = [
        Encoded(
            envelope.name(kind, ordinal),
            kind,
            ordinal,
            str(dataset.SOPInstanceUID),
            str(dataset.SOPClassUID),
            str(dataset.SeriesInstanceUID),
            destinations,
            encode(dataset),
        )
        for ordinal, (kind, dataset, destinations) in enumerate(drafts)
    ]
    validate.check([each.content for each in results], envelope.source, envelope.header)
    return results
