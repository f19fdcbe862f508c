"""Headers of a series -> one `Frame` per image plane, whether the planes are instances or frames of one instance."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

from node.elements import items, macros, number, numbers


@dataclass(frozen=True)
class Frame:
    """One image plane as its header describes it.

    instance     index of its header in the series;  number: of the frame in a multi-frame instance, from 1
    position_mm  centre of the first pixel, LPS mm;  orientation: direction of the rows, then of the columns
    spacing_mm   between rows, between columns;  each of these three is () where the header has no usable value
    size         rows, columns
    slope, intercept  stored value -> modality unit (PS3.3 C.11.1)
    """

    instance: int
    number: int | None
    position_mm: tuple[float, ...]
    orientation: tuple[float, ...]
    spacing_mm: tuple[float, ...]
    size: tuple[int, int]
    slope: float
    intercept: float


def frames(headers: Sequence[Dataset]) -> list[Frame]:
    """All planes of a series, in the order of their headers and frame numbers."""
    return [frame for index, header in enumerate(headers) for frame in _of_instance(index, header)]


def count(header: Dataset) -> int:
    """How many frames the instance says it has; 1 where it says nothing usable."""
    return max(int(number(header, "NumberOfFrames") or 1), 1)


def _of_instance(index: int, header: Dataset) -> Iterator[Frame]:
    groups = items(header, "PerFrameFunctionalGroupsSequence")
    if not groups:
        for frame in range(count(header)):
            yield _frame(index, frame + 1 if count(header) > 1 else None, header, (header,))
        return
    shared = [macro for group in items(header, "SharedFunctionalGroupsSequence")[:1] for macro in macros(group)]
    for frame, group in enumerate(groups):
        yield _frame(index, frame + 1, header, (*macros(group), *shared, header))


def _frame(index: int, frame: int | None, header: Dataset, places: Sequence[Dataset]) -> Frame:
    slope, intercept = _first(places, "RescaleSlope", 1), _first(places, "RescaleIntercept", 1)
    return Frame(
        instance=index,
        number=frame,
        position_mm=_first(places, "ImagePositionPatient", 3),
        orientation=_first(places, "ImageOrientationPatient", 6),
        spacing_mm=_first(places, "PixelSpacing", 2),
        size=(int(number(header, "Rows") or 0), int(number(header, "Columns") or 0)),
        slope=slope[0] if slope else 1.0,
        intercept=intercept[0] if intercept else 0.0,
    )


def _first(places: Sequence[Dataset], keyword: str, length: int) -> tuple[float, ...]:
    for place in places:
        found = numbers(place, keyword)
        if len(found) == length:
            return found
    return ()
