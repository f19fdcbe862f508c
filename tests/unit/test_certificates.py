"""Sample certificates: they work on both sides of an association, and nothing that is there is replaced."""

import subprocess
from pathlib import Path

import pytest

from node.config import Tls
from node.dimse import scu
from node.offline import certificates
from node.offline.certificates import CertificatesNotMade
from tests import wire
from tests.certificates import site


def text(pem: Path) -> str:
    command = ["openssl", "x509", "-in", str(pem), "-noout", "-text"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_node_and_peer_know_each_other_by_them(tmp_path: Path) -> None:
    node, peer = site(tmp_path)
    with wire.listener(tls=node) as server:
        found = scu.echo(scu.Peer("NEUROSSL", "127.0.0.1", server.port, "TESTER", peer), 5)
    assert found.answered, found.text


def test_a_peer_of_another_authority_is_not_let_in(tmp_path: Path) -> None:
    (node, _), (_, stranger) = site(tmp_path / "ours"), site(tmp_path / "theirs")
    with wire.listener(tls=node) as server:
        found = scu.echo(scu.Peer("NEUROSSL", "127.0.0.1", server.port, "TESTER", stranger), 5)
    assert not found.answered


def test_they_say_whom_they_are_for_and_what_they_may_do(tmp_path: Path) -> None:
    made = certificates.make(tmp_path / "tls", node_host="10.1.0.30", peer_host="pacs.example.org", days=2)
    assert "IP Address:10.1.0.30" in text(made.node[0])
    assert "DNS:pacs.example.org" in text(made.peer[0])
    assert "CA:FALSE" in text(made.peer[0])
    assert "CA:TRUE" in text(made.authority)
    assert sorted(path.name for path in made.authority.parent.iterdir()) == [
        f"{name}.{end}" for name in ("authority", "node", "peer") for end in ("key", "pem")
    ]
    assert {path.stat().st_mode & 0o077 for path in made.authority.parent.glob("*.key")} == {0}


def test_nothing_that_is_there_is_replaced(tmp_path: Path) -> None:
    made = certificates.make(tmp_path)
    before = made.node[1].read_bytes()
    with pytest.raises(CertificatesNotMade, match=r"node\.key"):
        certificates.make(tmp_path)
    assert made.node[1].read_bytes() == before


def test_without_openssl_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CertificatesNotMade, match="install"):
        certificates.make(tmp_path / "tls")


def test_they_are_what_the_settings_ask_for(tmp_path: Path) -> None:
    for side in site(tmp_path):
        assert Tls(**side.model_dump()) == side
