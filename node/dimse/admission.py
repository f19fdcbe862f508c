"""Who may open an association, and how many at a time (PS3.8 9.3.4).

An AE title is no proof of identity: with `host` in the list the address counts as well, and TLS client certificates
prove it.
"""

import ipaddress
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

from node.config import AllowedPeer, Listener
from node.dimse.negotiation import APPLICATION_CONTEXT, PROTOCOL_VERSION, AssociationRequest
from node.dimse.status import (
    APPLICATION_CONTEXT_NOT_SUPPORTED,
    CALLED_AE_NOT_RECOGNIZED,
    CALLING_AE_NOT_RECOGNIZED,
    LOCAL_LIMIT_EXCEEDED,
    PROTOCOL_VERSION_NOT_SUPPORTED,
    TEMPORARY_CONGESTION,
    Rejection,
)

NAME_IS_VALID_S = 60
NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62})*\.?")
LIKE_AN_ADDRESS = re.compile(r"[0-9.]+")  # such as 10.1.2.300, which some resolvers would take for a name


class Admission:
    """Lets associations in, counts them, and lets nobody in any more once it is closed."""

    def __init__(self, settings: Listener) -> None:
        self._settings = settings
        self._inside: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()
        self._closed = False
        self.is_drained = False  # then nobody new comes in: 2/3/1, until it is put back

    def close(self) -> None:
        """From now on everybody hears 2/3/1, temporary congestion."""
        self._closed = True

    @property
    def inside(self) -> int:
        """Associations that are open now."""
        return self._inside.total()

    @property
    def senders(self) -> list[str]:
        """The calling AE titles that hold an association open: their studies are waited for (fault F34)."""
        with self._lock:
            return sorted({calling_ae_title for calling_ae_title, _ in self._inside})

    def enter(self, request: AssociationRequest, host: str) -> Rejection | None:
        """None, and the association is counted until it leaves; or why not."""
        rejection = self._stranger(request, host)
        if rejection is not None:
            return rejection
        peer = (request.calling_ae_title, host)
        with self._lock:
            if self._closed or (self.is_drained and not only_echo(self._settings, request, host)):
                return TEMPORARY_CONGESTION
            if self._inside.total() >= self._settings.maximum_associations:
                return LOCAL_LIMIT_EXCEEDED
            if self._inside[peer] >= self._settings.maximum_associations_per_peer:
                return LOCAL_LIMIT_EXCEEDED
            self._inside[peer] += 1
        return None

    def leave(self, request: AssociationRequest, host: str) -> None:
        """The association is over."""
        with self._lock:
            self._inside[request.calling_ae_title, host] -= 1
            self._inside = +self._inside

    def _stranger(self, request: AssociationRequest, host: str) -> Rejection | None:
        if not request.protocol_version & PROTOCOL_VERSION:
            return PROTOCOL_VERSION_NOT_SUPPORTED
        if request.application_context != APPLICATION_CONTEXT:
            return APPLICATION_CONTEXT_NOT_SUPPORTED
        if self._settings.check_called_ae_title and request.called_ae_title != self._settings.ae_title:
            return CALLED_AE_NOT_RECOGNIZED
        if only_echo(self._settings, request, host):
            return None
        known = _known(self._settings.allow, request.calling_ae_title, host)
        if known is None:
            return TEMPORARY_CONGESTION  # its name does not resolve now: it is to ask again, not to give up
        if not known:
            return CALLING_AE_NOT_RECOGNIZED
        return None


def only_echo(settings: Listener, request: AssociationRequest, host: str) -> bool:
    """Whether this is the node itself, from its own machine, asking whether its listener answers: by C-ECHO alone."""
    if request.calling_ae_title != settings.ae_title or is_allowed(settings.allow, request.calling_ae_title, host):
        return False
    try:
        return plain_address(host).is_loopback or host == settings.host
    except ValueError:
        return False


def is_allowed(allow: Iterable[AllowedPeer], calling_ae_title: str, host: str) -> bool:
    """Whether the list names this AE title, from this address where it names one; an empty list names nobody."""
    return bool(_known(allow, calling_ae_title, host))


def is_archive(allow: Iterable[AllowedPeer], calling_ae_title: str, host: str) -> bool:
    """Whether the list names it, from this address, as an archive: then its newest version of an instance counts."""
    return is_allowed([each for each in allow if each.role == "archive"], calling_ae_title, host)


def _known(allow: Iterable[AllowedPeer], calling_ae_title: str, host: str) -> bool | None:
    """As `is_allowed`; None when that hangs on a name that does not resolve now."""
    answer: bool | None = False
    for peer in allow:
        if peer.ae_title != calling_ae_title:
            continue
        if peer.host is None:
            return True
        try:
            if host in _addresses(peer.host, _age()):
                return True
        except Unresolved as unresolved:
            answer = None if unresolved.for_now else answer
    return answer


class Unresolved(Exception):
    """A host that is no address, no network, and no name that resolves."""

    def __init__(self, host: str, reason: str, *, for_now: bool) -> None:
        super().__init__(f"{host!r} {reason}")
        self.for_now = for_now  # it may resolve later; else it never will


def resolve(host: str) -> "_Network":
    """The addresses of a name, an address, or a network such as 10.1.0.0/16. Raises Unresolved."""
    try:
        return _Network([host])
    except ValueError:
        pass
    if not NAME.fullmatch(host) or LIKE_AN_ADDRESS.fullmatch(host):
        raise Unresolved(host, "is no address, no network and no host name", for_now=False)
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "no such name"
        raise Unresolved(host, f"does not resolve now: {reason}", for_now=True) from None
    return _Network(str(entry[4][0]) for entry in found)


def _age() -> int:
    return int(time.monotonic() // NAME_IS_VALID_S)


class _Network:
    """Addresses, or a network of them."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [ipaddress.ip_network(each, strict=False) for each in networks]

    def __contains__(self, host: object) -> bool:
        address = plain_address(str(host))
        return any(address in network for network in self._networks)


@lru_cache(maxsize=256)
def _addresses(host: str, _age: int) -> _Network:
    """As `resolve`, asked once a minute; what did not resolve is asked for again each time."""
    return resolve(host)


def plain_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address of a peer; IPv4 in the clothes of IPv6 is IPv4.

    >>> plain_address("::ffff:10.0.0.7")
    IPv4Address('10.0.0.7')
    """
    address = ipaddress.ip_address(host.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address
