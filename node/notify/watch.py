"""Pure: facts at one time, compared with what was seen before, become what is to be told.

A condition (a destination that is down, a disk that is full) is told when it begins and when it is over, not while it
lasts. What is not known, such as whether a destination answers before anything was sent to it, changes nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from node.config_telling import Kind, Notifications

LAST_DAYS = 7  # before the end of a certificate it is told once more
DISK_CALM_PERCENT = 2  # below the limit, before the disk counts as no longer full
SECONDS_A_DAY, SECONDS_AN_HOUR = 86400, 3600


@dataclass(frozen=True)
class Facts:
    """What is so, as far as it can be known."""

    now: datetime
    newest_event: int
    failed_jobs: Sequence[int] = ()  # since the event that was seen last
    down: Mapping[str, bool | None] = field(default_factory=dict)  # by destination; None: not known
    silent: Mapping[str, float | None] = field(
        default_factory=dict
    )  # seconds, by sender; None: no longer than usual (node/silence.py)
    disk_use_percent: float | None = None
    disk_limit_percent: float = 100.0  # from here on instances are refused
    certificates: Mapping[str, datetime] = field(default_factory=dict)  # setting -> end
    drift: str = ""  # what has drifted, in words without patient data
    processes: Mapping[str, int] = field(default_factory=dict)  # role -> process id


@dataclass(frozen=True)
class Condition:
    """Something that begins and ends."""

    kind: Kind
    name: str
    state: str | None  # "" while all is well, None while nobody knows
    begins: str
    over: str = ""  # "" when nobody need be told


def changes(before: Mapping[str, Any] | None, facts: Facts, settings: Notifications) -> list[tuple[Kind, str]]:
    """What to tell; a node that is watched for the first time tells only what is wrong now."""
    told = [*_restarts(before, facts), *_failures(before, facts)]
    had = (before or {}).get("conditions", {})
    for each in conditions(facts, settings, had):
        if each.state is None or each.state == had.get(each.name, ""):
            continue
        text = each.begins if each.state else each.over
        if text:
            told.append((each.kind, text))
    return [(kind, text) for kind, text in told if kind in settings.kinds]


def seen(before: Mapping[str, Any] | None, facts: Facts, settings: Notifications) -> dict[str, Any]:
    """What the next comparison needs, as JSON."""
    had = (before or {}).get("conditions", {})
    states = {
        each.name: had.get(each.name, "") if each.state is None else each.state
        for each in conditions(facts, settings, had)
    }
    lasting = {name: state for name, state in states.items() if state}
    return {"event": facts.newest_event, "conditions": lasting, "processes": dict(facts.processes)}


def conditions(facts: Facts, settings: Notifications, had: Mapping[str, str]) -> Iterator[Condition]:
    """Every condition that can be known from the facts."""
    for name, is_down in facts.down.items():
        yield Condition(
            "destination",
            f"destination {name}",
            None if is_down is None else "down" if is_down else "",
            f"Destination {name} takes nothing: results wait, and go when it does. `neurossl queue` says why.",
            f"Destination {name} takes results again.",
        )
    for title, silent_s in facts.silent.items():
        hours = (silent_s or 0) / SECONDS_AN_HOUR
        yield Condition(
            "peer_silent",
            f"sender {title}",
            "silent" if silent_s else "",
            f"Sender {title} has sent nothing for {hours:.0f} h, longer than is its habit.",
            f"Sender {title} sends again.",
        )
    yield from _of_disk(facts, settings, had)
    yield from _of_certificates(facts, settings)
    yield Condition("drift", "drift", facts.drift, f"Drift: {facts.drift}.", "Drift: no more.")


def _restarts(before: Mapping[str, Any] | None, facts: Facts) -> Iterator[tuple[Kind, str]]:
    had = (before or {}).get("processes", {})
    again = sorted(role for role, pid in facts.processes.items() if role in had and had[role] != pid)
    if again:
        yield "restart", f"Started anew: {', '.join(again)}."


def _failures(before: Mapping[str, Any] | None, facts: Facts) -> Iterator[tuple[Kind, str]]:
    if before is not None:
        for job_id in facts.failed_jobs:
            yield "job_failed", f"Job {job_id} failed. `neurossl queue show {job_id}` says why."


def _of_disk(facts: Facts, settings: Notifications, had: Mapping[str, str]) -> Iterator[Condition]:
    used, limit, warn = facts.disk_use_percent, facts.disk_limit_percent, settings.disk_use_percent
    if used is None:
        return
    state: str | None = "full" if used >= limit else "high" if used >= warn else ""
    if had.get("disk") and not state and used > min(warn, limit) - DISK_CALM_PERCENT:
        state = None
    text = f"The disk of the data folder is {used:.0f} % full."
    if state == "full":
        text = f"Instances are refused: the disk of the data folder is {used:.0f} % full."
    yield Condition("disk", "disk", state, text, f"The disk of the data folder has room again: {used:.0f} % are used.")


def _of_certificates(facts: Facts, settings: Notifications) -> Iterator[Condition]:
    for key, ends_at in facts.certificates.items():
        days = (ends_at - facts.now).total_seconds() / SECONDS_A_DAY
        stages = (("ended", 0), ("last days", LAST_DAYS), ("soon", settings.certificate_days))
        state = next((stage for stage, limit in stages if days <= limit), "")
        when = f"ended on {ends_at:%Y-%m-%d}" if days <= 0 else f"ends on {ends_at:%Y-%m-%d}, in {days:.0f} days"
        yield Condition("certificate", f"certificate {key}", state, f"The certificate in {key} {when}.")
