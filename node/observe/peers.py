"""Who sends, and who gets the results: when each was last heard of, how much came today, and what was refused."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from node import silence
from node.config import Destination, Settings
from node.observe.jobs import destinations, said_by_office
from node.silence import HABIT, Silence
from storage import Database, DataFolder, backlog, tallies
from storage.records import Tally
from storage.states import DeliveryState

A_WEEK = timedelta(days=7)
SEEN = ("associations", "echoes", "received_instances")
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
    silence: Silence


@dataclass(frozen=True)
class Echo:
    """What came of asking a destination by C-ECHO; nothing where nobody asked."""

    answered_at: datetime | None = None
    unanswered_at: datetime | None = None  # when it was last asked in vain
    took_s: float | None = None  # the last answer
    trouble: str = ""  # why there was none the last time

    @property
    def is_answered(self) -> bool | None:
        """The last time; None while it was never asked."""
        if self.unanswered_at is None:
            return None if self.answered_at is None else True
        return self.answered_at is not None and self.answered_at > self.unanswered_at


@dataclass(frozen=True)
class Receiver:
    """A destination of results, or who hears of them by HL7."""

    name: str
    ae_title: str | None  # None: HL7 v2
    where: str
    echo: Echo
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
    by_dimse = [each.ae_title for each in settings.listener.allow]
    known = list(dict.fromkeys([*by_dimse, *(each.ae_title for each in by_web)]))
    strangers = sorted(found.keys() - set(known))
    least_s, heard = settings.notifications.peer_silent_s, silence.last_instances(db)
    pauses = {title: silence.of_sender(db, title, heard.get(title), now, least_s) for title in known}
    return [_sender(title, found[title], last, now, pauses.get(title)) for title in (*known, *strangers)]


def _at(tally: Tally) -> datetime:
    return tally.at


def _sender(
    title: str,
    found: Mapping[str, Sequence[Tally]],
    last: Mapping[tuple[str, str], datetime],
    now: datetime,
    pauses: Silence | None,
) -> Sender:
    """Of one that the settings do not name nobody asks for its pauses."""
    day, week = _midnight(now), now - A_WEEK
    received = found.get("received_instances", ())
    seen = [at for name in SEEN if (at := last.get((name, title))) is not None]
    return Sender(
        ae_title=title,
        is_known=pauses is not None,
        hosts=sorted({each.labels["host"] for tallied in found.values() for each in tallied}),
        seen_at=max(seen, default=None),
        echoed_at=last.get(("echoes", title)),
        received_at=last.get((silence.RECEIVED, title)),
        instances_today=_sum(received, day),
        instances_week=_sum(received, week),
        bytes_today=_sum(found.get("received_bytes", ()), day),
        refused_week=_reasons(found.get("associations_refused", ()), week),
        refused_instances_week=_reasons(found.get("instances_refused", ()), week),
        silence=pauses or Silence(),
    )


def _receivers(settings: Settings, folder: DataFolder, db: Database, now: datetime) -> list[Receiver]:
    day, week = _midnight(now), now - A_WEEK
    recent = tallies.since(db, "deliveries", week)
    last = {(each.labels["destination"], each.labels["outcome"]): each.at for each in tallies.totals(db, "deliveries")}
    troubles, waits = destinations(folder), backlog.of_destinations(db)
    echoes = _echoes(folder, db, now)
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
                echo=echoes.get(each.name, Echo()),
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


def _echoes(folder: DataFolder, db: Database, now: datetime) -> dict[str, Echo]:
    """By the name of the destination."""
    last: dict[str, dict[str, datetime]] = defaultdict(dict)
    for each in tallies.totals(db, "destination_echoes"):
        last[each.labels["destination"]][each.labels["outcome"]] = each.at
    took_s = {each.labels["destination"]: each.value for each in tallies.since(db, "destination_echo_s", now - A_WEEK)}
    troubles = said_by_office(folder, "echoes")
    return {
        name: Echo(at.get("answered"), at.get("unanswered"), took_s.get(name), troubles.get(name, ""))
        for name, at in last.items()
    }


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
