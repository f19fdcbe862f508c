"""How visitors come in: by a password, by the word of a proxy, or by OpenID Connect; each success and failure noted."""

import base64
import binascii
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import sha256
from ipaddress import ip_address, ip_network

import structlog
from starlette.requests import HTTPConnection

from node.config import Settings
from node.config_web import Web
from node.errors import Permanent
from node.observe import audit_message
from node.observe.audit import Trail
from node.web.sessions import Sessions, Throttle
from node.web.users import User, users_of
from node.web.visitor import ANYBODY_HERE, Role, Visitor

log = structlog.get_logger()

COOKIE = "neurossl-session"
LONGEST_WAIT_OF_NAME_S = 60.0  # so that nobody is kept out for long by somebody else's failures
LONGEST_WAIT_OF_ADDRESS_S = 900.0
BELIEVED_S = 300.0  # a password that a script sends with every request is checked once in this time
MOST_BELIEVED = 100


class NotLetIn(Permanent):
    """Why somebody does not come in, without a secret."""


class Door:
    """Knows visitors again, and lets new ones in."""

    def __init__(self, settings: Settings, trail: Trail) -> None:
        """`trail` hears of every log-in."""
        self._web, self._trail = settings.web, trail
        self.users = users_of(settings)
        self.sessions = Sessions(settings.web.session_idle_s, settings.web.session_longest_s)
        self._names = Throttle(LONGEST_WAIT_OF_NAME_S)
        self._addresses = Throttle(LONGEST_WAIT_OF_ADDRESS_S)
        self._believed: OrderedDict[bytes, tuple[str, float]] = OrderedDict()
        self._key = secrets.token_bytes(32)

    def visitor(self, request: HTTPConnection, session: str, *, by_script: bool) -> Visitor | None:
        """Who asks; None for nobody that is known. A script may send name and password instead of a session."""
        if self._web.authentication == "none":
            return ANYBODY_HERE
        if self._web.authentication == "proxy":
            return said_by_proxy(request, self._web)
        found = self.sessions.visitor(session, counts=not by_script)
        if found is not None:
            return self._still(session, *found)
        if self._web.authentication == "users" and by_script:
            return self._by_header(request)
        return None

    def log_in(self, name: str, password: str, address: str) -> tuple[str, float]:
        """The session of a new visitor, or "" and how long they have to wait."""
        wait_s = self.wait_s(name, address)
        if wait_s > 0:
            return "", wait_s
        user = self.users.who(name, password)
        if user is None:
            self.failed(name, address)
            return "", self.wait_s(name, address)
        self._names.succeeded(name)
        self._addresses.succeeded(address)
        return self.let_in(Visitor(user.name, user.role, session=True), address, _mark(user)), 0.0

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
        return max(self._names.wait_s(name), self._addresses.wait_s(address))

    def failed(self, name: str, address: str) -> None:
        """Somebody did not get in."""
        self._names.failed(name)
        self._addresses.failed(address)
        self._note(name, address, audit_message.LOGIN, audit_message.MINOR_FAILURE)
        log.warning("log-in failed", user=name[:64], address=address)

    def _still(self, session: str, visitor: Visitor, mark: str) -> Visitor | None:
        """The visitor, unless the user was removed or changed since."""
        user = self.users.all().get(visitor.name) if mark else None
        if mark and (user is None or _mark(user) != mark):
            self.sessions.end(session)
            return None
        return visitor

    def _by_header(self, request: HTTPConnection) -> Visitor | None:
        """HTTP Basic (RFC 7617), for what is no browser."""
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        try:
            name, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            return None
        if scheme.lower() != "basic" or not colon:
            return None
        key = hmac.new(self._key, encoded.encode(), sha256).digest()
        mark, at_s = self._believed.get(key, ("", 0.0))
        user = self.users.all().get(name)
        if user is None or mark != _mark(user) or time.monotonic() - at_s > BELIEVED_S:
            user = self._checked(name, password, address_of(request, self._web))
            if user is None:
                return None
            self._believed[key] = (_mark(user), time.monotonic())
            while len(self._believed) > MOST_BELIEVED:
                self._believed.popitem(last=False)
        return Visitor(user.name, user.role)

    def _checked(self, name: str, password: str, address: str) -> User | None:
        if self.wait_s(name, address) > 0:
            return None
        user = self.users.who(name, password)
        if user is None:
            self.failed(name, address)
        return user

    def _note(self, name: str, address: str, kind: audit_message.Code, outcome: int) -> None:
        self._trail.note(audit_message.user_authentication(self._trail.us, name, address, kind, outcome))


def said_by_proxy(request: HTTPConnection, web: Web) -> Visitor | None:
    """Whom a trusted proxy names; None when the request came from elsewhere, or names nobody."""
    name = request.headers.get(web.proxy.user_header, "").strip()
    if not is_trusted(request, web) or not name:
        return None
    role = request.headers.get(web.proxy.role_header, Role.READ).strip().lower()
    return Visitor(name[:64], Role(role) if role in list(Role) else Role.READ)


def address_of(request: HTTPConnection, web: Web) -> str:
    """Where the request comes from; behind trusted proxies, what the first of them saw."""
    address = _peer(request)
    named = [each.strip() for each in request.headers.get("x-forwarded-for", "").split(",") if each.strip()]
    while named and _is_within(address, web.trusted_proxies):
        address = named.pop()
    return address[:64]


def is_trusted(request: HTTPConnection, web: Web) -> bool:
    """Whether the request was handed on by a trusted proxy."""
    return _is_within(_peer(request), web.trusted_proxies)


def _peer(request: HTTPConnection) -> str:
    return request.client.host if request.client else ""


def _is_within(address: str, networks: Sequence[str]) -> bool:
    try:
        return any(ip_address(address) in ip_network(each) for each in networks)
    except ValueError:
        return False


def _mark(user: User) -> str:
    """Changes whenever the user does."""
    return sha256(f"{user.role} {user.hash}".encode()).hexdigest()
