"""How visitors come in: by a password, by the word of a proxy, or by OpenID Connect; each success and failure noted."""

import structlog
from starlette.requests import HTTPConnection

from node.access.passwords import Passwords, mark
from node.access.proxies import address_behind, is_within, said_by_proxy
from node.access.users import users_of
from node.access.visitor import ANYBODY_HERE, Visitor
from node.config import Settings
from node.config_web import Web
from node.errors import Permanent
from node.observe import audit_message
from node.observe.audit import Trail
from node.web.sessions import Sessions

log = structlog.get_logger()

COOKIE = "neurossl-session"


class NotLetIn(Permanent):
    """Why somebody does not come in, without a secret."""


class Door:
    """Knows visitors again, and lets new ones in."""

    def __init__(self, settings: Settings, trail: Trail) -> None:
        """`trail` hears of every log-in."""
        self._web, self._trail = settings.web, trail
        self._passwords = Passwords(users_of(settings), self._failed)
        self.sessions = Sessions(settings.web.session_idle_s, settings.web.session_longest_s)

    def visitor(self, request: HTTPConnection, session: str, *, by_script: bool) -> Visitor | None:
        """Who asks; None for nobody that is known. A script may send name and password instead of a session."""
        if self._web.authentication == "none":
            return ANYBODY_HERE
        if self._web.authentication == "proxy":
            return said_by_proxy(request.headers, _peer(request), self._web)
        found = self.sessions.visitor(session, counts=not by_script)
        if found is not None:
            return self._still(session, *found)
        if self._web.authentication == "users" and by_script:
            return self._by_header(request)
        return None

    def log_in(self, name: str, password: str, address: str) -> tuple[str, float]:
        """The session of a new visitor, or "" and how long they have to wait."""
        user = self._passwords.checked(name, password, address)
        if user is None:
            return "", self.wait_s(name, address)
        self._passwords.succeeded(name, address)
        return self.let_in(Visitor(user.name, user.role, session=True), address, mark(user)), 0.0

    def let_in(self, visitor: Visitor, address: str, mark: str = "") -> str:
        """Begin a session."""
        self._note(visitor.name, address, audit_message.LOGIN, audit_message.SUCCESS)
        log.info("logged in", user=visitor.name, role=str(visitor.role))
        return self.sessions.begin(visitor, mark)

    def let_out(self, visitor: Visitor, session: str, address: str) -> None:
        """End a session."""
        self.sessions.end(session)
        self._note(visitor.name, address, audit_message.LOGOUT, audit_message.SUCCESS)
        log.info("logged out", user=visitor.name)

    def wait_s(self, name: str, address: str) -> float:
        """Before this name may try again from this address."""
        return self._passwords.wait_s(name, address)

    def failed(self, name: str, address: str) -> None:
        """Somebody did not get in."""
        self._passwords.failed(name, address)

    def _failed(self, name: str, address: str) -> None:
        self._note(name, address, audit_message.LOGIN, audit_message.MINOR_FAILURE)
        log.warning("log-in failed", user=name[:64], address=address)

    def _still(self, session: str, visitor: Visitor, had_mark: str) -> Visitor | None:
        """The visitor, unless the user was removed or changed since."""
        user = self._passwords.users.all().get(visitor.name) if had_mark else None
        if had_mark and (user is None or mark(user) != had_mark):
            self.sessions.end(session)
            return None
        return visitor

    def _by_header(self, request: HTTPConnection) -> Visitor | None:
        """For what is no browser."""
        user = self._passwords.of_header(request.headers.get("authorization", ""), address_of(request, self._web))
        return None if user is None else Visitor(user.name, user.role)

    def _note(self, name: str, address: str, kind: audit_message.Code, outcome: int) -> None:
        self._trail.note(audit_message.user_authentication(self._trail.us, name, address, kind, outcome))


def address_of(request: HTTPConnection, web: Web) -> str:
    """Where the request comes from; behind trusted proxies, what the first of them saw."""
    return address_behind(request.headers, _peer(request), web)


def is_trusted(request: HTTPConnection, web: Web) -> bool:
    """Whether the request was handed on by a trusted proxy."""
    return is_within(_peer(request), web.trusted_proxies)


def _peer(request: HTTPConnection) -> str:
    return request.client.host if request.client else ""
