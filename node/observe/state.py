"""How the node is, for a page or a machine: cheap enough to be asked every few seconds, and asks no peer.

`health` asks everything once before a start, and `vital` says whether the node does its work; here are the numbers.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from node import certificates
from node.certificates import Certificate
from node.config import Settings
from node.observe.versions import versions
from node.process.heartbeat import Pulse, pulses
from storage import Database, DataFolder, files, switches, tallies
from storage.engine import version
from storage.records import Switch, SwitchName, Tally
from storage.schema import HEAD

TREND = timedelta(days=7)
ENOUGH_HOURS = 6  # of measures, before they make a trend
LONGEST_FORECAST = timedelta(days=3650)


@dataclass(frozen=True)
class Disk:
    """The disk of the data folder."""

    used_percent: float
    free_bytes: int
    total_bytes: int
    limit_percent: int  # instances are refused from here on
    full_at: datetime | None  # when it reaches the limit if it goes on as in the last week; None if it does not


@dataclass(frozen=True)
class Act:
    """A periodic act of the office."""

    name: str
    succeeded_s_ago: float | None
    trouble: str


@dataclass(frozen=True)
class NodeFacts:
    """The node at one time."""

    at: datetime
    disk: Disk
    database: str  # what kind, and its schema
    database_bytes: int
    processes: Sequence[Pulse]  # all that were not stopped
    late: Sequence[str]  # what is not done in time, or not at all
    acts: Sequence[Act]
    workers: Mapping[str, Mapping[str, Any]]  # by process: bundle, device, engine, precision, memory
    certificates: Sequence[Certificate]
    versions: Mapping[str, str]
    switches: Mapping[SwitchName, Switch]  # what an operator holds up


def of_node(settings: Settings, folder: DataFolder, db: Database, now: datetime) -> NodeFacts:
    """Disk with a forecast, database, processes, acts, devices, certificates, versions."""
    signs = [sign for sign in pulses(folder.path("locks")) if sign.state != "stopped"]
    office = next((sign for sign in signs if sign.role == "office" and sign.beats), None)
    return NodeFacts(
        at=now,
        disk=_disk(settings, folder, db, now),
        database=f"{version(db)}, schema {HEAD}",
        database_bytes=_size(folder),
        processes=signs,
        late=[line for sign in signs for line in _late(sign)],
        acts=_acts(office.facts.get("acts", {}) if office else {}),
        workers={sign.role: sign.facts for sign in signs if sign.role.startswith("worker") and "bundle" in sign.facts},
        certificates=certificates.of_settings(settings, now),
        versions=versions(),
        switches=switches.on(db),
    )


def _disk(settings: Settings, folder: DataFolder, db: Database, now: datetime) -> Disk:
    space, limit = os.statvfs(folder.root), settings.listener.maximum_disk_use_percent
    used = files.disk_use_percent(folder)
    return Disk(
        used_percent=used,
        free_bytes=space.f_bavail * space.f_frsize,
        total_bytes=space.f_blocks * space.f_frsize,
        limit_percent=limit,
        full_at=forecast(tallies.since(db, "disk_used_percent", now - TREND), used, limit, now),
    )


def forecast(measures: Sequence[Tally], used: float, limit: float, now: datetime) -> datetime | None:
    """When the straight line through these measures reaches the limit; None when it does not within ten years."""
    if used >= limit:
        return now
    if len(measures) < ENOUGH_HOURS:
        return None
    hours = [(each.at - now).total_seconds() / 3600 for each in measures]
    values = [each.value for each in measures]
    mean_h, mean_v = sum(hours) / len(hours), sum(values) / len(values)
    spread = sum((hour - mean_h) ** 2 for hour in hours)
    slope = sum((hour - mean_h) * (value - mean_v) for hour, value in zip(hours, values, strict=True)) / (spread or 1)
    if slope <= 0:
        return None
    left_h = (limit - used) / slope
    return now + timedelta(hours=left_h) if left_h < LONGEST_FORECAST.total_seconds() / 3600 else None


def _size(folder: DataFolder) -> int:
    parts = (folder.database, folder.database.with_name(f"{folder.database.name}-wal"))
    return sum(part.stat().st_size for part in parts if part.exists())


def _late(sign: Pulse) -> Sequence[str]:
    if not sign.beats:
        return [f"{sign.role}: no sign of life"]
    late = [f"{sign.role}: {name} is late" for name in sign.facts.get("late", ())]
    storing = sign.facts.get("storing", "")
    return [*late, f"{sign.role}: nothing can be stored: {storing}"] if storing else late


def _acts(found: Mapping[str, Mapping[str, Any]]) -> list[Act]:
    return [Act(name, each.get("succeeded_s_ago"), each.get("trouble") or "") for name, each in found.items()]
