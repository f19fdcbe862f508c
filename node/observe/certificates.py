"""Until when the certificates of the settings hold: read from their files, without trusting anything in them.

Of DER no more is read than leads to the validity (RFC 5280 4.1).
"""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from node.config import Settings

SEQUENCE, INTEGER, UTC_TIME, GENERALIZED_TIME, VERSION = 0x30, 0x02, 0x17, 0x18, 0xA0


@dataclass(frozen=True)
class Certificate:
    """One certificate that the node shows, or trusts."""

    key: str  # of the settings
    file: Path
    not_after: datetime | None  # None where it cannot be read
    days_left: float | None
    trouble: str = ""


def of_settings(settings: Settings, now: datetime) -> list[Certificate]:
    """Those of listener, pages, destinations, archive and audit, and the authorities that end first."""
    return [_read(key, file, now) for key, file in _files(settings)]


def not_after(pem: str) -> datetime:
    """The end of the validity of the certificate that ends first. Raises ValueError."""
    ends = [_end_of(ssl.PEM_cert_to_DER_cert(block)) for block in _blocks(pem)]
    if not ends:
        raise ValueError("holds no certificate")
    return min(ends)


def _files(settings: Settings) -> Iterator[tuple[str, Path]]:
    sections = {
        "listener.tls": settings.listener.tls,
        "archive.tls": settings.archive.tls if settings.archive else None,
        "audit.tls": settings.audit.tls,
        **{f"destinations.{each.name}.tls": each.tls for each in settings.destinations},
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


def _read(key: str, file: Path, now: datetime) -> Certificate:
    try:
        end = not_after(file.read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        return Certificate(key, file, None, None, f"cannot be read: {error}")
    return Certificate(key, file, end, (end - now).total_seconds() / 86400)


def _blocks(pem: str) -> Iterator[str]:
    for part in pem.split(ssl.PEM_HEADER)[1:]:
        yield f"{ssl.PEM_HEADER}{part.partition(ssl.PEM_FOOTER)[0]}{ssl.PEM_FOOTER}"


def _end_of(der: bytes) -> datetime:
    """Certificate > tbsCertificate > version? serialNumber signature issuer validity > notBefore notAfter."""
    (_, certificate), *_ = _elements(der)
    (_, to_be_signed), *_ = _elements(certificate)
    fields = [each for each in _elements(to_be_signed) if each[0] != VERSION]
    _, (kind, end) = _elements(fields[3][1])
    text = end.decode("ascii")
    return datetime.strptime(text if kind == GENERALIZED_TIME else _full_year(text), "%Y%m%d%H%M%SZ").replace(
        tzinfo=UTC
    )


def _full_year(text: str) -> str:
    """RFC 5280 4.1.2.5.1."""
    return f"{'20' if int(text[:2]) < 50 else '19'}{text}"


def _elements(der: bytes) -> list[tuple[int, bytes]]:
    """Tag and content of each. Raises ValueError."""
    found, at = [], 0
    while at + 2 <= len(der):
        tag, length, start = der[at], der[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length, start = int.from_bytes(der[start : start + size], "big"), start + size
        if start + length > len(der):
            raise ValueError("is cut short")
        found.append((tag, der[start : start + length]))
        at = start + length
    return found
