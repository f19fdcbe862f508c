"""Only requests that a page of ours made, under a name of ours, come in; and every answer says what is forbidden."""

from collections.abc import Iterator

import pytest
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from node.web.app import PAGES
from node.web.forms import posted
from storage import Database, DataFolder
from tests import stored, web

POST = {"theme": "dark"}


@pytest.fixture
def client(folder: DataFolder, db: Database) -> Iterator[TestClient]:
    with web.browser(folder, db) as found:
        yield found


def test_the_first_page_is_the_queue(client: TestClient) -> None:
    assert client.get("/").headers["location"] == "/queue"


def test_a_job_stands_in_the_queue(client: TestClient, db: Database) -> None:
    job = stored.queued(db)
    shown = client.get("/queue")
    assert shown.status_code == 200
    assert f"#{job.job_id}" in shown.text
    assert "QUEUED" in shown.text


@pytest.mark.parametrize("host", ["attacker.example", "localhost.attacker.example:11180", "", "127.0.0.1.nip.io"])
def test_a_request_that_calls_the_node_by_another_name_is_refused(client: TestClient, host: str) -> None:
    assert client.get("/queue", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:11180", "[::1]:11180", "LOCALHOST:1"])
def test_names_of_this_machine_are_ours(client: TestClient, host: str) -> None:
    assert client.get("/queue", headers={"host": host}).status_code == 200


def test_a_name_that_the_site_allows_is_ours(folder: DataFolder, db: Database) -> None:
    with web.browser(folder, db, web={"allowed_hosts": ["Node.Hospital.example"]}) as client:
        assert client.get("/queue", headers={"host": "node.hospital.example"}).status_code == 200


def test_every_answer_forbids_foreign_content_and_caches(client: TestClient) -> None:
    for address in ("/queue", "/nothing-here"):
        headers = client.get(address).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"
        assert headers["x-frame-options"] == "DENY"


def test_files_of_ours_may_be_kept(client: TestClient) -> None:
    kept = client.get("/static/node.css")
    assert kept.status_code == 200
    assert "immutable" in kept.headers["cache-control"]


def test_pages_hold_no_script_and_no_style_of_their_own(client: TestClient, db: Database) -> None:
    stored.queued(db)
    text = client.get("/queue").text
    assert text.count("<script") == text.count("<script src=")
    assert "style=" not in text
    assert "<style" not in text
    assert " on" not in {part[:3] for part in text.split("<")}


def test_a_form_without_its_token_is_refused(client: TestClient) -> None:
    client.get("/queue")
    assert client.post("/theme", data=POST).status_code == 403
    assert client.post("/theme", data={**POST, "token": "0" * 64}).status_code == 403
    assert web.post(client, "/theme", theme="dark").status_code == 303


def test_the_token_of_another_browser_does_not_fit(client: TestClient, folder: DataFolder, db: Database) -> None:
    theirs = web.token(client)
    client.cookies.clear()
    client.get("/queue")
    assert client.post("/theme", data={**POST, "token": theirs}).status_code == 403


@pytest.mark.parametrize(
    "headers", [{"origin": "http://attacker.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}]
)
def test_a_form_of_another_site_is_refused_even_with_the_token(client: TestClient, headers: dict[str, str]) -> None:
    form = {**POST, "token": web.token(client)}
    assert client.post("/theme", data=form, headers=headers).status_code == 403


def test_a_form_goes_back_to_a_page_of_ours_only(client: TestClient) -> None:
    form = {**POST, "token": web.token(client)}
    for came_from, leads_to in (
        ("http://localhost:11180/queue?state=failed", "/queue?state=failed"),
        ("http://attacker.example/queue", "/"),
        ("http://localhost:11180//attacker.example", "/attacker.example"),
    ):
        back = client.post("/theme", data=form, headers={"referer": came_from})
        assert back.headers["location"] == leads_to


def test_a_body_that_is_too_long_is_refused(client: TestClient) -> None:
    form = {**POST, "token": web.token(client), "more": "x" * 70_000}
    assert client.post("/theme", data=form).status_code == 413


def test_every_form_of_a_page_is_checked() -> None:
    routes = [route for page in PAGES for route in page.router.routes if isinstance(route, APIRoute)]
    forms = [route for route in routes if route.methods - {"GET", "HEAD"}]
    assert forms
    assert [route.path for route in forms if posted not in web.dependencies(route)] == []


def test_what_the_pages_cannot_do_is_said_on_a_page(client: TestClient) -> None:
    missing = client.get("/nothing-here")
    assert missing.status_code == 404
    assert "<h1>Not found</h1>" in missing.text
