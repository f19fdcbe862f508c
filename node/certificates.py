"""The certificates of the settings: until when each holds, and whether the pages can be served with theirs.

One list for whoever asks: `neurossl check`, the health page, `/metrics` and the notices. Nothing in a file is trusted.
"""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509

from node.config import Settings, Tls
from node.config_telling import EmailChannel, WebhookChannel
from node.config_web import WebTls
from node.errors import ConfigurationError

SECONDS_A_DAY = 86400


@dataclass(frozen=True)
class Certificate:
    """The certificates of one file: those that the node shows, or those of whom it trusts."""

    key: str  # of the settings
    file: Path
    not_after: datetime | None  # when the file no longer serves; None where it cannot be read
    days_left: float | None
    trouble: str = ""


def of_settings(settings: Settings, now: datetime) -> list[Certificate]:
    """Of listener, STOW-RS, pages, archive, destinations, HL7 receivers, audit trail and channels of the notices."""
    return [_read(key, file, now) for key, file in _files(settings)]


def pages_context(tls: WebTls) -> ssl.SSLContext:
    """TLS 1.2 or newer, as the pages are served. Raises ConfigurationError where the files cannot be used so."""

    def no_pass_phrase() -> str:
        raise ConfigurationError(f"web.tls.key: {tls.key} is encrypted: nobody is there to type its pass phrase")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    for name, file in (("certificate", tls.certificate), ("key", tls.key)):
        try:
            file.read_bytes()
        except OSError as error:
            raise ConfigurationError(f"web.tls.{name}: {file}: cannot be read: {error.strerror}") from None
    try:
        context.load_cert_chain(tls.certificate, tls.key, password=no_pass_phrase)
    except ssl.SSLError as error:
        raise ConfigurationError(
            f"web.tls.certificate: does not fit its key, or is no PEM file: {error.reason}"
        ) from None
    return context


def _files(settings: Settings) -> Iterator[tuple[str, Path]]:
    sections: dict[str, Tls | None] = {
        "listener.tls": settings.listener.tls,
        "archive.tls": settings.archive.tls if settings.archive else None,
        "audit.tls": settings.audit.tls,
        **{f"destinations.{each.name}.tls": each.tls for each in settings.destinations},
        **{f"hl7.{each.name}.tls": each.tls for each in settings.hl7},
    }
    for key, tls in sections.items():
        if tls is not None:
            yield f"{key}.certificate", tls.certificate
            yield f"{key}.authorities", tls.authorities
    if settings.dicomweb is not None and settings.dicomweb.tls is not None:
        yield "dicomweb.tls.certificate", settings.dicomweb.tls.certificate
        if settings.dicomweb.tls.authorities is not None:
            yield "dicomweb.tls.authorities", settings.dicomweb.tls.authorities
    if settings.web.tls is not None:
        yield "web.tls.certificate", settings.web.tls.certificate
    for each in settings.notifications.channels:
        if isinstance(each, EmailChannel | WebhookChannel) and each.authorities is not None:
            yield f"notifications.channels.{each.name}.authorities", each.authorities


def _read(key: str, file: Path, now: datetime) -> Certificate:
    try:
        found = x509.load_pem_x509_certificates(file.read_bytes())
    except OSError as error:
        return Certificate(key, file, None, None, f"cannot be read: {error.strerror}")
    except ValueError:
        return Certificate(key, file, None, None, "cannot be read: holds no certificate in PEM form")
    ends = sorted(each.not_valid_after_utc for each in found)
    end = ends[0]
    if key.endswith(".authorities"):  # one of them that has ended, as lists of authorities have, harms no other
        end = next((each for each in ends if each > now), ends[-1])
    return Certificate(key, file, end, (end - now).total_seconds() / SECONDS_A_DAY)
