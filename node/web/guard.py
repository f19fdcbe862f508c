"""Which requests come in, and what every answer says: around the whole application, before any page is asked.

Requests that name another host (DNS rebinding), that a page elsewhere sent, or that are too long are turned away.
Every answer forbids foreign scripts, styles and frames, and is kept in no cache unless it says otherwise.
"""

from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from node.config_web import Web
from node.web.forms import COOKIE, new_browser
from node.web.problem import turned_away

log = structlog.get_logger()

LONGEST_BODY_BYTES = 64 * 1024
TOO_LONG = f"a body may have {LONGEST_BODY_BYTES} bytes"
SAFE = ("GET", "HEAD", "OPTIONS")
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
A_YEAR_S = 31_536_000


class Guard:
    """ASGI middleware; outermost."""

    def __init__(self, app: ASGIApp, web: Web) -> None:
        """`web` says by which names the node is called, and whether it speaks TLS."""
        self._app = app
        self._hosts = _hosts(web)
        self._tls = web.tls is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        browser = cookie(Headers(scope=scope), COOKIE)
        made = "" if browser else new_browser()
        scope.setdefault("state", {})["browser"] = browser or made

        begun = False

        async def answer(message: Message) -> None:
            nonlocal begun
            begun = True
            if message["type"] == "http.response.start":
                self._say(MutableHeaders(scope=message), made if refusal is None else "")
            await send(message)

        app: ASGIApp = refusal if refusal is not None else self._app
        try:
            await app(scope, _limited(receive), answer)
        except TooLong:
            await turned_away(scope["path"], 413, TOO_LONG)(scope, receive, answer)
        except Exception:
            log.exception("a request failed", path=scope["path"])
            if not begun:
                await turned_away(scope["path"], 500, "this did not work; the log says why")(scope, receive, answer)

    def _refusal(self, scope: Scope) -> Response | None:
        headers, path = Headers(scope=scope), scope["path"]
        host = headers.get("host", "")
        if _name(host) not in self._hosts:
            return turned_away(path, 421, "this node is not called so: web.allowed_hosts names what it may be called")
        if scope["method"] not in SAFE and _is_foreign(headers, host):
            return turned_away(path, 403, "sent by a page of another site")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > LONGEST_BODY_BYTES:
            return turned_away(path, 413, TOO_LONG)
        return None

    def _say(self, headers: MutableHeaders, browser: str) -> None:
        for name, value in HEADERS.items():
            headers.setdefault(name, value)
        headers.setdefault("Cache-Control", "no-store")
        if self._tls:
            headers["Strict-Transport-Security"] = f"max-age={A_YEAR_S}"
        if browser:
            secure = "; Secure" if self._tls else ""
            headers.append("Set-Cookie", f"{COOKIE}={browser}; Path=/; HttpOnly; SameSite=Lax{secure}")


class TooLong(Exception):
    """A body without a length grew too long."""


def _limited(receive: Receive) -> Receive:
    taken = 0

    async def limited() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > LONGEST_BODY_BYTES:
            raise TooLong
        return message

    return limited


def _hosts(web: Web) -> frozenset[str]:
    """The names that a request may call us by."""
    local: Iterable[str] = ("localhost", "127.0.0.1", "::1")
    unspecified = web.host in ("0.0.0.0", "::")  # noqa: S104
    return frozenset({*local, *(() if unspecified else (web.host,)), *(each.lower() for each in web.allowed_hosts)})


def _name(host: str) -> str:
    """The host of a Host header, without its port.

    >>> _name("Node:11180"), _name("[::1]:80")
    ('node', '::1')
    """
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


def _is_foreign(headers: Headers, host: str) -> bool:
    """Whether a browser says that a page of another site sent this."""
    origin = headers.get("origin")
    if origin is not None:
        return urlsplit(origin).netloc.lower() != host.lower()
    return headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")


def cookie(headers: Headers, name: str) -> str:
    """Its value; "" where there is none that can be read."""
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return found.value if found and len(found.value) < 200 and found.value.isascii() else ""
