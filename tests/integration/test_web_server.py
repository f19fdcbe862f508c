"""The pages as a server: over TLS with the node's certificate, alone as a process, and what stops the start."""

import json
import socket
import ssl
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from node.access.users import Users
from node.access.visitor import Role
from node.certificates import pages_context
from node.config_web import Web, WebTls
from node.errors import ConfigurationError
from node.process.heartbeat import pulse
from node.web.server import listening
from storage import Database, DataFolder
from tests import certificates, peers, web
from tests.destination import wait_until

pytestmark = pytest.mark.slow

PASSWORD = "correct horse battery"


def test_pages_go_over_tls_with_the_certificate_of_the_node(folder: DataFolder, db: Database, tmp_path: Path) -> None:
    node, _ = certificates.site(tmp_path)
    tls = {"certificate": str(node.certificate), "key": str(node.key)}
    trusting = ssl.create_default_context(cafile=str(node.authorities))
    with web.served(folder, tls=tls) as home:
        address = home.replace("http://", "https://")
        answer = httpx2.get(f"{address}/queue", verify=trusting, timeout=20)
        assert answer.status_code == 200
        assert answer.headers["Strict-Transport-Security"]
        assert "Secure" in answer.headers["Set-Cookie"]
        with pytest.raises(httpx2.HTTPError):
            httpx2.get(f"{home}/queue", timeout=20)


def test_a_certificate_without_its_key_and_a_taken_port_are_said(tmp_path: Path) -> None:
    node, peer = certificates.site(tmp_path)
    with pytest.raises(ConfigurationError, match=r"web\.tls"):
        pages_context(WebTls(certificate=node.certificate, key=peer.key))
    with pytest.raises(ConfigurationError, match=r"web\.tls"):
        pages_context(WebTls(certificate=tmp_path / "nowhere.pem", key=node.key))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"web\.port.*{port}"), listening(Web(port=port)):
            pass


def test_the_pages_run_alone_and_users_are_made_on_the_command_line(tmp_path: Path) -> None:
    data, config = tmp_path / "data", tmp_path / "config.yaml"
    config.write_text(json.dumps({"data_folder": str(data), "web": {"port": 0, "authentication": "users"}}))

    def command(*words: str, said: str = "") -> "subprocess.CompletedProcess[str]":
        line = [sys.executable, "-P", "-m", "node", *words, "--config", str(config)]
        return subprocess.run(line, input=said, capture_output=True, text=True, timeout=60, check=False)

    assert command("user", "add", "anna", "--role", "operate", said=PASSWORD + "\n").returncode == 0
    assert command("user", "add", "anna", said=PASSWORD + "\n").returncode == 1
    assert command("user", "add", "bob", said="short\n").returncode == 1
    assert command("user", "list").stdout.split() == ["anna", "operate"]
    user = Users(data / "users.json").who("anna", PASSWORD)
    assert user is not None
    assert user.role is Role.OPERATE

    line = [sys.executable, "-P", "-m", "node", "web", "--config", str(config)]
    with peers.process(line, tmp_path / "web.log") as process:
        wait_until(lambda: bool((sign := pulse(data / "locks", "web")) and sign.state == "ready"), "the pages", 60)
        sign = pulse(data / "locks", "web")
        assert sign is not None
        answer = httpx2.get(f"{sign.facts['address']}/queue", timeout=20)
        assert answer.headers["location"] == "/login?next=%2Fqueue"
        process.terminate()
        assert process.wait(30) == 0
    assert "error" not in (tmp_path / "web.log").read_text()
