"""A hospital day, with a fake clock and a fake predictor, through the real storage, office and attempt.

    pytest -q -s tests/simulation

prints, for each pattern of arrival: its studies, the reports that were sent, those that are too many, the
studies without it, and the seconds from the last needed slice to the report, median and worst.
"""

import random
import statistics
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from storage.states import AnswerKind
from tests.exam import Hospital, Name

EXAM: tuple[tuple[str, int], ...] = (("localizer", 3), ("best", 4), ("second", 3), ("t2", 4))
STUDIES = 2  # of each pattern
LOOK_EVERY_S = 2.0
OPEN_S = 1.5 * 3600  # within which the exams begin


@dataclass
class Coming:
    """One association of a plan: what it brings, when."""

    at_s: float
    names: list[Name]
    sender: str = "SCANNER"
    expected: int | None = None
    patient: str = ""


@dataclass
class Pattern:
    """Its studies' plans, and what is right for each of them."""

    plans: list[list[Coming]] = field(default_factory=list)
    answers: int = 1


def whole(series: str, count: int) -> list[Name]:
    return [(series, number) for number in range(1, count + 1)]


def everything() -> list[Name]:
    return [name for series, count in EXAM for name in whole(series, count)]


def series_by_series(rng: random.Random) -> Iterator[Coming]:
    """A scanner: each series over an association of its own, with pauses of up to five minutes."""
    at_s = 0.0
    for series, count in EXAM:
        yield Coming(at_s, whole(series, count))
        at_s += rng.uniform(20, 55)


def with_long_pauses(rng: random.Random) -> Iterator[Coming]:
    """A scanner whose pauses are longer than the quiet period; the series that is read comes first."""
    at_s = 0.0
    for series, count in sorted(EXAM, key=lambda each: each[0] != "best"):
        yield Coming(at_s, whole(series, count))
        at_s += rng.uniform(120, 900)


def slice_by_slice(rng: random.Random) -> Iterator[Coming]:
    """A sender that opens an association for every instance, in any order."""
    names = everything()
    rng.shuffle(names)
    for number, name in enumerate(names):
        yield Coming(2.0 * number, [name])


def archive_whole(rng: random.Random) -> Iterator[Coming]:
    """An archive that sends a study over one association and says how many instances it has."""
    yield Coming(0.0, everything(), "ARCHIVE", len(everything()))


def archive_in_four(rng: random.Random) -> Iterator[Coming]:
    """An archive with four associations at a time."""
    names = everything()
    rng.shuffle(names)
    for number in range(4):
        yield Coming(rng.uniform(0, 3), names[number::4], "ARCHIVE")


def retried_after_a_cut(rng: random.Random) -> Iterator[Coming]:
    """The association is cut after a part, and everything is sent again five minutes later."""
    names = everything()
    yield Coming(0.0, names[: rng.randrange(1, 4)], "ARCHIVE")
    yield Coming(300.0, names, "ARCHIVE")


def two_archives(rng: random.Random) -> Iterator[Coming]:
    """Two archives send the same study within an hour."""
    yield Coming(0.0, everything(), "ARCHIVE")
    yield Coming(rng.uniform(1, 3600), everything(), "ARCHIVE2")


def late_series(rng: random.Random) -> Iterator[Coming]:
    """A series that is not read comes the next morning."""
    yield Coming(0.0, whole("best", 4))
    yield Coming(14 * 3600.0, whole("t2", 4))


def resent(rng: random.Random) -> Iterator[Coming]:
    """All of it comes again in the evening."""
    yield Coming(0.0, everything())
    yield Coming(9 * 3600.0, everything(), "ARCHIVE")


def corrected_names(rng: random.Random) -> Iterator[Coming]:
    """A scanner, and hours later its archive with the same instances under the right name: one answer for each."""
    yield Coming(0.0, everything())
    yield Coming(rng.uniform(1, 6) * 3600, everything(), "ARCHIVE", patient=" Right^Name")


def nothing_to_read(rng: random.Random) -> Iterator[Coming]:
    """A localizer and T2 series, with pauses longer than the quiet period: one word that there is no result."""
    yield Coming(0.0, whole("localizer", 3))
    yield Coming(rng.uniform(100, 900), whole("t2", 4))
    yield Coming(rng.uniform(1000, 1500), whole("t2", 6))


def no_mr(rng: random.Random) -> Iterator[Coming]:
    """Documents alone."""
    yield Coming(0.0, whole("report", 2), "ARCHIVE")


PATTERNS: dict[str, tuple[Callable[[random.Random], Iterator[Coming]], int]] = {
    "series by series": (series_by_series, 1),
    "with long pauses": (with_long_pauses, 1),
    "slice by slice": (slice_by_slice, 1),
    "archive, whole": (archive_whole, 1),
    "archive, four at a time": (archive_in_four, 1),
    "retried after a cut": (retried_after_a_cut, 1),
    "two archives": (two_archives, 1),
    "late series": (late_series, 1),
    "resent": (resent, 1),
    "corrected names": (corrected_names, 2),
    "nothing to read": (nothing_to_read, 1),
    "no MR image": (no_mr, 0),
}


@dataclass
class Row:
    """What came of the studies of one pattern."""

    studies: int = 0
    sent: int = 0
    too_many: int = 0
    missing: int = 0
    late_s: list[float] = field(default_factory=list)

    def line(self, name: str) -> str:
        late = f"{statistics.median(self.late_s):8.0f} {max(self.late_s):8.0f}" if self.late_s else " " * 17
        return f"{name:<26}{self.studies:>8}{self.sent:>6}{self.too_many:>10}{self.missing:>9}{late}"


def needed_at_s(plan: list[Coming]) -> float:
    """When the last instance of the series that is read was here, or the last of all where none can be."""
    found: dict[Name, float] = {}
    for coming in sorted(plan, key=lambda each: each.at_s):
        for name in coming.names:
            found.setdefault(name, coming.at_s)
            if coming.patient:
                found[name] = coming.at_s
    best = [at_s for (series, _), at_s in found.items() if series == "best"]
    return max(best or found.values())


def day(hospital: Hospital, plans: dict[str, list[Coming]], begins_s: dict[str, float]) -> None:
    """Everything arrives at its time; the office looks often while anything is on its way."""
    agenda = sorted(
        ((begins_s[uid] + coming.at_s, uid, coming) for uid, plan in plans.items() for coming in plan),
        key=lambda each: each[0],
    )
    for at_s, uid, coming in agenda:
        pass_time(hospital, at_s)
        hospital.arrive(uid, coming.names, sender=coming.sender, expected=coming.expected, patient=coming.patient)
    pass_time(hospital, hospital.clock.s + 2 * 3600)


def pass_time(hospital: Hospital, until_s: float) -> None:
    """In short steps where something may happen, and of a minute where not."""
    while hospital.clock.s < until_s:
        step_s = LOOK_EVERY_S if hospital.is_receiving() else 60.0
        hospital.wait(min(step_s, until_s - hospital.clock.s))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_hospital_day_has_one_answer_for_each_exam(capsys: pytest.CaptureFixture[str]) -> None:
    rng = random.Random(7)
    plans: dict[str, list[Coming]] = {}
    of: dict[str, str] = {}
    for number, (name, (plan, _)) in enumerate(PATTERNS.items(), 1):
        for study in range(1, STUDIES + 1):
            uid = f"1.{number}.{study}"
            plans[uid], of[uid] = list(plan(rng)), name
    begins_s = {uid: 60.0 + rng.uniform(0, OPEN_S) for uid in plans}
    rows = {name: Row() for name in PATTERNS}
    with Hospital() as hospital:
        day(hospital, plans, begins_s)
        reports = Counter(uid.rsplit(".", 4)[0] for _, uid in hospital.sent if uid.endswith(".2"))
        for uid, name in of.items():
            note(rows[name], hospital, uid, begins_s[uid] + needed_at_s(plans[uid]), reports[uid], PATTERNS[name][1])
    with capsys.disabled():
        print(f"\n{'pattern':<26}{'studies':>8}{'sent':>6}{'too many':>10}{'missing':>9}{'median s':>9}{'worst s':>8}")  # noqa: T201
        for name, row in rows.items():
            print(row.line(name))  # noqa: T201
    assert {name: (row.too_many, row.missing) for name, row in rows.items()} == dict.fromkeys(PATTERNS, (0, 0))
    assert rows["archive, whole"].late_s
    assert max(rows["archive, whole"].late_s) <= 2 * LOOK_EVERY_S


def note(row: Row, hospital: Hospital, uid: str, needed_s: float, sent: int, right: int) -> None:
    """Count one study."""
    row.studies += 1
    row.sent += sent
    row.too_many += max(0, sent - right)
    row.missing += max(0, right - sent)
    answer = hospital.standing(uid)
    if answer is not None and answer.kind is AnswerKind.RESULT:
        row.late_s += [
            at_s - needed_s
            for at_s, each in hospital.sent
            if each.startswith(f"{uid}.9.") and each.endswith(".2") and at_s >= needed_s
        ]
