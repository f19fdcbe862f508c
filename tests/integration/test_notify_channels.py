"""Notices arrive: a real mail server, a real HTTP server, apprise, the office and the command line."""

import hashlib
import hmac
import json
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from email import message_from_string, policy
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from node.cli import app
from node.config import Destination, Settings
from node.config_telling import EmailChannel, ServiceChannel, WebhookChannel
from node.errors import ConfigurationError
from node.notify.mail import Mail
from node.notify.notice import Message, message, notice
from node.notify.service import Service
from node.notify.ways import Untold
from node.notify.webhook import Webhook
from node.observe.vital import remarks
from node.process.heartbeat import pulses
from node.service import housekeeping
from node.service.office import run_office
from storage import Database, queue
from tests import stored
from tests.certificates import site
from tests.destination import wait_until
from tests.integration.test_delivery import reported
from tests.mail import http_server, mail_server

NOW = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr'")  # which a plug-in of apprise imports


def word(text: str = "The disk of the data folder is 91 % full.") -> Message:
    return message("NEUROSSL", [notice("disk", text, NOW)])


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("NODE_SECRET", "geheim")
    return "env:NODE_SECRET"


@pytest.fixture
def no_outside(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every address but loopback that anybody connects to, which is refused."""
    import socket

    asked: list[object] = []
    connect = socket.socket.connect

    def only_loopback(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1"):
            asked.append(address)
            raise OSError(101, "Network is unreachable")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", only_loopback)
    return asked


def email(port: int, **values: Any) -> EmailChannel:
    people = {"sender": "node@hospital.example", "recipients": ("pacs@hospital.example", "it@hospital.example")}
    return EmailChannel(**{"name": "mail", "kind": "email", "host": "127.0.0.1", "port": port, **people, **values})


def test_a_mail_goes_over_starttls_with_a_login(tmp_path: Path, free_port: Callable[[], int], secret: str) -> None:
    node, peer = site(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(peer.certificate, peer.key)
    with mail_server(free_port(), context) as server:
        channel = email(server.port, authorities=node.authorities, user="node", secret=secret)
        Mail(channel).tell(word())
        with pytest.raises(Untold, match="mail server"):  # whom nobody vouches for gets no password
            Mail(email(server.port, user="node", secret=secret)).tell(word())
    assert server.logins == [("node", "geheim")]
    (letter,) = (message_from_string(each, policy=policy.default) for each in server.letters)
    assert letter["Subject"] == "NEUROSSL: The disk of the data folder is 91 % full"
    assert "The disk of the data folder is 91 % full." in letter.get_content()
    assert server.recipients == [["pacs@hospital.example", "it@hospital.example"]]


def test_a_mail_server_that_does_not_take_it_is_named_by_its_code(free_port: Callable[[], int]) -> None:
    port = free_port()
    with mail_server(port) as server:
        server.answer = "451 patient Muster"
        with pytest.raises(Untold, match=r"^the mail server answers 451$"):
            Mail(email(port, security="none")).tell(word())
    with pytest.raises(Untold, match="Connection refused"):
        Mail(email(port, security="none")).tell(word())


def test_a_webhook_is_signed_and_a_redirection_is_no_acknowledgement(secret: str, no_outside: list[object]) -> None:
    with http_server() as server:
        channel = WebhookChannel(
            name="hook", kind="webhook", url=f"http://127.0.0.1:{server.port}/node?a=1", secret=secret
        )
        Webhook(channel, lambda: 1764081000.0).tell(word())
        for status in (302, 500):
            server.status = status
            with pytest.raises(Untold, match=f"the webhook answers {status}"):
                Webhook(channel).tell(word())
        assert len(server.requests) == 3
    headers, body = server.requests[0]
    signed = hmac.new(b"geheim", b"1764081000." + body, hashlib.sha256).hexdigest()
    assert headers["X-NeuroSSL-Signature"] == f"v1={signed}"
    assert [each["kind"] for each in json.loads(body)["notices"]] == ["disk"]
    assert no_outside == []


def test_apprise_tells_the_service_of_its_url_and_nobody_else(
    tmp_path: Path, no_outside: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    place = tmp_path / "url"
    channel = ServiceChannel(name="chat", kind="apprise", secret=f"file:{place}")
    with http_server() as server:
        place.write_text(f"json://127.0.0.1:{server.port}/hook")
        Service(channel).tell(word())
        server.status = 302
        with pytest.raises(Untold):
            Service(channel).tell(word())
    assert len(server.requests) == 2
    assert "91 % full" in json.loads(server.requests[0][1])["message"]
    assert b"github" not in server.requests[0][1]
    assert no_outside == []
    assert not (tmp_path / "home").exists()
    place.write_text("nonsense")
    with pytest.raises(ConfigurationError, match="chat: apprise does not know this URL"):
        Service(channel).tell(word())


@pytest.mark.slow
def test_the_office_tells_what_happens_and_goes_on_when_nobody_listens(
    db: Database, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job fails and a destination is down; one channel hears of both, the other is away and said to be."""
    monkeypatch.setattr(housekeeping, "LOOK_EVERY_S", 0.2)
    stored.queued(db, study="1.2.7", now=datetime.now(UTC))
    pacs = Destination(name="pacs", ae_title="PACS", host="127.0.0.1", port=1)
    with http_server() as server:
        channels = [
            {"name": name, "kind": "webhook", "url": f"http://127.0.0.1:{port}/", "secret": secret}
            for name, port in (("hook", server.port), ("away", 1))
        ]
        settings = Settings(
            data_folder=stored.folder(db).root,
            destinations=(pacs,),
            notifications={"channels": channels, "digest_s": 0, "pause_s": 0, "destination_down_s": 0},  # type: ignore[arg-type]
        )
        stop = threading.Event()
        office = threading.Thread(target=run_office, args=(settings, stop), daemon=True)
        office.start()
        wait_until(lambda: stored.folder(db).path("notices.json").exists(), "the first look", 20)
        job = stored.claimed(db, now=datetime.now(UTC))
        queue.fail(db, job, "Doe^Jane", None, datetime.now(UTC))
        reported(db, "1.2.8")

        def texts() -> str:
            return " ".join(body.decode() for _, body in server.requests)

        wait_until(lambda: f"Job {job.job_id} failed" in texts() and "pacs takes nothing" in texts(), "both", 40)
        said = ["channel away is not told: the webhook: Connection refused"]
        wait_until(lambda: remarks(pulses(stored.folder(db).path("locks"))) == said, "the remark", 20)
        stop.set()
        office.join(30)
    assert "Doe" not in texts()
    assert "1.2.7" not in texts()


def test_a_trial_from_the_command_line_says_who_has_taken_it(tmp_path: Path, secret: str) -> None:
    with http_server() as server:
        channels = [
            {"name": name, "kind": "webhook", "url": f"http://127.0.0.1:{port}/", "secret": secret}
            for name, port in (("hook", server.port), ("away", 1))
        ]
        config = tmp_path / "config.yaml"
        config.write_text(json.dumps({"notifications": {"channels": channels}}))

        def tried(*words: str) -> tuple[int, str]:
            result = CliRunner().invoke(app, ["notify", "test", *words, "--config", str(config)])
            return result.exit_code, result.output

        code, output = tried()
        assert code == 1
        assert "hook: has taken a test notice" in output
        assert "away: the webhook: Connection refused" in output
        assert tried("hook")[0] == 0
        assert tried("nobody")[0] == 2
    assert len(server.requests) == 2
