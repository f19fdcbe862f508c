"""The queue: what is received, waits, is worked on, was sent, and why something was not; live while somebody looks."""

from collections.abc import Hashable
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from starlette.responses import HTMLResponse, RedirectResponse, StreamingResponse

from node.observe import jobs
from node.observe.jobs import Asked, BadCursor, QueueFacts
from node.web.live import MOST_STREAMS, Parts
from node.web.site import Site, TheSite
from node.web.view import page, part
from storage.pages import Order
from storage.states import JobState

router = APIRouter()

A_PAGE = 25  # more would come later than it is looked at: each row takes a browser a millisecond or two
LONGEST_SEARCH = 80
ORDERS = {
    Order.NEWEST: "newest first",
    Order.OLDEST: "oldest first",
    Order.CHANGED: "last changed first",
    Order.PRIORITY: "most urgent first",
}


def asked_for(
    state: Annotated[list[JobState | str], Query()] = [],  # noqa: B006 - FastAPI copies it
    q: Annotated[str, Query(max_length=LONGEST_SEARCH)] = "",
    order: Order = Order.NEWEST,
    after: Annotated[str, Query(max_length=60)] = "",
) -> Asked:
    """The jobs that an address asks for; an empty state, as the form sends it, is every state."""
    wanted = [JobState(each) for each in state if each in list(JobState)]
    return Asked(tuple(dict.fromkeys(wanted)) or None, q.strip(), order, after, A_PAGE)


Wanted = Annotated[Asked, Depends(asked_for)]


@router.get("/")
def first() -> RedirectResponse:
    """The queue is where one begins."""
    return RedirectResponse("/queue", 307)


@router.get("/queue")
def overview(request: Request, site: TheSite, asked: Wanted) -> HTMLResponse:
    """A page of jobs."""
    return page(
        request,
        "queue.html",
        found=_facts(site, asked),
        orders=ORDERS,
        live=f"/queue/live?{address(asked)}",
        address=address,
        mark=mark,
    )


@router.get("/queue/live")
async def live(request: Request, site: TheSite, asked: Wanted) -> StreamingResponse:
    """The same page, as it changes."""
    stream = request.app.state.live
    if stream.streams >= MOST_STREAMS:
        raise HTTPException(503, "too many look at the moment; the page still shows what was when it was loaded")
    view: Hashable = ("queue", request.state.visitor.role, address(asked), asked.cursor)
    made: StreamingResponse = stream.stream(request, view, partial(_parts, request, site, asked))
    return made


def address(asked: Asked, **changed: object) -> str:
    """The query of an address that asks for this."""
    query = {
        "state": list(asked.states or ()),
        "q": asked.search,
        "order": asked.order,
        "after": asked.cursor,
        **changed,
    }
    return urlencode({name: value for name, value in query.items() if value}, doseq=True)


def mark(*seen: object) -> str:
    """A short text that is another one whenever what is seen is."""
    return sha256(repr(seen).encode()).hexdigest()[:10]


def _facts(site: Site, asked: Asked) -> QueueFacts:
    try:
        return jobs.of_queue(site.folder, site.db, datetime.now(UTC), asked)
    except BadCursor as error:
        raise HTTPException(422, str(error)) from error


def _parts(request: Request, site: Site, asked: Asked) -> Parts:
    """What may change, each by the id of its element."""
    found = _facts(site, asked)
    made = {
        name: (mark(*seen), part(request, f"queue_{name}.html", found=found, address=address))
        for name, seen in (
            ("notices", (found.destinations, found.switches)),
            ("tiles", (found.counts, len(found.receiving), asked)),
            ("receiving", (found.receiving,)),
        )
    }
    rows = {
        f"job-{row.job.job_id}": (mark(row), part(request, "queue_row.html", row=row, mark=mark)) for row in found.rows
    }
    return {**made, **rows}
