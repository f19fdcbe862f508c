"""What is told, in words that name no patient: jobs by their number, peers by their configured names."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from node.config_telling import Kind

MOST_LINES = 20


@dataclass(frozen=True)
class Notice:
    """One thing that somebody should know, and the channels that have not been told yet."""

    notice_id: str
    kind: Kind | str  # "test" for a trial
    text: str
    at: datetime
    channels: tuple[str, ...] = ()

    def without(self, channel: str) -> "Notice":
        """Once this channel has been told."""
        return replace(self, channels=tuple(each for each in self.channels if each != channel))


@dataclass(frozen=True)
class Message:
    """What goes to a channel at once."""

    subject: str
    lines: tuple[str, ...]
    notices: tuple[Notice, ...]
    node: str

    @property
    def body(self) -> str:
        """As text."""
        return "\n".join(self.lines) + "\n"


def notice(kind: Kind | str, text: str, at: datetime, channels: Sequence[str] = ()) -> Notice:
    """A new one."""
    return Notice(uuid.uuid4().hex, kind, text, at, tuple(channels))


def message(node: str, notices: Sequence[Notice]) -> Message:
    """One message of these notices, oldest first; of many, the first ones and a count."""
    ordered = sorted(notices, key=lambda each: each.at)
    first = ordered[0].text.partition(". ")[0].rstrip(".")
    subject = f"{node}: {first}" if len(ordered) == 1 else f"{node}: {len(ordered)} notices, {first}"
    lines = [f"{each.at.astimezone():%Y-%m-%d %H:%M}  {each.text}" for each in ordered[:MOST_LINES]]
    if len(ordered) > MOST_LINES:
        lines.append(f"and {len(ordered) - MOST_LINES} more; `neurossl queue` and `neurossl check` tell all")
    return Message(subject[:200], tuple(lines), tuple(ordered), node)
