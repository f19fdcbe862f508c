"""Until when the certificates of the node are good."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from cryptography import x509

from node.config import Settings


def endings(settings: Settings) -> Iterator[tuple[str, datetime]]:
    """The setting of each certificate that the node shows to others, and when it ends; without unreadable ones."""
    by_web = settings.dicomweb and settings.dicomweb.tls
    sections = [
        ("listener.tls", settings.listener.tls),
        ("dicomweb.tls", by_web),
        ("archive.tls", settings.archive.tls if settings.archive else None),
        ("audit.tls", settings.audit.tls),
        *((f"destinations.{each.name}.tls", each.tls) for each in settings.destinations),
        *((f"hl7.{each.name}.tls", each.tls) for each in settings.hl7),
    ]
    for key, tls in sections:
        ends_at = _ends_at(tls.certificate) if tls else None
        if ends_at is not None:
            yield key, ends_at


def _ends_at(path: Path) -> datetime | None:
    """The first certificate in the file is the node's own; those that follow lead to its authority."""
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())[0].not_valid_after_utc
    except (OSError, ValueError):
        return None
