"""Log-in as a browser sees it: by password, by the word of a proxy, by OpenID Connect; roles; the audit trail."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from joserfc.jwk import RSAKey

from node.access.users import Users
from node.access.visitor import Role
from storage import Database, DataFolder
from tests import stored, web
from tests.web.provider import Provider, provider

PASSWORD = "correct horse battery"
BY_PASSWORD = {"authentication": "users"}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[DataFolder, Database]]:
    """A data folder with one user of each role."""
    folder = DataFolder(tmp_path_factory.mktemp("login") / "data")
    folder.create()
    with web.quick_hashes(), stored.opened(folder.root) as db:
        users = Users(folder.root / "users.json")
        for role in Role:
            users.put(f"anna-{role}", role, PASSWORD)
        yield folder, db


@pytest.fixture
def client(house: tuple[DataFolder, Database]) -> Iterator[TestClient]:
    with web.browser(*house, web=BY_PASSWORD) as found:
        yield found


def log_in(client: TestClient, name: str = "anna-read", password: str = PASSWORD, **fields: str) -> Any:
    return web.post(client, "/login", page="/login", name=name, password=password, **fields)


def test_who_is_not_logged_in_is_sent_to_the_form_and_then_where_they_wanted(client: TestClient) -> None:
    sent = client.get("/queue?state=failed")
    assert sent.status_code == 303
    assert sent.headers["location"] == "/login?next=%2Fqueue%3Fstate%3Dfailed"
    entered = log_in(client, next="/queue?state=failed")
    assert entered.headers["location"] == "/queue?state=failed"
    assert client.get("/queue").status_code == 200


@pytest.mark.parametrize("address", ["https://attacker.example", "//attacker.example", "/\\attacker.example"])
def test_a_log_in_leads_to_no_other_site(client: TestClient, address: str) -> None:
    assert log_in(client, next=address).headers["location"] == "/"


def test_a_wrong_password_and_an_unknown_name_look_alike(client: TestClient) -> None:
    wrong, unknown = log_in(client, password="wrong wrong wrong"), log_in(client, name="nobody")
    assert (wrong.status_code, unknown.status_code) == (401, 401)
    assert "no such user with this password" in wrong.text
    assert client.get("/queue").status_code == 303


def test_who_guesses_has_to_wait(client: TestClient) -> None:
    answers = [log_in(client, name="nobody", password="wrong wrong") for _ in range(6)]
    assert [each.status_code for each in answers][:4] == [401] * 4
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert log_in(client).status_code == 429, "the address waits, whatever the name"


def test_the_cookie_of_a_session_is_out_of_reach_of_scripts(client: TestClient) -> None:
    said = log_in(client).headers["set-cookie"]
    assert "neurossl-session=" in said
    assert "HttpOnly" in said
    assert "SameSite=lax" in said


def test_a_form_from_before_the_log_in_does_not_fit_after_it(client: TestClient) -> None:
    before = web.token(client, "/login")
    log_in(client)
    assert client.post("/theme", data={"theme": "dark", "token": before}).status_code == 403


def test_who_logs_out_is_out(client: TestClient) -> None:
    log_in(client)
    session = client.cookies["neurossl-session"]
    assert web.post(client, "/logout").headers["location"] == "/login"
    client.cookies.set("neurossl-session", session)
    assert client.get("/queue").status_code == 303


def test_a_user_who_gets_another_password_is_logged_out(client: TestClient, house: tuple[DataFolder, Database]) -> None:
    users = Users(house[0].root / "users.json")
    users.put("brief", Role.READ, PASSWORD)
    log_in(client, name="brief")
    assert client.get("/queue").status_code == 200
    users.put("brief", Role.READ, PASSWORD + "!")
    assert client.get("/queue").status_code == 303


def test_a_stream_is_not_sent_to_the_form(client: TestClient) -> None:
    assert client.get("/queue", headers={"accept": "text/event-stream"}).status_code == 401


def test_a_script_says_name_and_password_with_each_request(client: TestClient) -> None:
    address = "/api/v1/openapi.json"
    assert client.get(address).headers["www-authenticate"].startswith("Basic")
    assert client.get(address, auth=("anna-read", PASSWORD)).status_code == 200
    assert client.get(address, auth=("anna-read", "wrong wrong wrong")).status_code == 401
    assert client.get("/queue", auth=("anna-read", PASSWORD)).status_code == 303, "pages know sessions alone"


def test_every_log_in_goes_to_the_audit_trail(house: tuple[DataFolder, Database], tmp_path: Path) -> None:
    audit = {"transport": "file", "file": str(tmp_path / "audit.xml")}
    with web.browser(*house, web=BY_PASSWORD, audit=audit) as client:
        log_in(client, password="wrong wrong wrong")
        log_in(client)
        web.post(client, "/logout")
    trail = (tmp_path / "audit.xml").read_text()
    said = [line for line in trail.splitlines() if "110114" in line]
    assert [("110122" in line, "110123" in line) for line in said] == [(True, False), (True, False), (False, True)]
    assert ['EventOutcomeIndicator="4"' in line for line in said] == [True, False, False]
    assert all('UserID="anna-read"' in line for line in said)
    assert "wrong" not in trail


BY_PROXY = {"authentication": "proxy", "trusted_proxies": ["10.9.8.0/24"]}


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 403), ({"x-remote-user": "anna"}, 200), ({"x-remote-user": "a", "x-remote-role": "king"}, 200)],
)
def test_a_trusted_proxy_says_who_asks(
    house: tuple[DataFolder, Database], headers: dict[str, str], status: int
) -> None:
    with web.browser(*house, web=BY_PROXY, comes_from="10.9.8.7") as client:
        assert client.get("/queue", headers=headers).status_code == status


def test_nobody_else_may_say_who_asks(house: tuple[DataFolder, Database]) -> None:
    with web.browser(*house, web=BY_PROXY, comes_from="10.9.9.7") as client:
        assert client.get("/queue", headers={"x-remote-user": "anna", "x-forwarded-for": "10.9.8.7"}).status_code == 403


@pytest.fixture(scope="module")
def identity() -> Iterator[Provider]:
    with provider() as found:
        yield found


@pytest.fixture
def abroad(house: tuple[DataFolder, Database], identity: Provider) -> Iterator[TestClient]:
    named = {"issuer": identity.issuer, "client_id": "neurossl"}
    identity.claims = {"preferred_username": "anna", "neurossl_role": ["staff", "operate"]}
    identity.published = identity.key
    with web.browser(*house, web={"authentication": "openid_connect", "openid_connect": named}) as client:
        yield client


def come_back(client: TestClient, identity: Provider, **changed: str) -> Any:
    left = client.get("/login/openid?next=/queue")
    state, code = identity.agree(left.headers["location"])
    return client.get("/login/answer", params={"state": state, "code": code, **changed})


def test_whom_the_provider_names_comes_in(abroad: TestClient, identity: Provider) -> None:
    assert "/login/openid" in abroad.get("/login").text
    assert come_back(abroad, identity).headers["location"] == "/queue"
    shown = abroad.get("/queue")
    assert shown.status_code == 200
    assert "anna, operate" in shown.text


@pytest.mark.parametrize(
    "claims",
    [
        {"neurossl_role": None},
        {"neurossl_role": "king"},
        {"aud": "another"},
        {"nonce": "another"},
        {"iss": "http://x"},
        {"exp": 1},
    ],
)
def test_a_token_that_does_not_hold_lets_nobody_in(
    abroad: TestClient, identity: Provider, claims: dict[str, Any]
) -> None:
    identity.claims = {**identity.claims, **claims}
    assert come_back(abroad, identity).status_code == 401
    assert abroad.get("/queue").status_code == 303


def test_a_token_that_another_key_signed_lets_nobody_in(abroad: TestClient, identity: Provider) -> None:
    identity.published = RSAKey.generate_key(2048, {"kid": "first", "use": "sig", "alg": "RS256"})
    assert come_back(abroad, identity).status_code == 401


def test_a_log_in_that_another_browser_began_lets_nobody_in(abroad: TestClient, identity: Provider) -> None:
    left = abroad.get("/login/openid?next=/queue")
    state, code = identity.agree(left.headers["location"])
    abroad.cookies.clear()
    assert abroad.get("/login/answer", params={"state": state, "code": code}).status_code == 401
    assert come_back(abroad, identity, state="guessed").status_code == 401


def test_the_file_of_users_is_json_that_people_can_read(house: tuple[DataFolder, Database]) -> None:
    assert json.loads((house[0].root / "users.json").read_text())["anna-admin"]["role"] == "admin"
