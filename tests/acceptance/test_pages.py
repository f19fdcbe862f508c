"""The pages in a real browser, before a real node: a study is sent and its row moves; actions, roles, themes, phones.

The screenshots stay in `artefacts/pages` for people to look at.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from node.access.users import Users
from node.access.visitor import Role
from node.process.heartbeat import pulse
from storage import answers, events, queue, schema, switches, tallies
from storage.states import AnswerState
from tests import services, stored, viewer, web
from tests.destination import wait_until
from tests.services import Service
from tests.viewer import Browser

pytestmark = [pytest.mark.viewer, pytest.mark.slow, pytest.mark.timeout(400)]

SHOTS = Path(__file__).resolve().parents[2] / "artefacts" / "pages"
PAGES = ("queue", "peers", "health", "statistics")
STUDY = "1.2.826.0.1.4711"
PASSWORD = "correct horse battery"
HOSTILE = "<script>document.title='taken'</script>\u202egnp.exe\u2066" + "A" * 65_536


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A node with its pages, without any destination."""
    folder = tmp_path_factory.mktemp("pages")
    with services.service(folder, services.small_bundle(folder), None, web={"port": 0}) as found:
        yield found


@pytest.fixture(scope="module")
def home(node: Service) -> str:
    return address(node)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with viewer.browser() as found:
        yield found


def address(node: Service) -> str:
    """Of the pages."""

    def said() -> str:
        sign = pulse(node.folder.root / "locks", "web")
        return sign.facts.get("address", "") if sign and sign.beats and sign.state == "ready" else ""

    wait_until(lambda: bool(said()), "the pages to be served", 30)
    return said()


def states(browser: Browser) -> list[str]:
    """Of every row, from the top."""
    return list(browser.tell("[...document.querySelectorAll('#rows .badge')].map(each => each.textContent)"))


@pytest.fixture(scope="module")
def ended(node: Service, browser: Browser, home: str, tmp_path_factory: pytest.TempPathFactory) -> int:
    """The job of a study that was sent while the queue was looked at."""
    ((study, files),) = services.studies(tmp_path_factory.mktemp("sent"), 1).items()
    browser.open()
    browser.goto(f"{home}/queue")
    browser.tell("window.loaded = 'once'")
    browser.wait("!document.getElementById('pulse').hidden")
    node.send(files)
    browser.wait("document.querySelector('#receiving li, #rows .badge')")
    browser.wait("document.querySelector('#rows .badge')?.textContent === 'DONE'")
    assert browser.tell("window.loaded") == "once", "the page was not loaded again"
    return node.ended(study).job_id


def test_a_study_that_is_sent_appears_and_moves_without_a_reload(browser: Browser, ended: int) -> None:
    assert f"#{ended}" in browser.text("#rows")
    assert browser.errors() == []


def test_the_service_says_where_its_pages_are(node: Service, home: str) -> None:
    wait_until(lambda: f'"pages": "{home}"' in node.log.read_text(), "the address in the log", 30)


def test_an_answer_is_withdrawn_for_a_reason(node: Service, browser: Browser, home: str, ended: int) -> None:
    browser.open()
    browser.goto(f"{home}/queue")
    browser.click(f"#job-{ended} summary")
    browser.click(f"#job-{ended} a.danger")
    browser.fill("#reason", "wrong series")
    browser.click("button.main")
    browser.wait("location.pathname.startsWith('/jobs/')")
    with node.database() as db:
        (answer,) = answers.of_study(db, queue.get(db, ended).study_instance_uid)
    assert answer.state is AnswerState.WITHDRAWN
    assert "wrong series" in answer.reason
    assert browser.errors() == []


def test_a_job_is_cancelled_and_tried_again(node: Service, browser: Browser, home: str, ended: int) -> None:
    browser.open()
    browser.goto(f"{home}/hold/drain")
    browser.fill("#reason", "a test")
    browser.click("button.main")
    browser.wait("document.querySelector('#notices .notice')")
    assert "Draining" in browser.text("#notices")
    with node.database() as db:
        job_id = stored.queued(db, study=STUDY, now=datetime.now(UTC)).job_id
    browser.wait(f"document.querySelector('#job-{job_id}')")
    browser.goto(f"{home}/jobs/{job_id}/cancel")
    browser.fill("#reason", "a test")
    browser.click("button.main")
    browser.wait("!location.pathname.endsWith('/cancel')")
    browser.goto(f"{home}/queue")
    browser.wait(f"document.querySelector('#job-{job_id} .badge').textContent === 'CANCELLED'")
    browser.click(f"#job-{job_id} summary")
    browser.click(f"#job-{job_id} button")
    browser.wait(f"document.querySelector('#job-{job_id} .badge').textContent === 'QUEUED'")
    browser.click("#notices button")
    browser.wait("!document.querySelector('#notices .notice')")
    assert browser.errors() == []


@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_is_readable_by_everybody(browser: Browser, home: str, ended: int, theme: str, width: int) -> None:
    browser.open(width, theme)
    for name in PAGES:
        assert browser.goto(f"{home}/{name}") == 200
        assert browser.hindrances() == [], name
        assert browser.tell("document.documentElement.scrollWidth <= innerWidth"), f"{name} is wider than the window"
        browser.shoot(SHOTS / f"{name}-{width}-{theme}.png")
    assert browser.errors() == []


def test_the_colours_can_be_chosen(browser: Browser, home: str) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"
    browser.open(theme="light")
    browser.goto(f"{home}/peers")
    before = browser.tell(paper)
    browser.click(".corner button")
    browser.wait("document.documentElement.dataset.theme === 'dark'")
    assert browser.tell(paper) != before
    assert browser.tell("location.pathname") == "/peers"
    browser.click(".corner button")
    browser.wait("document.documentElement.dataset.theme === 'light'")
    assert browser.tell(paper) == before


def test_a_page_works_by_keyboard_alone(browser: Browser, home: str, ended: int) -> None:
    browser.open()
    browser.goto(f"{home}/queue")
    browser.press("Tab")
    assert browser.tell("document.activeElement.textContent") == "Skip to the content"
    browser.press("Enter")
    assert browser.tell("document.activeElement.id") == "main"
    browser.tell(f"document.querySelector('#job-{ended} summary').focus()")
    browser.press("Enter")
    assert browser.tell(f"document.querySelector('#job-{ended} details').open")
    browser.press("Escape")
    assert not browser.tell(f"document.querySelector('#job-{ended} details').open")


def test_every_page_works_without_javascript(browser: Browser, home: str, ended: int) -> None:
    browser.open(script=False)
    for name in PAGES:
        assert browser.goto(f"{home}/{name}") == 200
    browser.goto(f"{home}/queue")
    browser.fill("#q", str(ended))
    browser.click("form[role=search] button")
    browser.wait(f"location.search.includes('q={ended}')")
    assert browser.errors() == []


def test_hostile_values_are_shown_and_do_nothing(node: Service, browser: Browser, home: str, ended: int) -> None:
    with node.database() as db:
        counted = [("associations_refused", {"peer": HOSTILE, "host": "10.0.0.9", "reason": HOSTILE}, 3.0)]
        tallies.add(db, counted, datetime.now(UTC))
        with db.transaction() as connection:
            connection.execute(schema.jobs.update().where(schema.jobs.c.job_id == ended).values(reason=HOSTILE))
            events.append(connection, at=datetime.now(UTC), name="a test", job=ended)
    browser.open(390)
    for name in ("queue", "peers"):
        browser.goto(f"{home}/{name}")
        shown = browser.text()
        assert "<script>" in shown
        assert "⟨U+202E⟩" in shown
        assert "A" * 1000 not in shown
        assert browser.tell("document.title") != "taken"
        assert browser.tell("document.documentElement.scrollWidth <= innerWidth")
        assert browser.hindrances() == []
    assert browser.errors() == []


@pytest.fixture(scope="module")
def guarded(node: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The pages of the same data, for users with a password."""
    folder = tmp_path_factory.mktemp("guarded")
    users = Users(folder / "users.json")
    for role in Role:
        users.put(role, role, PASSWORD)
    with web.served(node.folder, users_file=str(folder / "users.json"), authentication="users") as found:
        yield found


def log_in(browser: Browser, home: str, name: str) -> None:
    browser.open()
    browser.goto(f"{home}/queue")
    browser.fill("#name", name)
    browser.fill("#password", PASSWORD)
    browser.press("Enter")
    browser.wait("location.pathname === '/queue'")


def test_users_log_in_and_see_what_their_role_may(browser: Browser, guarded: str, ended: int) -> None:
    seen = {}
    for role in Role:
        log_in(browser, guarded, role)
        menus = browser.tell("document.querySelectorAll('#rows details').length > 0")
        seen[role] = (menus, browser.tell("document.querySelector('.head details') !== null"))
        assert browser.errors() == []
    assert seen == {Role.READ: (False, False), Role.OPERATE: (True, False), Role.ADMIN: (True, True)}
    browser.click(".corner button")
    browser.wait("location.pathname === '/login'")
    assert browser.hindrances() == []
    browser.shoot(SHOTS / "login.png")


def test_who_may_only_look_is_refused_whatever_they_ask(browser: Browser, guarded: str, ended: int) -> None:
    log_in(browser, guarded, Role.READ)
    assert browser.goto(f"{guarded}/jobs/{ended}/cancel") == 403
    assert browser.goto(f"{guarded}/hold/intake") == 403
    assert browser.hindrances() == []
    log_in(browser, guarded, Role.OPERATE)
    assert browser.goto(f"{guarded}/jobs/{ended}/withdraw") == 403


def test_nothing_is_done_without_a_reason(node: Service, browser: Browser, home: str) -> None:
    browser.open(script=False)
    browser.goto(f"{home}/hold/intake")
    browser.click("button.main")
    with node.database() as db:
        assert switches.on(db) == {}
