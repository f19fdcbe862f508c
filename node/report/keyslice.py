"""Which source image the report points at, and why that one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pydicom.dataset import Dataset

from model.types import Prediction, SourceFrame
from node.report import overlay
from node.report.source import Reference, integer, reference_to

MOST_PROBABLE = "The key slice is the source image nearest to the slice with the highest probability."
MIDDLE = "The key slice is the middle image of the series that was read."


@dataclass(frozen=True)
class KeySlice:
    """The source image that the report points at, and why this one; columns and rows in pixels."""

    reference: Reference
    columns: int
    rows: int
    why: str


def key_slice(chosen: Sequence[Dataset], prediction: Prediction) -> KeySlice:
    """The source of the slice with the highest probability; where no slice has a source, the middle of the series."""
    by_uid = {reference_to(header).sop_instance_uid: header for header in chosen}
    for index in sorted(range(len(prediction.slices)), key=lambda index: -prediction.slices[index].probability):
        item = prediction.slices[index]
        if item.slice.source is not None and item.slice.source.sop_instance_uid in by_uid:
            header = by_uid[item.slice.source.sop_instance_uid]
            which = "" if [*overlay.of_planes(prediction.slices)] == ["axial"] else overlay.place(prediction, index)
            why = f"{MOST_PROBABLE[:-1]}, {which[0].lower()}{which[1:]}." if which else MOST_PROBABLE
            return _pointing_at(header, item.slice.source.frame_number, why)
    return _pointing_at(chosen[len(chosen) // 2], None, MIDDLE)


def source_of(source: SourceFrame | None, references: Mapping[str, Reference]) -> list[Reference]:
    """The reference to this frame, if its instance is among `references`; none or one."""
    if source is None or source.sop_instance_uid not in references:
        return []
    return [replace(references[source.sop_instance_uid], frame_number=source.frame_number)]


def _pointing_at(header: Dataset, frame: int | None, why: str) -> KeySlice:
    frames = integer(header, "NumberOfFrames") or 1
    if frames > 1 and frame is None:
        frame = (frames + 1) // 2
    reference = replace(reference_to(header), frame_number=frame if frames > 1 else None)
    return KeySlice(reference, integer(header, "Columns") or 1, integer(header, "Rows") or 1, why)
