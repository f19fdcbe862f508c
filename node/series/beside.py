"""What is said beside a result of the series that were not read for it, though they might have been."""

from collections.abc import Collection, Sequence

from node.series.selection import SeriesVerdict


def beside(read: str | None, verdicts: Sequence[SeriesVerdict], tried: Collection[str]) -> tuple[str, ...]:
    """Sentences: the twins of the series that is read; and each series that was tried before it, or is a damaged twin.

    `read` and `tried` are Series Instance UIDs.
    """
    one = next((each for each in verdicts if each.series_instance_uid == read), None)
    if one is None:
        return ()
    aside = [
        each
        for each in sorted(verdicts, key=lambda each: (each.series_number or 0, each.series_instance_uid))
        if each is not one and not each.eligible and (each.series_instance_uid in tried or _is_twin(one, each))
    ]
    return (
        *on_twins(one.name, one.twins),
        *(f"Series {each.name} was set aside: {each.reason}: {each.detail}." for each in aside),
    )


def on_twins(read: str, twins: Sequence[str]) -> list[str]:
    """Which of the series made by one protocol was read, in a sentence; none where there is only that one.

    >>> on_twins("without number", ["4", "7"])
    ['Series without number was read; series 4 and 7, made by the same protocol, were not.']
    """
    if not twins:
        return []
    twins = sorted(twins, key=lambda each: (len(each), each))
    others = f"{', '.join(twins[:-1])} and {twins[-1]}, made by the same protocol, were" if twins[1:] else ""
    return [f"Series {read} was read; series {others or f'{twins[0]}, made by the same protocol, was'} not."]


def _is_twin(one: SeriesVerdict, other: SeriesVerdict) -> bool:
    """Only what was eligible by its header has twins."""
    return bool(other.twins) and other.name in one.twins
