"""Pure: is this study complete at this time, and by which rule? (faults F34, F45)

DICOM has no "end of study" message. Two rules: the instance count that the sender states is reached, or nothing came
for the quiet period. A study whose sender still holds an association open waits on, but no longer than that association
may idle.
"""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from node.config import Completeness
from storage.records import Study


def is_complete(
    study: Study,
    now: datetime,
    settings: Completeness,
    *,
    open_senders: Collection[str] = (),
    patience_s: float = 0.0,
) -> str | None:
    """The rule that says so, for people; None when the study is not complete yet.

    `open_senders` are the calling AE titles that hold an association open at this time. They are waited for until
    `patience_s` after the last instance, so that a slow sender is not cut short and a forgotten one does not hold a
    study. A count that is already exceeded is wrong, and says nothing.
    """
    silent_s = (now - study.last_received_at).total_seconds()
    expected = study.expected_instances if settings.use_study_related_instances else None
    if expected is not None and study.instances == expected:
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


class QuietClock:
    """How long each study has been silent, measured by a clock that nobody can set.

    The stored times are wall-clock times, which a time server or an operator moves. So the wall clock is believed only
    for the part of a silence that this process could not watch, and never for a time in the future. While nobody
    listened, it was not the sender who was silent: that time does not count, nor what was before it.
    """

    def __init__(self) -> None:
        self._since: dict[str, tuple[tuple[int, int], float]] = {}
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
            uid, version = study.study_instance_uid, (study.revision, study.instances)
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
