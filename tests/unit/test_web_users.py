"""Who may log in to the pages, how long that lasts, and how slowly somebody who guesses gets on."""

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.access.passwords import FREE_FAILURES, Throttle
from node.access.users import UserRefused, Users
from node.access.visitor import Role, Visitor
from node.config import Settings
from node.errors import ConfigurationError
from node.web.sessions import Sessions
from tests import web

PASSWORD = "correct horse battery"
ANNA = Visitor("anna", Role.READ, session=True)


@pytest.fixture(autouse=True)
def _quick_hashes() -> Iterator[None]:
    with web.quick_hashes():
        yield


class Clock:
    """Stands until it is set."""

    def __init__(self) -> None:
        self.s = 1000.0

    def __call__(self) -> float:
        return self.s


def test_a_user_is_known_by_the_password_alone(tmp_path: Path) -> None:
    users = Users(tmp_path / "users.json")
    users.put("anna", Role.OPERATE, PASSWORD)
    found = users.who("anna", PASSWORD)
    assert found is not None
    assert found.role is Role.OPERATE
    assert users.who("anna", PASSWORD + " ") is None
    assert users.who("bob", PASSWORD) is None


def test_the_file_holds_no_password_and_is_for_the_service_alone(tmp_path: Path) -> None:
    path = tmp_path / "users.json"
    Users(path).put("anna", Role.READ, PASSWORD)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert PASSWORD not in path.read_text()
    assert "$argon2id$" in path.read_text()
    assert [each.name for each in tmp_path.iterdir()] == ["users.json"]


def test_a_user_that_another_process_adds_or_removes_is_seen(tmp_path: Path) -> None:
    pages, command = Users(tmp_path / "users.json"), Users(tmp_path / "users.json")
    assert pages.all() == {}
    command.put("anna", Role.READ, PASSWORD)
    assert set(pages.all()) == {"anna"}
    command.remove("anna")
    assert pages.all() == {}


@pytest.mark.parametrize(
    ("name", "password"), [("anna b", PASSWORD), ("", PASSWORD), ("-x", PASSWORD), ("anna", "short")]
)
def test_a_name_or_password_that_will_not_do_is_refused(tmp_path: Path, name: str, password: str) -> None:
    with pytest.raises(UserRefused):
        Users(tmp_path / "users.json").put(name, Role.READ, password)


def test_a_damaged_file_lets_nobody_in(tmp_path: Path) -> None:
    (tmp_path / "users.json").write_text('{"anna": {"role": "king", "hash": ""}}')
    with pytest.raises(ConfigurationError, match=r"users\.json"):
        Users(tmp_path / "users.json").who("anna", PASSWORD)


def test_a_session_ends_when_nothing_is_asked_for_and_in_any_case() -> None:
    clock = Clock()
    sessions = Sessions(idle_s=10, longest_s=25, clock=clock)
    name = sessions.begin(ANNA)
    clock.s += 9
    assert sessions.visitor(name) == (ANNA, "")
    clock.s += 9
    assert sessions.visitor(name) is not None
    clock.s += 9
    assert sessions.visitor(name) is None, "longer than the longest"
    name = sessions.begin(ANNA)
    clock.s += 9
    assert sessions.visitor(name, counts=False) is not None
    clock.s += 2
    assert sessions.visitor(name) is None, "a script does not keep it open"


def test_a_session_that_was_ended_is_not_known() -> None:
    sessions = Sessions(idle_s=10, longest_s=25)
    name = sessions.begin(ANNA)
    sessions.end(name)
    assert sessions.visitor(name) is None
    assert sessions.visitor("") is None


def test_who_guesses_waits_twice_as_long_each_time() -> None:
    clock = Clock()
    throttle = Throttle(longest_wait_s=60, clock=clock)
    for _ in range(FREE_FAILURES):
        throttle.failed("anna")
        assert throttle.wait_s("anna") == 0
    waits = []
    for _ in range(8):
        throttle.failed("anna")
        waits.append(throttle.wait_s("anna"))
    assert waits == [2, 4, 8, 16, 32, 60, 60, 60]
    assert throttle.wait_s("bob") == 0
    clock.s += 60
    assert throttle.wait_s("anna") == 0
    throttle.succeeded("anna")
    throttle.failed("anna")
    assert throttle.wait_s("anna") == 0


@pytest.mark.parametrize(
    ("section", "named"),
    [
        ({"host": "192.0.2.1"}, "authentication must not be none"),
        ({"host": "10.0.0.1", "authentication": "users"}, "tls"),
        ({"authentication": "proxy"}, "trusted_proxies"),
        ({"authentication": "openid_connect"}, "openid_connect"),
        ({"trusted_proxies": ["10.0.0.1/8"]}, "host bits"),
    ],
)
def test_what_would_leave_the_pages_open_is_refused(section: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Settings.model_validate({"web": section})


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_this_machine_alone_needs_no_log_in(host: str) -> None:
    assert Settings.model_validate({"web": {"host": host}}).web.authentication == "none"
