"""TLS for associations: both sides show a certificate of the same authorities, TLS 1.2 or newer (PS3.15 B.12, BCP 195).

A certificate is checked against the configured authorities, not against a host name: peers are configured by address,
and these authorities sign for the site alone.
"""

import ipaddress
import ssl
from pathlib import Path

from node.config import Tls
from node.errors import ConfigurationError

HANDSHAKE_S = 10.0


def server_context(tls: Tls, key: str = "listener.tls") -> ssl.SSLContext:
    """For the listener. `key` is where the settings stand, for the message of a ConfigurationError."""
    return _context(tls, ssl.PROTOCOL_TLS_SERVER, key)


def client_context(tls: Tls, key: str = "tls") -> ssl.SSLContext:
    """For an association of ours. `key` is where the settings stand, for the message of a ConfigurationError."""
    return _context(tls, ssl.PROTOCOL_TLS_CLIENT, key)


def _context(tls: Tls, protocol: int, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    _readable(tls.certificate, f"{key}.certificate")
    _readable(tls.key, f"{key}.key")
    _readable(tls.authorities, f"{key}.authorities")
    try:
        context.load_cert_chain(tls.certificate, tls.key, password=_no_pass_phrase)
    except _Encrypted:
        raise ConfigurationError(
            f"{key}.key: {tls.key} is encrypted: nobody is there to type its pass phrase; store it without one"
        ) from None
    except ssl.SSLError as error:
        raise ConfigurationError(
            f"{key}.certificate: does not fit its key, or is no PEM file: {error.reason}"
        ) from None
    try:
        context.load_verify_locations(cafile=tls.authorities)
    except ssl.SSLError as error:
        raise ConfigurationError(f"{key}.authorities: is no PEM file of certificates: {error.reason}") from None
    return context


class _Encrypted(Exception):
    """The private key has a pass phrase."""


def _no_pass_phrase() -> str:
    """Asked for by OpenSSL, which would otherwise prompt a terminal."""
    raise _Encrypted


def _readable(path: Path, key: str) -> None:
    try:
        path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{key}: {path}: cannot be read: {error.strerror}") from None


def server_name(host: str) -> str | None:
    """What the TLS handshake names (RFC 6066 chapter 3): a peer behind a gateway is found by it; never an address."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    return None
