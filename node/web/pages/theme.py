"""Light, dark, or as the browser says."""

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Request
from starlette.datastructures import FormData
from starlette.responses import RedirectResponse

from node.web.forms import posted, text
from node.web.view import THEMES

router = APIRouter()

A_YEAR_S = 31_536_000


@router.post("/theme")
async def choose(request: Request, form: Annotated[FormData, Depends(posted)]) -> RedirectResponse:
    """Keep the choice in the browser, and go back to where it was made."""
    back = RedirectResponse(came_from(request), 303)
    theme = text(form, "theme")
    if theme in THEMES:
        tls = request.app.state.site.settings.web.tls is not None
        back.set_cookie("theme", theme, max_age=A_YEAR_S, httponly=True, samesite="strict", secure=tls)
    return back


def came_from(request: Request) -> str:
    """The page of ours that a form was on; the first one when the browser does not say."""
    parts = urlsplit(request.headers.get("referer", ""))
    if parts.netloc != request.headers.get("host") or not parts.path.startswith("/"):
        return "/"
    return parts.path.replace("//", "/") + (f"?{parts.query}" if parts.query else "")
