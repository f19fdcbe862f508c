"""Passwords: each log-in that fails makes the next one wait; what a script sends again and again is hashed once."""

import base64
import binascii
import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256

from node.access.users import User, Users

MOST = 10_000
FREE_FAILURES = 4
FIRST_WAIT_S = 2.0
LONGEST_WAIT_OF_NAME_S = 60.0  # so that nobody is kept out for long by somebody else's failures
LONGEST_WAIT_OF_ADDRESS_S = 900.0
BELIEVED_S = 300.0  # a password that a script sends with every request is checked once in this time
MOST_BELIEVED = 100

OnFailure = Callable[[str, str], None]  # hears the name and the address of a log-in that failed


class Passwords:
    """Knows users by their passwords."""

    def __init__(self, users: Users, on_failure: OnFailure) -> None:
        """Nobody has failed yet."""
        self.users = users
        self._on_failure = on_failure
        self._names = Throttle(LONGEST_WAIT_OF_NAME_S)
        self._addresses = Throttle(LONGEST_WAIT_OF_ADDRESS_S)
        self._believed: OrderedDict[bytes, tuple[str, float]] = OrderedDict()
        self._key = secrets.token_bytes(32)

    def wait_s(self, name: str, address: str) -> float:
        """Before this name may try again from this address."""
        return max(self._names.wait_s(name), self._addresses.wait_s(address))

    def checked(self, name: str, password: str, address: str) -> User | None:
        """The user of this name and password; None also while they have to wait."""
        if self.wait_s(name, address) > 0:
            return None
        user = self.users.who(name, password)
        if user is None:
            self.failed(name, address)
        return user

    def succeeded(self, name: str, address: str) -> None:
        """Forget what failed."""
        self._names.succeeded(name)
        self._addresses.succeeded(address)

    def failed(self, name: str, address: str) -> None:
        """Somebody did not get in."""
        self._names.failed(name)
        self._addresses.failed(address)
        self._on_failure(name, address)

    def of_header(self, authorization: str, address: str) -> User | None:
        """The user of an Authorization header, HTTP Basic (RFC 7617)."""
        found = name_and_password(authorization)
        if found is None:
            return None
        name, password = found
        key = hmac.new(self._key, authorization.encode(), sha256).digest()
        of_mark, at_s = self._believed.get(key, ("", 0.0))
        user = self.users.all().get(name)
        if user is None or of_mark != mark(user) or time.monotonic() - at_s > BELIEVED_S:
            user = self.checked(name, password, address)
            if user is None:
                return None
            self._believed[key] = (mark(user), time.monotonic())
            while len(self._believed) > MOST_BELIEVED:
                self._believed.popitem(last=False)
        return user


def name_and_password(authorization: str) -> tuple[str, str] | None:
    """What an Authorization header of HTTP Basic says; None where it is none."""
    scheme, _, encoded = authorization.partition(" ")
    try:
        name, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return (name, password) if scheme.lower() == "basic" and colon else None


def mark(user: User) -> str:
    """Changes whenever the user does."""
    return sha256(f"{user.role} {user.hash}".encode()).hexdigest()


class Throttle:
    """Failed log-ins of one name or one address: after a few, each has to wait twice as long as the one before."""

    def __init__(self, longest_wait_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        """What failed is forgotten after ten times `longest_wait_s` without another failure."""
        self._longest_s, self._clock = longest_wait_s, clock
        self._failed: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait_s(self, who: str) -> float:
        """How long they still have to wait; 0 when they may try."""
        with self._lock:
            count, at_s = self._failed.get(who, (0, 0.0))
        if count <= FREE_FAILURES:
            return 0.0
        wait_s = min(self._longest_s, FIRST_WAIT_S * 2.0 ** min(count - FREE_FAILURES - 1, 30))
        return max(0.0, at_s + wait_s - self._clock())

    def failed(self, who: str) -> None:
        """Once more."""
        with self._lock:
            now_s = self._clock()
            count, at_s = self._failed.pop(who, (0, now_s))
            count = 0 if now_s - at_s > 10 * self._longest_s else count
            self._failed[who] = (count + 1, now_s)
            while len(self._failed) > MOST:
                self._failed.popitem(last=False)

    def succeeded(self, who: str) -> None:
        """Forget what failed."""
        with self._lock:
            self._failed.pop(who, None)
