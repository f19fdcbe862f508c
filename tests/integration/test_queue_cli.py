"""`neurossl queue`: what it shows, and an operator's hand in it."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from node.cli import app, overview
from node.process.heartbeat import Heartbeat
from storage import Database, instances, outbox, queue, studies
from storage.states import DeliveryState, JobState
from tests import stored
from tests.outcomes import WRITTEN, series

STUDY = "1.2.826.0.1.3680043.8.498.12345678901234567890123456789012345678"  # long, as they are
OUTCOME: dict[str, Any] = {
    **json.loads(WRITTEN),
    "timings_s": {"verify": 0.02, "prediction": 1.25},
    "selection": {
        "chosen": "1.2.3.1",
        "series": [
            series("1.2.3.1", description="T1 [bold]MPRAGE[/bold]"),
            series(
                "1.2.3.2",
                series_number=None,
                description="evil\x1b[2Jname",
                eligible=False,
                score=0.0,
                reason="not T1-weighted",
                detail="TE 90 ms",
            ),
        ],
        "unreadable": [{"path": "instances/aa/bb", "reason": "not a DICOM file"}],
    },
    "prediction": {
        **json.loads(WRITTEN)["prediction"],
        "probability": 0.8234,
        "spread": 0.031,
        "band": "high likelihood",
    },
}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text("data_folder: data\n")
    return path


def run(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["queue", *arguments, "--config", str(config)])


def asked(config: Path, *arguments: str) -> Any:
    answer = run(config, *arguments, "--json")
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.stdout)


def now() -> datetime:
    return datetime.now(UTC)


def a_reported_job(db: Database) -> int:
    stored.queued(db, study=STUDY, now=now())
    job = stored.claimed(db, now=now())
    results = [stored.encoded(db, job, 1), stored.encoded(db, job, 2, "sr_comprehensive")]
    deliveries = [outbox.NewDelivery(each.sop_instance_uid, "pacs") for each in results]
    answer = stored.answer(job, reason="high likelihood: 82.3%")
    outbox.complete(db, stored.folder(db), job, answer, results, deliveries, OUTCOME, now())
    return job.job_id


def test_the_list_shows_study_state_attempt_age_and_reason(db: Database, config: Path) -> None:
    a_reported_job(db)
    failed = stored.running(db, study="1.2.4")
    queue.fail(db, failed, "file of 1.2.4.1 is missing", None, now())
    text = run(config).stdout
    assert max(len(line) for line in text.splitlines()) <= 80
    (line,) = (each for each in text.splitlines() if f"…{STUDY[-13:]}" in each)
    for part in ("reported", "1/3", " s ", "high likelihood: 82.3%"):
        assert part in line
    (line,) = (each for each in text.splitlines() if "1.2.4 " in each)
    assert "failed" in line
    assert "file of 1.2.4.1 is missing" in line
    assert "1 reported, 1 failed" in text


def test_studies_that_are_still_being_received_are_listed_with_what_is_missing(db: Database, config: Path) -> None:
    stored.received(db, study="1.2.5", now=now() - timedelta(seconds=90), sender="SCANNER", expected=170)
    text = run(config).stdout
    (line,) = (each for each in text.splitlines() if "1.2.5" in each)
    assert "1 of 170" in line
    assert "1 min 30 s" in line
    assert "SCANNER" in line
    (study,) = asked(config)["receiving"]
    assert (study["study_instance_uid"], study["instances"], study["expected_instances"]) == ("1.2.5", 1, 170)


def test_the_list_can_be_limited_to_states_and_to_the_newest(db: Database, config: Path) -> None:
    for number in range(4):
        stored.queued(db, study=f"1.2.{number}", now=now())
    queue.cancel(db, 2, "not wanted", now())
    assert [job["job_id"] for job in asked(config)["jobs"]] == [4, 3, 2, 1]
    assert [job["job_id"] for job in asked(config, "--limit", "2")["jobs"]] == [4, 3]
    assert [job["job_id"] for job in asked(config, "--state", "cancelled")["jobs"]] == [2]
    assert [job["job_id"] for job in asked(config, "--state", "cancelled", "--state", "queued")["jobs"]] == [4, 3, 2, 1]


def test_a_long_list_says_how_to_see_more_and_the_next_ones_follow(db: Database, config: Path) -> None:
    for number in range(5):
        stored.queued(db, study=f"{STUDY[:-1]}{number}", now=now())
    first = run(config, "--limit", "3").stdout
    assert "5 queued" in first
    assert "3 shown of 5 jobs" in first
    (cursor,) = re.findall(r"--after (\S+)", first)
    assert [job["job_id"] for job in asked(config, "--limit", "3", "--after", cursor)["jobs"]] == [2, 1]
    assert "shown of" not in run(config, "--limit", "3", "--after", cursor).stdout
    assert run(config, "--after", "nonsense").exit_code == 2
    assert [job["job_id"] for job in asked(config, "--search", f"{STUDY[:-1]}3")["jobs"]] == [4]


def test_the_live_list_follows_what_happens(db: Database, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[float] = []

    def later(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 2:
            raise KeyboardInterrupt
        stored.queued(db, study="1.2.9", now=now())

    monkeypatch.setattr(overview.time, "sleep", later)
    assert "1 queued" in run(config, "--watch").stdout


def test_the_log_of_a_job_is_its_events_and_those_of_its_study_where_asked(db: Database, config: Path) -> None:
    job = a_reported_job(db)
    answer = CliRunner().invoke(app, ["logs", str(job), "--config", str(config)])
    assert answer.exit_code == 0
    assert "job reported" in answer.stdout
    assert "study receiving" not in answer.stdout
    whole = CliRunner().invoke(app, ["logs", str(job), "--study", "--json", "--config", str(config)])
    assert "study receiving" in [each["name"] for each in json.loads(whole.stdout)]
    assert CliRunner().invoke(app, ["logs", "99", "--config", str(config)]).exit_code == 1


def test_an_operator_holds_the_node_up_and_lets_it_go_on(db: Database, config: Path) -> None:
    assert "intake is held up since" in run(config, "pause", "intake", "--reason", "new disk").stdout
    assert run(config, "drain").exit_code == 0
    shown = run(config).stdout
    assert "intake is held up since" in shown
    assert "new disk" in shown
    assert set(asked(config)["held_up"]) == {"intake", "drain"}
    assert run(config, "resume", "intake").stdout == "intake goes on\n"
    assert run(config, "resume", "intake").stdout == "intake was not held up\n"
    assert run(config, "pause", "drain").exit_code == 2


def test_an_operator_makes_a_study_urgent(db: Database, config: Path) -> None:
    first, second = (stored.queued(db, study=f"1.2.{number}", now=now()) for number in (1, 2))
    assert run(config, "priority", str(second.job_id), "5").exit_code == 0
    assert run(config, "priority", str(first.job_id), "-3").exit_code == 0
    assert run(config, "priority", str(first.job_id), "99").exit_code == 2
    assert [job["priority"] for job in asked(config)["jobs"]] == [5, -3]
    assert stored.claimed(db, now=now()).job_id == second.job_id


def test_the_list_as_json_has_the_promised_keys(db: Database, config: Path) -> None:
    a_reported_job(db)
    found = asked(config)
    assert set(found) == {"jobs", "receiving", "counts", "destinations", "held_up", "next"}
    assert found["counts"] == {
        "queued": 0, "running": 0, "kept": 0, "reported": 1, "done": 0, "skipped": 0, "failed": 0, "cancelled": 0,
    }  # fmt: skip
    (job,) = found["jobs"]
    assert set(job) == {
        "job_id", "study_instance_uid", "revision", "state", "attempt", "maximum_attempts", "reason", "created_at",
        "available_at", "lease_owner", "lease_expires_at", "updated_at", "age_s", "early", "covers", "answer_id",
        "priority", "instances", "calling_ae_titles", "stage",
    }  # fmt: skip
    assert datetime.fromisoformat(job["created_at"]).tzinfo is not None


def test_a_destination_that_cannot_be_reached_is_named(db: Database, config: Path) -> None:
    with Heartbeat(stored.folder(db).path("locks"), "office") as office:
        office.beat("ready", destinations={"pacs": "no connection: Connection refused", "archive": ""})
        text = run(config).stdout
        assert "destination pacs: no connection: Connection refused" in text
        assert "archive" not in text
        assert asked(config)["destinations"]["pacs"] == "no connection: Connection refused"
    assert asked(config)["destinations"] == {}


def test_everything_about_a_job_is_shown(db: Database, config: Path) -> None:
    job_id = a_reported_job(db)
    delivery = outbox.claim(db, "pacs", now())
    assert delivery is not None
    outbox.postpone(db, delivery, "no connection: Connection refused", now() + timedelta(seconds=30), now())
    text = run(config, "show", str(job_id)).stdout
    for part in (
        STUDY,
        "prediction 1.25 s",
        "T1 [bold]MPRAGE[/bold]",
        "read ",
        "not T1-weighted",
        "TE 90 ms",
        "not a DICOM file",
        "82.3%",
        "3.1%",
        "high likelihood",
        "UNTRAINED",
        "no connection: Connection refused",
        "sr_comprehensive",
        "2.25.1.2",
        "job queued",
        "delivery pending",
    ):
        assert part in text, part
    assert "\x1b" not in text


def test_everything_about_a_job_as_json_is_complete(db: Database, config: Path) -> None:
    job_id = a_reported_job(db)
    found = asked(config, "show", str(job_id))
    assert set(found) == {"job", "study", "outcome", "verdict", "answers", "results", "deliveries", "events"}
    assert [(each["kind"], each["state"]) for each in found["answers"]] == [("result", "standing")]
    assert found["outcome"] == {**OUTCOME, "version": 1}
    assert found["study"]["instances"] == 1
    assert [each["kind"] for each in found["results"]] == ["overlay", "sr_comprehensive"]
    assert [(each["destination"], each["state"]) for each in found["deliveries"]] == [("pacs", "pending")] * 2
    names = [each["name"] for each in found["events"]]
    assert names[-4:] == ["job running", "answer kept", "answer standing", "job reported"]
    assert names[:-4] == ["study receiving", "study stable", "job queued"]


def test_a_running_job_says_what_it_does(db: Database, config: Path) -> None:
    job = stored.running(db)
    with Heartbeat(stored.folder(db).path("locks"), "worker-1") as worker:
        worker.beat("ready", job=job.job_id, stage="predicts", done=12, of=61)
        assert "predicts, 12 of 61" in run(config, "show", str(job.job_id)).stdout
        found = asked(config, "show", str(job.job_id))["job"]
        assert found["stage"] == "predicts, 12 of 61"
        assert found["progress"] == {"stage": "predicts", "done": 12, "of": 61}
    found = asked(config, "show", str(job.job_id))["job"]
    assert (found["stage"], found["progress"]) == (None, None)


def test_a_job_without_outcome_is_shown_too(db: Database, config: Path) -> None:
    job = stored.queued(db, now=now())
    assert "queued" in run(config, "show", str(job.job_id)).stdout
    assert asked(config, "show", str(job.job_id))["outcome"] is None


def test_a_job_whose_study_retention_took_the_instances_of_is_shown_too(db: Database, config: Path) -> None:
    job = stored.delivered(db)
    from storage import retention

    retention.purge_studies(db, stored.folder(db), now() + timedelta(days=1), now())
    assert instances.of_study(db, job.study_instance_uid) == []
    assert run(config, "show", str(job.job_id)).exit_code == 0


@pytest.mark.parametrize("command", ["show", "retry", "cancel"])
def test_an_unknown_job_is_one_line_and_exit_code_1(db: Database, config: Path, command: str) -> None:
    answer = run(config, command, "99")
    assert answer.exit_code == 1
    assert answer.stderr == "no job 99\n"
    assert answer.stdout == ""


def test_a_retry_of_refused_results_sends_them_again(db: Database, config: Path) -> None:
    job_id = a_reported_job(db)
    while (delivery := outbox.claim(db, "pacs", now())) is not None:
        outbox.refuse(db, delivery, "0xA900", now())
    assert queue.get(db, job_id).state is JobState.FAILED
    assert "reported" in run(config, "retry", str(job_id)).stdout
    assert {each.state for each in outbox.of_job(db, job_id)} == {DeliveryState.PENDING}


def test_a_retry_of_a_failed_job_queues_it_anew(db: Database, config: Path) -> None:
    job = stored.running(db)
    queue.fail(db, job, "broken", None, now())
    answer = asked(config, "retry", str(job.job_id))
    assert (answer["state"], answer["attempt"]) == ("queued", 0)


def test_a_retry_of_a_running_job_is_refused_in_one_line(db: Database, config: Path) -> None:
    job = stored.running(db)
    answer = run(config, "retry", str(job.job_id))
    assert answer.exit_code == 1
    assert len(answer.stderr.splitlines()) == 1
    assert queue.get(db, job.job_id).state is JobState.RUNNING


def test_a_cancel_keeps_its_reason(db: Database, config: Path) -> None:
    job = stored.queued(db, now=now())
    assert "cancelled" in run(config, "cancel", str(job.job_id), "--reason", "wrong patient").stdout
    after = queue.get(db, job.job_id)
    assert (after.state, after.reason) == (JobState.CANCELLED, "wrong patient")
    assert studies.get(db, job.study_instance_uid).revision == 1


@pytest.mark.parametrize("arguments", [[], ["show", "1"], ["retry", "1"], ["cancel", "1"]])
def test_without_a_database_nothing_is_made_and_the_reason_said(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "config.yaml").write_text("data_folder: nowhere\n")
    answer = run(tmp_path / "config.yaml", *arguments)
    assert answer.exit_code == 1
    assert "no database yet" in answer.stderr
    assert not (tmp_path / "nowhere").exists()


def test_a_wrong_configuration_is_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("listener: {port: many}\n")
    answer = run(tmp_path / "config.yaml")
    assert answer.exit_code == 2
    assert "listener.port" in answer.stderr
