"""The application: what is served under which address, and what a visitor hears when that is not possible."""

from collections.abc import Mapping

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from node.web import api, metrics
from node.web.entry import Entry
from node.web.guard import Guard
from node.web.live import Live
from node.web.pages import actions, health, login, peers, queue, statistics, study, theme
from node.web.problem import FOR_MACHINES, problem, title_of
from node.web.site import Site
from node.web.view import STATIC, page
from storage.errors import InvalidTransition, NotFound, StorageError

PAGES = (metrics, queue, study, peers, health, statistics, actions, login, theme)
A_YEAR = "public, max-age=31536000, immutable"  # the address of a file changes with its content


def application(site: Site) -> FastAPI:
    """Everything that is served, over this site."""
    app = FastAPI(title="NeuroSSL Node", docs_url=None, redoc_url=None, openapi_url="/api/v1/openapi.json")
    app.state.site, app.state.live, app.state.asked_before = site, Live(site), api.AskedBefore(site.db)
    app.mount("/static", Unchanging(directory=STATIC), name="static")
    for module in PAGES:
        app.include_router(module.router, include_in_schema=False)
    app.include_router(api.router)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _misspelt)
    app.add_exception_handler(StorageError, _not_stored)
    app.add_middleware(Entry, site=site)
    app.add_middleware(Guard, web=site.settings.web)
    return app


class Unchanging(StaticFiles):
    """Files of ours, which a browser may keep."""

    def file_response(self, *arguments: object, **named: object) -> Response:
        """With the word that it may."""
        response = super().file_response(*arguments, **named)  # type: ignore[arg-type]
        response.headers["Cache-Control"] = A_YEAR
        return response


def refusal(request: Request, status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    """Why not: a page for people, a problem for machines."""
    if request.url.path.startswith(FOR_MACHINES):
        return problem(status, text, headers)
    answer = page(request, "refusal.html", status, title=title_of(status), text=text)
    answer.headers.update(headers or {})
    return answer


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    return refusal(request, error.status_code, str(error.detail), error.headers)


async def _misspelt(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    wrong = ", ".join(sorted({str(each["loc"][-1]) for each in error.errors()}))
    return refusal(request, 422, f"what was asked for is not understood: {wrong}")


async def _not_stored(request: Request, error: Exception) -> Response:
    status = 404 if isinstance(error, NotFound) else 409 if isinstance(error, InvalidTransition) else 503
    return refusal(request, status, str(error))
