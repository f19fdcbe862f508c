"""Headers of a series -> one `Frame` per image plane, whether the planes are instances or frames of one instance."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

from node.dicom.values import items, macros, number, numbers, words


@dataclass(frozen=True)
class Frame:
    """One image plane as its header describes it.

    instance     index of its header in the series;  number: of the frame in a multi-frame instance, from 1
    position_mm  centre of the first pixel, LPS mm;  orientation: direction of the rows, then of the columns
    spacing_mm   between rows, between columns;  each of these three is () where the header has no usable value
    size         rows, columns
    slope, intercept  stored value -> modality unit (PS3.3 C.11.1)
    kind         what all planes of a volume share: image type, b-value, object, frame of reference
    echo_ms      echo time, which they share, too, but for its rounding; None where the header has none
    """

    instance: int
    number: int | None
    position_mm: tuple[float, ...]
    orientation: tuple[float, ...]
    spacing_mm: tuple[float, ...]
    size: tuple[int, int]
    slope: float
    intercept: float
    kind: tuple[object, ...]
    echo_ms: float | None = None


def frames(headers: Sequence[Dataset]) -> list[Frame]:
    """All planes of a series, in the order of their headers and frame numbers."""
    return [frame for index, header in enumerate(headers) for frame in _of_instance(index, header)]


def count(header: Dataset) -> int:
    """How many frames the instance says it has; 1 where it says nothing usable."""
    return max(int(number(header, "NumberOfFrames") or 1), 1)


def _of_instance(index: int, header: Dataset) -> Iterator[Frame]:
    """A multi-frame instance without functional groups gives one frame without geometry: nothing says where each is."""
    groups = items(header, "PerFrameFunctionalGroupsSequence")
    if not groups:
        yield _frame(index, None, (header,) if count(header) == 1 else (), header)
        return
    shared = [macro for group in items(header, "SharedFunctionalGroupsSequence")[:1] for macro in macros(group)]
    for frame, group in enumerate(groups):
        yield _frame(index, frame + 1, (*macros(group), *shared, header), header)


def _frame(index: int, frame: int | None, places: Sequence[Dataset], header: Dataset) -> Frame:
    slope, intercept = _first(places, "RescaleSlope", 1), _first(places, "RescaleIntercept", 1)
    echo = _first(places, "EchoTime", 1) or _first(places, "EffectiveEchoTime", 1)
    return Frame(
        instance=index,
        number=frame,
        position_mm=_first(places, "ImagePositionPatient", 3),
        orientation=_first(places, "ImageOrientationPatient", 6),
        spacing_mm=_first(places, "PixelSpacing", 2),
        size=(int(number(header, "Rows") or 0), int(number(header, "Columns") or 0)),
        slope=slope[0] if slope else 1.0,
        intercept=intercept[0] if intercept else 0.0,
        kind=_kind(places, header),
        echo_ms=echo[0] if echo else None,
    )


def _kind(places: Sequence[Dataset], header: Dataset) -> tuple[object, ...]:
    weighting = _first(places, "DiffusionBValue", 1)
    image_type = next(
        (found for place in places for name in ("FrameType", "ImageType") if (found := words(place, name))), ""
    )
    whole = tuple(words(header, name) for name in ("SOPClassUID", "PhotometricInterpretation", "FrameOfReferenceUID"))
    return image_type, weighting, whole


def _first(places: Sequence[Dataset], keyword: str, length: int) -> tuple[float, ...]:
    for place in places:
        found = numbers(place, keyword)
        if len(found) == length:
            return found
    return ()
