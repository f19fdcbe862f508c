"""Who may come in: each request gets its visitor before any page sees it, and who is nobody is sent to log in."""

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from node.web.site import Site
from node.web.visitor import ANYBODY_HERE


class Entry:
    """ASGI middleware, within the guard."""

    def __init__(self, app: ASGIApp, site: Site) -> None:
        """`site` says how visitors are known."""
        self._app = app
        self._site = site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "http":
            Request(scope).state.visitor = ANYBODY_HERE
        await self._app(scope, receive, send)
