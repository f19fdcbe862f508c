"""Who may come in: each request gets its visitor before any page sees it, and who is nobody is sent to log in."""

from typing import Annotated
from urllib.parse import urlencode

from anyio.to_thread import run_sync
from fastapi import Depends, HTTPException, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from node.access.visitor import Role, Visitor
from node.web.door import COOKIE
from node.web.guard import cookie
from node.web.problem import FOR_MACHINES, turned_away
from node.web.site import Site

OPEN = ("/static/", "/login", "/theme")  # for whoever has not logged in
FOR_SCRIPTS = (FOR_MACHINES, "/metrics")


class Entry:
    """ASGI middleware, within the guard."""

    def __init__(self, app: ASGIApp, site: Site) -> None:
        """`site` says how visitors are known."""
        self._app = app
        self._site = site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        session = cookie(request.headers, COOKIE)
        by_script = request.url.path.startswith(FOR_SCRIPTS)

        def recognised() -> Visitor | None:
            return self._site.door.visitor(request, session, by_script=by_script)

        visitor = await run_sync(recognised)
        request.state.visitor, request.state.session = visitor, session if visitor else ""
        request.state.form_key = f"{request.state.browser}.{request.state.session}"
        stranger = visitor is None and not request.url.path.startswith(OPEN)
        app: ASGIApp = self._turned_away(request) if stranger else self._app
        await app(scope, receive, send)

    def _turned_away(self, request: Request) -> Response:
        mode, path = self._site.settings.web.authentication, request.url.path
        if mode == "proxy":
            return turned_away(path, 403, "the reverse proxy did not say who asks")
        if path.startswith(FOR_SCRIPTS):
            named = {"WWW-Authenticate": 'Basic realm="NeuroSSL Node", charset="UTF-8"'} if mode == "users" else {}
            return turned_away(path, 401, "log in first", named)
        if request.method != "GET" or "text/event-stream" in request.headers.get("accept", ""):
            return turned_away(path, 401, "log in first")
        wanted = path + (f"?{request.url.query}" if request.url.query else "")
        return RedirectResponse(f"/login?{urlencode({'next': wanted})}", 303)


def _allowed(request: Request, role: Role) -> Visitor:
    found: Visitor = request.state.visitor
    if not found.may(role):
        raise HTTPException(403, f"{found.name} may {found.role}; this is for who may {role}")
    return found


def operator(request: Request) -> Visitor:
    """Who asks, and may operate; answers 403 otherwise."""
    return _allowed(request, Role.OPERATE)


def administrator(request: Request) -> Visitor:
    """Who asks, and may do everything; answers 403 otherwise."""
    return _allowed(request, Role.ADMIN)


Operator = Annotated[Visitor, Depends(operator)]
Administrator = Annotated[Visitor, Depends(administrator)]
