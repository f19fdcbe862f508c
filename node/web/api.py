"""`/api/v1`: the same facts and acts as on the pages, for machines. Described by `/api/v1/openapi.json` (OpenAPI 3.1).

Pages follow a cursor; ids are job numbers and UIDs, which never change; what goes wrong is problem+json (RFC 9457). An
act that is posted carries an `Idempotency-Key`: sent again with the same key within a day, it gets the same answer, and
nothing is done twice. That header is also why no page of another site can act in a visitor's name.
"""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Header, HTTPException, Path, Query, Request
from fastapi.encoders import jsonable_encoder
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse

from node.access.visitor import Visitor
from node.observe import drift, jobs, peers, state, statistics, study
from node.observe.jobs import Asked, BadCursor, plain
from node.web.entry import Administrator, Operator
from node.web.pages.actions import hand
from node.web.site import TheSite
from storage import Database, requests, switches
from storage.pages import Order
from storage.records import SwitchName, Word
from storage.states import JobState

LARGEST_ID = 2**63 - 1

JobId = Annotated[int, Path(ge=1, le=LARGEST_ID)]
Uid = Annotated[str, Path(pattern=r"^[0-9.]{1,64}$")]
Key = Annotated[str, Header(alias="Idempotency-Key", min_length=1, max_length=100, pattern=r"^[!-~]+$")]


class Problem(BaseModel):
    """What went wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str


class Loose(BaseModel):
    """More keys may come."""

    model_config = ConfigDict(extra="allow")


class JobOfPage(Loose):
    """A job on a page."""

    job_id: int
    study_instance_uid: str
    revision: int
    state: JobState
    reason: str
    attempt: int
    maximum_attempts: int
    created_at: datetime
    updated_at: datetime
    age_s: float
    priority: int
    instances: int
    calling_ae_titles: list[str]
    stage: str | None


class Jobs(Loose):
    """A page of jobs; `next` is the cursor of the next one."""

    jobs: list[JobOfPage]
    next: str | None
    counts: dict[str, int]


class Reason(BaseModel):
    """Why; it is kept with what was done."""

    reason: Annotated[str, Field(min_length=1, max_length=300)]


class Urgency(BaseModel):
    """10 is worked on first, -10 last, 0 as any other."""

    priority: Annotated[int, Field(ge=-10, le=10)]


class ReadersWord(BaseModel):
    """What a reader says of an answer."""

    word: Word
    reason: Annotated[str, Field(max_length=300)] = ""


def _problem(words: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": words, "content": {"application/problem+json": {"schema": schema}}}


PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: _problem("What was sent cannot be read"),
    401: _problem("Log in first"),
    403: _problem("Not allowed"),
    404: _problem("There is none"),
    409: _problem("Not in this state"),
    413: _problem("Too long"),
    421: _problem("The node is not called so"),
    422: _problem("Not understood"),
    503: _problem("The database does not answer now"),
}
router = APIRouter(prefix="/api/v1", responses=PROBLEMS)
A_PROBLEM: dict[int | str, dict[str, Any]] = {"default": {"model": Problem, "description": "What went wrong"}}


class AskedBefore:
    """The answers to acts by their keys, of those who asked; they outlive this process."""

    def __init__(self, db: Database) -> None:
        """One act at a time: a request that comes twice at once is done once."""
        self._db = db
        self._lock = threading.Lock()

    def once(self, who: str, key: str, asked: str, act: Callable[[], Any]) -> Any:
        """What `act` gives, or gave when this was asked before. Answers 422 to a key that stood for something else."""
        with self._lock:
            known = requests.answered(self._db, who, key, _now())
            if known is not None and known.asked != asked:
                raise HTTPException(422, "this Idempotency-Key was sent with another request")
            if known is None:
                known = requests.Answered(asked, jsonable_encoder(act()))
                requests.note(self._db, who, key, known, _now())
            return known.answer


@router.get("/jobs", response_model=Jobs, responses=A_PROBLEM)
def page_of_jobs(
    site: TheSite,
    state: Annotated[list[JobState], Query()] = [],  # noqa: B006
    search: Annotated[str, Query(max_length=100)] = "",
    order: Order = Order.NEWEST,
    cursor: Annotated[str, Query(max_length=100)] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> JSONResponse:
    """A page of jobs. `search` is a UID, how a study's begins, a job, or an accession number."""
    try:
        asked = Asked(states=state or None, search=search, order=order, cursor=cursor, limit=limit)
        return _said(jobs.of_queue(site.folder, site.db, _now(), asked).as_json())
    except BadCursor as error:
        raise HTTPException(404, str(error)) from error


@router.get("/jobs/{job_id}", response_model=dict[str, Any])
def one_job(job_id: JobId, site: TheSite) -> JSONResponse:
    """Everything about one job."""
    return _said(jobs.of_job(site.folder, site.db, job_id, _now()).as_json())


@router.get("/jobs/{job_id}/provenance", response_model=dict[str, Any])
def provenance(job_id: JobId, site: TheSite) -> JSONResponse:
    """What its answer stands on: software, settings, bundle, calibration, what was read, what was made."""
    return _said(study.provenance(site.db, study.of_job(site.folder, site.db, job_id, _now())))


@router.get("/studies/{study_instance_uid}", response_model=dict[str, Any])
def one_study(study_instance_uid: Uid, site: TheSite) -> JSONResponse:
    """Everything about one study."""
    return _said(study.of_study(site.folder, site.db, study_instance_uid, _now()).as_json())


@router.get("/peers", response_model=dict[str, Any])
def all_peers(site: TheSite) -> JSONResponse:
    """Senders and destinations."""
    return _said(peers.of_peers(site.settings, site.folder, site.db, _now()))


@router.get("/health", response_model=dict[str, Any])
def health(site: TheSite) -> JSONResponse:
    """Disk, database, processes, acts, workers, certificates, versions."""
    return _said(state.of_node(site.settings, site.folder, site.db, _now()))


@router.get("/statistics", response_model=dict[str, Any])
def numbers(site: TheSite, days: Annotated[int, Query(ge=1, le=400)] = 30) -> JSONResponse:
    """What was done in the last days, and what came of it."""
    return _said(statistics.of_days(site.db, days, _now()))


@router.get("/drift", response_model=dict[str, Any])
def drifted(site: TheSite) -> JSONResponse:
    """Whether the last week that is over was as usual, as the office found it; `found` is null before it has looked."""
    return _said({"found": drift.kept(site.folder)})


@router.get("/switches", response_model=dict[str, Any])
def held_up(site: TheSite) -> JSONResponse:
    """What an operator holds up."""
    return _said({str(name): plain(each) for name, each in switches.on(site.db).items()})


@router.post("/jobs/{job_id}/retry", response_model=dict[str, Any])
async def retry(job_id: JobId, request: Request, site: TheSite, who: Operator, key: Key) -> JSONResponse:
    """Try a job once more."""
    return await _acted(request, who, key, None, lambda: jobs.job_json(hand(site, who).retry(job_id), _now()))


@router.post("/jobs/{job_id}/cancel", response_model=dict[str, Any])
async def cancel(job_id: JobId, why: Reason, request: Request, site: TheSite, who: Operator, key: Key) -> JSONResponse:
    """End a job; what was not sent stays here."""
    act = hand(site, who)
    return await _acted(request, who, key, why, lambda: jobs.job_json(act.cancel(job_id, why.reason), _now()))


@router.post("/jobs/{job_id}/withdraw", response_model=dict[str, Any])
async def withdraw(
    job_id: JobId, why: Reason, request: Request, site: TheSite, who: Administrator, key: Key
) -> JSONResponse:
    """Withdraw the answer of a job: it is wrong, and is never given again."""
    act = hand(site, who)
    return await _acted(request, who, key, why, lambda: jobs.job_json(act.withdraw(job_id, why.reason), _now()))


@router.post("/answers/{answer_id}/readings", response_model=dict[str, Any])
async def say(
    answer_id: JobId, said: ReadersWord, request: Request, site: TheSite, who: Operator, key: Key
) -> JSONResponse:
    """A reader's word on an answer."""
    act = hand(site, who)
    return await _acted(request, who, key, said, lambda: plain(act.say(answer_id, said.word, said.reason)))


@router.put("/studies/{study_instance_uid}/priority", response_model=Urgency)
def prioritise(study_instance_uid: Uid, wanted: Urgency, site: TheSite, who: Operator) -> JSONResponse:
    """How urgent a study is."""
    return _said({"priority": hand(site, who).prioritise(study_instance_uid, wanted.priority)})


@router.put("/switches/{name}", response_model=dict[str, Any])
def hold_up(name: SwitchName, why: Reason, site: TheSite, who: Administrator) -> JSONResponse:
    """Pause intake or sending, or drain the node."""
    return _said(plain(hand(site, who).hold_up(name, why.reason)))


@router.delete("/switches/{name}", response_model=dict[str, Any])
def let_go(name: SwitchName, site: TheSite, who: Administrator) -> JSONResponse:
    """Go on with it."""
    return _said({"was_on": hand(site, who).let_go(name)})


async def _acted(
    request: Request, who: Visitor, key: str, body: BaseModel | None, act: Callable[[], Any]
) -> JSONResponse:
    """What the act came to, now or when it was asked for before with this key."""
    asked = f"{request.url.path} {body.model_dump_json() if body else ''}"
    before: AskedBefore = request.app.state.asked_before
    return _said(await run_sync(before.once, who.name, key, sha256(asked.encode()).hexdigest(), act))


def _said(content: Any) -> JSONResponse:
    return JSONResponse(_finite(jsonable_encoder(content)))


def _finite(content: Any) -> Any:
    """JSON has no word for what is not finite: null."""
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_finite(value) for value in content]
    if isinstance(content, float) and content - content != 0:
        return None
    return content


def _now() -> datetime:
    return datetime.now(UTC)
