"""Many series of a study with one verdict are said once: how many, which for example, and why."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

MANY, EXAMPLES = 4, 3


class Judged(Protocol):
    """What became of one series."""

    @property
    def series_number(self) -> int | str | None: ...
    @property
    def modality(self) -> str: ...
    @property
    def eligible(self) -> bool: ...
    @property
    def reason(self) -> str: ...
    @property
    def detail(self) -> str: ...


One = TypeVar("One", bound=Judged)


def grouped(verdicts: Iterable[One]) -> list[list[One]]:
    """Refused series that share modality, reason and detail, its numbers apart; of fewer than `MANY` each is alone."""
    groups: dict[tuple[str, ...], list[One]] = defaultdict(list)
    for index, each in enumerate(verdicts):
        shared = (each.modality, str(each.reason), re.sub(r"\d+(\.\d+)?", "", each.detail))
        groups[(str(index),) if each.eligible else shared].append(each)
    return [part for each in groups.values() for part in ([each] if len(each) >= MANY else [[one] for one in each])]


def examples(group: Sequence[Judged]) -> str:
    """Which series they are, by the numbers of the first.

    >>> examples([])
    ''
    """
    numbers = [str(each.series_number) for each in group if each.series_number not in (None, "")]
    more = ", …" if len(numbers) > EXAMPLES else ""
    return f"{', '.join(numbers[:EXAMPLES])}{more}"


def why(group: Sequence[Judged]) -> str:
    """Their detail; where its numbers differ, that of the first as an example."""
    first = group[0].detail
    return first if all(each.detail == first for each in group) else f"for example {first}"
