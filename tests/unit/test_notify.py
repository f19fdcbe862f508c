"""What people are told, and when: decided from facts, kept in a file, collected into messages."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from node.access.secrets import secret
from node.config import Settings
from node.config_telling import Notifications, WebhookChannel
from node.errors import ConfigurationError
from node.notify import watch
from node.notify.ledger import Ledger
from node.notify.notice import message, notice
from node.notify.post import Pauses, Post, due, is_quiet
from node.notify.watch import Facts
from node.notify.ways import Untold
from node.observe.support import without_secrets

NOW = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)
SETTINGS = Notifications()
PACS_DOWN = "Destination pacs takes nothing: results wait, and go when it does. `neurossl queue` says why."


def facts(**found: Any) -> Facts:
    return Facts(**{"now": NOW, "newest_event": 10, **found})


def told(before: dict[str, Any] | None, *looks: Facts, settings: Notifications = SETTINGS) -> list[str]:
    """What is told of these, one after the other; the memory goes through JSON, as the ledger keeps it."""
    texts = []
    for each in looks:
        texts += [text for _, text in watch.changes(before, each, settings)]
        before = json.loads(json.dumps(watch.seen(before, each, settings)))
    return texts


def test_a_job_that_failed_is_told_by_its_number_alone() -> None:
    assert told(told_nothing(), facts(failed_jobs=[7, 8])) == [
        "Job 7 failed. `neurossl queue show 7` says why.",
        "Job 8 failed. `neurossl queue show 8` says why.",
    ]


def told_nothing() -> dict[str, Any]:
    return {"event": 3, "conditions": {}, "processes": {}}


def test_old_failures_of_a_node_that_is_watched_for_the_first_time_are_not_told() -> None:
    assert told(None, facts(failed_jobs=[7], processes={"office": 1})) == []


def test_a_destination_is_told_once_when_it_is_down_and_once_when_it_is_back() -> None:
    looks = [{"pacs": None}, {"pacs": True}, {"pacs": True}, {"pacs": None}, {"pacs": False}, {"pacs": False}]
    assert told(told_nothing(), *(facts(down=each) for each in looks)) == [
        PACS_DOWN,
        "Destination pacs takes results again.",
    ]


def test_a_sender_that_is_silent_is_told_once_and_when_it_sends_again() -> None:
    looks = [facts(silent={"MR1": 37 * 3600.0}), facts(silent={"MR1": 38 * 3600.0}), facts(silent={"MR1": None})]
    assert told(told_nothing(), *looks) == [
        "Sender MR1 has sent nothing for 37 h, longer than is its habit.",
        "Sender MR1 sends again.",
    ]


def test_a_disk_that_fills_is_told_at_each_step_and_does_not_chatter_at_the_limit() -> None:
    looks = [facts(disk_use_percent=used, disk_limit_percent=90) for used in (79, 80, 79, 80, 91, 85, 77)]
    assert told(told_nothing(), *looks) == [
        "The disk of the data folder is 80 % full.",
        "Instances are refused: the disk of the data folder is 91 % full.",
        "The disk of the data folder is 85 % full.",
        "The disk of the data folder has room again: 77 % are used.",
    ]


def test_a_certificate_is_told_a_month_and_a_week_before_its_end_and_after_it() -> None:
    end = NOW + timedelta(days=100)
    days = (0, 69, 71, 72, 94, 95, 101, 102)
    looks = [facts(now=NOW + timedelta(days=day), certificates={"listener.tls": end}) for day in days]
    assert told(told_nothing(), *looks) == [
        "The certificate in listener.tls ends on 2026-07-07, in 29 days.",
        "The certificate in listener.tls ends on 2026-07-07, in 6 days.",
        "The certificate in listener.tls ended on 2026-07-07.",
    ]
    renewed = facts(certificates={"listener.tls": end})
    assert told({**told_nothing(), "conditions": {"certificate listener.tls": "soon"}}, renewed) == []


def test_a_process_that_was_started_anew_is_told_and_one_that_is_new_is_not() -> None:
    before = {**told_nothing(), "processes": {"office": 1, "listener": 2, "worker-1": 3}}
    after = {"office": 11, "listener": 2, "worker-1": 13, "worker-2": 14}
    assert told(before, facts(processes=after)) == ["Started anew: office, worker-1."]


def test_drift_is_told_when_somebody_measures_it() -> None:
    looks = [facts(drift="mean probability of MR1 rose by 0.2"), facts()]
    assert told(told_nothing(), *looks) == ["Drift: mean probability of MR1 rose by 0.2.", "Drift: no more."]


def test_kinds_that_are_not_wanted_are_not_told() -> None:
    only_disk = Notifications(kinds=("disk",))
    assert told(told_nothing(), facts(failed_jobs=[7], down={"pacs": True}), settings=only_disk) == []


@pytest.fixture
def ledger(folder: Any) -> Ledger:
    return Ledger(folder.path("notices.json"))


def test_what_waits_and_what_was_told_outlives_a_crash(ledger: Ledger, folder: Any) -> None:
    first, second = (notice("disk", text, NOW, ("mail", "hook")) for text in ("one", "two"))
    ledger.add([first, second], {"event": 5})
    ledger.told("mail", [first], NOW)
    again = Ledger(folder.path("notices.json"))
    assert [each.text for each in again.waiting_for("mail", NOW)] == ["two"]
    assert [each.text for each in again.waiting_for("hook", NOW)] == ["one", "two"]
    assert again.told_at("mail", "disk") == NOW
    assert again.seen == {"event": 5}
    assert (folder.path("notices.json").stat().st_mode & 0o777) == 0o600


def test_events_of_which_nothing_is_told_are_remembered_without_a_write(ledger: Ledger, folder: Any) -> None:
    ledger.add([], {"event": 5, "conditions": {}})
    written = folder.path("notices.json").stat().st_ino
    ledger.add([], {"event": 6, "conditions": {}})
    assert ledger.seen == {"event": 6, "conditions": {}}
    assert folder.path("notices.json").stat().st_ino == written
    ledger.add([], {"event": 6, "conditions": {"disk": "high"}})
    assert Ledger(folder.path("notices.json")).seen == ledger.seen


def test_a_file_that_cannot_be_read_is_begun_anew(folder: Any) -> None:
    folder.path("notices.json").write_text('{"waiting": [{}]}')
    assert Ledger(folder.path("notices.json")).seen is None


def test_a_disk_that_takes_nothing_keeps_nobody_from_being_told(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("node.notify.ledger.os.fsync", full)
    ledger.add([notice("disk", "full", NOW, ("mail",))], {})
    assert [each.text for each in ledger.waiting_for("mail", NOW)] == ["full"]


def test_what_waits_for_too_long_or_for_nobody_is_given_up(ledger: Ledger) -> None:
    ledger.add([notice("disk", "old", NOW - timedelta(days=8), ("mail", "gone"))], {})
    assert ledger.waiting_for("mail", NOW) == []
    ledger.keep_only(["mail"])
    assert ledger.waiting_for("gone", NOW - timedelta(days=8)) == []


def test_more_than_anybody_reads_is_not_kept(ledger: Ledger) -> None:
    ledger.add([notice("job_failed", f"job {number}", NOW, ("mail",)) for number in range(600)], {})
    waiting = ledger.waiting_for("mail", NOW)
    assert (len(waiting), waiting[-1].text) == (500, "job 599")
    body = message("NODE", waiting).body
    assert body.endswith("and 480 more; `neurossl queue` and `neurossl check` tell all\n")


def kinds(*of: str, at: datetime = NOW) -> list[Any]:
    return [notice(each, each, at, ("mail",)) for each in of]


def goes(waiting: list[Any], now: datetime, told_at: dict[str, Any] | None = None, **settings: Any) -> list[str]:
    return [each.kind for each in due(waiting, told_at or {}, now, Notifications(**settings))]


def test_urgent_kinds_go_at_once_and_the_others_are_collected() -> None:
    waiting = kinds("disk", "restart", "job_failed")
    assert goes(waiting, NOW) == ["disk"]
    assert goes(waiting, NOW + timedelta(seconds=61)) == ["disk", "restart", "job_failed"]
    assert goes(waiting, NOW, urgent=()) == []


def test_a_kind_that_was_just_told_waits_and_then_comes_in_one_message() -> None:
    waiting = kinds("disk", "disk", "disk")
    assert goes(waiting, NOW, {"disk": NOW - timedelta(seconds=899)}) == []
    assert goes(waiting, NOW, {"disk": NOW - timedelta(seconds=900)}) == ["disk"] * 3


def test_a_clock_that_was_set_back_holds_up_nothing() -> None:
    assert goes(kinds("disk"), NOW, {"disk": NOW + timedelta(days=3650)}) == ["disk"]
    assert goes(kinds("restart", at=NOW + timedelta(days=3650)), NOW) == ["restart"]


def test_quiet_hours_are_broken_by_urgent_kinds_alone() -> None:
    quiet = f"{NOW.astimezone() - timedelta(hours=1):%H:%M}-{NOW.astimezone() + timedelta(hours=1):%H:%M}"
    waiting = kinds("disk", "restart", at=NOW - timedelta(hours=1))
    assert goes(waiting, NOW, quiet_hours=quiet) == ["disk"]
    assert goes(waiting, NOW + timedelta(hours=1), quiet_hours=quiet) == ["disk", "restart"]
    assert not is_quiet(NOW.time(), "")


class Deaf:
    """A way out that takes nothing until told."""

    def __init__(self) -> None:
        self.error: Exception | None = Untold("the mail server answers 451")
        self.messages: list[str] = []

    def tell(self, told_message: Any) -> None:
        if self.error is not None:
            raise self.error
        self.messages.append(told_message.subject)


def test_a_channel_that_takes_nothing_is_tried_again_later_and_says_so(ledger: Ledger) -> None:
    channel = WebhookChannel(name="hook", kind="webhook", url="http://127.0.0.1/x", secret="env:X")
    ledger.add([notice("disk", "The disk is full. Really.", NOW, ("hook",))], {})
    post, deaf = Post(channel, SETTINGS, ledger, "NODE", Pauses(10, 20)), Deaf()
    post._way = deaf
    post.round(NOW, 0.0)
    assert post.trouble == "the mail server answers 451"
    deaf.error = RuntimeError("geheim")  # a library fails in its own way
    post.round(NOW, 7.9)
    assert post.trouble == "the mail server answers 451"
    post.round(NOW, 12.1)
    assert "geheim" not in post.trouble
    deaf.error = None
    post.round(NOW, 50.0)
    assert (post.trouble, deaf.messages) == ("", ["NODE: The disk is full"])
    post.round(NOW, 60.0)
    assert len(deaf.messages) == 1


def test_secrets_come_from_a_file_or_the_environment_and_are_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text("geheim\n")
    monkeypatch.setenv("HOOK_KEY", "geheimer")
    assert secret(f"file:{tmp_path / 'key'}") == "geheim"
    assert secret("env:HOOK_KEY") == "geheimer"
    for missing in (f"file:{tmp_path / 'none'}", "env:NOT_SET"):
        with pytest.raises(ConfigurationError):
            secret(missing)
    shown = without_secrets({"channels": [{"name": "hook", "url": "https://x/T0K3N", "secret": "env:HOOK_KEY"}]})
    assert shown == {"channels": [{"name": "hook", "url": "https://x/removed", "secret": "removed"}]}


@pytest.mark.parametrize(
    "wrong",
    [
        {"channels": [{"name": "m", "kind": "email", "host": "h", "sender": "a@b", "recipients": []}]},
        {"channels": [{"name": "m", "kind": "webhook", "url": "https://me:geheim@host/", "secret": "env:X"}]},
        {"channels": [{"name": "m", "kind": "webhook", "url": "ftp://host/", "secret": "env:X"}]},
        {"channels": [{"name": "m", "kind": "apprise", "secret": "slack://token"}]},
        {"channels": [{"name": "m", "kind": "apprise", "secret": "env:A"}] * 2},
        {"quiet_hours": "22-6"},
        {"kinds": ["everything"]},
    ],
)
def test_channels_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Settings(notifications=wrong)  # type: ignore[arg-type]


def test_a_message_names_how_many_and_the_first() -> None:
    early, late = notice("disk", "First. More.", NOW), notice("disk", "Second.", NOW + timedelta(minutes=1))
    found = message("NODE", [late, early])
    assert found.subject == "NODE: 2 notices, First"
    assert [line[18:] for line in found.lines] == ["First. More.", "Second."]
    assert replace(early, channels=("a", "b")).without("a").channels == ("b",)
