"""Certificates to try TLS with: an authority of one's own, which signs one for the node and one for a peer.

Made by the `openssl` program: no library among our dependencies can make certificates, and one more would have to be
kept up to date for a sample. Keys are P-256 without a passphrase, in files that only this user reads.
"""

import subprocess
import tempfile
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from node.errors import Permanent

CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
AUTHORITY = "basicConstraints = critical, CA:TRUE\nkeyUsage = critical, keyCertSign, cRLSign\n"
BEARER = (
    "basicConstraints = critical, CA:FALSE\nkeyUsage = critical, digitalSignature\n"
    "extendedKeyUsage = serverAuth, clientAuth\nsubjectAltName = "
)
PROGRAM_S = 60.0


class CertificatesNotMade(Permanent):
    """The openssl program is missing or failed, or files are in the way."""


@dataclass(frozen=True)
class Sample:
    """The files that were made, all PEM."""

    authority: Path  # of certificates: for `authorities` on both sides
    node: tuple[Path, Path]  # certificate and key
    peer: tuple[Path, Path]


def make(folder: Path, node_host: str = "localhost", peer_host: str = "localhost", days: int = 365) -> Sample:
    """Write `authority`, `node` and `peer`, each as .pem and .key, into a folder. Raises CertificatesNotMade."""
    names = ("authority", "node", "peer")
    there = [str(folder / f"{each}{end}") for each in names for end in (".pem", ".key") if _exists(folder, each, end)]
    if there:
        raise CertificatesNotMade(f"{', '.join(there)}: there already; nothing is replaced")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        workshop = _Workshop(folder, Path(scratch), days)
        workshop.authority("NeuroSSL sample authority")
        workshop.bearer("node", node_host)
        workshop.bearer("peer", peer_host)
    pair = {each: (folder / f"{each}.pem", folder / f"{each}.key") for each in names}
    return Sample(pair["authority"][0], pair["node"], pair["peer"])


class _Workshop:
    """Calls openssl, with a configuration of our own beside it."""

    def __init__(self, folder: Path, scratch: Path, days: int) -> None:
        self._folder = folder
        self._scratch = scratch
        self._days = ("-days", str(days))

    def authority(self, name: str) -> None:
        """It signs itself."""
        config = self._write("authority.cnf", _config(name, AUTHORITY))
        key, certificate = self._folder / "authority.key", self._folder / "authority.pem"
        self._openssl("req", "-x509", *CURVE, "-config", config, "-keyout", key, "-out", certificate, *self._days)

    def bearer(self, name: str, host: str) -> None:
        """One that the authority signs, for this host."""
        key, request = self._folder / f"{name}.key", self._scratch / f"{name}.csr"
        config = self._write(f"{name}.cnf", _config(host, ""))
        self._openssl("req", "-new", *CURVE, "-config", config, "-keyout", key, "-out", request)
        extensions = self._write(f"{name}.ext", BEARER + _alternative(host) + "\n")
        signer = ("-CA", self._folder / "authority.pem", "-CAkey", self._folder / "authority.key", "-CAcreateserial")
        serial = ("-CAserial", self._scratch / "serial")
        out = ("-extfile", extensions, "-out", self._folder / f"{name}.pem")
        self._openssl("x509", "-req", "-in", request, *signer, *serial, *out, *self._days)

    def _write(self, name: str, text: str) -> Path:
        path = self._scratch / name
        path.write_text(text, encoding="utf-8")
        return path

    def _openssl(self, *arguments: str | Path) -> None:
        try:
            done = subprocess.run(  # noqa: S603
                ["openssl", *arguments],  # noqa: S607 - whichever the system has
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=PROGRAM_S,
                check=False,
            )
        except FileNotFoundError:
            raise CertificatesNotMade("the openssl program is not there: install the package openssl") from None
        except subprocess.TimeoutExpired:
            raise CertificatesNotMade(f"openssl {arguments[0]} did not end within {PROGRAM_S:g} s") from None
        if done.returncode:
            raise CertificatesNotMade(f"openssl {arguments[0]} failed: {done.stderr.strip()}")


def _config(name: str, extensions: str) -> str:
    head, section = ("[req]\nx509_extensions = signs\n", f"[signs]\n{extensions}") if extensions else ("[req]\n", "")
    return f"{head}distinguished_name = name\nprompt = no\n[name]\nCN = {name}\n{section}"


def _alternative(host: str) -> str:
    """How a certificate names a host: by address or by name."""
    try:
        ip_address(host)
    except ValueError:
        return f"DNS:{host}"
    return f"IP:{host}"


def _exists(folder: Path, name: str, end: str) -> bool:
    return (folder / f"{name}{end}").exists()
