"""Predictions as DICOM objects: captures and structured reports, validated, as files ready to be sent.

    source (raw identity, references) ─┐
    prediction ─► overlay, summary ─► capture ─┬─► validate ─► encoded files: captures first, reports last
               └► sr, plain ──────────────────┘

The only place that writes with highdicom.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

from model.types import Prediction
from node.config import Destination
from node.report import capture, overlay, sr, summary
from node.report.envelope import Context, Envelope, encode, open_envelope
from node.report.source import Reference, Source, encoded, reference_to

__all__ = ["Context", "Encoded", "Source", "build"]


@dataclass(frozen=True)
class Encoded:
    """One result object as a Part 10 file, and the names of the destinations that get it."""

    kind: str
    ordinal: int
    sop_instance_uid: str
    sop_class_uid: str
    series_instance_uid: str
    destinations: tuple[str, ...]
    content: bytes


def build(source: Source, chosen: Sequence[Dataset], prediction: Prediction, context: Context) -> list[Encoded]:
    """The results of a prediction in the order of sending. `chosen` are the headers of the series that was read.

    Raises InvalidResult when an object does not pass its validation.
    """
    envelope = open_envelope(source, chosen, prediction.model, context)
    images = [reference_to(header) for header in chosen]
    pictures = _captures(envelope, prediction, images)
    everyone = tuple(each.name for each in context.destinations)
    with_captures = tuple(each.name for each in context.destinations if each.captures)
    results = [_encoded(dataset, kind, ordinal, with_captures) for ordinal, (kind, dataset) in enumerate(pictures)]
    references = [Reference(d.SeriesInstanceUID, d.SOPClassUID, d.SOPInstanceUID) for _, d in pictures]
    report = sr.measurement_report(
        envelope, "comprehensive", prediction, images, _key_slice(chosen, prediction), references
    )
    report.SeriesNumber = context.settings.series_number + 1
    return [*results, _encoded(report, "sr_comprehensive", len(results), everyone)]


def _captures(envelope: Envelope, prediction: Prediction, images: Sequence[Reference]) -> list[tuple[str, Dataset]]:
    shown = overlay.choose(prediction.slices, envelope.context.settings.captures)
    meaning = sr.MEANING[prediction.band] if prediction.band else prediction.scope.reason
    first = capture.secondary_capture(
        envelope,
        summary.picture(prediction, shown, meaning),
        1,
        "summary",
        "Summary page. Research use only.",
        images[:1],
    )
    results = [("summary", first)]
    for number, index in enumerate(shown, 2):
        pixels, plane = overlay.picture(prediction, index)
        results.append(
            ("overlay", capture.secondary_capture(envelope, pixels, number, "overlay", "Overlay.", images[:1], plane))
        )
    return results


def _key_slice(chosen: Sequence[Dataset], prediction: Prediction) -> sr.KeySlice:
    by_uid = {reference_to(header).sop_instance_uid: header for header in chosen}
    ranked = sorted(prediction.slices, key=lambda item: -item.probability)
    for item in ranked:
        if item.slice.source and item.slice.source.sop_instance_uid in by_uid:
            header, frame = by_uid[item.slice.source.sop_instance_uid], item.slice.source.frame_number
            why = "The key slice is the source image nearest to the slice with the highest probability."
            break
    else:
        header, frame, why = chosen[len(chosen) // 2], None, "The key slice is the middle image of the series."
    reference = reference_to(header)
    reference = Reference(reference.series_instance_uid, reference.sop_class_uid, reference.sop_instance_uid, frame)
    return sr.KeySlice(reference, int(header.get("Columns", 256)), int(header.get("Rows", 256)), why)


def _encoded(dataset: Dataset, kind: str, ordinal: int, destinations: Iterable[str]) -> Encoded:
    return Encoded(
        kind,
        ordinal,
        str(dataset.SOPInstanceUID),
        str(dataset.SOPClassUID),
        str(dataset.SeriesInstanceUID),
        tuple(destinations),
        encode(dataset),
    )
