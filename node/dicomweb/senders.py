"""Who may store by STOW-RS: senders that `dicomweb.allow` names, and visitors of the pages, by their role."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from node.access.passwords import Passwords, name_and_password
from node.access.proxies import address_behind, said_by_proxy
from node.access.secrets import secret
from node.access.users import users_of
from node.access.visitor import Role, Visitor
from node.config import AllowedPeer, Settings
from node.config_dicomweb import DicomWeb, WebSender
from node.dimse.admission import is_allowed
from node.errors import ConfigurationError

log = structlog.get_logger()

LONGEST_TITLE = 16
OF_VISITOR = "WEB "  # begins the AE titles of those who have none, so that none is taken for a configured peer


@dataclass(frozen=True)
class Sender:
    """Somebody who may store; `ae_title` is what their instances name as their source."""

    ae_title: str
    host: str


@dataclass(frozen=True)
class NotLetIn:
    """401 or 403, why, and as whom they came."""

    status: int
    words: str
    ae_title: str
    host: str


class Senders:
    """Knows who asks."""

    def __init__(self, settings: Settings, dicomweb: DicomWeb) -> None:
        """Nobody has asked yet."""
        self._web = settings.web
        self._allow = dicomweb.allow
        self._role = None if dicomweb.visitors == "none" else Role(dicomweb.visitors)
        self._passwords = Passwords(users_of(settings), _failed)

    @property
    def takes_passwords(self) -> bool:
        """Whether users of the pages are asked for."""
        return self._role is not None and self._web.authentication == "users"

    def who(self, headers: Mapping[str, str], peer: str) -> Sender | NotLetIn:
        """Who sends a request with these headers (names in lower case) from this address."""
        host = address_behind(headers, peer, self._web)
        for each in self._allow:
            if (each.host is None or is_allowed([_as_peer(each)], each.ae_title, host)) and _proves(each, headers):
                return Sender(each.ae_title, host)
        visitor = None if self._role is None else self._visitor(headers, peer, host)
        if visitor is None or self._role is None:
            return NotLetIn(401, "nobody that may store: dicomweb.allow and dicomweb.visitors say who may", "", host)
        title = title_of(visitor.name)
        if not visitor.may(self._role):
            return NotLetIn(403, f"may {visitor.role}; storing is for who may {self._role}", title, host)
        return Sender(title, host)

    def _visitor(self, headers: Mapping[str, str], peer: str, host: str) -> Visitor | None:
        if self._web.authentication == "proxy":
            return said_by_proxy(headers, peer, self._web)
        user = self._passwords.of_header(headers.get("authorization", ""), host) if self.takes_passwords else None
        return None if user is None else Visitor(user.name, user.role)


def title_of(name: str) -> str:
    """An AE title for who has none (PS3.5 table 6.2-1).

    >>> title_of("anna.lindqvist@example.org")
    'WEB anna.lindqvi'
    """
    plain = "".join(each if each.isascii() and each.isprintable() and each != "\\" else "_" for each in name)
    return (OF_VISITOR + plain)[:LONGEST_TITLE].rstrip()


def _as_peer(sender: WebSender) -> AllowedPeer:
    return AllowedPeer(ae_title=sender.ae_title, host=sender.host)


def _proves(sender: WebSender, headers: Mapping[str, str]) -> bool:
    """Whether they show the sender's secret: as a bearer token, or as the password to its AE title.

    Whom their address alone lets in must not be a page that runs in somebody's browser there.
    """
    if sender.secret is None:
        return "origin" not in headers and "sec-fetch-site" not in headers
    authorization = headers.get("authorization", "")
    scheme, _, token = authorization.partition(" ")
    named = name_and_password(authorization)
    if scheme.lower() == "bearer":
        shown = token.strip()
    elif named is not None and named[0] == sender.ae_title:
        shown = named[1]
    else:
        return False
    try:
        wanted = secret(sender.secret, f"dicomweb.allow: {sender.ae_title}")
    except ConfigurationError as error:
        log.error("a sender cannot be known", reason=str(error))  # noqa: TRY400 - all is said
        return False
    return hmac.compare_digest(shown.encode(), wanted.encode())


def _failed(name: str, address: str) -> None:
    log.warning("log-in failed", user=name[:64], address=address)
