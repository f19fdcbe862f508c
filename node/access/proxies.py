"""What trusted reverse proxies say of a request: who asks, and from where."""

from collections.abc import Mapping, Sequence
from ipaddress import ip_address, ip_network

from node.access.visitor import Role, Visitor
from node.config_web import Web

Headers = Mapping[str, str]  # names in lower case, or a mapping that does not mind


def said_by_proxy(headers: Headers, peer: str, web: Web) -> Visitor | None:
    """Whom a trusted proxy names; None when the request came from elsewhere, or names nobody."""
    name = headers.get(web.proxy.user_header.lower(), "").strip()
    if not is_within(peer, web.trusted_proxies) or not name:
        return None
    role = headers.get(web.proxy.role_header.lower(), Role.READ).strip().lower()
    return Visitor(name[:64], Role(role) if role in list(Role) else Role.READ)


def address_behind(headers: Headers, peer: str, web: Web) -> str:
    """Where the request comes from; behind trusted proxies, what the first of them saw."""
    address = peer
    named = [each.strip() for each in headers.get("x-forwarded-for", "").split(",") if each.strip()]
    while named and is_within(address, web.trusted_proxies):
        address = named.pop()
    return address[:64]


def is_within(address: str, networks: Sequence[str]) -> bool:
    """Whether an address lies in one of these networks."""
    try:
        return any(ip_address(address) in ip_network(each) for each in networks)
    except ValueError:
        return False
