"""What an operator does from a page: each by a form, most after a question that asks for a reason."""

from typing import Annotated

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, HTTPException, Request
from starlette.datastructures import FormData
from starlette.responses import HTMLResponse, RedirectResponse

from node.access.visitor import Visitor
from node.observe.actions import Operator as Hand
from node.web.entry import Administrator, Operator
from node.web.forms import posted, text
from node.web.pages.theme import came_from
from node.web.site import Site, TheSite
from node.web.view import page
from storage import queue
from storage.records import SwitchName

router = APIRouter()

Form = Annotated[FormData, Depends(posted)]
NO_REASON = "say why: it is kept with the job, and in the audit trail"
HOLDING_UP = {
    SwitchName.INTAKE: ("Pause intake", "The listener answers every instance with 0xA700; senders try again later."),
    SwitchName.SENDING: ("Pause sending", "Results are made and wait; nothing goes to any destination."),
    SwitchName.DRAIN: ("Drain for maintenance", "Nothing new begins. What is under way ends, and then nothing runs."),
}


@router.post("/jobs/{job_id}/retry")
async def retry(job_id: int, request: Request, site: TheSite, who: Operator, form: Form) -> RedirectResponse:
    """Try a job once more."""
    await run_sync(hand(site, who).retry, job_id)
    return RedirectResponse(came_from(request), 303)


@router.post("/jobs/{job_id}/priority/{priority}")
async def prioritise(
    job_id: int, priority: int, request: Request, site: TheSite, who: Operator, form: Form
) -> RedirectResponse:
    """Make its study more urgent than others, or less."""

    def act() -> None:
        try:
            hand(site, who).prioritise(queue.get(site.db, job_id).study_instance_uid, priority)
        except ValueError as error:
            raise HTTPException(422, str(error)) from error

    await run_sync(act)
    return RedirectResponse(came_from(request), 303)


@router.get("/jobs/{job_id}/cancel")
def ask_to_cancel(job_id: int, request: Request, site: TheSite, who: Operator) -> HTMLResponse:
    """Why?"""
    what = "A worker that has it drops it, and what was not sent stays here. It can be tried again."
    return _ask(request, f"Cancel job {job_id}", what, f"/jobs/{queue.get(site.db, job_id).job_id}")


@router.post("/jobs/{job_id}/cancel")
async def cancel(job_id: int, request: Request, site: TheSite, who: Operator, form: Form) -> RedirectResponse:
    """End a job."""
    await run_sync(hand(site, who).cancel, job_id, _reason(form))
    return RedirectResponse(f"/jobs/{job_id}", 303)


@router.get("/jobs/{job_id}/withdraw")
def ask_to_withdraw(job_id: int, request: Request, site: TheSite, who: Administrator) -> HTMLResponse:
    """Why?"""
    what = "Its answer is wrong, and is never given again. A PACS with `supersede: rejection_note` is told to hide it."
    return _ask(request, f"Withdraw the answer of job {job_id}", what, f"/jobs/{queue.get(site.db, job_id).job_id}")


@router.post("/jobs/{job_id}/withdraw")
async def withdraw(job_id: int, request: Request, site: TheSite, who: Administrator, form: Form) -> RedirectResponse:
    """Take an answer back."""
    await run_sync(hand(site, who).withdraw, job_id, _reason(form))
    return RedirectResponse(f"/jobs/{job_id}", 303)


@router.get("/hold/{name}")
def ask_to_hold_up(name: SwitchName, request: Request, who: Administrator) -> HTMLResponse:
    """Why?"""
    title, what = HOLDING_UP[name]
    return _ask(request, title, f"{what} It stays so over restarts, until somebody lets it go on.", "/queue")


@router.post("/hold/{name}")
async def hold_up(name: SwitchName, site: TheSite, who: Administrator, form: Form) -> RedirectResponse:
    """Pause or drain."""
    await run_sync(hand(site, who).hold_up, name, _reason(form))
    return RedirectResponse("/queue", 303)


@router.post("/go-on/{name}")
async def let_go(name: SwitchName, request: Request, site: TheSite, who: Administrator, form: Form) -> RedirectResponse:
    """Go on with it."""
    await run_sync(hand(site, who).let_go, name)
    return RedirectResponse(came_from(request), 303)


def hand(site: Site, who: Visitor) -> Hand:
    """What this visitor does, does in their name."""
    return Hand(who.name, site.folder, site.db, site.trail)


def _reason(form: FormData) -> str:
    reason = text(form, "reason", 300)
    if not reason:
        raise HTTPException(422, NO_REASON)
    return reason


def _ask(request: Request, title: str, what: str, back: str) -> HTMLResponse:
    return page(request, "ask.html", title=title, what=what, back=back)
