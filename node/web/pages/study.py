"""One study: what was seen, what the model said of it and why, where that went, and what it stands on."""

import json
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import IO, Annotated, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, HTTPException, Request
from starlette.datastructures import FormData
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response, StreamingResponse

from node import verdict
from node.access.visitor import Visitor
from node.observe import audit_message, pictures, reports, study
from node.observe.study import StudyFacts
from node.web import plots, timeline
from node.web.entry import Operator
from node.web.forms import posted, text
from node.web.pages.actions import hand
from node.web.site import Site, TheSite
from node.web.view import page
from storage import outbox, queue
from storage.records import Answer, Result, Word
from storage.states import AnswerState, JobState

router = APIRouter()

Form = Annotated[FormData, Depends(posted)]
IN_MEMORY_BYTES = 8 << 20
PIECE_BYTES = 1 << 20
CAN_BE_RETRIED = (JobState.FAILED, JobState.SKIPPED, JobState.CANCELLED)
CAN_BE_CANCELLED = (JobState.QUEUED, JobState.RUNNING, JobState.KEPT, JobState.REPORTED)
DICOM = "application/dicom"


@router.get("/jobs/{job_id}")
def of_job(request: Request, site: TheSite, job_id: int) -> HTMLResponse:
    """The study of a job, as this job saw it."""
    return _page(request, site, study.of_job(site.folder, site.db, job_id, datetime.now(UTC)))


@router.get("/studies/{study_instance_uid}")
def of_study(request: Request, site: TheSite, study_instance_uid: str) -> HTMLResponse:
    """A study with its newest job, or before it has one."""
    return _page(request, site, study.of_study(site.folder, site.db, study_instance_uid, datetime.now(UTC)))


@router.get("/jobs/{job_id}/pictures/{name}")
def picture(site: TheSite, job_id: int, name: str) -> Response:
    """A slice or its heat map."""
    return Response(pictures.png(site.folder, outbox.results_of_job(site.db, job_id), name), media_type="image/png")


@router.get("/jobs/{job_id}/provenance.json")
def provenance(site: TheSite, job_id: int) -> Response:
    """What the answer stands on, for machines and for the record."""
    found = study.of_job(site.folder, site.db, job_id, datetime.now(UTC))
    content = json.dumps(study.provenance(site.db, found), indent=2) + "\n"
    return Response(content, media_type="application/json", headers=_named(f"neurossl-job-{job_id}-provenance.json"))


@router.get("/jobs/{job_id}/report.txt")
def report(site: TheSite, job_id: int) -> Response:
    """The report as text."""
    found = reports.lines(site.folder, outbox.results_of_job(site.db, job_id))
    if not found:
        raise HTTPException(404, f"job {job_id} has no report that can be read")
    content = "".join(f"{line}\n" for line in found)
    return Response(content, media_type="text/plain", headers=_named(f"neurossl-job-{job_id}-report.txt"))


@router.get("/jobs/{job_id}/results/{name}.dcm")
def result(site: TheSite, who: Operator, job_id: int, name: str) -> FileResponse:
    """A result as the DICOM file that is sent; it bears the patient's name, so not everybody gets it."""
    for each in _objects(site, job_id):
        path = site.folder.path(each.path)
        if _name(each) == name and path.is_file():
            _note_download(site, who, job_id)
            return FileResponse(path, media_type=DICOM, filename=f"neurossl-job-{job_id}-{name}.dcm")
    raise HTTPException(404, f"job {job_id} has no result {name}")


@router.get("/jobs/{job_id}/results.zip")
def results(site: TheSite, who: Operator, job_id: int) -> StreamingResponse:
    """All its results as DICOM files."""
    found = [(each, site.folder.path(each.path)) for each in _objects(site, job_id)]
    _note_download(site, who, job_id)
    content: IO[bytes] = tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES)  # noqa: SIM115 (closed when it is sent)
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target:
        for each, path in found:
            if path.is_file():
                target.write(path, f"{_name(each)}.dcm")
    content.seek(0)
    headers = _named(f"neurossl-job-{job_id}-results.zip")
    return StreamingResponse(_pieces(content), media_type="application/zip", headers=headers)


@router.post("/jobs/{job_id}/word")
async def word(job_id: int, site: TheSite, who: Operator, form: Form) -> RedirectResponse:
    """A reader's word on the answer of a job."""

    def say() -> None:
        found = study.of_job(site.folder, site.db, job_id, datetime.now(UTC))
        answer = _answer(found)
        if answer is None or text(form, "word") not in set(Word):
            raise HTTPException(422, "choose one of: agree, disagree, not usable; on a job that has an answer")
        hand(site, who).say(answer.answer_id, Word(text(form, "word")), text(form, "reason", 500))

    await run_sync(say)
    return RedirectResponse(f"/jobs/{job_id}#word", 303)


def _page(request: Request, site: Site, found: StudyFacts) -> HTMLResponse:
    current = found.current
    results = current.results if current else ()
    answer = _answer(found)
    return page(
        request,
        "study.html",
        found=found,
        job=current.job if current else None,
        outcome=current.outcome if current else None,
        answer=answer,
        results=[(each, _name(each)) for each in results if each.is_object],
        planes=pictures.planes(site.folder, results),
        report=reports.lines(site.folder, results),
        timeline=timeline.moments(found.steps),
        provenance=study.provenance(site.db, found),
        readings=[each for each in found.readings if answer and each.answer_id == answer.answer_id],
        words=list(Word),
        may_be=_may_be(found, answer),
        plots=plots,
        verdict=verdict,
    )


def _answer(found: StudyFacts) -> Answer | None:
    """What the job came to: an answer of its own, or one that its study had already."""
    current = found.current
    wanted = current.job.answer_id if current else None
    return next((each for each in (current.answers if current else ()) if each.answer_id == wanted), None)


def _may_be(found: StudyFacts, answer: Answer | None) -> dict[str, bool]:
    """What an operator can do with this job now."""
    job = found.current.job if found.current else None
    if job is None:
        return dict.fromkeys(("retried", "cancelled", "withdrawn", "read"), False)
    stands = answer is not None and answer.state is AnswerState.STANDING
    published = answer is not None and answer.state not in (AnswerState.KEPT, AnswerState.DISCARDED)
    return {
        "retried": job.state in CAN_BE_RETRIED,
        "cancelled": job.state in CAN_BE_CANCELLED,
        "withdrawn": stands and answer is not None and answer.job_id == job.job_id,
        "read": published,
    }


def _note_download(site: Site, who: Visitor, job_id: int) -> None:
    uid = queue.get(site.db, job_id).study_instance_uid
    site.trail.note(audit_message.operated(site.trail.us, who.name, uid, "results downloaded"))


def _objects(site: Site, job_id: int) -> Sequence[Result]:
    return [each for each in outbox.results_of_job(site.db, job_id) if each.is_object]


def _name(result: Result) -> str:
    """What a download of it is called: its place and kind, and nothing of the patient.

    >>> _name(Result("2.25.1", "1.2", "2.25.2", 7, "sr_comprehensive", 13, "", "", 0))
    '14-sr-comprehensive'
    """
    return f"{result.ordinal + 1:02}-{PurePosixPath(result.kind.replace('_', '-')).name}"


def _named(name: str) -> dict[str, Any]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}


def _pieces(content: IO[bytes]) -> Iterator[bytes]:
    with content:
        while piece := content.read(PIECE_BYTES):
            yield piece
