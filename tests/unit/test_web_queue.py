"""The queue as a page: what it shows, how it is searched and turned over, what it lets whom do, and how it moves."""

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from node.access.visitor import ANYBODY_HERE
from node.observe.jobs import Asked
from node.web.live import Live, state_of
from node.web.pages.queue import A_PAGE, _parts, address
from storage import Database, DataFolder, events, queue, switches
from storage.records import SwitchName
from storage.states import JobState
from tests import stored, web


@pytest.fixture
def client(folder: DataFolder, db: Database) -> Iterator[TestClient]:
    with web.browser(folder, db) as found:
        yield found


def listed(client: TestClient, query: str = "") -> list[int]:
    """The jobs on the page, from the top."""
    return [int(each) for each in re.findall(r'<tr id="job-(\d+)"', client.get(f"/queue{query}").text)]


def test_jobs_are_shown_by_state_and_found_by_number_and_uid(client: TestClient, db: Database) -> None:
    failed = queue.fail(db, stored.running(db, study="1.2.3.4.5.6.7.1"), "no memory", None, stored.NOW)
    waiting = stored.queued(db, study="1.2.3.4.5.6.7.2")
    assert listed(client) == [waiting.job_id, failed.job_id]
    assert listed(client, "?state=failed") == [failed.job_id]
    assert listed(client, "?state=failed&state=queued&order=oldest") == [failed.job_id, waiting.job_id]
    assert listed(client, f"?q={waiting.study_instance_uid}") == [waiting.job_id]
    assert listed(client, f"?state=&q={failed.job_id}") == [failed.job_id]
    assert "Nothing here." in client.get("/queue?q=nowhere").text


def test_a_long_queue_is_turned_over_page_by_page(
    client: TestClient, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.web.pages.queue.A_PAGE", 4)
    for number in range(7):
        stored.queued(db, study=f"1.2.3.{number + 1}")
    first = client.get("/queue").text
    (leads_on,) = re.findall(r'href="(/queue\?[^"]+)" rel="next"', first)
    rest = listed(client, leads_on.replace("&amp;", "&").removeprefix("/queue"))
    assert (len(listed(client)), len(rest)) == (4, 3)
    assert not set(listed(client)) & set(rest)


@pytest.mark.parametrize("query", ["after=nonsense", "order=sideways", "q=" + "x" * 200])
def test_a_query_that_means_nothing_is_refused_with_a_page(client: TestClient, query: str) -> None:
    refused = client.get(f"/queue?{query}")
    assert refused.status_code == 422
    assert "<h1>" in refused.text


def test_a_job_is_tried_again_cancelled_and_preferred(client: TestClient, db: Database) -> None:
    job = queue.fail(db, stored.running(db), "no memory", None, stored.NOW)
    assert web.post(client, f"/jobs/{job.job_id}/retry").status_code == 303
    assert queue.get(db, job.job_id).state is JobState.QUEUED
    assert web.post(client, f"/jobs/{job.job_id}/priority/5").status_code == 303
    assert "priority 5" in client.get("/queue").text
    assert web.post(client, f"/jobs/{job.job_id}/priority/99").status_code == 422
    assert web.post(client, f"/jobs/{job.job_id}/cancel").status_code == 422, "a reason is asked for"
    assert web.post(client, f"/jobs/{job.job_id}/cancel", reason="wrong patient").status_code == 303
    assert queue.get(db, job.job_id).state is JobState.CANCELLED
    assert "this machine" in str(events.of_job(db, job.job_id)[-1]), "the event says who it was"


def test_an_answer_is_withdrawn_and_what_cannot_be_is_said(client: TestClient, db: Database) -> None:
    job, waiting = stored.delivered(db), stored.queued(db, study="1.2.3")
    assert web.post(client, f"/jobs/{job.job_id}/withdraw", reason="wrong").status_code == 303
    assert web.post(client, f"/jobs/{waiting.job_id}/withdraw", reason="wrong").status_code == 409
    assert web.post(client, "/jobs/999/retry").status_code == 404


def test_the_node_is_held_up_and_goes_on(client: TestClient, db: Database) -> None:
    for name in SwitchName:
        assert client.get(f"/hold/{name}").status_code == 200
        web.post(client, f"/hold/{name}", reason="a new disk")
    shown = client.get("/queue").text
    assert shown.count("a new disk") == len(SwitchName)
    for name in SwitchName:
        web.post(client, f"/go-on/{name}")
    assert switches.on(db) == {}


def messages(client: TestClient, folder: DataFolder, acts: list[Any]) -> list[dict[str, Any]]:
    """What a live page hears: at first, and after each of these acts."""
    site = client.app.state.site  # type: ignore[attr-defined]

    class Asking:
        app, cookies, headers = client.app, dict[str, str](), dict[str, str]()
        url = type("Url", (), {"path": "/queue/live"})
        state = type("State", (), {"visitor": ANYBODY_HERE, "session": "", "form_key": ""})

    async def listen() -> list[dict[str, Any]]:
        live, heard = Live(site), []
        stream = live._messages(Asking(), "view", lambda: _parts(Asking(), site, Asked(limit=A_PAGE)))  # type: ignore[arg-type]
        for act in [None, *acts]:
            if act:
                await asyncio.to_thread(act)
            while not (said := await anext(stream)).startswith("data:"):
                pass
            heard.append(json.loads(said.removeprefix("data: ")))
        await stream.aclose()  # type: ignore[attr-defined]
        assert live.streams == 0
        return heard

    return asyncio.run(listen())


def test_a_live_page_hears_only_of_what_has_changed(client: TestClient, folder: DataFolder, db: Database) -> None:
    old = stored.delivered(db, study="1.2.3.1")
    first, second = messages(client, folder, [lambda: stored.queued(db, study="1.2.3.2")])
    assert {f"job-{old.job_id}", "tiles", "notices", "receiving"} == first["parts"].keys()
    assert second["parts"].keys() == {"job-2", "tiles"}
    assert second["order"] == ["notices", "tiles", "receiving", "job-2", "job-1"]
    assert "token" not in second["parts"]["job-2"][1], "what several browsers share holds nothing of one of them"


def test_what_comes_in_and_what_happens_makes_the_page_look_different(
    client: TestClient, folder: DataFolder, db: Database
) -> None:
    site = client.app.state.site  # type: ignore[attr-defined]
    seen = [state_of(site)]
    stored.received(db, 1)
    seen.append(state_of(site))
    stored.received(db, 2)
    seen.append(state_of(site))
    with db.transaction() as connection:
        events.append(connection, at=stored.NOW, name="a test")
    seen.append(state_of(site))
    assert len(set(seen)) == len(seen)
    assert state_of(site) == seen[-1]


def test_the_address_of_a_page_leads_to_it_again() -> None:
    asked = Asked((JobState.FAILED, JobState.DONE), "1.2 & 3", limit=A_PAGE)
    assert address(asked) == "state=failed&state=done&q=1.2+%26+3&order=newest"


@pytest.mark.parametrize("page", ["/peers", "/health", "/statistics", "/statistics?days=7"])
def test_the_other_pages_are_there_while_nothing_runs(client: TestClient, page: str) -> None:
    shown = client.get(page)
    assert shown.status_code == 200
    assert "Research use only." in shown.text
