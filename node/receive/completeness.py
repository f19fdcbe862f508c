"""Pure: is a study complete at this time, and by which rule; is it worth a look already, is it over? (faults F34, F45)

DICOM has no "end of study" message. Two rules: the instance count that the sender states is reached, or nothing came
for the quiet period. A study whose sender still holds an association open waits on, but no longer than that association
may idle.
"""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from node.config import Completeness
from storage.records import Study

SETTLED_S = 1.0  # a sender that opens an association for every instance does not begin work with each of them
SHORT_SILENCE_S = 5.0  # after it a doubtful count is believed


def is_complete(
    study: Study,
    now: datetime,
    settings: Completeness,
    *,
    open_senders: Collection[str] = (),
    patience_s: float = 0.0,
    doubtful: bool = False,
) -> str | None:
    """The rule that says so, for people; None when the study is not complete yet.

    `open_senders` are the calling AE titles that hold an association open at this time. They are waited for until
    `patience_s` after the last instance, so that a slow sender is not cut short and a forgotten one does not hold a
    study. A count that is already exceeded is wrong, and says nothing; a `doubtful` one, and one that was wrong before,
    is believed after a short silence.
    """
    silent_s = (now - study.last_received_at).total_seconds()
    expected = study.expected_instances if settings.use_study_related_instances else None
    counted = expected is not None and study.instances == expected
    if counted and (silent_s >= min(SHORT_SILENCE_S, settings.quiet_period_s) or not (doubtful or is_doubtful(study))):
        return f"all {expected} instances that the sender counts are here"
    if silent_s < settings.quiet_period_s:
        return None
    if silent_s < patience_s and not set(study.calling_ae_titles).isdisjoint(open_senders):
        return None
    missing = (
        f"; {study.instances} of {expected} counted instances are here"
        if expected and expected > study.instances
        else ""
    )
    return f"no instance came for {settings.quiet_period_s:g} s{missing}"


def is_worth_a_look(
    study: Study, now: datetime, settings: Completeness, *, open_senders: Collection[str] | None
) -> str | None:
    """Why a study that may still grow can be worked on already; None when its series is still under way.

    `open_senders` as above; None when nobody knows them, and then only silence counts.
    """
    silent_s = (now - study.last_received_at).total_seconds()
    if silent_s >= settings.series_quiet_period_s:
        return f"no instance came for {settings.series_quiet_period_s:g} s"
    if open_senders is None or silent_s < SETTLED_S or not set(study.calling_ae_titles).isdisjoint(open_senders):
        return None
    return "its sender released the association"


def is_over(study: Study, now: datetime, settings: Completeness) -> str | None:
    """Why no result is to be expected any more of a complete study in which nothing can be read."""
    if settings.use_study_related_instances and study.instances == study.expected_instances:
        return f"all {study.instances} instances that the sender counts are here"
    if (now - study.last_received_at).total_seconds() < settings.no_result_after_s:
        return None
    return f"no instance came for {settings.no_result_after_s:g} s"


def is_doubtful(study: Study) -> bool:
    """Whether its count is not to be believed at once.

    A count that was reached and then exceeded was wrong before, and a count of one is often how many were sent so far.
    """
    return study.revision > 1 or study.expected_instances == 1


class Counts:
    """Which counts have changed while their study was received: some senders count what they have sent so far."""

    def __init__(self) -> None:
        self._seen: dict[str, int | None] = {}
        self._changed: set[str] = set()

    def look(self, studies: Iterable[Study]) -> None:
        """Note the counts of the studies that are being received; the others are forgotten."""
        now = {study.study_instance_uid: study.expected_instances for study in studies}
        self._changed &= set(now)
        self._changed |= {uid for uid, count in now.items() if self._seen.get(uid) not in (None, count)}
        self._seen = now

    def is_doubtful(self, study_instance_uid: str) -> bool:
        """Whether this one has changed: then it may still grow."""
        return study_instance_uid in self._changed


class QuietClock:
    """How long each study has been silent, measured by a clock that nobody can set.

    The stored times are wall-clock times, which a time server or an operator moves. So the wall clock is believed only
    for the part of a silence that this process could not watch, and never for a time in the future. While nobody
    listened, it was not the sender who was silent: that time does not count, nor what was before it.
    """

    def __init__(self) -> None:
        self._since: dict[str, tuple[int, float]] = {}
        self._watched_at: float | None = None

    def until(
        self, studies: Iterable[Study], now: datetime, monotonic_s: float, *, listened_s: float = float("inf")
    ) -> dict[str, datetime]:
        """For each study, its last instance's time plus the silence since: the `now` for `is_complete`.

        `listened_s` is how long senders have been able to reach us; 0 while they cannot.
        """
        watched_s = float("inf") if self._watched_at is None else monotonic_s - self._watched_at
        self._watched_at = monotonic_s
        before, self._since = self._since, {}
        ends: dict[str, datetime] = {}
        for study in studies:
            uid, version = study.study_instance_uid, study.version
            known = before.get(uid)
            if known is not None and known[0] == version:
                since = known[1]
            else:
                unseen_s = (now - study.last_received_at).total_seconds()
                since = monotonic_s - min(max(unseen_s, 0.0), watched_s)
            since = max(since, monotonic_s - listened_s)
            self._since[uid] = (version, since)
            ends[uid] = study.last_received_at + timedelta(seconds=monotonic_s - since)
        return ends
