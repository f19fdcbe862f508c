"""TLS settings that cannot work are named by their key before anything listens."""

import ssl
import subprocess
from pathlib import Path

import pytest

from node.config import Tls
from node.dimse.tls import client_context, server_context
from node.errors import ConfigurationError
from tests import peers


@pytest.fixture
def pem(tmp_path: Path) -> Tls:
    """A certificate that signs itself."""
    command = [peers.program("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    options = ["-nodes", "-keyout", "key.pem", "-out", "certificate.pem", "-subj", "/CN=node"]
    subprocess.run([*command, *options], cwd=tmp_path, check=True, capture_output=True)
    certificate = tmp_path / "certificate.pem"
    return Tls(certificate=certificate, key=tmp_path / "key.pem", authorities=certificate)


def test_both_sides_ask_for_a_certificate_and_nothing_older_than_1_2(pem: Tls) -> None:
    for context in (server_context(pem), client_context(pem)):
        assert context.verify_mode is ssl.CERT_REQUIRED
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("name", ["certificate", "key", "authorities"])
def test_a_file_that_is_not_there_is_named_by_its_key(pem: Tls, tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"listener\.tls\.{name}: .*cannot be read"):
        server_context(pem.model_copy(update={name: tmp_path / "gone.pem"}))


@pytest.mark.parametrize(("name", "key"), [("certificate", "certificate"), ("authorities", "authorities")])
def test_a_file_that_is_no_pem_is_named_by_its_key(pem: Tls, tmp_path: Path, name: str, key: str) -> None:
    text = tmp_path / "text.pem"
    text.write_text("hello")
    with pytest.raises(ConfigurationError, match=rf"tls\.{key}"):
        client_context(pem.model_copy(update={name: text}))


def test_a_key_with_a_pass_phrase_is_named_and_nobody_is_asked_for_it(pem: Tls, tmp_path: Path) -> None:
    locked = tmp_path / "locked.pem"
    command = [peers.program("openssl"), "pkey", "-in", pem.key, "-aes256", "-passout", "pass:secret", "-out", locked]
    subprocess.run(command, check=True, capture_output=True)
    with pytest.raises(ConfigurationError, match=r"listener\.tls\.key: .*is encrypted"):
        server_context(pem.model_copy(update={"key": locked}))


def test_a_key_of_another_certificate_does_not_fit(pem: Tls, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    command = [peers.program("openssl"), "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    subprocess.run([*command, "-out", "key.pem"], cwd=other, check=True, capture_output=True)
    with pytest.raises(ConfigurationError, match="does not fit its key"):
        server_context(pem.model_copy(update={"key": other / "key.pem"}))
