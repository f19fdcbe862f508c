"""Who sends, and who gets the results: when each was last heard of, how much came today, and what was refused.

A sender is silent when nothing came for longer than the longest pause that it made in the last four weeks. That needs a
week of history: before, nobody knows its habit.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from node.config import Destination, Settings
from node.observe.jobs import destinations
from storage import Database, DataFolder, backlog, tallies
from storage.records import Tally
from storage.states import DeliveryState

HABIT = timedelta(weeks=4)
KNOWN_AFTER = timedelta(weeks=1)
SEEN = ("associations", "echoes", "received_instances")
AN_HOUR = timedelta(hours=1)
NO_OFFICE = "the office does not run: nothing is sent"
_WAITING = (DeliveryState.PENDING, DeliveryState.SENDING)


@dataclass(frozen=True)
class Sender:
    """Who opens associations to us."""

    ae_title: str
    is_known: bool  # the settings name it
    hosts: Sequence[str]  # that it was seen at in the last four weeks
    seen_at: datetime | None
    echoed_at: datetime | None
    received_at: datetime | None
    instances_today: int
    instances_week: int
    bytes_today: int
    refused_week: Mapping[str, int]  # why associations were refused, and how often
    refused_instances_week: Mapping[str, int]
    longest_pause_s: float | None  # between instances; None while its habit is not known
    silent_s: float | None  # since its last instance

    @property
    def is_silent(self) -> bool:
        """Against its own habit."""
        return self.longest_pause_s is not None and (self.silent_s or 0) > self.longest_pause_s


@dataclass(frozen=True)
class Receiver:
    """A destination of results, or who hears of them by HL7."""

    name: str
    ae_title: str | None  # None: HL7 v2
    where: str
    acknowledged_at: datetime | None
    sent_today: int
    sent_week: int
    refused_week: int
    trouble: str  # why nothing goes there at the moment; "" when nothing stands in the way
    backlog: int  # results that wait
    oldest_s: float | None  # how long the oldest of them has waited
    unproved: int  # acknowledged, and still to be proved
    oldest_unproved_s: float | None


@dataclass(frozen=True)
class PeerFacts:
    """All of them at one time."""

    at: datetime
    senders: Sequence[Sender]  # those of the settings first
    receivers: Sequence[Receiver]


def of_peers(settings: Settings, folder: DataFolder, db: Database, now: datetime) -> PeerFacts:
    """Everybody who may send, whoever tried to, and every destination."""
    return PeerFacts(now, _senders(settings, db, now), _receivers(settings, folder, db, now))


def _senders(settings: Settings, db: Database, now: datetime) -> list[Sender]:
    names = (*SEEN, "received_bytes", "associations_refused", "instances_refused")
    found: dict[str, dict[str, list[Tally]]] = defaultdict(lambda: defaultdict(list))
    for name in names:
        for each in tallies.since(db, name, now - HABIT):
            found[each.labels["peer"]][name].append(each)
    last = {(each.name, each.labels["peer"]): each.at for each in sorted(tallies.totals(db, *SEEN), key=_at)}
    by_web = () if settings.dicomweb is None else settings.dicomweb.allow
    known = list(dict.fromkeys(each.ae_title for each in (*settings.listener.allow, *by_web)))
    strangers = sorted(found.keys() - set(known))
    return [_sender(title, title in known, found[title], last, now) for title in (*known, *strangers)]


def _at(tally: Tally) -> datetime:
    return tally.at


def _sender(
    title: str,
    is_known: bool,
    found: Mapping[str, Sequence[Tally]],
    last: Mapping[tuple[str, str], datetime],
    now: datetime,
) -> Sender:
    day, week = _midnight(now), now - timedelta(days=7)
    received = found.get("received_instances", ())
    received_at = last.get(("received_instances", title))
    seen = [at for name in SEEN if (at := last.get((name, title))) is not None]
    return Sender(
        ae_title=title,
        is_known=is_known,
        hosts=sorted({each.labels["host"] for tallied in found.values() for each in tallied}),
        seen_at=max(seen, default=None),
        echoed_at=last.get(("echoes", title)),
        received_at=received_at,
        instances_today=_sum(received, day),
        instances_week=_sum(received, week),
        bytes_today=_sum(found.get("received_bytes", ()), day),
        refused_week=_reasons(found.get("associations_refused", ()), week),
        refused_instances_week=_reasons(found.get("instances_refused", ()), week),
        longest_pause_s=_longest_pause_s(received, now),
        silent_s=None if received_at is None else max(0.0, (now - received_at).total_seconds()),
    )


def _longest_pause_s(received: Sequence[Tally], now: datetime) -> float | None:
    """Between two hours in which something came; None with less than a week of history."""
    slots = sorted({each.slot for each in received})
    if not slots or now - slots[0] < KNOWN_AFTER or len(slots) < 3:
        return None
    pauses = (later - earlier for earlier, later in itertools.pairwise(slots))
    return (max(pauses) + AN_HOUR).total_seconds()


def _receivers(settings: Settings, folder: DataFolder, db: Database, now: datetime) -> list[Receiver]:
    day, week = _midnight(now), now - timedelta(days=7)
    recent = tallies.since(db, "deliveries", week)
    last = {(each.labels["destination"], each.labels["outcome"]): each.at for each in tallies.totals(db, "deliveries")}
    troubles, waits = destinations(folder), backlog.of_destinations(db)
    found = []
    for each in settings.receivers:
        own = [tally for tally in recent if tally.labels["destination"] == each.name]
        sent = [tally for tally in own if tally.labels["outcome"] == "sent"]
        waiting = [waits[each.name, state] for state in _WAITING if (each.name, state) in waits]
        unproved = waits.get((each.name, DeliveryState.SENT))
        found.append(
            Receiver(
                name=each.name,
                ae_title=each.ae_title if isinstance(each, Destination) else None,
                where=f"{each.host}:{each.port}",
                acknowledged_at=last.get((each.name, "sent")),
                sent_today=_sum(sent, day),
                sent_week=_sum(sent, week),
                refused_week=_sum([tally for tally in own if tally.labels["outcome"] == "refused"], week),
                trouble=troubles.get(each.name, "" if troubles else NO_OFFICE),
                backlog=sum(wait.count for wait in waiting),
                oldest_s=_age_s(min((wait.since for wait in waiting), default=None), now),
                unproved=unproved.count if unproved else 0,
                oldest_unproved_s=_age_s(unproved.since if unproved else None, now),
            )
        )
    return found


def _age_s(since: datetime | None, now: datetime) -> float | None:
    return None if since is None else max(0.0, (now - since).total_seconds())


def _sum(found: Iterable[Tally], since: datetime) -> int:
    return round(sum(each.value for each in found if each.slot >= since.replace(minute=0, second=0, microsecond=0)))


def _reasons(found: Iterable[Tally], since: datetime) -> dict[str, int]:
    counted: dict[str, int] = {}
    for each in found:
        if each.slot >= since:
            reason = each.labels.get("reason", "")
            counted[reason] = counted.get(reason, 0) + round(each.value)
    return counted


def _midnight(now: datetime) -> datetime:
    """The last one here, where the node stands."""
    local = now.astimezone()
    return local.replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)
