"""Whether what the model says, and what it is shown, is still as it was: week by week, against a baseline.

The baseline of scores, bands and scope is the site's newest commissioning report on the bundle in charge, where one is
signed; of everything else, and where there is none, the bundle's own first `FIRST_WEEKS` weeks here. The calibration
subjects of a bundle are none: they are of other patients, and every site would differ from them.

A week goes from Monday to Monday, UTC, and is judged when it is over. The office does so once a day and keeps what it
found in drift.json, for pages, numbers and notices. What a test is, and how often it errs: node/observe/comparing.py.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median, pstdev
from typing import Any, Self

from node.observe import comparing
from node.observe.comparing import LEAST, NAMES, Comparison, Usual, mean, values
from node.trial import signing
from storage import Database, DataFolder, sightings
from storage.records import Sighting

FILE = "drift.json"
WEEK = timedelta(days=7)
FIRST_WEEKS, SHOWN_WEEKS, FLAG_WEEKS = 4, 12, 4
REPORTED = ("probability", "spread", "flagged", "undecided", "out of scope")  # what a commissioning report has
MOST_WORDS = 5


@dataclass(frozen=True)
class Course:
    """A measure or share of all scanners, week by week, and where 95 of 100 weeks lie when nothing drifts."""

    what: str
    weeks: Mapping[str, float | None]  # Monday -> mean or share; None where too few studies have it
    usual: float
    low: float
    high: float
    source: str


@dataclass(frozen=True)
class DriftFacts:
    """What was found, and of which week; without comparisons where `lacking` says what there is too little of."""

    at: datetime
    week: date  # its Monday
    bundle: str  # SHA-256
    lacking: str
    comparisons: Sequence[Comparison]
    courses: Sequence[Course]

    @property
    def drifted(self) -> list[Comparison]:
        """What has drifted."""
        return [each for each in self.comparisons if each.drifted]

    @property
    def words(self) -> str:
        """What has drifted, "" where nothing has: for people, and without any patient."""
        found = [each.words for each in self.drifted]
        more = f"; and {len(found) - MOST_WORDS} more" if len(found) > MOST_WORDS else ""
        return f"week of {self.week}: {'; '.join(found[:MOST_WORDS])}{more}" if found else ""

    @classmethod
    def of_json(cls, row: Mapping[str, Any]) -> Self:
        """What `look` has written."""
        return cls(
            datetime.fromisoformat(row["at"]),
            date.fromisoformat(row["week"]),
            row["bundle"],
            row["lacking"],
            [Comparison(**each) for each in row["comparisons"]],
            [Course(**each) for each in row["courses"]],
        )


def look(db: Database, folder: DataFolder, now: datetime) -> DriftFacts:
    """Judge the last week that is over, and keep what was found. Raises FolderUnusable, OSError."""
    found = of_node(db, folder, now)
    plain = asdict(found) | {"at": found.at.isoformat(), "week": found.week.isoformat()}
    part = folder.path(f"tmp/{FILE}.part")
    part.write_text(json.dumps(plain), encoding="utf-8")
    part.replace(folder.root / FILE)
    return found


def kept(folder: DataFolder) -> DriftFacts | None:
    """What was found last; None where nobody has looked yet, or what was kept cannot be read."""
    try:
        return DriftFacts.of_json(json.loads(folder.path(FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def words(folder: DataFolder) -> str:
    """What had drifted when somebody last looked."""
    found = kept(folder)
    return found.words if found else ""


def of_node(db: Database, folder: DataFolder, now: datetime) -> DriftFacts:
    """The last week that is over, against the baseline of the bundle that spoke last. Raises FolderUnusable."""
    bundle, week = sightings.newest_bundle(db), _monday(now) - WEEK
    first = _first_weeks(db, bundle, week)
    usual = {} if first is None else dict.fromkeys(NAMES, first)
    reported = _reported(folder, bundle)
    if reported is not None:
        usual |= dict.fromkeys(REPORTED, reported)
    recent = sightings.between(db, bundle, week - (SHOWN_WEEKS - 1) * WEEK, week + WEEK)
    this = [each for each in recent if each.at >= week]
    lacking = _lacking(bundle, usual, this)
    tests = [] if lacking else comparing.told(_tests(recent, this, week, usual))
    courses = [] if not usual else _courses(recent, week, usual)
    return DriftFacts(now, week.date(), bundle, lacking, tests, courses)


def _tests(
    recent: Sequence[Sighting], this: Sequence[Sighting], week: datetime, usual: Mapping[str, Usual]
) -> list[Comparison]:
    found = [
        compared
        for what, baseline in usual.items()
        for scanner in comparing.scanners(this, baseline.found)
        if (compared := comparing.moved(what, scanner, this, baseline)) is not None
    ]
    month = [each for each in recent if each.at >= week - (FLAG_WEEKS - 1) * WEEK]
    return [*found, *comparing.flagging(month, usual["flagged"])]


def _lacking(bundle: str, usual: Mapping[str, Usual], this: Sequence[Sighting]) -> str:
    if not bundle:
        return "no study was classified yet"
    if not usual:
        return f"no baseline yet: a commissioning report, or {FIRST_WEEKS} weeks with {LEAST} studies"
    return f"only {len(this)} studies in the last week: {LEAST} are needed" if len(this) < LEAST else ""


def _first_weeks(db: Database, bundle: str, week: datetime) -> Usual | None:
    """The bundle's first weeks here, when they were over before this one began."""
    began = sightings.first_at(db, bundle)
    if began is None or _monday(began) + FIRST_WEEKS * WEEK > week:
        return None
    found = sightings.between(db, bundle, began, _monday(began) + FIRST_WEEKS * WEEK)
    return Usual(found, f"first {FIRST_WEEKS} weeks, from {began:%Y-%m-%d}") if len(found) >= LEAST else None


def _reported(folder: DataFolder, bundle: str) -> Usual | None:
    path = signing.newest(folder, bundle) if bundle else None
    return None if path is None else Usual(_of_report(path, bundle), f"commissioning report {path.stem}")


def _of_report(path: Path, bundle: str) -> list[Sighting]:
    """The studies of a commissioning report."""
    content = json.loads(path.read_text(encoding="utf-8"))
    made = datetime.fromisoformat(content["made"])
    names = ("scanner", "in_scope", "band", "probability", "spread")
    return [
        Sighting(0, made, bundle, **{name: study[name] for name in names})
        for study in content["studies"]
        if study["in_scope"] is not None
    ]


def _courses(recent: Sequence[Sighting], week: datetime, usual: Mapping[str, Usual]) -> list[Course]:
    mondays = [week - back * WEEK for back in range(SHOWN_WEEKS - 1, -1, -1)]
    weekly = {each: [seen for seen in recent if each <= seen.at < each + WEEK] for each in mondays}
    found = []
    for what, baseline in usual.items():
        before = values(baseline.found, what)
        had = {monday: values(seen, what) for monday, seen in weekly.items()}
        counts = [len(each) for each in had.values() if len(each) >= LEAST]
        if len(before) < LEAST or not counts:
            continue
        centre = mean(before)
        margin = 1.96 * pstdev(before) * math.sqrt(1 / median(counts) + 1 / len(before))
        means = {f"{monday:%Y-%m-%d}": mean(each) if len(each) >= LEAST else None for monday, each in had.items()}
        found.append(Course(what, means, centre, max(0.0, centre - margin), centre + margin, baseline.source))
    return found


def _monday(at: datetime) -> datetime:
    """The beginning of its week."""
    day = at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return day - timedelta(days=day.weekday())
