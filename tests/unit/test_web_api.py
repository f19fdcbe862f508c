"""`/api/v1`: the facts and acts of the pages, for machines."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient

from storage import Database, DataFolder, events, queue, readings, requests, schema
from storage.states import JobState
from tests import stored, web

KEY = {"Idempotency-Key": "one"}


@pytest.fixture
def client(folder: DataFolder, db: Database) -> Iterator[TestClient]:
    with web.browser(folder, db) as found:
        yield found


def asked(client: TestClient, path: str, **query: Any) -> Any:
    answer = client.get(f"/api/v1{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_jobs_come_by_the_page(client: TestClient, db: Database) -> None:
    for number in range(5):
        stored.queued(db, study=f"1.2.{number}")
    first = asked(client, "/jobs", limit=3)
    second = asked(client, "/jobs", limit=3, cursor=first["next"])
    assert [each["job_id"] for each in (*first["jobs"], *second["jobs"])] == [5, 4, 3, 2, 1]
    assert second["next"] is None
    assert first["counts"]["queued"] == 5
    assert [each["job_id"] for each in asked(client, "/jobs", search="1.2.3")["jobs"]] == [4]


def test_everything_that_is_shown_is_there_for_machines(client: TestClient, db: Database) -> None:
    job = stored.reported(db)
    assert asked(client, f"/jobs/{job.job_id}")["job"]["state"] == "reported"
    assert asked(client, f"/jobs/{job.job_id}/provenance")["job_id"] == job.job_id
    assert asked(client, f"/studies/{stored.STUDY}")["current"]["job"]["job_id"] == job.job_id
    for path in ("/peers", "/health", "/statistics", "/drift", "/switches"):
        asked(client, path)


@pytest.mark.parametrize(
    ("path", "status"),
    [("/jobs/99", 404), ("/jobs/0", 422), ("/jobs?cursor=x", 404), ("/studies/9.9", 404), ("/nothing", 404)],
)
def test_what_goes_wrong_is_a_problem_in_json(client: TestClient, path: str, status: int) -> None:
    answer = client.get(f"/api/v1{path}")
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, answer.json()["status"]) == (status, status)


def test_whoever_is_turned_away_before_any_page_hears_a_problem_too(folder: DataFolder, db: Database) -> None:
    guarded = {"authentication": "proxy", "trusted_proxies": ["10.1.0.1"]}
    with web.browser(folder, db, web=guarded) as stranger, web.browser(folder, db) as client:
        told = {
            403: stranger.get("/api/v1/jobs"),
            421: client.get("/api/v1/jobs", headers={"host": "attacker.example"}),
            413: client.post("/api/v1/jobs/1/cancel", headers=KEY, content=b"x" * 70_000),
            405: client.delete("/api/v1/jobs"),
        }
    with web.browser(folder, db, web={"authentication": "users"}) as nobody:
        told[401] = nobody.get("/api/v1/jobs")
    assert told[401].headers["www-authenticate"].startswith("Basic")
    for status, answer in told.items():
        assert answer.headers["content-type"] == "application/problem+json", status
        assert (answer.status_code, answer.json()["status"]) == (status, status)


def test_an_act_with_the_same_key_is_done_once_and_gets_the_same_answer(client: TestClient, db: Database) -> None:
    job = stored.queued(db)
    queue.cancel(db, job.job_id, "oh", stored.NOW)
    first, second = (client.post(f"/api/v1/jobs/{job.job_id}/retry", headers=KEY) for _ in range(2))
    assert (first.status_code, first.json()) == (200, second.json())
    again = [event for event in events.of_job(db, job.job_id) if event.before == "cancelled"]
    assert len(again) == 1
    other = client.post(f"/api/v1/jobs/{job.job_id}/cancel", headers=KEY, json={"reason": "no"})
    assert other.status_code == 422, "the key stood for something else"
    assert queue.get(db, job.job_id).state is JobState.QUEUED


def test_a_key_outlives_the_process_and_not_the_day(
    client: TestClient, folder: DataFolder, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = stored.reported(db)
    address, word = f"/api/v1/answers/{job.answer_id}/readings", {"word": "agree"}
    first = client.post(address, headers=KEY, json=word)
    with web.browser(folder, db) as after_a_restart:
        assert after_a_restart.post(address, headers=KEY, json=word).json() == first.json()
        assert after_a_restart.post(address, headers=KEY, json={"word": "disagree"}).status_code == 422
        later = datetime.now(UTC) + requests.KEPT
        monkeypatch.setattr("node.web.api._now", lambda: later)
        assert after_a_restart.post(address, headers=KEY, json={"word": "disagree"}).status_code == 200
    assert len(readings.of_study(db, stored.STUDY)) == 2
    assert KEY["Idempotency-Key"] not in {row[0] for row in stored.rows(db, schema.requests)}
    assert len(stored.rows(db, schema.requests)) == 1, "the old one is forgotten"


def test_an_act_without_a_key_is_refused(client: TestClient, db: Database) -> None:
    job = stored.queued(db)
    assert client.post(f"/api/v1/jobs/{job.job_id}/cancel", json={"reason": "no"}).status_code == 422
    assert queue.get(db, job.job_id).state is JobState.QUEUED


def test_an_operator_acts_over_http(client: TestClient, db: Database) -> None:
    job = stored.reported(db)
    said = client.post(f"/api/v1/answers/{job.answer_id}/readings", headers=KEY, json={"word": "disagree"})
    assert (said.status_code, said.json()["who"]) == (200, "this machine")
    assert client.put(f"/api/v1/studies/{stored.STUDY}/priority", json={"priority": 7}).json() == {"priority": 7}
    assert client.put("/api/v1/switches/drain", json={"reason": "update"}).status_code == 200
    assert set(asked(client, "/switches")) == {"drain"}
    assert client.delete("/api/v1/switches/drain").json() == {"was_on": True}
    withdrawn = client.post(
        f"/api/v1/jobs/{job.job_id}/withdraw", headers={"Idempotency-Key": "2"}, json={"reason": "x"}
    )
    assert withdrawn.json()["state"] == "cancelled"
    late = client.post(f"/api/v1/jobs/{job.job_id}/withdraw", headers={"Idempotency-Key": "3"}, json={"reason": "x"})
    assert late.status_code == 200, "what is so already is no error"
    assert asked(client, "/jobs")["jobs"][0]["priority"] == 7


def test_the_description_is_openapi_31_and_leaves_the_pages_out(client: TestClient) -> None:
    described = asked(client, "/openapi.json")
    assert described["openapi"].startswith("3.1")
    assert all(path.startswith("/api/v1/") for path in described["paths"])


def test_metrics_are_served(client: TestClient) -> None:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert 'neurossl_jobs{state="queued"} 0.0' in answer.text
