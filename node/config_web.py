"""The settings of the pages for the browser: where they are served, to whom, and by what they know who asks."""

from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from node.config_base import Port, Section, SomeSeconds


def network(value: str) -> str:
    """An address or a network of addresses.

    >>> network("10.1.0.0/16")
    '10.1.0.0/16'
    """
    ip_network(value)
    return value


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there.

    >>> is_loopback("127.0.0.1"), is_loopback("0.0.0.0")
    (True, False)
    """
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class WebTls(Section):
    """Files in PEM form; browsers show no certificate."""

    certificate: Path
    key: Path


class ProxyLogin(Section):
    """Who asks is said by a reverse proxy, in headers that it sets on every request."""

    user_header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")] = "X-Remote-User"
    role_header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")] = "X-Remote-Role"


class OpenIdConnect(Section):
    """Who asks is said by an OpenID Connect provider (authorization code with PKCE)."""

    issuer: Annotated[str, Field(pattern=r"^https?://")]
    client_id: Annotated[str, Field(min_length=1)]
    client_secret_file: Path | None = None
    role_claim: str = "neurossl_role"


class Web(Section):
    """The pages for the browser."""

    enabled: bool = True
    host: str = "127.0.0.1"
    port: Port = 11180
    tls: WebTls | None = None
    allowed_hosts: tuple[str, ...] = ()
    authentication: Literal["none", "users", "proxy", "openid_connect"] = "none"
    users_file: Path | None = None
    proxy: ProxyLogin = ProxyLogin()
    trusted_proxies: tuple[Annotated[str, AfterValidator(network)], ...] = ()
    openid_connect: OpenIdConnect | None = None
    session_idle_s: SomeSeconds = 1800
    session_longest_s: SomeSeconds = 43200

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if self.authentication == "none" and not is_loopback(self.host):
            raise ValueError(f"host: {self.host} is not this machine alone, so authentication must not be none")
        if self.authentication == "proxy" and not self.trusted_proxies:
            raise ValueError("authentication: proxy needs trusted_proxies: the addresses that it comes from")
        if self.authentication == "openid_connect" and self.openid_connect is None:
            raise ValueError("authentication: openid_connect needs the section openid_connect")
        travels = not is_loopback(self.host) and not self.trusted_proxies
        if travels and self.tls is None:
            raise ValueError(
                "tls: is needed where passwords and pages leave this machine, unless trusted_proxies do it"
            )
        return self


def anchored_web(web: Web, folder: Path) -> Web:
    """The same with relative paths made absolute under `folder`."""
    update: dict[str, object] = {}
    if web.users_file is not None:
        update["users_file"] = folder / web.users_file
    if web.tls is not None:
        update["tls"] = WebTls(certificate=folder / web.tls.certificate, key=folder / web.tls.key)
    provider = web.openid_connect
    if provider is not None and provider.client_secret_file is not None:
        secret = folder / provider.client_secret_file
        update["openid_connect"] = provider.model_copy(update={"client_secret_file": secret})
    return web.model_copy(update=update)
