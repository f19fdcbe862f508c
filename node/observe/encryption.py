"""The TLS files of the settings, as `neurossl check` and a start find them; node/certificates.py reads them."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from node import certificates
from node.certificates import Certificate
from node.config import Settings, Tls
from node.config_web import WebTls
from node.dimse.tls import client_context, server_context
from node.errors import ConfigurationError
from node.observe.fact import Fact


def of_tls(settings: Settings) -> list[Fact]:
    """Whether each certificate, key and list of authorities can be used as the node will use them."""
    uses: list[tuple[str, Callable[[Any, str], object], Tls | WebTls | None]] = [
        ("listener.tls", server_context, settings.listener.tls),
        ("archive.tls", client_context, settings.archive.tls if settings.archive else None),
        *((f"destinations.{each.name}.tls", client_context, each.tls) for each in settings.destinations),
        *((f"hl7.{each.name}.tls", client_context, each.tls) for each in settings.hl7),
        ("audit.tls", client_context, settings.audit.tls),
        ("web.tls", lambda tls, _: certificates.pages_context(tls), settings.web.tls if settings.web.enabled else None),
    ]
    found = []
    for key, use, tls in uses:
        if tls is None:
            continue
        try:
            use(tls, key)
            found.append(Fact("TLS", "ok", f"{key}: its files can be used, and the key fits the certificate"))
        except ConfigurationError as error:
            found.append(Fact("TLS", "trouble", str(error)))
    return found


def of_certificates(settings: Settings) -> Iterator[Fact]:
    """When each ends."""
    soon = settings.notifications.certificate_days
    yield from (_certificate(each, soon) for each in certificates.of_settings(settings, datetime.now(UTC)))


def _certificate(found: Certificate, soon_days: float) -> Fact:
    days_left = found.days_left
    if days_left is None:
        return Fact("certificate", "trouble", f"{found.key}: {found.file}: {found.trouble}")
    if days_left <= 0:
        return Fact("certificate", "trouble", f"{found.key}: ended on {found.not_after:%Y-%m-%d}")
    text = f"{found.key}: ends on {found.not_after:%Y-%m-%d}, in {days_left:.0f} days"
    return Fact("certificate", "warning" if days_left <= soon_days else "ok", text)
