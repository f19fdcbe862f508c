"""Drift: a week that is as usual is told as such, one that is not is told as what it is, and so are flags of no use."""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from typer.testing import CliRunner

from node import verdict
from node.cli import app
from node.observe import comparing, drift, tally
from node.observe.comparing import SILENT, USELESS, Usual
from node.trial import signing
from storage import Database, sightings
from storage.records import Sighting
from tests import stored, web
from tests.false_alarms import rate, studies
from tests.unit.test_metrics import numbers, worked_out

MONDAY = datetime(2026, 6, 1, tzinfo=UTC)
WEEK = timedelta(days=7)


def weeks(first: int, last: int, **usual: float) -> Iterator[Sighting]:
    """Sixty studies a week, from two scanners."""
    dice = Random(first)
    for week in range(first, last):
        for number, each in enumerate(studies(dice, 60, **usual)):
            at = MONDAY + week * WEEK + timedelta(hours=2 * number)
            scanner = ("Maker A", "Maker B")[number % 2]
            yield Sighting(**{**vars(each), "job_id": 1000 * week + number, "at": at, "scanner": scanner})


def judged(db: Database, *found: Iterator[Sighting], week: int) -> drift.DriftFacts:
    """As the office finds it in the days after this week."""
    for each in found:
        sightings.keep(db, each)
    return drift.look(db, stored.folder(db), MONDAY + (week + 1) * WEEK + timedelta(days=2))


def names(found: drift.DriftFacts) -> set[str]:
    return {each.what for each in found.drifted}


def test_without_a_baseline_it_is_said_what_is_lacking(db: Database) -> None:
    assert judged(db, week=5).lacking == "no study was classified yet"
    assert judged(db, weeks(0, 3), week=2).lacking.startswith("no baseline yet")
    assert judged(db, weeks(3, 4), week=4).lacking == "only 0 studies in the last week: 20 are needed"


def test_weeks_like_the_first_ones_are_no_drift(db: Database) -> None:
    found = judged(db, weeks(0, 6), week=5)
    assert found.lacking == ""
    assert found.words == ""
    assert {each.scanner for each in found.comparisons} == {comparing.ALL, "Maker A", "Maker B"}
    assert {each.source for each in found.comparisons} == {"first 4 weeks, from 2026-06-01"}
    assert {each.what for each in found.courses} == set(comparing.NAMES)
    assert drift.kept(stored.folder(db)) == found


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"brighter": 30.0}, {"brightness"}),
        ({"out_of_scope": 0.6}, {"out of scope"}),
        ({"not_read": 0.7}, {"not read"}),
        ({"more_likely": 0.3}, {"probability", "flagged"}),
    ],
)
def test_what_moved_is_named(db: Database, change: dict[str, float], what: set[str]) -> None:
    found = judged(db, weeks(0, 5), weeks(5, 6, **change), week=5)
    assert what <= names(found)
    assert f"week of {found.week}" in drift.words(stored.folder(db))
    untouched = {"brightness", "contrast", "texture"} - what
    assert not untouched & names(found)


def test_a_flag_on_most_studies_is_useless(db: Database) -> None:
    found = judged(db, weeks(0, 5, more_likely=0.5), weeks(5, 9, more_likely=0.5), week=8)
    assert names(found) == {USELESS}
    assert "are flagged, which tells a reader little" in found.words


def test_a_flag_on_no_study_is_silent_where_some_usually_are() -> None:
    usual = Usual([*studies(Random(1), 240)], "usual")
    month = [each for each in studies(Random(2), 240) if each.band != verdict.HIGH]
    compared = comparing.told([*comparing.flagging(month, usual)])
    assert [each.what for each in compared if each.drifted] == [SILENT]


def test_the_commissioning_report_is_the_baseline_of_scores_where_its_signature_holds(db: Database) -> None:
    folder = stored.folder(db)
    place = folder.root / signing.REPORTS / "bundle"
    place.mkdir(parents=True)
    keys = ("scanner", "in_scope", "band", "probability", "spread")
    listed = [{key: getattr(each, key) for key in keys} for each in studies(Random(3), 200, more_likely=0.3)]
    text = json.dumps({"made": "2026-05-01T00:00:00+00:00", "studies": listed}).encode()
    (place / "20260501T000000Z.json").write_bytes(text)
    found = judged(db, weeks(0, 6), week=5)
    assert names(found) == set()
    (place / "20260501T000000Z.json.sig").write_bytes(signing.sign(folder, text).raw)
    found = judged(db, week=5)
    assert "probability" in names(found)
    sources = {each.what: each.source for each in found.comparisons}
    assert sources["probability"] == "commissioning report 20260501T000000Z"
    assert sources["brightness"].startswith("first 4 weeks")


def test_numbers_and_page_say_what_drifted(db: Database) -> None:
    judged(db, weeks(0, 5), weeks(5, 6, brighter=30.0), week=5)
    said = numbers(db)
    assert said['neurossl_drifted{scanner="(all)",what="brightness"}'] == 1
    assert said['neurossl_drifted{scanner="(all)",what="contrast"}'] == 0
    with web.browser(stored.folder(db), db) as client:
        assert "More than chance" in client.get("/statistics").text
        assert client.get("/api/v1/drift").json()["found"]["bundle"] == "bundle"


def test_the_command_ends_with_1_where_something_drifted(db: Database, tmp_path: Path) -> None:
    this = drift._monday(datetime.now(UTC)) - WEEK
    for each in (*weeks(0, 5), *weeks(5, 6, brighter=30.0)):
        moved = this - MONDAY - 5 * WEEK
        sightings.keep(db, [Sighting(**{**vars(each), "at": each.at + moved})])
    config = tmp_path / "config.yaml"
    config.write_text(f"data_folder: {stored.folder(db).root}\n", encoding="utf-8")
    ended = CliRunner().invoke(app, ["model", "drift", "--config", str(config)])
    assert ended.exit_code == 1, ended.output
    assert "brightness" in ended.output
    assert "drifted" in ended.output


def test_what_is_kept_of_a_study_is_kept_once_and_names_nobody(db: Database) -> None:
    worked_out(db)
    tally.count_events(db)
    kept: Sequence[Sighting] = sightings.between(db, sightings.newest_bundle(db), stored.NOW, stored.after(86400))
    assert [(each.in_scope, each.band, round(each.texture or 0, 3)) for each in kept] == [
        (True, "low confidence", 0.142)
    ]
    assert "1.2." not in repr(kept)


def test_false_alarms_are_as_rare_as_promised() -> None:
    """At 1 % a week, four of sixty come by chance once in three hundred times."""
    assert rate(weeks=60, a_week=40, baseline=160, seed=7).alarms <= 3
