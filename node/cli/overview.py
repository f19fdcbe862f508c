"""The queue in 80 columns: the newest jobs, what is being received, the totals, and how to see more; once, or live."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from node.cli.tables import age, coloured, columned, safe
from node.observe.jobs import JobRow, QueueFacts

NARROW = 80  # also where the output is no terminal
SHORTEST_UID = 14
BESIDE_UID = 66  # what the other columns of the jobs take at least
REFRESH_S = 2.0


def show(found: QueueFacts) -> None:
    """Once."""
    console = _console()
    console.print(_drawn(found, console.width))


def watch(look: Callable[[], QueueFacts]) -> None:
    """Again and again, until the user has seen enough."""
    console = _console()
    with suppress(KeyboardInterrupt), Live(_drawn(look(), console.width), console=console, auto_refresh=False) as live:
        while True:
            time.sleep(REFRESH_S)
            live.update(_drawn(look(), console.width), refresh=True)


def _console() -> Console:
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=NARROW)


def _drawn(found: QueueFacts, width: int) -> RenderableType:
    parts: list[RenderableType] = [*_troubles(found)]
    if found.receiving:
        parts += [_receiving(found, width), ""]
    return Group(*parts, _jobs(found, width), *_totals(found))


def _troubles(found: QueueFacts) -> Iterator[str]:
    for switch in found.switches.values():
        yield f"[yellow]{switch.name} is held up[/] {escape(switch.words)}"
    for name, trouble in found.destinations.items():
        if trouble:
            yield f"[yellow]destination {escape(name)}[/]: {safe(trouble)[0]}"


def _receiving(found: QueueFacts, width: int) -> Table:
    drawn = columned("Studies being received", "study", ">instances", ">silent", "from")
    for study in found.receiving:
        expected = f" of {study.expected_instances}" if study.expected_instances else ""
        silent = age((found.at - study.last_received_at).total_seconds())
        senders = ", ".join(study.calling_ae_titles)
        uid = _short(study.study_instance_uid, width - BESIDE_UID + SHORTEST_UID)
        drawn.add_row(*safe(uid, f"{study.instances}{expected}", silent, senders))
    return drawn


def _jobs(found: QueueFacts, width: int) -> Table:
    urgent = any(each.priority for each in found.rows)
    drawn = columned("Jobs", ">job", "state", ">try", ">age", *([">prio"] if urgent else []), "study", "why")
    for column in drawn.columns[:-1]:
        column.no_wrap = True
    why = drawn.columns[-1]  # takes what the others leave
    why.no_wrap, why.overflow, why.ratio, drawn.expand = True, "ellipsis", 1, True
    for each in found.rows:
        job = each.job
        cells = safe(
            str(job.job_id),
            job.state,
            f"{job.attempt}/{job.maximum_attempts}",
            age((found.at - job.created_at).total_seconds()),
            *([str(each.priority)] if urgent else []),
            _short(job.study_instance_uid, width - BESIDE_UID),
            _why(each),
        )
        cells[1] = coloured(job.state)
        drawn.add_row(*cells)
    return drawn


def _why(row: JobRow) -> str:
    return row.progress.words if row.progress else row.job.reason


def _totals(found: QueueFacts) -> Iterator[str]:
    total = sum(found.counts.values())
    if not total:
        yield "no jobs yet"
        return
    yield ", ".join(f"{count} {state}" for state, count in found.counts.items() if count)
    if found.next:
        yield f"{len(found.rows)} shown of {total} jobs. More: --limit N, --state S, --search UID,"
        yield f"or the next ones: --after {found.next}"


def _short(uid: str, room: int) -> str:
    """The end of a UID, which tells studies apart.

    >>> _short("1.2.826.0.1.3680043.8.1234567890", 14)
    '….8.1234567890'
    """
    room = max(SHORTEST_UID, room)
    return uid if len(uid) <= room else f"…{uid[1 - room :]}"
