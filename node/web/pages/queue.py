"""The queue: what is received, waits, is worked on, was sent, and why something was not."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse, RedirectResponse

from node.observe import jobs
from node.web.site import TheSite
from node.web.view import page
from storage.states import JobState

router = APIRouter()

A_PAGE = 50


@router.get("/")
def first() -> RedirectResponse:
    """The queue is where one begins."""
    return RedirectResponse("/queue", 307)


@router.get("/queue")
def overview(request: Request, site: TheSite, state: Annotated[list[JobState], Query()] = []) -> HTMLResponse:  # noqa: B006
    """The jobs, newest first."""
    now = datetime.now(UTC)
    found = jobs.of_queue(site.folder, site.db, now, jobs.Asked(states=state or None, limit=A_PAGE))
    return page(request, "queue.html", found=found, states=state, progress=lambda job: jobs.progress(site.folder, job))
