"""Log in and out."""

from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlencode

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Request
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse, Response

from node.access.users import LONGEST
from node.web.door import COOKIE, NotLetIn, address_of, is_trusted
from node.web.forms import posted, text
from node.web.site import Site, TheSite
from node.web.view import page, span

if TYPE_CHECKING:
    from node.web.openid import Provider

router = APIRouter()

Form = Annotated[FormData, Depends(posted)]


@router.get("/login")
def ask(request: Request, site: TheSite, next: str = "/") -> Response:
    """The form, or the way to the provider."""
    if site.settings.web.authentication in ("none", "proxy"):
        return RedirectResponse("/", 303)
    return _form(request, site, next)


@router.post("/login")
async def log_in(request: Request, site: TheSite, form: Form) -> Response:
    """By name and password."""
    if site.settings.web.authentication != "users":
        return RedirectResponse("/", 303)
    name, back = text(form, "name", 64), text(form, "next", 2000)
    password = str(form.get("password", ""))[:LONGEST]
    address = address_of(request, site.settings.web)
    session, wait_s = await run_sync(site.door.log_in, name, password, address)
    if session:
        return _entered(request, site, session, back)
    if wait_s > 0:
        refused = _form(request, site, back, f"Too many log-ins failed. Try again in {span(max(1, wait_s))}.", 429)
        refused.headers["Retry-After"] = str(int(wait_s) + 1)
        return refused
    return _form(request, site, back, "There is no such user with this password.", 401)


@router.post("/logout")
async def log_out(request: Request, site: TheSite, form: Form) -> Response:
    """End the session."""
    if request.state.session:
        site.door.let_out(request.state.visitor, request.state.session, address_of(request, site.settings.web))
    left = RedirectResponse("/login", 303)
    left.delete_cookie(COOKIE, path="/")
    return left


@router.get("/login/openid")
def to_provider(request: Request, site: TheSite, next: str = "/") -> Response:
    """Leave for the provider."""
    try:
        address = _provider(request).begin(request.state.browser, _answer_to(request, site), next)
    except NotLetIn as error:
        return _form(request, site, next, str(error), 503)
    return RedirectResponse(address, 303)


@router.get("/login/answer")
def from_provider(request: Request, site: TheSite, state: str = "", code: str = "", error: str = "") -> Response:
    """Back from the provider."""
    address = address_of(request, site.settings.web)
    if error:
        return _form(request, site, "/", "The provider did not let you in.", 401)
    try:
        visitor, back = _provider(request).finish(request.state.browser, state, code)
    except NotLetIn as refused:
        site.door.failed("openid connect", address)
        return _form(request, site, "/", str(refused), 401)
    return _entered(request, site, site.door.let_in(visitor, address), back)


def _form(request: Request, site: Site, back: str, trouble: str = "", status: int = 200) -> Response:
    by_provider = site.settings.web.authentication == "openid_connect"
    way = f"/login/openid?{urlencode({'next': back})}"
    return page(request, "login.html", status, back=back, trouble=trouble, by_provider=by_provider, way=way)


def _entered(request: Request, site: Site, session: str, back: str) -> Response:
    entered = RedirectResponse(ours(back), 303)
    entered.set_cookie(
        COOKIE, session, path="/", httponly=True, samesite="lax", secure=_scheme(request, site) == "https"
    )
    return entered


def ours(address: str) -> str:
    """An address of this node, whatever somebody put into a link.

    >>> ours("/queue?state=failed"), ours("//attacker.example"), ours("https://attacker.example")
    ('/queue?state=failed', '/', '/')
    """
    safe = address.startswith("/") and not address.startswith(("//", "/\\")) and address.isprintable()
    return address if safe and "\\" not in address else "/"


def _answer_to(request: Request, site: Site) -> str:
    return f"{_scheme(request, site)}://{request.headers['host']}/login/answer"


def _scheme(request: Request, site: Site) -> str:
    """How the browser reached us: a trusted proxy may say that it was by TLS."""
    if site.settings.web.tls is None and is_trusted(request, site.settings.web):
        return "https" if request.headers.get("x-forwarded-proto", "http").lower() == "https" else "http"
    return "http" if site.settings.web.tls is None else "https"


def _provider(request: Request) -> "Provider":
    from node.web.openid import Provider  # loads what asks a provider, which few sites have

    state, settings = request.app.state, request.app.state.site.settings.web.openid_connect
    if settings is None:
        raise NotLetIn("OpenID Connect is not configured")
    if not hasattr(state, "provider"):
        state.provider = Provider(settings)
    provider: Provider = state.provider
    return provider
