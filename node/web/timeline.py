"""The events of a study as moments on a line: what belongs together stands together, each as long as it took."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from node.observe.study import Step

LEAST_PERCENT = 0.4  # of the line: what was over at once can still be seen


@dataclass(frozen=True)
class Moment:
    """One event, or the events of deliveries that came one after the other; percent of the whole time."""

    at: datetime
    name: str
    state: str  # after it, "" where none changed
    reason: str
    took_s: float | None  # until the next moment; None for the last
    steps: Sequence[Step]  # more than one: they are shown one by one on demand
    left: float
    width: float


def moments(steps: Sequence[Step]) -> list[Moment]:
    """All events, oldest first."""
    groups = [
        list(group)
        for _, group in groupby(steps, key=lambda step: step.event.event_id if step.event.delivery_id is None else None)
    ]
    if not groups:
        return []
    began = groups[0][0].event.at
    whole_s = (groups[-1][-1].event.at - began).total_seconds() or 1.0
    return [_moment(group, (group[0].event.at - began).total_seconds() / whole_s, whole_s) for group in groups]


def _moment(group: Sequence[Step], begins: float, whole_s: float) -> Moment:
    first, last = group[0].event, group[-1].event
    times = [each.took_s for each in group if each.took_s is not None]
    took_s = None if group[-1].took_s is None and len(group) == 1 else sum(times)
    many = len(group) > 1
    return Moment(
        at=first.at,
        name=f"{len({each.event.delivery_id for each in group})} deliveries" if many else first.name,
        state=last.after or "",
        reason=last.reason if many or first.reason else "",
        took_s=took_s,
        steps=group if many else (),
        left=round(min(100 * begins, 100 - LEAST_PERCENT), 2),
        width=round(max(100 * (took_s or 0) / whole_s, LEAST_PERCENT), 2),
    )
