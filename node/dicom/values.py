"""Reading single data elements of received headers, of which nothing can be trusted, classic and Enhanced alike.

An Enhanced MR object keeps in functional groups, per frame or shared by all frames, what a classic object keeps at its
top level (PS3.3 C.7.6.16); `values` looks in all three places.
"""

import math
import struct
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.multival import MultiValue

BROKEN = (
    *(ValueError, TypeError, KeyError, AttributeError, NotImplementedError, OverflowError, RecursionError),
    *(OSError, EOFError, AssertionError, struct.error, BytesLengthException),
)


@contextmanager
def unwarned() -> Iterator[None]:
    """No warnings of pydicom: they quote values, which may be a patient's, and every value is checked here anyway."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def value(item: Dataset, keyword: str | tuple[int, int]) -> Any:
    """The element's value, None where it is absent, empty or cannot be decoded."""
    try:
        found = item[keyword].value if keyword in item else None
    except BROKEN:
        return None
    return None if found is None or (hasattr(found, "__len__") and len(found) == 0) else found


def text(item: Dataset, keyword: str) -> str:
    """The value as one line of text, values joined by a backslash; "" where there is none."""
    found = value(item, keyword)
    if found is None:
        return ""
    parts = found if isinstance(found, MultiValue | list | tuple) else [found]
    return "\\".join(" ".join(str(part).split()) for part in parts)


def words(item: Dataset, keyword: str) -> frozenset[str]:
    """The values of a coded string, upper case."""
    return frozenset(part.strip() for part in text(item, keyword).upper().split("\\") if part.strip())


def numbers(item: Dataset, keyword: str | tuple[int, int]) -> tuple[float, ...]:
    """The values as finite numbers; () where one of them is none."""
    found = value(item, keyword)
    if found is None:
        return ()
    try:
        parts = found if isinstance(found, MultiValue | list | tuple) else [found]
        result = tuple(float(part) for part in parts)
    except BROKEN:
        return ()
    return result if all(math.isfinite(part) for part in result) else ()


def number(item: Dataset, keyword: str | tuple[int, int]) -> float | None:
    """The first value as a finite number."""
    found = numbers(item, keyword)
    return found[0] if found else None


def items(item: Dataset, keyword: str) -> Sequence[Dataset]:
    """The items of a sequence, () where it is absent or no sequence."""
    found = value(item, keyword)
    return [each for each in found if isinstance(each, Dataset)] if isinstance(found, Sequence) else ()


def macros(group: Dataset) -> Iterator[Dataset]:
    """The first item of each functional group macro in a shared or per-frame group."""
    for tag in group.keys():  # noqa: SIM118 - iterating the dataset itself decodes every element
        try:
            element = group[tag]
        except BROKEN:
            continue
        if element.VR == "SQ" and element.value:
            yield element.value[0]


def places(header: Dataset) -> tuple[Dataset, ...]:
    """Where an element of this header may stand: the header, its shared macros, the macros of its first frame."""
    shared = items(header, "SharedFunctionalGroupsSequence")[:1]
    frames = items(header, "PerFrameFunctionalGroupsSequence")[:1]
    return (header, *(macro for group in (*shared, *frames) for macro in macros(group)))
